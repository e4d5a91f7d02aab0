import type { Filter } from 'mongodb';
import {
  FIRST_EPOCH_MS,
  FIRST_EPOCH_S,
  FIRST_EPOCH_TEXT_S,
  FIRST_ISO_TEXT,
  isoOf,
  LAST_EPOCH_S,
  LAST_EPOCH_TEXT_S,
  numberOf,
  parseTimestamp,
  type RawDocument,
} from '../roulette/bson-value.ts';

/**
 * A class of `timestamp` that MongoDB sorts apart from the others: by BSON type, numbers by whether they are epoch
 * milliseconds or seconds, and texts by whether they are digits alone; `none` is null or missing.
 */
type Bracket = 'date' | 'text' | 'digits' | 'number' | 'seconds' | 'none';

/** The classes that say an instant. */
export const TIMED = ['date', 'text', 'digits', 'number', 'seconds'] as const;

/** The class of a stored value; null for one that says nothing. */
export function bracketOf(timestamp: unknown): Bracket | null {
  if (timestamp === undefined || timestamp === null) return 'none';
  if (timestamp instanceof Date) return 'date';
  if (typeof timestamp === 'string') return timestamp < FIRST_ISO_TEXT ? 'digits' : 'text';
  const number = numberOf(timestamp);
  if (number === null) return null;
  return number >= FIRST_EPOCH_MS ? 'number' : 'seconds';
}

/** Instants, epoch milliseconds: `from` and `until` included, and a little more at either end; null is no limit. */
export interface Span {
  readonly fromMs: number | null;
  readonly untilMs: number | null;
}

const HOUR_MS = 3_600_000;
/** Local time is ahead of UTC by at most this (Kiribati), and behind by at most 12 h. */
const MOST_AHEAD_MS = 14 * HOUR_MS;
const BEHIND_MS = 12 * HOUR_MS;
const DAY_MS = 24 * HOUR_MS;
const LATEST_MS = Date.UTC(9999, 11, 31);
const inYears = (ms: number): number => Math.min(Math.max(ms, 0), LATEST_MS);

/**
 * The condition on `timestamp` that selects one class within a span. A comparison with a value of a class selects only
 * that class, by the bounds of an index.
 */
export function within(bracket: (typeof TIMED)[number], { fromMs, untilMs }: Span): Filter<RawDocument> {
  const from = inYears(fromMs ?? 0);
  switch (bracket) {
    case 'date': {
      const $gte = new Date(from);
      return { timestamp: untilMs === null ? { $gte } : { $gte, $lte: new Date(inYears(untilMs)) } };
    }
    case 'number':
      return { timestamp: { $gte: Math.max(from, FIRST_EPOCH_MS), ...(untilMs === null ? {} : { $lt: untilMs + 1 }) } };
    case 'seconds': {
      const last = untilMs === null ? LAST_EPOCH_S : Math.min(LAST_EPOCH_S, (untilMs + 1) / 1000);
      return { timestamp: { $gte: Math.max(from / 1000, FIRST_EPOCH_S), $lt: last } };
    }
    case 'text': {
      const $gte = dayOf(from - BEHIND_MS);
      return { timestamp: { $gte, $lt: untilMs === null ? ':' : latestText(untilMs) } };
    }
    case 'digits': {
      const digits = (ms: number): string => String(Math.max(Math.floor(ms / 1000), FIRST_EPOCH_TEXT_S));
      const isLast = untilMs === null || untilMs >= LAST_EPOCH_TEXT_S * 1000;
      return { timestamp: { $gte: digits(from), $lt: isLast ? FIRST_ISO_TEXT : `${digits(untilMs)}~` } };
    }
    default:
      return bracket satisfies never;
  }
}

const dayOf = (ms: number): string => isoOf(inYears(ms)).slice(0, 10);

/** A text that sorts after every spelling of an instant, in any zone and with `T` or space. */
const latestText = (ms: number): string => `${isoOf(inYears(ms + MOST_AHEAD_MS)).slice(0, 19)}~`;

const ZONE = /(?:Z|[+-]\d\d(?::?\d\d)?)$/i;

/** How a text is spelt: texts of one spelling sort as their instants do, to the second. The mark of UTC may be missing. */
export function spellingOf(text: string): string {
  const zone = ZONE.exec(text.slice(10))?.[0].toUpperCase() ?? 'Z';
  return `${text[10] ?? ''}${zone}`;
}

/**
 * The condition that finds a text which sorts at or below `lowest` and may yet be later, because it is spelt otherwise.
 * Null when `lowest` is no instant.
 */
export function speltOtherwise(lowest: string): Filter<RawDocument> | null {
  const ms = parseTimestamp(lowest);
  if (ms === null) return null;
  const spelling = spellingOf(lowest);
  const zone = spelling.slice(1);
  const mark = zone === 'Z' ? '[Zz]?' : `\\s?${zone.replace('+', '\\+')}`;
  const alike = new RegExp(`^.{10}${spelling.slice(0, 1)}[0-9:.,]*${mark}$`);
  return { timestamp: { $gte: dayOf(ms - BEHIND_MS), $lte: lowest, $not: alike } };
}

/**
 * The latest instant (epoch milliseconds) that can follow in a class below `lowest`, the last value read of it.
 * `alike`: the texts read and those that follow are of one spelling. Infinity when nothing can be said.
 */
export function latestBelow(lowest: unknown, alike: boolean): number {
  const parsed = parseTimestamp(lowest);
  if (typeof lowest !== 'string') return parsed ?? Infinity;
  // Within a second, texts with and without a fraction do not sort as their instants do.
  if (parsed !== null && alike) return parsed + 1_000;
  const midnight = parseTimestamp(`${lowest.slice(0, 10)}T00:00:00Z`);
  return midnight === null ? Infinity : midnight + DAY_MS + BEHIND_MS;
}
