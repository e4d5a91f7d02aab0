import { Int32, Long, ObjectId, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse, location } from '../errors.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import {
  dayOfYear,
  formatDate,
  isoDate,
  isoWeek,
  parseDateByFormat,
  parseDateText,
  utc,
  weekOfYear,
} from './date-text.ts';
import { addUnits, type DateUnit, differenceInUnits, isUnit, truncateToUnit } from './date-units.ts';
import {
  compileExpression,
  type Environment,
  type Expression,
  type OperatorCompiler,
  type Scope,
} from './expression.ts';
import { compileNamed, isNullish, missing, named } from './expression-arguments.ts';
import { fromLocal, toLocal, type Zone, zoneOf } from './timezone.ts';

/**
 * The moment of a date-like value: Date, Timestamp or ObjectId.
 *
 * @throws CommandError 16006
 */
function dateOf(value: unknown): Date {
  if (value instanceof Date) return value;
  if (value instanceof ObjectId) return value.getTimestamp();
  if (value instanceof Timestamp) return new Date(value.t * 1000);
  throw location(16006, `can't convert from BSON type ${typeName(value)} to Date`);
}

/** An operator of a date, given alone or as `{date, timezone}`. */
function part(read: (local: Date) => unknown): OperatorCompiler {
  return (operand, scope, name) => {
    const { date, zone } = dateArguments(operand, scope, name);
    return (environment) => {
      const value = date(environment);
      if (isNullish(value)) return null;
      const inZone = zone(environment);
      return inZone === null ? null : read(toLocal(dateOf(value), inZone));
    };
  };
}

function dateArguments(
  operand: unknown,
  scope: Scope,
  name: string,
): { date: Expression; zone: (environment: Environment) => Zone | null } {
  const isNamed = isDocument(operand) && Object.keys(operand)[0]?.startsWith('$') !== true;
  if (isNamed) {
    const parts = compileNamed(operand, scope, name, 40535, ['date'], ['timezone']);
    return { date: parts['date'] ?? missing, zone: zoneExpression(parts['timezone']) };
  }
  const only: unknown = Array.isArray(operand) ? operand[0] : operand;
  if (Array.isArray(operand) && operand.length !== 1)
    throw location(40536, `${name} accepts exactly one argument if given an array, but was given ${operand.length}`);
  return { date: compileExpression(only, scope), zone: zoneExpression(undefined) };
}

/** Null when the timezone is given but null. */
function zoneExpression(timezone: Expression | undefined): (environment: Environment) => Zone | null {
  if (timezone === undefined) return () => zoneOf(undefined);
  return (environment) => {
    const name = timezone(environment);
    return isNullish(name) ? null : zoneOf(name);
  };
}

const int = (read: (local: Date) => number): OperatorCompiler => part((local) => new Int32(read(local)));

function integerArgument(value: unknown, name: string, absent: number): number {
  if (value === undefined) return absent;
  const number = toInteger(value);
  if (number === undefined) throw location(40515, `'${name}' must evaluate to an integer, found ${typeName(value)}`);
  return number;
}

