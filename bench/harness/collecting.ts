import { fileURLToPath } from 'node:url';

/** Options of Node with which a server collects its garbage on SIGPWR. */
export const COLLECTING: readonly string[] = [
  '--expose-gc',
  '--import',
  fileURLToPath(new URL('./collect-on-signal.js', import.meta.url)),
];
