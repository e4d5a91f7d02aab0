import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { spend } from '../values/effort.ts';
import { getField, isDocument } from '../values/types.ts';

export interface IndexedKeys {
  /** Each key holds one value for each path. */
  readonly keys: readonly (readonly unknown[])[];
  /** A path went through an array. */
  readonly multikey: boolean;
}

/** How far one path was followed. */
interface Place {
  readonly value: unknown;
  readonly parts: Path;
  /** The part to look for in `value`; beyond all parts once the value is what the index holds. */
  readonly at: number;
  /** An array here counts by its elements. */
  readonly expands: boolean;
}

/** Follows a path as far as documents lead; it stops at an array, or at its value. */
function follow({ value, parts, at, expands }: Place): Place {
  let here = value;
  let next = at;
  for (let part = parts[next]; part !== undefined; part = parts[next]) {
    if (Array.isArray(here)) {
      const index = /^\d+$/.test(part) ? Number(part) : -1;
      if (index < 0 || index >= here.length || here.some(isDocument)) return { value: here, parts, at: next, expands };
      here = here[index];
    } else if (isDocument(here)) here = getField(here, part);
    else return { value: undefined, parts, at: parts.length, expands: false };
    next += 1;
  }
  return { value: here, parts, at: next, expands };
}

/** The place of a path in one element of the array that it stopped at. */
function into(element: unknown, { parts, at }: Place): Place {
  if (at >= parts.length) return { value: element, parts, at, expands: false };
  return { value: isDocument(element) ? element : undefined, parts, at, expands: true };
}

/** An empty array is indexed as undefined, which ranks with null. */
const elementsOf = (array: readonly unknown[]): readonly unknown[] => (array.length === 0 ? [undefined] : array);

/** The values where no path meets an array, as in nearly all documents; undefined where one does. */
function plainValues(document: Document, paths: readonly Path[]): unknown[] | undefined {
  const values: unknown[] = [];
  for (const parts of paths) {
    let value: unknown = document;
    for (const part of parts) {
      if (Array.isArray(value)) return undefined;
      value = isDocument(value) ? getField(value, part) : undefined;
    }
    if (Array.isArray(value)) return undefined;
    values.push(value);
  }
  return values;
}

/** The names on the way to a value. */
export type Path = readonly string[];

/**
 * What an index on these paths holds for a document: arrays count by their elements, and paths that go through the same
 * array take the same element of it.
 *
 * @throws CommandError 171 CannotIndexParallelArrays for two arrays side by side
 */
export function keysAtPaths(document: Document, paths: readonly Path[]): IndexedKeys {
  const plain = plainValues(document, paths);
  if (plain !== undefined) return { keys: [plain], multikey: false };
  const keys: unknown[][] = [];
  let multikey = false;
  const expand = (places: readonly Place[]): void => {
    spend();
    const followed = places.map(follow);
    const arrays = followed.filter(({ value, expands }) => expands && Array.isArray(value));
    const [first] = arrays;
    if (first === undefined || !Array.isArray(first.value)) {
      keys.push(followed.map(({ value }) => value));
      return;
    }
    const other = arrays.find(({ value }) => value !== first.value);
    if (other !== undefined) {
      const names = [other, first].map(({ parts, at }) => `[${parts[at - 1]}]`);
      throw new CommandError(CODES.CannotIndexParallelArrays, `cannot index parallel arrays ${names.join(' ')}`);
    }
    multikey = true;
    for (const element of elementsOf(first.value)) {
      expand(followed.map((place) => (arrays.includes(place) ? into(element, place) : place)));
    }
  };
  expand(paths.map((parts) => ({ value: document, parts, at: 0, expands: true })));
  return { keys, multikey };
}

/** What an index on one path holds for a document. */
export const valuesAtPath = (document: Document, path: string): readonly unknown[] =>
  keysAtPaths(document, [path.split('.')]).keys.map(([value]) => value);
