/** Loaded into a server before its own code (`--import`, with `--expose-gc`): SIGPWR collects garbage. */
process.on('SIGPWR', () => {
  globalThis.gc?.();
  globalThis.gc?.();
});
