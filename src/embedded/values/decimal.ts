import { Decimal128 } from 'bson';

/** `coefficient * 10^exponent`, or one of the three values that are no number of that form. */
export type Decimal =
  | { readonly kind: 'finite'; readonly coefficient: bigint; readonly exponent: number }
  | { readonly kind: 'nan' | 'infinity' | '-infinity' };

const PRECISION = 34;
const NAN: Decimal = { kind: 'nan' };
const INFINITE: Decimal = { kind: 'infinity' };
const MINUS_INFINITE: Decimal = { kind: '-infinity' };

const finite = (coefficient: bigint, exponent: number): Decimal => ({ kind: 'finite', coefficient, exponent });

/** Reads the text form of a decimal number ("1.50", "-2E+10", "NaN", "Infinity"). */
export function parseDecimal(text: string): Decimal {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) {
    if (/^\+?inf/i.test(text)) return INFINITE;
    return /^-inf/i.test(text) ? MINUS_INFINITE : NAN;
  }
  const [, sign = '', whole = '', fraction = '', power = '0'] = match;
  const coefficient = BigInt(`${whole}${fraction}` || '0');
  return finite(sign === '-' ? -coefficient : coefficient, Number(power) - fraction.length);
}

/** The exact value of a double: its binary fraction written out in full. */
export function exactDecimal(value: number): Decimal {
  if (Number.isNaN(value)) return NAN;
  if (!Number.isFinite(value)) return value > 0 ? INFINITE : MINUS_INFINITE;
  if (Number.isInteger(value)) return finite(BigInt(value), 0);
  let mantissa = value;
  let shifts = 0;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    shifts += 1;
  }
  // n / 2^k = n * 5^k / 10^k
  return finite(BigInt(mantissa) * 5n ** BigInt(shifts), -shifts);
}

/** A double as decimal arithmetic takes it in: rounded to 15 digits, as mongod converts (Decimal128 from double). */
export function roundedDecimal(value: number): Decimal {
  return Number.isFinite(value) ? parseDecimal(value.toPrecision(15)) : exactDecimal(value);
}

function aligned(a: bigint, exponentA: number, b: bigint, exponentB: number): [bigint, bigint, number] {
  const exponent = Math.min(exponentA, exponentB);
  return [a * 10n ** BigInt(exponentA - exponent), b * 10n ** BigInt(exponentB - exponent), exponent];
}

const KIND_ORDER = { nan: 0, '-infinity': 1, finite: 2, infinity: 3 } as const;

/** Numeric order; NaN is smaller than every number, as in MongoDB's sort order. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.kind !== 'finite' || b.kind !== 'finite') return Math.sign(KIND_ORDER[a.kind] - KIND_ORDER[b.kind]);
  const signA = a.coefficient > 0n ? 1 : a.coefficient < 0n ? -1 : 0;
  const signB = b.coefficient > 0n ? 1 : b.coefficient < 0n ? -1 : 0;
  if (signA !== signB || signA === 0) return Math.sign(signA - signB);
  const magnitude = (d: { coefficient: bigint; exponent: number }) =>
    (d.coefficient < 0n ? -d.coefficient : d.coefficient).toString().length + d.exponent;
  // Exponents span 12,000 powers of ten: numbers of different magnitude are told apart without writing them out.
  const difference = magnitude(a) - magnitude(b);
  if (difference !== 0) return Math.sign(difference) * signA;
  const [x, y] = aligned(a.coefficient, a.exponent, b.coefficient, b.exponent);
  return x < y ? -1 : x > y ? 1 : 0;
}

function infinityOf(sign: number): Decimal {
  if (sign === 0) return NAN;
  return sign > 0 ? INFINITE : MINUS_INFINITE;
}

/** -1, 0 or 1; 0 also for NaN. */
export function signOf(a: Decimal): number {
  if (a.kind === 'finite') return a.coefficient > 0n ? 1 : a.coefficient < 0n ? -1 : 0;
  return a.kind === 'infinity' ? 1 : a.kind === '-infinity' ? -1 : 0;
}

