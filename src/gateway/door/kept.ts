/** What a value may cost: a fiftieth of the time, however often it is asked for. */
const KEPT_FOR = 50;

/** A longer time would be noticed, and a machine that is busy makes everything look expensive. */
const MAX_KEPT_MS = 250;

/**
 * Makes a value anew only when that is worth it: what took 2 ms to make is given out for 100 ms, what took none is
 * always made anew. The arguments must make no difference. `now` is monotonic milliseconds.
 */
export function keptForItsCost<Args extends readonly unknown[], T>(
  make: (...args: Args) => T,
  now: () => number = () => performance.now(),
): (...args: Args) => T {
  let kept: { readonly value: T; readonly untilMs: number } | null = null;
  return (...args) => {
    const startedAt = now();
    if (kept !== null && startedAt < kept.untilMs) return kept.value;
    const value = make(...args);
    const madeAt = now();
    kept = { value, untilMs: madeAt + Math.min(MAX_KEPT_MS, KEPT_FOR * (madeAt - startedAt)) };
    return value;
  };
}
