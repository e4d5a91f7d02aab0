import type { StoredNumber } from './number.ts';

/** The shortest time in which a wheel gives two results, unless configured otherwise. */
export const DEFAULT_MIN_SPIN_INTERVAL_MS = 15_000;

/**
 * Whether a number is probably the table's previous one, inserted again: it is equal, and either came sooner than a
 * wheel can spin or stems from another process (a scraper that restarted). It is marked, never dropped: real repeats
 * happen. `previous` is the number before it in the table's order, null when there is none or none is known.
 */
export function isSuspect(
  number: Pick<StoredNumber, 'numero' | 'timestampMs' | 'maker'>,
  previous: Pick<StoredNumber, 'numero' | 'timestampMs' | 'maker'> | null,
  minSpinIntervalMs: number,
): boolean {
  if (previous === null || previous.numero !== number.numero) return false;
  if (Math.abs(number.timestampMs - previous.timestampMs) < minSpinIntervalMs) return true;
  return number.maker !== null && previous.maker !== null && number.maker !== previous.maker;
}
