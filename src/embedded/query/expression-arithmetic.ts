import { Double, Int32, Long } from 'bson';
import { location } from '../errors.ts';
import {
  applyDecimal,
  divideDecimals,
  powerDecimals,
  type Rounding,
  remainderDecimals,
  roundDecimal,
  toDecimal128,
} from '../values/decimal.ts';
import {
  add,
  asDecimal,
  integerOf,
  multiply,
  numericKind,
  numericValue,
  orDouble,
  subtract,
  toDecimal,
  toInteger,
  toNumber,
} from '../values/numbers.ts';
import { typeName } from '../values/types.ts';
import type { OperatorCompiler } from './expression.ts';
import { binary, isNullish, unary, variadic } from './expression-arguments.ts';
import { requireNumber } from './expression-reals.ts';

/** A date from milliseconds that any numeric type may hold. */
function dateFrom(milliseconds: unknown): Date {
  return new Date(Math.round(toNumber(milliseconds) ?? Number.NaN));
}

function sum(values: readonly unknown[], name: string): unknown {
  if (values.some(isNullish)) return null;
  let total: unknown = new Int32(0);
  let isDate = false;
  for (const value of values) {
    if (value instanceof Date) {
      if (isDate) throw location(16612, 'only one date allowed in an $add expression');
      isDate = true;
      total = orDouble(add)(total, Long.fromNumber(value.getTime()));
      continue;
    }
    if (numericKind(value) === undefined) {
      throw location(16554, `${name} only supports numeric or date types, not ${typeName(value)}`);
    }
    total = orDouble(add)(total, value);
  }
  return isDate ? dateFrom(total) : total;
}

function difference(a: unknown, b: unknown): unknown {
  if (isNullish(a) || isNullish(b)) return null;
  if (a instanceof Date) {
    if (b instanceof Date) return Long.fromNumber(a.getTime() - b.getTime());
    if (numericKind(b) !== undefined) return dateFrom(subtract(Long.fromNumber(a.getTime()), b));
  } else if (numericKind(a) !== undefined && numericKind(b) !== undefined) {
    return orDouble(subtract)(a, b);
  }
  throw location(16556, `cant $subtract a ${typeName(b)} from a ${typeName(a)}`);
}

function quotient(a: unknown, b: unknown): unknown {
  if (isNullish(a) || isNullish(b)) return null;
  if (numericKind(a) === undefined || numericKind(b) === undefined) {
    throw location(16609, `$divide only supports numeric types, not ${typeName(a)} and ${typeName(b)}`);
  }
  if (toNumber(b) === 0) throw location(16608, "can't $divide by zero");
  if (numericKind(a) === 'decimal' || numericKind(b) === 'decimal') {
    return toDecimal128(divideDecimals(asDecimal(a), asDecimal(b)));
  }
  return new Double((toNumber(a) ?? 0) / (toNumber(b) ?? 1));
}

function remainder(a: unknown, b: unknown): unknown {
  if (isNullish(a) || isNullish(b)) return null;
  const kinds = [numericKind(a), numericKind(b)];
  if (kinds.includes(undefined)) {
    throw location(16611, `$mod only supports numeric types, not ${typeName(a)} and ${typeName(b)}`);
  }
  if (toNumber(b) === 0) throw location(16610, "can't $mod by zero");
  if (kinds.includes('decimal')) return toDecimal128(remainderDecimals(asDecimal(a), asDecimal(b)));
  if (kinds.includes('double')) return new Double((toNumber(a) ?? 0) % (toNumber(b) ?? 1));
  return integerOf(bigintOf(a) % bigintOf(b), kinds.includes('long') ? 'long' : 'int');
}

function bigintOf(value: unknown): bigint {
  const number = numericValue(value);
  return typeof number === 'number' || typeof number === 'bigint' ? BigInt(number) : 0n;
}

