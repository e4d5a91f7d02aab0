import { Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location } from '../errors.ts';
import { compareValues, valuesEqual } from '../values/compare.ts';
import { MAX_HELD_BYTES, spend } from '../values/effort.ts';
import { numericKind, toInteger } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import { bind, compileExpression, isTrue, type OperatorCompiler } from './expression.ts';
import { binary, compileNamed, isNullish, missing, named, unary, variadic } from './expression-arguments.ts';
import { requireArray } from './expression-sets.ts';
import { sortDocuments } from './sort.ts';

/** Of an array that an expression makes: more do not fit into a document, at seven bytes for the least of them. */
const MAX_ELEMENTS = 2_400_000;

/** Elements that are copied in the time of one step. */
const COPIED_PER_STEP = 32;

function checkLength(name: string, length: number): void {
  if (length > MAX_ELEMENTS) {
    throw new CommandError(
      CODES.ExceededMemoryLimit,
      `${name} would use too much memory and cannot spill to disk. Memory limit: ${MAX_HELD_BYTES} bytes`,
    );
  }
}

function requireInteger(value: unknown, code: number, message: string): number {
  const number = toInteger(value);
  if (number === undefined || Math.abs(number) > 0x7fffffff) throw location(code, message);
  return number;
}

/** `$map` and `$filter` have one shape: an array, the name of the element, a body. */
function perElement(
  code: number,
  body: string,
  optional: readonly string[],
  apply: (items: unknown[], evaluateBody: (item: unknown) => unknown, limit: unknown) => unknown,
): OperatorCompiler {
  return (operand, scope, name) => {
    if (!isDocument(operand)) throw location(code, `${name} only supports an object as its argument`);
    for (const key of Object.keys(operand)) {
      if (!['input', 'as', body, ...optional].includes(key))
        throw location(code, `Unrecognized parameter to ${name}: ${key}`);
    }
    for (const key of ['input', body]) {
      if (!Object.hasOwn(operand, key)) throw location(code, `Missing '${key}' parameter to ${name}`);
    }
    const variable: unknown = operand['as'] ?? 'this';
    const input = compileExpression(operand['input'], scope);
    const limit = compileExpression(operand['limit'], scope);
    const bound = bind(scope, [String(variable)]);
    const [slot = 0] = bound.slots;
    const evaluated = compileExpression(operand[body], bound.scope);
    return (environment) => {
      const items = input(environment);
      if (isNullish(items)) return null;
      const list = requireArray(items, code, `input to ${name} must be an array`);
      const evaluateBody = (item: unknown): unknown => {
        spend();
        environment.slots[slot] = item;
        return evaluated(environment);
      };
      return apply(list, evaluateBody, limit(environment));
    };
  };
}

const reduce: OperatorCompiler = (operand, scope, name) => {
  if (!isDocument(operand)) throw location(40075, '$reduce requires an object as an argument');
  const { in: body, ...rest } = operand;
  const parts = compileNamed(rest, scope, name, 40076, ['input', 'initialValue']);
  if (body === undefined) throw location(40079, "$reduce requires 'in' to be specified");
  const bound = bind(scope, ['this', 'value']);
  const [current = 0, accumulated = 0] = bound.slots;
  const combine = compileExpression(body, bound.scope);
  const { input = missing, initialValue = missing } = parts;
  return (environment) => {
    const items = input(environment);
    if (isNullish(items)) return null;
    let value = initialValue(environment);
    for (const item of requireArray(items, 40080, "$reduce requires that 'input' be an array")) {
      spend();
      environment.slots[current] = item;
      environment.slots[accumulated] = value;
      value = combine(environment);
    }
    return value;
  };
};