function fromParts(values: Readonly<Record<string, unknown>>): unknown {
  if (Object.values(values).some((value) => value === null)) return null;
  const zone = zoneOf(values['timezone']);
  const time = (['hour', 'minute', 'second', 'millisecond'] as const).map((name) =>
    integerArgument(values[name], name, 0),
  );
  const [hour = 0, minute = 0, second = 0, milli = 0] = time;
  if (values['isoWeekYear'] !== undefined) {
    const day = isoDate(
      integerArgument(values['isoWeekYear'], 'isoWeekYear', 1970),
      integerArgument(values['isoWeek'], 'isoWeek', 1),
      integerArgument(values['isoDayOfWeek'], 'isoDayOfWeek', 1),
    );
    return fromLocal(day + ((hour * 60 + minute) * 60 + second) * 1000 + milli, zone);
  }
  if (values['year'] === undefined)
    throw location(40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present");
  const year = integerArgument(values['year'], 'year', 1970);
  if (year < 1 || year > 9999)
    throw location(40523, `'year' must evaluate to an integer in the range 1 to 9999, found ${year}`);
  const [month, day] = [integerArgument(values['month'], 'month', 1), integerArgument(values['day'], 'day', 1)];
  return fromLocal(utc(year, month - 1, day, hour, minute, second, milli), zone);
}

function toParts({ date, timezone, iso8601 }: Readonly<Record<string, unknown>>): unknown {
  if (isNullish(date) || timezone === null || iso8601 === null) return null;
  const local = toLocal(dateOf(date), zoneOf(timezone));
  const time = {
    hour: new Int32(local.getUTCHours()),
    minute: new Int32(local.getUTCMinutes()),
    second: new Int32(local.getUTCSeconds()),
    millisecond: new Int32(local.getUTCMilliseconds()),
  };
  if (iso8601 === true) {
    const { year, week, day } = isoWeek(local);
    return { isoWeekYear: new Int32(year), isoWeek: new Int32(week), isoDayOfWeek: new Int32(day), ...time };
  }
  return {
    year: new Int32(local.getUTCFullYear()),
    month: new Int32(local.getUTCMonth() + 1),
    day: new Int32(local.getUTCDate()),
    ...time,
  };
}

function toText({ date, format, timezone, onNull }: Readonly<Record<string, unknown>>): unknown {
  if (isNullish(date)) return onNull ?? null;
  if (timezone === null || format === null) return null;
  const zone = zoneOf(timezone);
  const moment = dateOf(date);
  const isUtc = timezone === undefined || timezone === 'UTC';
  const pattern = format ?? (isUtc ? '%Y-%m-%dT%H:%M:%S.%LZ' : '%Y-%m-%dT%H:%M:%S.%L');
  if (typeof pattern !== 'string')
    throw location(18533, `$dateToString requires that 'format' be a string, found: ${typeName(pattern)}`);
  const text = formatDate(toLocal(moment, zone), zone(moment.getTime()), pattern);
  if (text === undefined) throw location(18536, `Invalid format character in $dateToString: ${pattern}`);
  return text;
}

function fromText({ dateString, format, timezone, onError, onNull }: Readonly<Record<string, unknown>>): unknown {
  if (isNullish(dateString)) return onNull ?? null;
  if (timezone === null || format === null) return null;
  const zone = zoneOf(timezone);
  const parsed =
    typeof dateString !== 'string'
      ? undefined
      : typeof format === 'string'
        ? parseDateByFormat(dateString, format, zone)
        : parseDateText(dateString, zone);
  if (parsed !== undefined && !Number.isNaN(parsed.getTime())) return parsed;
  if (onError !== undefined) return onError;
  const shown = typeof dateString === 'string' ? dateString : typeName(dateString);
  throw new CommandError(CODES.ConversionFailure, `Error parsing date string '${shown}'`);
}

function unitArgument(value: unknown, name: string): DateUnit {
  if (isUnit(value)) return value;
  throw failedToParse(`${name} parameter 'unit' value cannot be recognized as a time unit: ${String(value)}`);
}

function shift(sign: 1 | -1): OperatorCompiler {
  return named(5166400, ['startDate', 'unit', 'amount'], ['timezone'], (values, name) => {
    const { startDate, unit, amount, timezone } = values;
    if (isNullish(startDate) || isNullish(unit) || isNullish(amount) || timezone === null) return null;
    const count = toInteger(amount);
    if (count === undefined) throw location(5166405, `${name} expects integer amount of time units`);
    return addUnits(dateOf(startDate), unitArgument(unit, name), count * sign, zoneOf(timezone));
  });
}

/** Dates: their parts, their text, and counting with them. */
export const DATE_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $year: int((local) => local.getUTCFullYear()),
  $month: int((local) => local.getUTCMonth() + 1),
  $dayOfMonth: int((local) => local.getUTCDate()),
  $dayOfYear: int(dayOfYear),
  $dayOfWeek: int((local) => local.getUTCDay() + 1),
  $hour: int((local) => local.getUTCHours()),
  $minute: int((local) => local.getUTCMinutes()),
  $second: int((local) => local.getUTCSeconds()),
  $millisecond: int((local) => local.getUTCMilliseconds()),
  $week: int(weekOfYear),
  $isoWeek: int((local) => isoWeek(local).week),
  $isoDayOfWeek: int((local) => isoWeek(local).day),
  $isoWeekYear: part((local) => Long.fromNumber(isoWeek(local).year)),
  $dateFromParts: named(
    40518,
    [],
    [
      'year',
      'month',
      'day',
      'hour',
      'minute',
      'second',
      'millisecond',
      'isoWeekYear',
      'isoWeek',
      'isoDayOfWeek',
      'timezone',
    ],
    fromParts,
  ),
  $dateToParts: named(40520, ['date'], ['timezone', 'iso8601'], toParts),
  $dateToString: named(18534, ['date'], ['format', 'timezone', 'onNull'], toText),
  $dateFromString: named(40541, ['dateString'], ['format', 'timezone', 'onError', 'onNull'], fromText),
  $dateAdd: shift(1),
  $dateSubtract: shift(-1),
  $dateDiff: named(5166301, ['startDate', 'endDate', 'unit'], ['timezone', 'startOfWeek'], (values, name) => {
    const { startDate, endDate, unit, timezone, startOfWeek } = values;
    if (isNullish(startDate) || isNullish(endDate) || isNullish(unit) || timezone === null) return null;
    const zone = zoneOf(timezone);
    const local = (value: unknown): Date => toLocal(dateOf(value), zone);
    return Long.fromNumber(differenceInUnits(local(startDate), local(endDate), unitArgument(unit, name), startOfWeek));
  }),
  $dateTrunc: named(5439007, ['date', 'unit'], ['binSize', 'timezone', 'startOfWeek'], (values, name) => {
    const { date, unit, binSize, timezone, startOfWeek } = values;
    if (isNullish(date) || isNullish(unit) || binSize === null || timezone === null) return null;
    const size = integerArgument(binSize, 'binSize', 1);
    if (size <= 0) throw location(5439018, '$dateTrunc requires binSize to be greater than 0');
    const zone = zoneOf(timezone);
    return fromLocal(truncateToUnit(toLocal(dateOf(date), zone), unitArgument(unit, name), size, startOfWeek), zone);
  }),
};
