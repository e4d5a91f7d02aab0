import { Decimal128 } from 'bson';
import { Decimal as Arbitrary } from 'decimal.js';

/** Digits and exponents of IEEE 754-2008 decimal128, rounding half to even, as mongod computes. */
const DIGITS = 34;
const LEAST_EXPONENT = -6176;
const MOST_EXPONENT = 6111;
const Real = Arbitrary.clone({
  precision: DIGITS,
  rounding: Arbitrary.ROUND_HALF_EVEN,
  maxE: 6144,
  minE: LEAST_EXPONENT,
});

/**
 * A decimal number. `exponent` is that of its last digit as far as the value allows: "1.50" is not "1.5" to BSON, and
 * a sum keeps the smaller exponent, a product the sum of both (IEEE 754-2008, 5.2: preferred exponents).
 */
export interface Decimal {
  readonly value: Arbitrary;
  readonly exponent: number;
}

export type Rounding = 'halfEven' | 'trunc' | 'floor' | 'ceil';

const ROUNDINGS: Readonly<Record<Rounding, Arbitrary.Rounding>> = {
  halfEven: Arbitrary.ROUND_HALF_EVEN,
  trunc: Arbitrary.ROUND_DOWN,
  floor: Arbitrary.ROUND_FLOOR,
  ceil: Arbitrary.ROUND_CEIL,
};

const NAN: Decimal = { value: new Real(Number.NaN), exponent: 0 };

/** Reads the text form of a decimal number ("1.50", "-2E+10", "NaN", "Infinity"); NaN for anything else. */
export function parseDecimal(text: string): Decimal {
  const match = /^[+-]?(?:\d+(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match !== null) {
    const [, fraction = '', bare = '', power = '0'] = match;
    return { value: new Real(text.replace(/^\+/, '')), exponent: Number(power) - (fraction || bare).length };
  }
  const infinite = /^([+-]?)inf/i.exec(text);
  return infinite === null ? NAN : { value: new Real(`${infinite[1] === '-' ? '-' : ''}Infinity`), exponent: 0 };
}

/** The exact value of a double: its binary fraction written out in full. */
export function exactDecimal(value: number): Decimal {
  if (!Number.isFinite(value)) return { value: new Real(value), exponent: 0 };
  let mantissa = value;
  let shifts = 0;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    shifts += 1;
  }
  // n / 2^k = n * 5^k / 10^k
  return parseDecimal(`${BigInt(mantissa) * 5n ** BigInt(shifts)}E-${shifts}`);
}

/** A double as decimal arithmetic takes it in: rounded to 15 digits, as mongod converts (Decimal128 from double). */
export function roundedDecimal(value: number): Decimal {
  return Number.isFinite(value) ? parseDecimal(value.toPrecision(15)) : exactDecimal(value);
}

/** Numeric order; NaN is smaller than every number, as in MongoDB's sort order. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.value.isNaN() || b.value.isNaN()) return Number(b.value.isNaN()) - Number(a.value.isNaN());
  return a.value.cmp(b.value);
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  return { value: a.value.plus(b.value), exponent: Math.min(a.exponent, b.exponent) };
}

export function subtractDecimals(a: Decimal, b: Decimal): Decimal {
  return { value: a.value.minus(b.value), exponent: Math.min(a.exponent, b.exponent) };
}

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  return { value: a.value.times(b.value), exponent: a.exponent + b.exponent };
}

/** Division by zero is the caller's to refuse. */
export function divideDecimals(a: Decimal, b: Decimal): Decimal {
  return { value: a.value.div(b.value), exponent: a.exponent - b.exponent };
}

/** Remainder with the sign of the dividend. */
export function remainderDecimals(a: Decimal, b: Decimal): Decimal {
  return { value: a.value.mod(b.value), exponent: Math.min(a.exponent, b.exponent) };
}

export function powerDecimals(a: Decimal, b: Decimal): Decimal {
  const times = b.value.isInteger() && b.value.gte(0) ? a.exponent * b.value.toNumber() : 0;
  return { value: a.value.pow(b.value), exponent: times };
}

/** A function of one number, to 34 digits. */
export function applyDecimal(a: Decimal, name: 'abs' | 'sqrt' | 'exp' | 'ln' | 'log10'): Decimal {
  return { value: Real[name](a.value), exponent: name === 'abs' ? a.exponent : 0 };
}

/** Rounds to `places` digits after the point (negative: before it). */
export function roundDecimal(a: Decimal, places: number, mode: Rounding): Decimal {
  if (a.exponent >= -places || !a.value.isFinite()) return a;
  const value =
    places >= 0
      ? a.value.toDecimalPlaces(places, ROUNDINGS[mode])
      : a.value.toNearest(new Real(10).pow(-places), ROUNDINGS[mode]);
  return { value, exponent: -places };
}

/** To BSON, rounded to 34 digits. */
export function toDecimal128({ value, exponent }: Decimal): Decimal128 {
  if (!value.isFinite())
    return Decimal128.fromString(value.isNaN() ? 'NaN' : value.isPositive() ? 'Infinity' : '-Infinity');
  if (value.isZero()) {
    const bounded = Math.min(Math.max(exponent, LEAST_EXPONENT), MOST_EXPONENT);
    return Decimal128.fromString(`${value.isNegative() ? '-' : ''}0E${bounded}`);
  }
  const rounded = value.toSignificantDigits(DIGITS);
  if (!rounded.isFinite()) return toDecimal128({ value: rounded, exponent });
  const last = rounded.e - rounded.precision() + 1;
  const kept = exponent > last ? last : Math.max(exponent, rounded.e - DIGITS + 1, LEAST_EXPONENT);
  return Decimal128.fromString(rounded.toExponential(rounded.e - kept));
}

/** The nearest double. */
export function decimalToNumber({ value }: Decimal): number {
  return value.toNumber();
}
