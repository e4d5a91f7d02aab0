import { type Document, Double, Int32 } from 'bson';
import { CommandError } from '../errors.ts';
import { compareValues, valueKey } from '../values/compare.ts';
import { addDecimals, type Decimal, divideDecimals, toDecimal128 } from '../values/decimal.ts';
import { asDecimal, integerOf, numericKind, numericValue, toDecimal, toInteger, toNumber } from '../values/numbers.ts';
import { isDocument, setField, typeName } from '../values/types.ts';
import { compileExpression, type Environment, type Scope } from './expression.ts';
import { compileNamed, isNullish, missing } from './expression-arguments.ts';
import { badValue, location } from './refuse.ts';
import { compileSort } from './sort.ts';

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
export function extremeOf(direction: 1 | -1): Accumulator {
  let best: unknown;
  return {
    add: (value) => {
      if (!isNullish(value) && (best === undefined || compareValues(value, best) * direction < 0)) best = value;
    },
    result: () => best ?? null,
  };
}

function collecting(
  accept: (values: unknown[], value: unknown) => void,
  finish = (values: unknown[]): unknown => values,
): Accumulator {
  const values: unknown[] = [];
  return { add: (value) => accept(values, value), result: () => finish(values) };
}

function addToSet(): Accumulator {
  const seen = new Set<string>();
  return collecting((values, value) => {
    if (value === undefined) return;
    const key = valueKey(value);
    if (seen.has(key)) return;
    seen.add(key);
    values.push(value);
  });
}

/** Fields of later documents win; null and missing are left out. */
export function merging(): Accumulator {
  const merged: Document = {};
  return {
    add: (value) => {
      if (isNullish(value)) return;
      if (!isDocument(value))
        throw location(40400, `$mergeObjects requires object inputs, but input is of type ${typeName(value)}`);
      for (const [key, item] of Object.entries(value)) setField(merged, key, item);
    },
    result: () => merged,
  };
}

const SIMPLE: Readonly<Record<string, () => Accumulator>> = {
  $sum: summation,
  $avg: () => {
    const sum = summation();
    return { add: sum.add, result: sum.mean };
  },
  $min: () => extremeOf(1),
  $max: () => extremeOf(-1),
  $first: () =>
    collecting(
      (values, value) => void (values.length === 0 && values.push(value)),
      ([first]) => first ?? null,
    ),
  $last: () =>
    collecting(
      (values, value) => void values.splice(0, 1, value),
      ([last]) => last ?? null,
    ),
  $push: () => collecting((values, value) => void (value !== undefined && values.push(value))),
  $addToSet: addToSet,
  $mergeObjects: merging,
  $stdDevPop: () => deviation(false),
  $stdDevSamp: () => deviation(true),
};

/** One accumulator of a `$group`: started for each group, fed with the group's documents. */
export interface GroupField {
  readonly name: string;
  readonly start: () => { readonly feed: (environment: Environment) => void; readonly result: () => unknown };
}

/**
 * Compiles one field of `$group`.
 *
 * @throws CommandError 40234, 40237, 40238 for what is no accumulator, 15952 for an unknown one
 */
export function compileGroupField(name: string, spec: unknown, scope: Scope): GroupField {
  if (name.includes('.')) throw location(40235, `The field name '${name}' cannot contain '.'`);
  if (!isDocument(spec)) throw location(40234, `The field '${name}' must be an accumulator object`);
  const entries: [string, unknown][] = Object.entries(spec);
  const [first] = entries;
  if (first === undefined || entries.length > 1)
    throw location(40238, `The field '${name}' must specify one accumulator`);
  const [operator, operand] = first;
  if (operator === '$count') return counting(name, operand);
  if (Object.hasOwn(SELECTING, operator)) return selecting(name, operator, operand, scope);
  const create = Object.hasOwn(SIMPLE, operator) ? SIMPLE[operator] : undefined;
  if (create === undefined) throw location(15952, `unknown group operator '${operator}'`);
  if (Array.isArray(operand) && operator !== '$push' && operator !== '$addToSet') {
    throw location(40237, `The ${operator} accumulator is a unary operator`);
  }
  const expression = compileExpression(operand, scope);
  return {
    name,
    start: () => {
      const accumulator = create();
      return { feed: (environment) => accumulator.add(expression(environment)), result: accumulator.result };
    },
  };
}

function counting(name: string, operand: unknown): GroupField {
  if (!isDocument(operand) || Object.keys(operand).length > 0) {
    throw new CommandError(14, 'TypeMismatch', '$count takes no arguments, i.e. $count:{}');
  }
  return {
    name,
    start: () => {
      let count = 0;
      const feed = (): void => {
        count += 1;
      };
      return { feed, result: () => new Int32(count) };
    },
  };
}

interface Selection {
  readonly take: 'first' | 'last';
  /** Whether elements are chosen by a `sortBy`, by their own order, or by arrival. */
  readonly by: 'sortBy' | 'value' | 'arrival';
  readonly many: boolean;
}

const SELECTING: Readonly<Record<string, Selection>> = {
  $top: { take: 'first', by: 'sortBy', many: false },
  $topN: { take: 'first', by: 'sortBy', many: true },
  $bottom: { take: 'last', by: 'sortBy', many: false },
  $bottomN: { take: 'last', by: 'sortBy', many: true },
  $minN: { take: 'first', by: 'value', many: true },
  $maxN: { take: 'last', by: 'value', many: true },
  $firstN: { take: 'first', by: 'arrival', many: true },
  $lastN: { take: 'last', by: 'arrival', many: true },
};

function selecting(name: string, operator: string, operand: unknown, scope: Scope): GroupField {
  const selection = SELECTING[operator] ?? { take: 'first', by: 'arrival', many: true };
  const { take, by, many } = selection;
  const sortBy: unknown = isDocument(operand) ? operand['sortBy'] : undefined;
  if (by === 'sortBy' && !isDocument(sortBy)) throw location(5788002, `Missing value for 'sortBy'`);
  const order = isDocument(sortBy) && by === 'sortBy' ? compileSort(sortBy) : undefined;
  const { sortBy: _sortBy, ...rest } = isDocument(operand) ? operand : {};
  const value = by === 'sortBy' ? 'output' : 'input';
  const parts = compileNamed(rest, scope, operator, 5788001, many ? ['n', value] : [value]);
  const expression = parts[value] ?? missing;
  return {
    name,
    start: () => {
      const rows: { value: unknown; root: Document }[] = [];
      let size: number | undefined;
      return {
        feed: (environment) => {
          size ??= many ? positive(parts['n']?.(environment), operator) : 1;
          const row = { value: expression(environment), root: isDocument(environment.root) ? environment.root : {} };
          if (by !== 'value' || !isNullish(row.value)) rows.push(row);
        },
        result: () => {
          if (order !== undefined) rows.sort((a, b) => order(a.root, b.root));
          if (by === 'value') rows.sort((a, b) => compareValues(a.value, b.value));
          const values = rows.map((row) => row.value ?? null);
          const chosen = take === 'first' ? values.slice(0, size) : values.slice(-(size ?? 1));
          if (operator === '$maxN') chosen.reverse();
          return many ? chosen : (chosen[0] ?? null);
        },
      };
    },
  };
}

function positive(value: unknown, operator: string): number {
  const number = toInteger(value);
  if (number === undefined || number <= 0) throw badValue(`'n' of ${operator} must be a positive integer`);
  return number;
}