export function negateDecimal(a: Decimal): Decimal {
  return a.kind === 'finite' ? finite(-a.coefficient, a.exponent) : infinityOf(-signOf(a));
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'finite' && b.kind === 'finite') {
    // A term more than twice the precision below the other cannot change the rounded sum.
    if (a.exponent - b.exponent > 4 * PRECISION) return a.coefficient === 0n ? b : a;
    if (b.exponent - a.exponent > 4 * PRECISION) return b.coefficient === 0n ? a : b;
    const [x, y, exponent] = aligned(a.coefficient, a.exponent, b.coefficient, b.exponent);
    return finite(x + y, exponent);
  }
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  if (a.kind === 'finite') return b;
  if (b.kind === 'finite') return a;
  return a.kind === b.kind ? a : NAN;
}

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'finite' && b.kind === 'finite') return finite(a.coefficient * b.coefficient, a.exponent + b.exponent);
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  return infinityOf(signOf(a) * signOf(b));
}

/** Quotient to 34 digits; division by zero is the caller's to refuse. */
export function divideDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind === 'nan' || b.kind === 'nan') return NAN;
  if (a.kind !== 'finite') return b.kind === 'finite' ? infinityOf(signOf(a) * (signOf(b) || 1)) : NAN;
  if (b.kind !== 'finite') return finite(0n, 0);
  if (b.coefficient === 0n) return infinityOf(signOf(a));
  const scale = PRECISION + 2 + Math.max(0, b.coefficient.toString().length - a.coefficient.toString().length + 1);
  const quotient = (a.coefficient * 10n ** BigInt(scale)) / b.coefficient;
  return trimmed(quotient, a.exponent - b.exponent - scale);
}

/** Remainder with the sign of the dividend. */
export function remainderDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.kind !== 'finite' || b.kind === 'nan') return NAN;
  if (b.kind !== 'finite') return a;
  if (b.coefficient === 0n) return NAN;
  const [x, y, exponent] = aligned(a.coefficient, a.exponent, b.coefficient, b.exponent);
  return finite(x % y, exponent);
}

/** Rounds to `places` digits after the point (negative: before it): half to even, toward zero, down or up. */
export function roundDecimal(a: Decimal, places: number, mode: 'halfEven' | 'trunc' | 'floor' | 'ceil'): Decimal {
  if (a.kind !== 'finite' || a.exponent >= -places) return a;
  const unit = 10n ** BigInt(-places - a.exponent);
  return finite(roundToUnit(a.coefficient, unit, mode), -places);
}

function roundToUnit(value: bigint, unit: bigint, mode: 'halfEven' | 'trunc' | 'floor' | 'ceil'): bigint {
  const quotient = value / unit;
  const rest = value % unit;
  if (rest === 0n || mode === 'trunc') return quotient;
  const away = value < 0n ? quotient - 1n : quotient + 1n;
  if (mode === 'floor') return value < 0n ? away : quotient;
  if (mode === 'ceil') return value < 0n ? quotient : away;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  if (twice === unit) return quotient % 2n === 0n ? quotient : away;
  return twice > unit ? away : quotient;
}

function trimmed(coefficient: bigint, exponent: number): Decimal {
  let value = coefficient;
  let power = exponent;
  while (value !== 0n && power < 0 && value % 10n === 0n) {
    value /= 10n;
    power += 1;
  }
  return finite(value, power);
}

/** To BSON, rounded half to even to 34 digits. */
export function toDecimal128(a: Decimal): Decimal128 {
  if (a.kind === 'nan') return Decimal128.fromString('NaN');
  if (a.kind !== 'finite') return Decimal128.fromString(a.kind === 'infinity' ? 'Infinity' : '-Infinity');
  let { coefficient, exponent } = a;
  const digits = (coefficient < 0n ? -coefficient : coefficient).toString().length;
  if (digits > PRECISION) {
    coefficient = roundToUnit(coefficient, 10n ** BigInt(digits - PRECISION), 'halfEven');
    exponent += digits - PRECISION;
  }
  if (coefficient !== 0n && exponent + PRECISION > 6145)
    return Decimal128.fromString(coefficient < 0n ? '-Infinity' : 'Infinity');
  return Decimal128.fromString(exponent < -6176 ? '0' : `${coefficient}E${exponent >= 0 ? '+' : ''}${exponent}`);
}

/** The nearest double. */
export function decimalToNumber(a: Decimal): number {
  if (a.kind === 'finite') return Number(`${a.coefficient}E${a.exponent}`);
  return a.kind === 'nan' ? Number.NaN : a.kind === 'infinity' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
}