function elementAt(array: unknown, index: unknown): unknown {
  if (isNullish(array) || isNullish(index)) return null;
  const list = requireArray(array, 28689, "$arrayElemAt's first argument must be an array");
  if (numericKind(index) === undefined)
    throw location(28690, `$arrayElemAt's second argument must be a numeric value, but is ${typeName(index)}`);
  return list.at(
    requireInteger(index, 28691, "$arrayElemAt's second argument must be representable as a 32-bit integer"),
  );
}

function slice([array, first, second]: readonly unknown[]): unknown {
  if (isNullish(array) || isNullish(first)) return null;
  const list = requireArray(array, 28724, 'First argument to $slice must be an array');
  const start = requireInteger(first, 28726, "Second argument to $slice can't be represented as a 32-bit integer");
  if (second === undefined) return start < 0 ? list.slice(start) : list.slice(0, start);
  if (second === null) return null;
  const count = requireInteger(second, 28727, "Third argument to $slice can't be represented as a 32-bit integer");
  if (count <= 0) throw location(28729, 'Third argument to $slice must be positive');
  const from = start < 0 ? Math.max(0, list.length + start) : start;
  return list.slice(from, from + count);
}

function range([start, end, step = new Int32(1)]: readonly unknown[]): unknown {
  const from = requireInteger(
    start,
    34443,
    '$range requires a numeric starting value representable as a 32-bit integer',
  );
  const to = requireInteger(end, 34445, '$range requires a numeric ending value representable as a 32-bit integer');
  const by = requireInteger(step, 34447, '$range requires a numeric step value representable as a 32-bit integer');
  if (by === 0) throw location(34449, '$range requires a non-zero step value');
  checkLength('$range', Math.max(0, (to - from) / by));
  const values: Int32[] = [];
  for (let value = from; by > 0 ? value < to : value > to; value += by) {
    spend();
    values.push(new Int32(value));
  }
  return values;
}

function indexOf([array, wanted, start, end]: readonly unknown[]): unknown {
  if (isNullish(array)) return null;
  const list = requireArray(array, 40090, '$indexOfArray requires an array as a first argument');
  const from =
    start === undefined ? 0 : requireInteger(start, 40096, '$indexOfArray requires an integral starting index');
  const to =
    end === undefined ? list.length : requireInteger(end, 40096, '$indexOfArray requires an integral ending index');
  if (from < 0 || to < 0) throw location(40097, '$indexOfArray requires a nonnegative index');
  for (let index = from; index < Math.min(to, list.length); index++) {
    spend();
    if (valuesEqual(list[index], wanted)) return new Int32(index);
  }
  return new Int32(-1);
}

function zip({ inputs, useLongestLength, defaults }: Readonly<Record<string, unknown>>): unknown {
  if (isNullish(inputs)) return null;
  const lists = requireArray(inputs, 34461, 'inputs must be an array of expressions');
  if (lists.length === 0) throw location(34465, '$zip requires at least one input array');
  if (lists.some(isNullish)) return null;
  const columns = lists.map((list) => requireArray(list, 34468, '$zip found a non-array expression in input'));
  const longest = useLongestLength === true;
  const fill = isNullish(defaults) ? [] : requireArray(defaults, 34462, 'defaults must be an array of expressions');
  if (fill.length > 0 && !longest) throw location(34466, 'cannot specify defaults unless useLongestLength is true');
  const lengths = columns.map((column) => column.length);
  const rows = longest ? lengths.reduce((a, b) => Math.max(a, b), 0) : lengths.reduce((a, b) => Math.min(a, b));
  return Array.from({ length: rows }, (_, row) => {
    spend(columns.length);
    return columns.map((column, at) => (row < column.length ? column[row] : (fill[at] ?? null)));
  });
}

function ends(name: string, take: 'first' | 'last'): OperatorCompiler {
  return unary((value) => {
    if (isNullish(value)) return null;
    return requireArray(value, 28689, `${name}'s argument must be an array`).at(take === 'first' ? 0 : -1);
  });
}

