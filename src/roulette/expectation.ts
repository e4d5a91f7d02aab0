/**
 * What a fair wheel gives on average in so many spins. A spin is a success with the probability `p`, whatever came
 * before: https://en.wikipedia.org/wiki/Bernoulli_process
 */

/** Runs of at least `length` successes that begin somewhere in `spins`. */
const runsFrom = (length: number, spins: number, p: number): number =>
  length > spins ? 0 : p ** length * (1 + (spins - length) * (1 - p));

/** Runs of each length from 1 to `longest`; the last one counts the longer ones too. */
export const expectedRuns = (longest: number, spins: number, p: number): number[] =>
  Array.from({ length: longest }, (_, at) => {
    const length = at + 1;
    return runsFrom(length, spins, p) - (length === longest ? 0 : runsFrom(length + 1, spins, p));
  });

/** Below this nothing more is added to a sum. */
const NEGLIGIBLE = 1e-9;

/** The longest run of successes, to a good approximation: long runs come about as rare events do (Poisson). */
export function expectedLongestRun(spins: number, p: number): number {
  let sum = 0;
  for (let length = 1; length <= spins; length++) {
    const atLeastOne = 1 - Math.exp(-runsFrom(length, spins, p));
    sum += atLeastOne;
    if (atLeastOne < NEGLIGIBLE) break;
  }
  return sum;
}

/** Spins without a success up to now, at most all of them. */
export function expectedAbsence(spins: number, p: number): number {
  const q = 1 - p;
  return (q * (1 - q ** spins)) / p;
}

/** How often a number comes again after `from` to `to` other spins, over all numbers, each of which has `p`. */
export function expectedReturns(from: number, to: number, spins: number, p: number): number {
  const q = 1 - p;
  let sum = 0;
  for (let gap = from; gap <= Math.min(to, spins - 2); gap++) {
    const here = (spins - 1 - gap) * p * q ** gap;
    sum += here;
    if (here < NEGLIGIBLE) break;
  }
  return sum;
}
