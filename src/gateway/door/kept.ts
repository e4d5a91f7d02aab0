/** What a value may cost: a fiftieth of the time, however often it is asked for. */
const KEPT_FOR = 50;

/** A longer time would be noticed, and a machine that is busy makes everything look expensive. */
const MAX_KEPT_MS = 250;

/**
 * Makes a value anew only when that is worth it: what took 2 ms to make is given out for 100 ms, what took none is
 * always made anew, and so is what was made at another `version`. A promise is given to all who ask until it is settled,
 * and one that rejects is not kept. The arguments must make no other difference. `now` is monotonic milliseconds.
 */
export function keptForItsCost<Args extends readonly unknown[], T>(
  make: (...args: Args) => T,
  version: (...args: Args) => unknown = () => null,
  now: () => number = () => performance.now(),
): (...args: Args) => T {
  let kept: { readonly value: T; readonly version: unknown; untilMs: number } | null = null;
  return (...args) => {
    const startedAt = now();
    const wanted = version(...args);
    if (kept !== null && startedAt < kept.untilMs && kept.version === wanted) return kept.value;
    const making = { value: make(...args), version: wanted, untilMs: Number.POSITIVE_INFINITY };
    kept = making;
    const made = (): void => {
      const madeAt = now();
      making.untilMs = madeAt + Math.min(MAX_KEPT_MS, KEPT_FOR * (madeAt - startedAt));
    };
    const forget = (): void => {
      making.untilMs = Number.NEGATIVE_INFINITY;
    };
    if (making.value instanceof Promise) making.value.then(made, forget);
    else made();
    return making.value;
  };
}

/** Takes all of an iterable, so much in one turn of the event loop: nobody else waits for all of it. */
export async function inTurns<T>(items: Iterable<T>, perTurn: number): Promise<readonly T[]> {
  const all: T[] = [];
  for (const item of items) {
    all.push(item);
    if (all.length % perTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return all;
}
