import { location } from '../errors.ts';
import { compareValues, valueKey } from '../values/compare.ts';
import { spend } from '../values/effort.ts';
import { typeName } from '../values/types.ts';
import { isTrue, type OperatorCompiler } from './expression.ts';
import { binary, isNullish, unary, variadic } from './expression-arguments.ts';

/** @throws CommandError with `code` for what is no array */
export function requireArray(value: unknown, code: number, message: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw location(code, `${message}, but is of type: ${typeName(value)}`);
}

function distinct(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [valueKey(value), value])).values()];
}

function setsOf(values: readonly unknown[], name: string, code: number): unknown[][] | null {
  if (values.some(isNullish)) return null;
  return values.map((value) => requireArray(value, code, `All operands of ${name} must be arrays`));
}

function keySet(values: readonly unknown[]): Set<string> {
  return new Set(values.map(valueKey));
}

/** Sets without order, whatever MongoDB leaves open: results are sorted, so that they are the same every time. */
const sorted = (values: unknown[]): unknown[] =>
  distinct(values).sort((a, b) => {
    spend();
    return compareValues(a, b);
  });

/** Arrays taken as sets. */
export const SET_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $setUnion: variadic((values, name) => {
    const sets = setsOf(values, name, 17043);
    return sets === null ? null : sorted(sets.flat());
  }),
  $setIntersection: variadic((values, name) => {
    const sets = setsOf(values, name, 17047);
    if (sets === null) return null;
    const [first = [], ...others] = sets;
    const keys = others.map(keySet);
    return sorted(first.filter((item) => keys.every((set) => set.has(valueKey(item)))));
  }),
  $setDifference: binary((a, b, name) => {
    const sets = setsOf([a, b], name, 17048);
    if (sets === null) return null;
    const [first = [], second = []] = sets;
    const excluded = keySet(second);
    return distinct(first.filter((item) => !excluded.has(valueKey(item))));
  }),
  $setEquals: variadic((values, name) => {
    const sets = values.map((value) => keySet(requireArray(value, 17044, `All operands of ${name} must be arrays`)));
    const [first = new Set<string>()] = sets;
    return sets.every((set) => set.size === first.size && [...set].every((key) => first.has(key)));
  }, 2),
  $setIsSubset: binary((a, b, name) => {
    const outer = keySet(requireArray(b, 17042, `both operands of ${name} must be arrays`));
    return requireArray(a, 17046, `both operands of ${name} must be arrays`).every((item) => outer.has(valueKey(item)));
  }),
  $anyElementTrue: unary((value, name) =>
    requireArray(value, 17041, `${name}'s argument must be an array`).some(isTrue),
  ),
  $allElementsTrue: unary((value, name) =>
    requireArray(value, 17040, `${name}'s argument must be an array`).every(isTrue),
  ),
};
