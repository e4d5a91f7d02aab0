import { shares } from './limits.ts';

/** Refusals of one address that are answered at once. */
const AT_ONCE = { perSecond: 20, burst: 100 } as const;

/** How long the others wait for their answer, at random, so that they do not come back all at once. */
const LATE_MS = { min: 500, max: 1_500 } as const;

/** Refusals that wait at one time, of all addresses together: each holds its connection. */
const MAX_LATE = 1_000;

/** Calls `answer` now, or later where the address that `key` names is refused too often. */
export type LateRefusals = (key: string, answer: () => void) => void;

/**
 * A refusal costs about what an answer costs, so that who asks again at once would be served by refusals alone. Beyond
 * its share an address is refused about a second late: a flood that waits for its answers then comes once a second on
 * each of its connections, which are limited. Nobody else waits.
 */
export function createLateRefusals(): LateRefusals {
  const atOnce = shares(AT_ONCE);
  let late = 0;
  return (key, answer) => {
    if (atOnce(key, 1) === 0 || late >= MAX_LATE) {
      answer();
      return;
    }
    late += 1;
    setTimeout(
      () => {
        late -= 1;
        answer();
      },
      LATE_MS.min + Math.random() * (LATE_MS.max - LATE_MS.min),
    ).unref();
  };
}
