/** By how much the system's monotonic clock is ahead of this process's own, in microseconds. */
function originUs(): number {
  // The first calls load code and take milliseconds; of many pairs the closest one is the truest.
  let closest = Number.POSITIVE_INFINITY;
  let origin = 0;
  for (let pair = 0; pair < 200; pair++) {
    const before = performance.now() * 1e3;
    const system = Number(process.hrtime.bigint()) / 1e3;
    const after = performance.now() * 1e3;
    if (after - before >= closest) continue;
    closest = after - before;
    origin = system - (before + after) / 2;
  }
  return origin;
}

const origin = originUs();

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
