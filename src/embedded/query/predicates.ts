import { BSONRegExp, BSONSymbol, Int32, MaxKey, MinKey, ObjectId } from 'bson';
import { badValue } from '../errors.ts';
import {
  compareStrings,
  compareValues,
  regexParts,
  type StringOrder,
  valueKey,
  valuesEqual,
} from '../values/compare.ts';
import { isNaNValue, numericKind, numericValue, toInteger, toNumber } from '../values/numbers.ts';
import { BsonUndefined } from '../values/rare.ts';
import { isDocument, RANK, rankOf, TYPE_NUMBERS, typeName } from '../values/types.ts';
import type { Leaf, ValueTest } from './path.ts';
import { compilePattern } from './regex.ts';

const through = (test: ValueTest): Leaf => ({ test, throughArray: true });
const whole = (test: ValueTest): Leaf => ({ test, throughArray: false });

export function isRegex(value: unknown): boolean {
  return value instanceof BSONRegExp || value instanceof RegExp;
}

/** `$eq`: null also matches an absent field. */
export function equalTo(operand: unknown, strings: StringOrder | undefined): Leaf {
  if (operand === null || operand === undefined)
    return through((value) => value === null || value === undefined || value instanceof BsonUndefined);
  if (typeof operand === 'string' && strings === undefined) {
    return through((value) => value === operand || (value instanceof BSONSymbol && value.value === operand));
  }
  if (operand instanceof Int32) {
    const number = operand.value;
    return through((value) => (value instanceof Int32 ? value.value === number : valuesEqual(value, operand)));
  }
  if (operand instanceof ObjectId) {
    return through((value) => value instanceof ObjectId && value.equals(operand));
  }
  return through((value) => value !== undefined && valuesEqual(value, operand, strings));
}

const ORDERINGS: Readonly<Record<string, (difference: number) => boolean>> = {
  $gt: (difference) => difference > 0,
  $gte: (difference) => difference >= 0,
  $lt: (difference) => difference < 0,
  $lte: (difference) => difference <= 0,
};

/** `$gt`, `$gte`, `$lt`, `$lte`: only values of the operand's own type rank compare ("type bracketing"). */
export function ordered(
  operator: string,
  operand: unknown,
  field: string,
  strings: StringOrder = compareStrings,
): Leaf {
  const accepts = ORDERINGS[operator];
  if (accepts === undefined) throw badValue(`unknown operator: ${operator}`);
  if (isRegex(operand)) throw badValue(`Can't have RegEx as arg to predicate over field '${field}'.`);
  if (operand instanceof MinKey || operand instanceof MaxKey) {
    return through((value) =>
      accepts(value === undefined ? rankOf(value) - rankOf(operand) : compareValues(value, operand)),
    );
  }
  const rank = rankOf(operand);
  if (rank === RANK.null) return through((value) => accepts(0) && (value === null || value === undefined));
  const number = numericValue(operand);
  if (number !== undefined) {
    if (isNaNValue(number)) return through((value) => accepts(0) && isNaNOperand(value));
    if (typeof number === 'number') {
      return through((value) => {
        if (value instanceof Int32) return accepts(value.value - number);
        return rankOf(value) === RANK.number && !isNaNOperand(value) && accepts(compareValues(value, operand));
      });
    }
  }
  return through(
    (value) => rankOf(value) === rank && !isNaNOperand(value) && accepts(compareValues(value, operand, strings)),
  );
}

function isNaNOperand(value: unknown): boolean {
  const number = numericValue(value);
  return number !== undefined && isNaNValue(number);
}

/** `$in`: any of the values, or a match of any of the regular expressions. */
export function anyOf(operand: unknown, strings: StringOrder | undefined): Leaf {
  if (!Array.isArray(operand)) throw badValue('$in needs an array');
  const values: unknown[] = [];
  const patterns: ValueTest[] = [];
  for (const item of operand as readonly unknown[]) {
    if (isDocument(item) && Object.keys(item)[0]?.startsWith('$')) throw badValue('cannot nest $ under $in');
    if (isRegex(item)) patterns.push(matching(item).test);
    else values.push(item);
  }
  if (strings !== undefined) {
    return through(
      (value) => values.some((item) => valuesEqual(value, item, strings)) || patterns.some((test) => test(value)),
    );
  }
  const keys = new Set(values.map(valueKey));
  return through((value) => keys.has(valueKey(value)) || patterns.some((test) => test(value)));
}

/** A regular expression: strings and symbols that match, and the same expression stored as a value. */
export function matching(operand: unknown, options?: string): Leaf {
  const expression = compilePattern(operand, options);
  const parts = typeof operand === 'string' ? { pattern: operand, options: '' } : regexParts(operand);
  const own = new BSONRegExp(parts.pattern);
  own.options = [...(options ?? parts.options)].sort().join('');
  return through((value) => {
    if (typeof value === 'string') return expression.test(value);
    if (value instanceof BSONSymbol) return expression.test(value.value);
    return isRegex(value) && valuesEqual(value, own);
  });
}

/** `$type`: names, numbers, "number" for every numeric type, or an array of them. */
export function ofType(operand: unknown): Leaf {
  const wanted = (Array.isArray(operand) ? (operand as readonly unknown[]) : [operand]).flatMap(typeNames);
  if (wanted.length === 0) throw badValue('a must match at least one type');
  return through((value) => value !== undefined && wanted.includes(typeName(value)));
}

function typeNames(operand: unknown): string[] {
  if (operand === 'number') return ['int', 'long', 'double', 'decimal'];
  if (typeof operand === 'string') {
    if (!Object.hasOwn(TYPE_NUMBERS, operand)) throw badValue(`Unknown type name alias: ${operand}`);
    return [operand];
  }
  const number = toNumber(operand);
  if (number === undefined) throw badValue('type must be represented as a number or a string');
  const found = Object.entries(TYPE_NUMBERS).find(([, code]) => code === number);
  if (found === undefined) throw badValue(`Invalid numerical type code: ${number}`);
  return [found[0]];
}

/** `$exists: true`. */
export const present: Leaf = whole((value) => value !== undefined);

/** `$size`: the number of elements of an array. */
export function ofSize(operand: unknown): Leaf {
  if (numericKind(operand) === undefined) throw badValue(`Failed to parse $size. Expected a number in: $size`);
  const size = toInteger(operand);
  if (size === undefined) throw badValue('Failed to parse $size. Expected an integer');
  if (size < 0) throw badValue('Failed to parse $size. Expected a non-negative number');
  return whole((value) => Array.isArray(value) && value.length === size);
}

/** `$mod: [divisor, remainder]`, on the value truncated to an integer. */
export function modulo(operand: unknown): Leaf {
  if (!Array.isArray(operand)) throw badValue('malformed mod, needs to be an array');
  if (operand.length < 2) throw badValue('malformed mod, not enough elements');
  if (operand.length > 2) throw badValue('malformed mod, too many elements');
  const [divisor, remainder] = operand.map((item: unknown) => integral(item));
  if (divisor === undefined) throw badValue('malformed mod, divisor not a number');
  if (remainder === undefined) throw badValue('malformed mod, remainder not a number');
  if (divisor === 0n) throw badValue('divisor cannot be 0');
  return through((value) => {
    const number = integral(value);
    return number !== undefined && number % divisor === remainder;
  });
}

function integral(value: unknown): bigint | undefined {
  const number = numericValue(value);
  if (typeof number === 'bigint') return number;
  const truncated = Math.trunc(toNumber(value) ?? Number.NaN);
  return Number.isFinite(truncated) ? BigInt(truncated) : undefined;
}
