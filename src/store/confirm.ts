import { setTimeout as pause } from 'node:timers/promises';
import type { NumberToStore } from '../roulette/ingest.ts';
import { toProtocolError } from './errors.ts';
import type { Databases } from './places.ts';
import type { Spellings } from './spellings.ts';
import { linesOf, newestNumbers } from './table-reader.ts';

/** A scraper that takes the time twice, for its insert and for its post, takes it within this. */
const CLOCK_MS = 5_000;
/** Numbers of a table looked through; the one sought is among the last few. */
const LOOKED_AT = 20;
const INTERVAL_MS = 100;

/**
 * Whether a majority read finds a posted number, however its writer stored it, within `waitMs`: the same number on the
 * same table, at the same time give or take 5 s. For scrapers that insert and post (EMIT_EVENT=confirm). Rejects with
 * ProtocolError.
 */
export async function confirmNumber(
  databases: Databases,
  spellings: Spellings,
  item: NumberToStore,
  waitMs: number,
): Promise<boolean> {
  const lines = linesOf(databases, spellings, item.table);
  const deadline = performance.now() + waitMs;
  try {
    for (;;) {
      const { rows } = await newestNumbers(lines, LOOKED_AT, () => item.table);
      const found = rows.some(
        ({ value, ms }) => value.numero === item.numero && Math.abs(ms - item.timestampMs) <= CLOCK_MS,
      );
      if (found) return true;
      if (performance.now() + INTERVAL_MS > deadline) return false;
      await pause(INTERVAL_MS);
    }
  } catch (cause) {
    throw toProtocolError(cause, 'read');
  }
}
