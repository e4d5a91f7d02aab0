import { type Document, Double } from 'bson';
import { location } from '../errors.ts';
import { compareValues, type StringOrder } from '../values/compare.ts';
import { addDecimals, type Decimal, divideDecimals, toDecimal128 } from '../values/decimal.ts';
import { spend } from '../values/effort.ts';
import { asDecimal, integerOf, numericKind, numericValue, toDecimal, toNumber } from '../values/numbers.ts';
import { isDocument, setField, typeName } from '../values/types.ts';
import { isNullish } from './expression-arguments.ts';

/** Takes values in one by one and gives the result at any time. */
export interface Accumulator {
  readonly add: (value: unknown) => void;
  readonly result: () => unknown;
}

/**
 * A sum with MongoDB's types: int or long while all are integers, double beyond 64 bits or with any double (kept
 * exact by compensation, as mongod does), decimal with any decimal. What is no number is left out.
 */
export function summation(): Accumulator & { readonly count: () => number; readonly mean: () => unknown } {
  let integers: number | bigint = 0;
  let isLong = false;
  let doubles: { sum: number; rest: number } | undefined;
  let decimals: Decimal | undefined;
  let count = 0;
  const total = (): Decimal => {
    const whole = addDecimals(toDecimal(integers), decimals ?? toDecimal(0));
    return doubles === undefined ? whole : addDecimals(whole, asDecimal(new Double(doubles.sum + doubles.rest)));
  };
  const asDouble = (): number => Number(integers) + (doubles === undefined ? 0 : doubles.sum + doubles.rest);
  return {
    add: (value) => {
      const kind = numericKind(value);
      if (kind === undefined) return;
      count += 1;
      const number = numericValue(value) ?? 0;
      if (kind === 'decimal') decimals = addDecimals(decimals ?? toDecimal(0), toDecimal(number));
      else if (kind === 'double') doubles = compensated(doubles ?? { sum: 0, rest: 0 }, Number(number));
      else {
        isLong ||= kind === 'long';
        integers = addIntegers(integers, typeof number === 'object' ? 0 : number);
      }
    },
    result: () => {
      if (decimals !== undefined) return toDecimal128(total());
      if (doubles !== undefined) return new Double(asDouble());
      return integerOf(integers, isLong ? 'long' : 'int') ?? new Double(Number(integers));
    },
    count: () => count,
    mean: () => {
      if (count === 0) return null;
      if (decimals !== undefined) return toDecimal128(divideDecimals(total(), toDecimal(count)));
      return new Double(asDouble() / count);
    },
  };
}

function addIntegers(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
}

/** Neumaier's summation. */
function compensated({ sum, rest }: { sum: number; rest: number }, value: number): { sum: number; rest: number } {
  const next = sum + value;
  if (!Number.isFinite(next)) return { sum: next, rest: 0 };
  const lost = Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
  return { sum: next, rest: rest + lost };
}

/** Standard deviation by Welford's method; of a sample when `isSample`. */
export function deviation(isSample: boolean): Accumulator {
  let count = 0;
  let mean = 0;
  let squares = 0;
  return {
    add: (value) => {
      const number = toNumber(value);
      if (number === undefined) return;
      count += 1;
      const delta = number - mean;
      mean += delta / count;
      squares += delta * (number - mean);
    },
    result: () => {
      const divisor = isSample ? count - 1 : count;
      return divisor <= 0 ? null : new Double(Math.sqrt(squares / divisor));
    },
  };
}

/** The smallest (or largest) value; null and missing do not count. */
export function extremeOf(direction: 1 | -1, strings?: StringOrder): Accumulator {
  let best: unknown;
  return {
    add: (value) => {
      if (!isNullish(value) && (best === undefined || compareValues(value, best, strings) * direction < 0))
        best = value;
    },
    result: () => best ?? null,
  };
}

/** Fields of later documents win; null and missing are left out. */
export function merging(): Accumulator {
  const merged: Document = {};
  return {
    add: (value) => {
      if (isNullish(value)) return;
      if (!isDocument(value))
        throw location(40400, `$mergeObjects requires object inputs, but input is of type ${typeName(value)}`);
      const fields: [string, unknown][] = Object.entries(value);
      spend(fields.length);
      for (const [key, item] of fields) setField(merged, key, item);
    },
    result: () => merged,
  };
}