function several(choose: (list: unknown[], count: number) => unknown[]): OperatorCompiler {
  return named(5787801, ['n', 'input'], [], ({ n, input }, name) => {
    if (isNullish(input)) return null;
    const count = requireInteger(n, 5787902, `'n' of ${name} must be an integer`);
    if (count <= 0) throw location(5787908, `'n' of ${name} must be greater than 0`);
    return choose(requireArray(input, 5788200, `input to ${name} must be an array`), count);
  });
}

/** Compares and counts as a step, so that no array is too long to be sorted in one piece unnoticed. */
function inOrder(a: unknown, b: unknown): number {
  spend();
  return compareValues(a, b);
}

const present = (list: readonly unknown[]): unknown[] => list.filter((item) => !isNullish(item)).sort(inOrder);

const sortArray: OperatorCompiler = (operand, scope, name) => {
  const sortBy: unknown = isDocument(operand) ? operand['sortBy'] : undefined;
  const input =
    compileNamed(isDocument(operand) ? { input: operand['input'] } : operand, scope, name, 2942500, ['input'])[
      'input'
    ] ?? missing;
  const direction = toInteger(sortBy);
  if (!isDocument(sortBy) && direction !== 1 && direction !== -1)
    throw location(2942507, 'The $sort element value must be either 1 or -1');
  return (environment) => {
    const value = input(environment);
    if (isNullish(value)) return null;
    const list = requireArray(value, 2942504, 'The input argument to $sortArray must be an array');
    if (isDocument(sortBy)) return sortDocuments(list.filter(isDocument), sortBy);
    return [...list].sort((a, b) => inOrder(a, b) * (direction ?? 1));
  };
};

/** Arrays. */
export const ARRAY_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $map: perElement(16883, 'in', [], (items, body) => items.map((item) => body(item) ?? null)),
  $filter: perElement(28646, 'cond', ['limit'], (items, body, limit) => {
    const kept = items.filter((item) => isTrue(body(item)));
    return isNullish(limit)
      ? kept
      : kept.slice(0, requireInteger(limit, 327391, "'limit' of $filter must be a positive integer"));
  }),
  $reduce: reduce,
  $arrayElemAt: binary(elementAt),
  $first: ends('$first', 'first'),
  $last: ends('$last', 'last'),
  $slice: variadic(slice, 2, 3),
  $size: unary((value) => {
    if (Array.isArray(value)) return new Int32(value.length);
    throw location(17124, `The argument to $size must be an array, but was of type: ${typeName(value)}`);
  }),
  $in: binary((value, array) => {
    const list = requireArray(array, 40081, '$in requires an array as a second argument');
    return list.some((item) => {
      spend();
      return valuesEqual(item, value);
    });
  }),
  $indexOfArray: variadic(indexOf, 2, 4),
  $isArray: unary((value) => Array.isArray(value)),
  $concatArrays: variadic((values) => {
    if (values.some(isNullish)) return null;
    const lists = values.map((value) => requireArray(value, 28664, '$concatArrays only supports arrays'));
    checkLength(
      '$concatArrays',
      lists.reduce((sum, list) => sum + list.length, 0),
    );
    const all: unknown[] = [];
    for (const list of lists) {
      spend(list.length / COPIED_PER_STEP);
      for (const item of list) all.push(item);
    }
    return all;
  }),
  $reverseArray: unary((value) => {
    return isNullish(value)
      ? null
      : [...requireArray(value, 34435, 'The argument to $reverseArray must be an array')].reverse();
  }),
  $range: variadic(range, 2, 3),
  $zip: named(34460, ['inputs'], ['useLongestLength', 'defaults'], zip),
  $sortArray: sortArray,
  $firstN: several((list, count) => list.slice(0, count)),
  $lastN: several((list, count) => list.slice(-count)),
  $minN: several((list, count) => present(list).slice(0, count)),
  $maxN: several((list, count) => present(list).slice(-count).reverse()),
};
