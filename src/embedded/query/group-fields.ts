import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, location, typeMismatch } from '../errors.ts';
import { collatedKeys } from '../values/collation.ts';
import { compareValues, type StringOrder } from '../values/compare.ts';
import { createHeld, MAX_HELD_BYTES } from '../values/effort.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { type Accumulator, deviation, extremeOf, merging, summation } from './accumulators.ts';
import { compileExpression, type Environment, type Scope } from './expression.ts';
import { compileNamed, isNullish, missing } from './expression-arguments.ts';
import { compileSort } from './sort.ts';

function collecting(
  accept: (values: unknown[], value: unknown) => void,
  finish = (values: unknown[]): unknown => values,
): Accumulator {
  const values: unknown[] = [];
  return { add: (value) => accept(values, value), result: () => finish(values) };
}

/** Of one group's accumulator, as on the server. */
function holding(name: string): (value: unknown) => void {
  return createHeld(
    () =>
      new CommandError(
        CODES.ExceededMemoryLimit,
        `${name} used too much memory and cannot spill to disk. Memory limit: ${MAX_HELD_BYTES} bytes`,
      ),
  );
}

function push(): Accumulator {
  const hold = holding('$push');
  return collecting((values, value) => {
    if (value === undefined) return;
    hold(value);
    values.push(value);
  });
}

function addToSet(strings: StringOrder | undefined): Accumulator {
  const hold = holding('$addToSet');
  const keyOf = collatedKeys(strings);
  const seen = new Set<string>();
  return collecting((values, value) => {
    if (value === undefined) return;
    const key = keyOf(value);
    if (seen.has(key)) return;
    hold(value);
    seen.add(key);
    values.push(value);
  });
}

const SIMPLE: Readonly<Record<string, (strings: StringOrder | undefined) => Accumulator>> = {
  $sum: summation,
  $avg: () => {
    const sum = summation();
    return { add: sum.add, result: sum.mean };
  },
  $min: (strings) => extremeOf(1, strings),
  $max: (strings) => extremeOf(-1, strings),
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
  $push: push,
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
 * Compiles one field of `$group`; strings compare as `strings` says.
 *
 * @throws CommandError 40234, 40237, 40238 for what is no accumulator, 15952 for an unknown one
 */
export function compileGroupField(
  name: string,
  spec: unknown,
  scope: Scope,
  strings: StringOrder | undefined,
): GroupField {
  if (name.includes('.')) throw location(40235, `The field name '${name}' cannot contain '.'`);
  if (!isDocument(spec)) throw location(40234, `The field '${name}' must be an accumulator object`);
  const entries: [string, unknown][] = Object.entries(spec);
  const [first] = entries;
  if (first === undefined || entries.length > 1)
    throw location(40238, `The field '${name}' must specify one accumulator`);
  const [operator, operand] = first;
  if (operator === '$count') return counting(name, operand);
  if (Object.hasOwn(SELECTING, operator)) return selecting(name, operator, operand, scope, strings);
  const create = Object.hasOwn(SIMPLE, operator) ? SIMPLE[operator] : undefined;
  if (create === undefined) throw location(15952, `unknown group operator '${operator}'`);
  if (Array.isArray(operand) && operator !== '$push' && operator !== '$addToSet') {
    throw location(40237, `The ${operator} accumulator is a unary operator`);
  }
  const expression = compileExpression(operand, scope);
  return {
    name,
    start: () => {
      const accumulator = create(strings);
      return { feed: (environment) => accumulator.add(expression(environment)), result: accumulator.result };
    },
  };
}

function counting(name: string, operand: unknown): GroupField {
  if (!isDocument(operand) || Object.keys(operand).length > 0) {
    throw typeMismatch('$count takes no arguments, i.e. $count:{}');
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

function selecting(
  name: string,
  operator: string,
  operand: unknown,
  scope: Scope,
  strings: StringOrder | undefined,
): GroupField {
  const selection = SELECTING[operator] ?? { take: 'first', by: 'arrival', many: true };
  const { take, by, many } = selection;
  const sortBy: unknown = isDocument(operand) ? operand['sortBy'] : undefined;
  if (by === 'sortBy' && !isDocument(sortBy)) throw location(5788002, `Missing value for 'sortBy'`);
  const order = isDocument(sortBy) && by === 'sortBy' ? compileSort(sortBy, strings) : undefined;
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
          if (by === 'value') rows.sort((a, b) => compareValues(a.value, b.value, strings));
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
