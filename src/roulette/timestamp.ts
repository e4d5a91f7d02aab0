import { numberOf } from './bson-value.ts';

/** The last millisecond that ISO-8601 writes with four digits of year. */
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(?:(Z)|([+-])(\d{2})(?::?(\d{2}))?)?$/i;
const LONGEST_TEXT = 64;

const inRange = (ms: number): number | null => {
  const whole = Math.trunc(ms);
  return whole >= 0 && whole <= LATEST_MS ? whole + 0 : null;
};

function parseIso(text: string): number | null {
  const match = ISO.exec(text);
  if (match === null) return null;
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  if (hour > 23 || minute > 59 || second > 59 || part(10) > 23 || part(11) > 59) return null;
  const midnight = Date.UTC(year, month - 1, day);
  // Date.UTC rolls 31 February over into March, and reads the years 0 to 99 as 19xx.
  if (new Date(midnight).toISOString().slice(0, 10) !== text.slice(0, 10)) return null;
  const fractionMs = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const offsetMinutes = (part(10) * 60 + part(11)) * (match[9] === '-' ? -1 : 1);
  return inRange(midnight + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1000 + fractionMs);
}

/** No roulette was scraped before 2001: a lower number is none of milliseconds. */
export const FIRST_EPOCH_MS = 978_307_200_000;
/** Epoch seconds from 2001 up to 2100. */
export const FIRST_EPOCH_S = FIRST_EPOCH_MS / 1000;
export const LAST_EPOCH_S = 4_102_444_800;

function ofNumber(value: number): number | null {
  if (value >= FIRST_EPOCH_MS) return inRange(value);
  return value >= FIRST_EPOCH_S && value < LAST_EPOCH_S ? inRange(value * 1000) : null;
}

/**
 * Epoch milliseconds (whole, years 1970 to 9999) of what writers store as `timestamp`: a Date, an ISO-8601 text with
 * `T` or a space, with or without zone (without, it is UTC) and with up to nanoseconds (cut off), or epoch milliseconds
 * or seconds (2001 to 2100) as any numeric BSON type. Null for everything else.
 */
export function parseTimestamp(value: unknown): number | null {
  if (value instanceof Date) return inRange(value.getTime());
  if (typeof value === 'string') {
    return value.length > LONGEST_TEXT ? null : parseIso(value);
  }
  const number = numberOf(value);
  return number === null ? null : ofNumber(number);
}

/** ISO-8601 UTC with milliseconds and `Z`, as the wire carries it. */
export const isoOf = (ms: number): string => new Date(ms).toISOString();
