import { utc } from './date-text.ts';
import { fromLocal, toLocal, type Zone } from './timezone.ts';

const UNITS = ['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'millisecond'] as const;
export type DateUnit = (typeof UNITS)[number];

export function isUnit(value: unknown): value is DateUnit {
  return UNITS.some((unit) => unit === value);
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  week: 604_800_000,
  day: 86_400_000,
  hour: 3_600_000,
  minute: 60_000,
  second: 1000,
  millisecond: 1,
};

const MONTHS_PER: Readonly<Record<string, number>> = { year: 12, quarter: 3, month: 1 };
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** Adds units on the wall clock of a zone; a day that the month lacks becomes its last. */
export function addUnits(date: Date, unit: DateUnit, amount: number, zone: Zone): Date {
  const months = MONTHS_PER[unit];
  if (months === undefined && unit !== 'day' && unit !== 'week') {
    return new Date(date.getTime() + amount * (MILLISECONDS[unit] ?? 1));
  }
  const local = toLocal(date, zone);
  if (months === undefined) return fromLocal(local.getTime() + amount * (MILLISECONDS[unit] ?? 1), zone);
  const month = local.getUTCFullYear() * 12 + local.getUTCMonth() + amount * months;
  const [year, inYear] = [Math.floor(month / 12), ((month % 12) + 12) % 12];
  const lastDay = new Date(utc(year, inYear + 1, 0)).getUTCDate();
  const day = Math.min(local.getUTCDate(), lastDay);
  const timeOfDay = local.getTime() - utc(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate());
  return fromLocal(utc(year, inYear, day) + timeOfDay, zone);
}

/** How many boundaries of the unit lie between two local times. */
export function differenceInUnits(start: Date, end: Date, unit: DateUnit, startOfWeek: unknown): number {
  return unitNumber(end, unit, startOfWeek) - unitNumber(start, unit, startOfWeek);
}

function unitNumber(local: Date, unit: DateUnit, startOfWeek: unknown): number {
  const months = MONTHS_PER[unit];
  if (months !== undefined) return Math.floor((local.getUTCFullYear() * 12 + local.getUTCMonth()) / months);
  return Math.floor((local.getTime() - weekOffset(unit, startOfWeek)) / (MILLISECONDS[unit] ?? 1));
}

/** The start of a week near the epoch (a Thursday), so that weeks can be counted from it. */
function weekOffset(unit: DateUnit, startOfWeek: unknown): number {
  if (unit !== 'week') return 0;
  const name = typeof startOfWeek === 'string' ? startOfWeek.slice(0, 3).toLowerCase() : 'sun';
  const weekday = Math.max(0, WEEKDAYS.indexOf(name));
  return (weekday - 4) * (MILLISECONDS['day'] ?? 0);
}

const REFERENCE_YEAR = 2000;

/** The start of the bin of `size` units that holds a local time; bins count from 2000-01-01. */
export function truncateToUnit(local: Date, unit: DateUnit, size: number, startOfWeek: unknown): number {
  const months = MONTHS_PER[unit];
  if (months !== undefined) {
    const month = (local.getUTCFullYear() - REFERENCE_YEAR) * 12 + local.getUTCMonth();
    const start = Math.floor(month / (months * size)) * months * size;
    return utc(REFERENCE_YEAR + Math.floor(start / 12), ((start % 12) + 12) % 12, 1);
  }
  const length = (MILLISECONDS[unit] ?? 1) * size;
  const reference = unit === 'week' ? firstWeek(startOfWeek) : utc(REFERENCE_YEAR, 0, 1);
  return reference + Math.floor((local.getTime() - reference) / length) * length;
}

/** The first start of a week on or after 2000-01-01, a Saturday. */
function firstWeek(startOfWeek: unknown): number {
  const name = typeof startOfWeek === 'string' ? startOfWeek.slice(0, 3).toLowerCase() : 'sun';
  const weekday = Math.max(0, WEEKDAYS.indexOf(name));
  return utc(REFERENCE_YEAR, 0, 1 + ((weekday - 6 + 7) % 7));
}
