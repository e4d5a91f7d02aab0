import type { Filter } from 'mongodb';
import type { RawDocument } from '../roulette/bson-value.ts';
import { isoOf, parseTimestamp } from '../roulette/timestamp.ts';

/** A BSON class of `timestamp`. MongoDB sorts each apart from the others; `none` is null or missing. */
export type Bracket = 'date' | 'text' | 'number' | 'none';

/** The classes that a number can have; a strategy row may have no timestamp as well. */
export const TIMED: readonly Bracket[] = ['date', 'text', 'number'];
export const TIMED_OR_NOT: readonly Bracket[] = [...TIMED, 'none'];

const HOUR_MS = 3_600_000;
/** Local time is ahead of UTC by at most this (Kiribati), and behind by at most 12 h. */
const MOST_AHEAD_MS = 14 * HOUR_MS;
const DAY_AND_BEHIND_MS = (24 + 12) * HOUR_MS;
const EARLIEST = new Date(0);
const LATEST_MS = Date.UTC(9999, 11, 31);

/**
 * The condition on `timestamp` that selects one class, no later than `untilMs` when given (epoch milliseconds; a little
 * more may come along). A comparison with a value of a class selects only that class, by the bounds of an index.
 */
export function within(bracket: Bracket, untilMs: number | null): Filter<RawDocument> {
  switch (bracket) {
    case 'date':
      return { timestamp: untilMs === null ? { $gte: EARLIEST } : { $gte: EARLIEST, $lte: new Date(untilMs) } };
    case 'number':
      return { timestamp: untilMs === null ? { $gte: 0 } : { $gte: 0, $lt: untilMs + 1 } };
    case 'text':
      return { timestamp: { $gte: '0', $lt: untilMs === null ? ':' : latestText(untilMs) } };
    case 'none':
      return { timestamp: null };
    default:
      return bracket satisfies never;
  }
}

/** A text that sorts after every spelling of an instant, in any zone and with `T` or space. */
const latestText = (ms: number): string => `${isoOf(Math.min(ms + MOST_AHEAD_MS, LATEST_MS)).slice(0, 19)}~`;

const ZONE = /(?:Z|[+-]\d\d(?::?\d\d)?)$/i;

/** Texts of one spelling sort as their instants do, to the second; the mark of UTC may be missing. */
function spellingOf(text: string): string {
  const zone = ZONE.exec(text.slice(10))?.[0].toUpperCase() ?? 'Z';
  return `${text[10]?.toUpperCase() ?? ''}${zone}`;
}

/**
 * The latest instant (epoch milliseconds) that a document not among `read` can have: `read` are the timestamps of the
 * first documents of a class by descending timestamp, and the class has more. Infinity when nothing can be said.
 */
export function latestUnread(bracket: Bracket, read: readonly unknown[]): number {
  const lowest = read.at(-1);
  if (bracket === 'none') return -Infinity;
  if (bracket !== 'text') return parseTimestamp(lowest) ?? Infinity;
  if (typeof lowest !== 'string') return Infinity;
  const spelling = spellingOf(lowest);
  const parsed = parseTimestamp(lowest);
  const alike = read.every((value) => typeof value === 'string' && spellingOf(value) === spelling);
  // Within a second, texts with and without a fraction do not sort as their instants do.
  if (parsed !== null && alike) return parsed + 1_000;
  const midnight = parseTimestamp(`${lowest.slice(0, 10)}T00:00:00Z`);
  return midnight === null ? Infinity : midnight + DAY_AND_BEHIND_MS;
}
