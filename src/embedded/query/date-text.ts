import { fromLocal, type Zone, zoneOf } from './timezone.ts';

const DAY = 86_400_000;
const pad = (value: number, width: number): string => String(value).padStart(width, '0');
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Days since the start of the year, from 1. `local` carries wall time in its UTC fields, as everywhere here. */
export function dayOfYear(local: Date): number {
  return Math.floor((local.getTime() - utc(local.getUTCFullYear(), 0, 1)) / DAY) + 1;
}

/** Midnight UTC of a date; years below 100 are taken as they are. */
export function utc(year: number, month: number, day: number, hour = 0, minute = 0, second = 0, milli = 0): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  date.setUTCHours(hour, minute, second, milli);
  return date.getTime();
}

/** ISO 8601 week and its year: weeks start on Monday, week 1 holds the year's first Thursday. */
export function isoWeek(local: Date): { year: number; week: number; day: number } {
  const day = local.getUTCDay() || 7;
  const thursday = new Date(local.getTime() + (4 - day) * DAY);
  return { year: thursday.getUTCFullYear(), week: Math.floor((dayOfYear(thursday) - 1) / 7) + 1, day };
}

/** Week of the year from 0; weeks start on Sunday, days before the first Sunday are in week 0. */
export function weekOfYear(local: Date): number {
  return Math.floor((dayOfYear(local) + 6 - local.getUTCDay()) / 7);
}

const SPECIFIERS: Readonly<Record<string, (local: Date, offset: number) => string>> = {
  '%': () => '%',
  Y: (local) => pad(local.getUTCFullYear(), 4),
  m: (local) => pad(local.getUTCMonth() + 1, 2),
  d: (local) => pad(local.getUTCDate(), 2),
  H: (local) => pad(local.getUTCHours(), 2),
  M: (local) => pad(local.getUTCMinutes(), 2),
  S: (local) => pad(local.getUTCSeconds(), 2),
  L: (local) => pad(local.getUTCMilliseconds(), 3),
  j: (local) => pad(dayOfYear(local), 3),
  w: (local) => String(local.getUTCDay() + 1),
  u: (local) => String(isoWeek(local).day),
  U: (local) => pad(weekOfYear(local), 2),
  V: (local) => pad(isoWeek(local).week, 2),
  G: (local) => pad(isoWeek(local).year, 4),
  z: (_, offset) =>
    `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60), 2)}${pad(Math.abs(offset) % 60, 2)}`,
  Z: (_, offset) => `${offset < 0 ? '-' : '+'}${Math.abs(offset)}`,
  b: (local) => (MONTHS[local.getUTCMonth()] ?? '').slice(0, 3),
  B: (local) => MONTHS[local.getUTCMonth()] ?? '',
};

/**
 * Writes wall time by a format of `%` specifiers.
 *
 * @returns undefined for a format with an unknown specifier
 */
export function formatDate(local: Date, offset: number, format: string): string | undefined {
  let isKnown = true;
  const text = format.replace(/%(.?)/gs, (_, letter: string) => {
    const write = Object.hasOwn(SPECIFIERS, letter) ? SPECIFIERS[letter] : undefined;
    isKnown &&= write !== undefined;
    return write?.(local, offset) ?? '';
  });
  return isKnown ? text : undefined;
}

const PATTERNS: Readonly<Record<string, string>> = {
  Y: '(?<Y>\\d{4})',
  m: '(?<m>\\d{1,2})',
  d: '(?<d>\\d{1,2})',
  H: '(?<H>\\d{1,2})',
  M: '(?<M>\\d{1,2})',
  S: '(?<S>\\d{1,2})',
  L: '(?<L>\\d{1,3})',
  j: '(?<j>\\d{1,3})',
  G: '(?<G>\\d{4})',
  V: '(?<V>\\d{1,2})',
  u: '(?<u>[1-7])',
  z: '(?<z>Z|[+-]\\d{2}:?\\d{2}|[+-]\\d{2})',
  Z: '(?<Z>[+-]\\d{1,4})',
  b: `(?<B>${MONTHS.map((name) => name.slice(0, 3)).join('|')})`,
  B: `(?<B>${MONTHS.join('|')})`,
  '%': '%',
};

/** Parses a date written in `format`; undefined when it is not. */
export function parseDateByFormat(text: string, format: string, zone: Zone): Date | undefined {
  const escaped = format.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = escaped.replace(/%(.)/g, (whole, letter: string) => PATTERNS[letter] ?? whole);
  const fields = new RegExp(`^${pattern}$`, 'i').exec(text)?.groups;
  if (fields === undefined) return undefined;
  const number = (name: string, absent: number): number => (fields[name] === undefined ? absent : Number(fields[name]));
  const month =
    fields['B'] === undefined
      ? number('m', 1) - 1
      : MONTHS.findIndex((name) => name.slice(0, 3).toLowerCase() === fields['B']?.slice(0, 3).toLowerCase());
  const [hour, minute, second, milli] = [
    number('H', 0),
    number('M', 0),
    number('S', 0),
    Number((fields['L'] ?? '0').padEnd(3, '0')),
  ];
  if (month > 11 || month < 0 || hour > 23 || minute > 59 || second > 59 || number('d', 1) > 31) return undefined;
  let local = utc(number('Y', 1970), month, number('d', 1), hour, minute, second, milli);
  if (fields['j'] !== undefined) local = utc(number('Y', 1970), 0, number('j', 1), hour, minute, second, milli);
  if (fields['G'] !== undefined)
    local =
      isoDate(number('G', 1970), number('V', 1), number('u', 1)) +
      (local - utc(number('Y', 1970), month, number('d', 1)));
  if (fields['Z'] !== undefined) return new Date(local - number('Z', 0) * 60_000);
  return fromLocal(local, fields['z'] === undefined ? zone : zoneOf(fields['z'].toUpperCase()));
}

/** Midnight of a day given by ISO week date. */
export function isoDate(year: number, week: number, day: number): number {
  const january4 = new Date(utc(year, 0, 4));
  const monday = january4.getTime() - ((january4.getUTCDay() || 7) - 1) * DAY;
  return monday + ((week - 1) * 7 + day - 1) * DAY;
}

const ISO =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$/i;

/** Parses an ISO 8601 date or time, UTC unless it says otherwise; undefined for anything else. */
export function parseDateText(text: string, zone: Zone = () => 0): Date | undefined {
  const match = ISO.exec(text.trim());
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', suffix] = match;
  const parts = [year, month, day, hour ?? 0, minute ?? 0, second ?? 0].map(Number);
  const [y = 0, m = 1, d = 1, h = 0, min = 0, s = 0] = parts;
  if (m < 1 || m > 12 || d < 1 || d > 31 || h > 24 || min > 59 || s > 59) return undefined;
  const local = utc(y, m - 1, d, h, min, s, Number(fraction.slice(0, 3).padEnd(3, '0')));
  return fromLocal(local, suffix === undefined ? zone : zoneOf(suffix.toUpperCase()));
}
