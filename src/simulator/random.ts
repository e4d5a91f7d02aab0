/** A source of numbers from 0 to below 1. */
export type Random = () => number;

/** A repeatable sequence for a seed (mulberry32), so that a run can be played again. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An integer from 0 to below `limit`. */
export const below = (random: Random, limit: number): number => Math.floor(random() * limit);

/** The five bytes that one process puts into all its ObjectIds, as 10 hex digits. */
export const makerFrom = (random: Random): string =>
  Array.from({ length: 10 }, () => below(random, 16).toString(16)).join('');