function absolute(value: unknown, name: string): unknown {
  if (isNullish(value)) return null;
  requireNumber(value, name, 28765);
  const kind = numericKind(value);
  if (kind === 'double') return new Double(Math.abs(toNumber(value) ?? 0));
  if (kind === 'decimal') return toDecimal128(applyDecimal(asDecimal(value), 'abs'));
  if ((toNumber(value) ?? 0) >= 0) return value;
  const negated = integerOf(-bigintOf(value), kind === 'int' ? 'int' : 'long');
  if (negated === undefined) throw location(28680, "can't take $abs of long long min");
  return negated;
}

function rounded(mode: Rounding, code: number): OperatorCompiler {
  return variadic(
    ([value, places = new Int32(0)], name) => {
      if (isNullish(value) || isNullish(places)) return null;
      requireNumber(value, name, code);
      const digits = toInteger(places);
      if (digits === undefined) throw location(51082, `precision argument to ${name} must be a integral value`);
      if (digits < -20 || digits > 100)
        throw location(51083, `cannot apply ${name} with precision value ${digits} value must be in [-20, 100]`);
      return roundTo(value, digits, mode);
    },
    1,
    mode === 'floor' || mode === 'ceil' ? 1 : 2,
  );
}

function roundTo(value: unknown, places: number, mode: Rounding): unknown {
  const kind = numericKind(value);
  const number = numericValue(value) ?? 0;
  if (kind === 'decimal') return toDecimal128(roundDecimal(toDecimal(number), places, mode));
  if (kind === 'double' && places === 0 && mode !== 'halfEven') {
    const plain = mode === 'trunc' ? Math.trunc : mode === 'floor' ? Math.floor : Math.ceil;
    return new Double(plain(Number(number)));
  }
  if (kind === 'double') return new Double(roundDouble(Number(number), places, mode));
  if (places >= 0) return value;
  const result = roundDecimal(toDecimal(number), places, mode).value.toFixed(0);
  return integerOf(BigInt(result), kind === 'int' ? 'int' : 'long') ?? value;
}

function roundDouble(number: number, places: number, mode: Rounding): number {
  return Number.isFinite(number) ? roundDecimal(toDecimal(number), places, mode).value.toNumber() : number;
}

function power(base: unknown, exponent: unknown): unknown {
  if (isNullish(base) || isNullish(exponent)) return null;
  if (numericKind(base) === undefined) throw location(28762, `$pow's base must be numeric, not ${typeName(base)}`);
  if (numericKind(exponent) === undefined)
    throw location(28763, `$pow's exponent must be numeric, not ${typeName(exponent)}`);
  const [x, y] = [toNumber(base) ?? 0, toNumber(exponent) ?? 0];
  if (x === 0 && y < 0) throw location(28764, '$pow cannot take a base of 0 and a negative exponent');
  const kinds = [numericKind(base), numericKind(exponent)];
  if (kinds.includes('decimal')) return toDecimal128(powerDecimals(asDecimal(base), asDecimal(exponent)));
  if (kinds.includes('double') || y < 0) return new Double(x ** y);
  // |x| > 1 to a power beyond 63 leaves 64 bits: only then is the double needed.
  if (Math.abs(x) > 1 && y > 63) return new Double(x ** y);
  const integer = Math.abs(x) <= 1 ? BigInt(Math.round(x ** y)) : bigintOf(base) ** bigintOf(exponent);
  return integerOf(integer, kinds.includes('long') ? 'long' : 'int') ?? new Double(x ** y);
}

/** Arithmetic. */
export const ARITHMETIC_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $add: variadic(sum),
  $subtract: binary(difference),
  $multiply: variadic((values, name) => {
    if (values.some(isNullish)) return null;
    let product: unknown = new Int32(1);
    for (const value of values) {
      requireNumber(value, name, 16555);
      product = orDouble(multiply)(product, value);
    }
    return product;
  }),
  $divide: binary(quotient),
  $mod: binary(remainder),
  $abs: unary(absolute),
  $ceil: rounded('ceil', 28765),
  $floor: rounded('floor', 28765),
  $round: rounded('halfEven', 51081),
  $trunc: rounded('trunc', 51081),
  $pow: binary(power),
};
