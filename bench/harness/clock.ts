const origin = Number(process.hrtime.bigint()) / 1e3 - performance.now() * 1e3;

/**
 * Microseconds on the system's monotonic clock, the same in every process of this machine, so that a stamp written by
 * one process can be compared with a stamp taken by another.
 */
export const nowUs = (): number => origin + performance.now() * 1e3;

/** Resolves at a moment of `nowUs`; at once when it has passed. Whole milliseconds by timer, the rest by turns. */
export function at(momentUs: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      const leftUs = momentUs - nowUs();
      if (leftUs <= 0) resolve();
      else if (leftUs > 2_000) setTimeout(look, leftUs / 1e3 - 1);
      else setImmediate(look);
    };
    look();
  });
}
