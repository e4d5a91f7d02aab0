import { Decimal128, Double, Int32, Long, Timestamp } from 'bson';
import {
  addDecimals,
  compareDecimals,
  type Decimal,
  decimalToNumber,
  exactDecimal,
  multiplyDecimals,
  parseDecimal,
  roundedDecimal,
  subtractDecimals,
  toDecimal128,
} from './decimal.ts';
import { isInt32 } from './types.ts';

export type NumericKind = 'int' | 'long' | 'double' | 'decimal';
/** A number as BSON stores it. */
export type BsonNumber = Int32 | Long | Double | Decimal128;
/** The value of a number: bigint only beyond the safe integers, Decimal only for Decimal128. */
export type NumericValue = number | bigint | Decimal;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** The BSON numeric type of a value, or undefined for everything that is no number. */
export function numericKind(value: unknown): NumericKind | undefined {
  if (typeof value === 'number') return isInt32(value) ? 'int' : 'double';
  if (typeof value === 'bigint') return 'long';
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Int32) return 'int';
  if (value instanceof Double) return 'double';
  if (value instanceof Long) return value instanceof Timestamp ? undefined : 'long';
  return value instanceof Decimal128 ? 'decimal' : undefined;
}

/** The value of a number of any BSON type, or undefined for everything that is no number. */
export function numericValue(value: unknown): NumericValue | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Int32 || value instanceof Double) return value.value;
  if (value instanceof Long) {
    if (value instanceof Timestamp) return undefined;
    const approximate = value.toNumber();
    return Number.isSafeInteger(approximate) ? approximate : value.toBigInt();
  }
  return value instanceof Decimal128 ? parseDecimal(value.toString()) : undefined;
}

/** The nearest double of a number of any BSON type, or undefined. */
export function toNumber(value: unknown): number | undefined {
  const numeric = numericValue(value);
  if (numeric === undefined || typeof numeric === 'number') return numeric;
  return typeof numeric === 'bigint' ? Number(numeric) : decimalToNumber(numeric);
}

/** An integer argument ($limit, $size, $slice ...) of any numeric type; undefined when absent or not integral. */
export function toInteger(value: unknown): number | undefined {
  const number = toNumber(value);
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined;
}

/** The value of a number as exact decimal. */
export function toDecimal(value: NumericValue): Decimal {
  if (typeof value === 'number') return exactDecimal(value);
  return typeof value === 'bigint' ? parseDecimal(String(value)) : value;
}

/** Exact order across the numeric types; NaN equals itself and is smaller than every number. */
export function compareNumeric(a: NumericValue, b: NumericValue): number {
  if (typeof a === 'object' || typeof b === 'object') return compareDecimals(toDecimal(a), toDecimal(b));
  if (a < b) return -1;
  if (a > b) return 1;
  // JavaScript compares bigint with number exactly, so neither smaller nor greater means equal, or NaN.
  const nanA = Number.isNaN(a);
  const nanB = Number.isNaN(b);
  return nanA === nanB ? 0 : nanA ? -1 : 1;
}

export function isNaNValue(value: NumericValue): boolean {
  return typeof value === 'object' ? value.value.isNaN() : Number.isNaN(value);
}

/** A canonical text of the value, the same for equal numbers of different types. */
export function numericKey(value: NumericValue): string {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return String(value === 0 ? 0 : value);
    return Number.isInteger(value) ? String(BigInt(value)) : String(value);
  }
  if (typeof value === 'bigint') return String(value);
  const nearest = decimalToNumber(value);
  if (compareDecimals(exactDecimal(nearest), value) === 0) return numericKey(nearest);
  return value.value.toExponential();
}

/** The smallest integer type that is not below `kind` and holds the value; undefined beyond 64 bits. */
export function integerOf(value: number | bigint, kind: 'int' | 'long'): Int32 | Long | undefined {
  if (typeof value === 'number') {
    if (kind === 'int' && (value | 0) === value) return new Int32(value);
    if (Number.isSafeInteger(value)) return Long.fromNumber(value);
    return integerOf(BigInt(value), kind);
  }
  if (value < INT64_MIN || value > INT64_MAX) return undefined;
  return kind === 'int' && BigInt.asIntN(32, value) === value ? new Int32(Number(value)) : Long.fromBigInt(value);
}

interface Operation {
  readonly double: (a: number, b: number) => number;
  readonly integer: (a: bigint, b: bigint) => bigint;
  readonly decimal: (a: Decimal, b: Decimal) => Decimal;
}

const ADD: Operation = { double: (a, b) => a + b, integer: (a, b) => a + b, decimal: addDecimals };
const SUBTRACT: Operation = {
  double: (a, b) => a - b,
  integer: (a, b) => a - b,
  decimal: subtractDecimals,
};
const MULTIPLY: Operation = { double: (a, b) => a * b, integer: (a, b) => a * b, decimal: multiplyDecimals };

/** Undefined only when the exact integer result does not fit 64 bits. */
type Arithmetic = (a: unknown, b: unknown) => BsonNumber | undefined;

function arithmetic(operation: Operation): Arithmetic {
  return (a, b) => {
    const kindA = numericKind(a);
    const kindB = numericKind(b);
    if (kindA === 'decimal' || kindB === 'decimal') return toDecimal128(operation.decimal(asDecimal(a), asDecimal(b)));
    const x = numericValue(a);
    const y = numericValue(b);
    if (kindA === 'double' || kindB === 'double') return new Double(operation.double(Number(x), Number(y)));
    const kind = kindA === 'int' && kindB === 'int' ? 'int' : 'long';
    if (typeof x === 'number' && typeof y === 'number') {
      const result = operation.double(x, y);
      if (Number.isSafeInteger(result)) return integerOf(result, kind);
    }
    return integerOf(operation.integer(asBigInt(x), asBigInt(y)), kind);
  };
}

function asBigInt(value: NumericValue | undefined): bigint {
  return typeof value === 'number' || typeof value === 'bigint' ? BigInt(value) : 0n;
}

/** A number of any type for decimal arithmetic; doubles are rounded to 15 digits as mongod does. */
export function asDecimal(value: unknown): Decimal {
  const numeric = numericValue(value);
  if (numeric === undefined) return parseDecimal('NaN');
  return numericKind(value) === 'double' && typeof numeric === 'number' ? roundedDecimal(numeric) : toDecimal(numeric);
}

/**
 * Arithmetic with MongoDB's result types: decimal beats double beats long beats int, and an int result that
 * overflows becomes a long. Undefined when an integer result does not fit 64 bits: aggregation then goes on with a
 * double (see orDouble), updates refuse.
 */
export const add: Arithmetic = arithmetic(ADD);
export const subtract: Arithmetic = arithmetic(SUBTRACT);
export const multiply: Arithmetic = arithmetic(MULTIPLY);

/** As `operation`, but an overflow of 64 bits gives a double. */
export function orDouble(operation: Arithmetic): (a: unknown, b: unknown) => BsonNumber {
  return (a, b) => operation(a, b) ?? operation(new Double(toNumber(a) ?? Number.NaN), b) ?? new Double(Number.NaN);
}

/** A JS number as the type that the driver would store it as. */
export function fromNumber(value: number): Int32 | Double {
  return isInt32(value) ? new Int32(value) : new Double(value);
}
