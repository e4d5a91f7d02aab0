import { Decimal128, Double, Int32, Long, ObjectId, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, failedToParse } from '../errors.ts';
import { parseDecimal, toDecimal128 } from '../values/decimal.ts';
import { asDecimal, integerOf, numericKind, numericValue, toNumber } from '../values/numbers.ts';
import { isDocument, TYPE_NUMBERS, typeName } from '../values/types.ts';
import { parseDateText } from './date-text.ts';
import { compileExpression, isTrue, type OperatorCompiler } from './expression.ts';
import { isNullish, missing, unary } from './expression-arguments.ts';

const conversionFailure = (message: string): CommandError => new CommandError(CODES.ConversionFailure, message);

function unsupported(value: unknown, target: string): CommandError {
  return conversionFailure(
    `Unsupported conversion from ${typeName(value)} to ${target} in $convert with no onError value`,
  );
}

function unparsable(value: string, target: string): CommandError {
  return conversionFailure(`Failed to parse ${target} '${value}' in $convert with no onError value`);
}

function toInt(value: unknown, kind: 'int' | 'long'): unknown {
  if (typeof value === 'boolean') return kind === 'int' ? new Int32(Number(value)) : Long.fromNumber(Number(value));
  if (value instanceof Date && kind === 'long') return Long.fromNumber(value.getTime());
  if (typeof value === 'string') {
    if (!/^[+-]?\d+$/.test(value)) throw unparsable(value, 'number');
    return fitting(BigInt(value.replace(/^\+/, '')), kind);
  }
  const numeric = numericValue(value);
  if (numeric === undefined) throw unsupported(value, kind);
  if (typeof numeric === 'bigint') return fitting(numeric, kind);
  const truncated = Math.trunc(toNumber(value) ?? Number.NaN);
  if (!Number.isFinite(truncated))
    throw conversionFailure(
      `Attempt to convert ${String(value)} value to integer type in $convert with no onError value`,
    );
  return fitting(BigInt(truncated), kind);
}

function fitting(value: bigint, kind: 'int' | 'long'): unknown {
  const integer = integerOf(value, kind);
  if (integer === undefined || (kind === 'int' && !(integer instanceof Int32))) {
    throw conversionFailure('Conversion would overflow target type in $convert with no onError value');
  }
  return integer;
}

function toDouble(value: unknown): unknown {
  if (typeof value === 'boolean') return new Double(Number(value));
  if (value instanceof Date) return new Double(value.getTime());
  if (typeof value === 'string') {
    if (value.trim() !== value || value === '' || /^[+-]?0x/i.test(value)) throw unparsable(value, 'number');
    const number = Number(value.replace(/^([+-]?)inf(inity)?$/i, '$1Infinity'));
    if (Number.isNaN(number) && !/^nan$/i.test(value)) throw unparsable(value, 'number');
    return new Double(number);
  }
  const number = toNumber(value);
  if (number === undefined) throw unsupported(value, 'double');
  return new Double(number);
}

function toDecimalType(value: unknown): unknown {
  if (value instanceof Decimal128) return value;
  if (typeof value === 'boolean') return Decimal128.fromString(String(Number(value)));
  if (value instanceof Date) return Decimal128.fromString(String(value.getTime()));
  if (typeof value === 'string') {
    const decimal = parseDecimal(value);
    if (decimal.value.isNaN() && !/^nan$/i.test(value)) throw unparsable(value, 'number');
    return toDecimal128(decimal);
  }
  if (numericKind(value) === undefined) throw unsupported(value, 'decimal');
  return toDecimal128(asDecimal(value));
}

function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof ObjectId) return value.toHexString();
  if (value instanceof Timestamp || numericKind(value) === undefined) throw unsupported(value, 'string');
  return String(value);
}

function toObjectId(value: unknown): unknown {
  if (value instanceof ObjectId) return value;
  if (typeof value !== 'string') throw unsupported(value, 'objectId');
  if (!/^[0-9a-f]{24}$/i.test(value)) throw unparsable(value, 'objectId');
  return new ObjectId(value);
}

function toDate(value: unknown): unknown {
  if (value instanceof Date) return value;
  if (value instanceof ObjectId) return value.getTimestamp();
  if (value instanceof Timestamp) return new Date(value.t * 1000);
  if (typeof value === 'string') {
    const date = parseDateText(value);
    if (date === undefined)
      throw conversionFailure(`Error parsing date string '${value}' in $convert with no onError value`);
    return date;
  }
  const kind = numericKind(value);
  if (kind === undefined || kind === 'int') throw unsupported(value, 'date');
  return new Date(Math.trunc(toNumber(value) ?? Number.NaN));
}

const CONVERSIONS: Readonly<Record<string, (value: unknown) => unknown>> = {
  double: toDouble,
  string: toText,
  objectId: toObjectId,
  bool: (value) => isTrue(value),
  date: toDate,
  int: (value) => toInt(value, 'int'),
  long: (value) => toInt(value, 'long'),
  decimal: toDecimalType,
};

function conversionTo(target: unknown): (value: unknown) => unknown {
  const number = toNumber(target);
  const name =
    typeof target === 'string' ? target : Object.entries(TYPE_NUMBERS).find(([, code]) => code === number)?.[0];
  const conversion = name !== undefined && Object.hasOwn(CONVERSIONS, name) ? CONVERSIONS[name] : undefined;
  if (conversion !== undefined) return conversion;
  if (name !== undefined && Object.hasOwn(TYPE_NUMBERS, name)) {
    return (value) => {
      throw unsupported(value, name);
    };
  }
  throw badValue(`Unknown type name: ${String(target)}`);
}

const convert: OperatorCompiler = (operand, scope) => {
  if (!isDocument(operand))
    throw failedToParse(`$convert expects an object of named arguments but found: ${typeName(operand)}`);
  for (const key of Object.keys(operand)) {
    if (!['input', 'to', 'onError', 'onNull'].includes(key))
      throw failedToParse(`$convert found an unknown argument: ${key}`);
  }
  for (const key of ['input', 'to']) {
    if (!Object.hasOwn(operand, key)) throw failedToParse(`Missing '${key}' parameter to $convert`);
  }
  const optional = (key: string) => (Object.hasOwn(operand, key) ? compileExpression(operand[key], scope) : undefined);
  const input = compileExpression(operand['input'], scope);
  const to = compileExpression(operand['to'], scope);
  const onError = optional('onError');
  const onNull = optional('onNull') ?? missing;
  return (environment) => {
    const value = input(environment);
    if (isNullish(value)) return onNull(environment) ?? null;
    const target = to(environment);
    if (isNullish(target)) return null;
    const conversion = conversionTo(target);
    try {
      return conversion(value);
    } catch (cause) {
      if (onError === undefined || !(cause instanceof CommandError) || cause.code !== CODES.ConversionFailure)
        throw cause;
      return onError(environment);
    }
  };
};

const shorthand = (target: string): OperatorCompiler => {
  const conversion = conversionTo(target);
  return unary((value) => (isNullish(value) ? null : conversion(value)));
};

/** Conversions between types. */
export const CONVERT_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $convert: convert,
  $toBool: shorthand('bool'),
  $toInt: shorthand('int'),
  $toLong: shorthand('long'),
  $toDouble: shorthand('double'),
  $toDecimal: shorthand('decimal'),
  $toString: shorthand('string'),
  $toObjectId: shorthand('objectId'),
  $toDate: shorthand('date'),
};
