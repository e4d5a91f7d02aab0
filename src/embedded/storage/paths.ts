import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { getField, isDocument } from '../values/types.ts';

export interface PathValues {
  /** What an index on that path holds for the document: one value, or one for each element of an array. */
  readonly values: readonly unknown[];
  /** The path went through an array. */
  readonly multikey: boolean;
}

const MISSING: PathValues = { values: [undefined], multikey: false };

/** The values at a dotted path, as an index sees them: arrays count by their elements. */
export function valuesAtPath(document: Document, path: string): PathValues {
  const dot = path.indexOf('.');
  if (dot < 0) {
    const value = getField(document, path);
    return Array.isArray(value) ? { values: elements(value), multikey: true } : { values: [value], multikey: false };
  }
  return walk(document, path.split('.'), 0);
}

/** An empty array is indexed as undefined, which ranks with null. */
function elements(array: readonly unknown[]): readonly unknown[] {
  return array.length === 0 ? [undefined] : array;
}

function walk(value: unknown, parts: readonly string[], at: number): PathValues {
  const part = parts[at];
  if (part === undefined) {
    return Array.isArray(value) ? { values: elements(value), multikey: true } : { values: [value], multikey: false };
  }
  if (Array.isArray(value)) {
    const index = /^\d+$/.test(part) ? Number(part) : -1;
    if (index >= 0 && index < value.length && !value.some((item) => isDocument(item))) {
      return { ...walk(value[index], parts, at + 1), multikey: true };
    }
    const values = value.flatMap((item: unknown) => (isDocument(item) ? walk(item, parts, at).values : [undefined]));
    return { values: elements(values), multikey: true };
  }
  return isDocument(value) ? walk(getField(value, part), parts, at + 1) : MISSING;
}

/** Every combination of values that a compound index holds for a document. @throws CommandError 171 for two arrays. */
export function keyCombinations(
  document: Document,
  paths: readonly string[],
): { readonly keys: readonly (readonly unknown[])[]; readonly multikey: boolean } {
  const perPath = paths.map((path) => valuesAtPath(document, path));
  const arrays = perPath.filter((one) => one.multikey).length;
  if (arrays > 1 && new Set(paths.filter((_, i) => perPath[i]?.multikey).map((p) => p.split('.')[0])).size > 1) {
    throw new CommandError(CODES.CannotIndexParallelArrays, `cannot index parallel arrays [${paths.join('] [')}]`);
  }
  let keys: unknown[][] = [[]];
  for (const { values } of perPath) {
    keys =
      values.length === 1
        ? keys.map((key) => [...key, values[0]])
        : keys.flatMap((key) => values.map((v) => [...key, v]));
  }
  return { keys, multikey: arrays > 0 };
}
