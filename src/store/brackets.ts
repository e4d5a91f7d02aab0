import type { Filter } from 'mongodb';
import { numberOf, type RawDocument } from '../roulette/bson-value.ts';
import { isoOf, parseTimestamp } from '../roulette/timestamp.ts';

/** A BSON class of `timestamp`. MongoDB sorts each apart from the others; `none` is null or missing. */
export type Bracket = 'date' | 'text' | 'number' | 'none';

/** The classes that a number can have; a strategy row may have no timestamp as well. */
export const TIMED: readonly Bracket[] = ['date', 'text', 'number'];
export const TIMED_OR_NOT: readonly Bracket[] = [...TIMED, 'none'];

/** The class of a stored value; null for one that no range of `within` finds. */
export function bracketOf(timestamp: unknown): Bracket | null {
  if (timestamp === undefined || timestamp === null) return 'none';
  if (timestamp instanceof Date) return 'date';
  if (typeof timestamp === 'string') return 'text';
  return numberOf(timestamp) === null ? null : 'number';
}

const HOUR_MS = 3_600_000;
/** Local time is ahead of UTC by at most this (Kiribati), and behind by at most 12 h. */
const MOST_AHEAD_MS = 14 * HOUR_MS;
const BEHIND_MS = 12 * HOUR_MS;
const DAY_MS = 24 * HOUR_MS;
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
interface Spelling {
  readonly separator: string;
  readonly zone: string;
}

const spellingOf = (text: string): Spelling => ({
  separator: text[10] ?? '',
  zone: ZONE.exec(text.slice(10))?.[0].toUpperCase() ?? 'Z',
});

const isSpelt = (text: string, { separator, zone }: Spelling): boolean => {
  const own = spellingOf(text);
  return own.separator === separator && own.zone === zone;
};

/**
 * A condition on `timestamp` that finds a text which sorts at or below the last of `read` (the first texts of a range,
 * descending) and may yet be later, because it is spelt otherwise. Null when the texts read differ already, or when the
 * last of them is no instant: then nothing needs to be looked for.
 */
export function speltOtherwise(read: readonly unknown[]): Filter<RawDocument> | null {
  const lowest = read.at(-1);
  const ms = parseTimestamp(lowest);
  if (typeof lowest !== 'string' || ms === null || !isAlike(read)) return null;
  const { separator, zone } = spellingOf(lowest);
  const mark = zone === 'Z' ? '[Zz]?' : `\\s?${zone.replace('+', '\\+')}`;
  const from = isoOf(Math.max(0, ms - BEHIND_MS)).slice(0, 10);
  return { timestamp: { $gte: from, $lte: lowest, $not: new RegExp(`^.{10}${separator}[0-9:.,]*${mark}$`) } };
}

function isAlike(read: readonly unknown[]): boolean {
  const lowest = read.at(-1);
  if (typeof lowest !== 'string') return false;
  const spelling = spellingOf(lowest);
  return read.every((value) => typeof value === 'string' && isSpelt(value, spelling));
}

/**
 * The latest instant (epoch milliseconds) that a document not among `read` can have: `read` are the timestamps of the
 * first documents of a class by descending timestamp, and the class has more. `mixed`: among the texts not read there
 * are other spellings. Infinity when nothing can be said.
 */
export function latestUnread(bracket: Bracket, read: readonly unknown[], mixed: boolean): number {
  const lowest = read.at(-1);
  if (bracket === 'none') return -Infinity;
  const parsed = parseTimestamp(lowest);
  if (bracket !== 'text') return parsed ?? Infinity;
  if (typeof lowest !== 'string') return Infinity;
  // Within a second, texts with and without a fraction do not sort as their instants do.
  if (parsed !== null && !mixed && isAlike(read)) return parsed + 1_000;
  const midnight = parseTimestamp(`${lowest.slice(0, 10)}T00:00:00Z`);
  return midnight === null ? Infinity : midnight + DAY_MS + BEHIND_MS;
}
