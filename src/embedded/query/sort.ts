import type { Document } from 'bson';
import { badValue, location } from '../errors.ts';
import { compareValues, type StringOrder } from '../values/compare.ts';
import { toInteger } from '../values/numbers.ts';
import { getField, isDocument } from '../values/types.ts';
import { arrayIndex } from './path.ts';

export interface SortKey {
  readonly path: string;
  readonly direction: 1 | -1;
}

/**
 * The keys of a sort specification, in order.
 *
 * @throws CommandError 2 BadValue for a direction that is neither 1 nor -1, 15974..15976, 40352 for bad paths
 */
export function sortKeys(spec: Document): SortKey[] {
  return Object.entries(spec).map(([path, direction]: [string, unknown]) => {
    if (path === '') throw location(40352, 'FieldPath cannot be constructed with empty string');
    if (path.startsWith('$'))
      throw location(16410, `FieldPath field names may not start with '$'. Consider using $getField or $setField.`);
    if (path.split('.').includes('')) throw location(15998, 'FieldPath field names may not be empty strings.');
    if (isDocument(direction)) throw badValue('This server sorts by no metadata ($meta): it has no text index');
    const number = toInteger(direction);
    if (number !== 1 && number !== -1) {
      throw location(15975, '$sort key ordering must be 1 (for ascending) or -1 (for descending)');
    }
    return { path, direction: number };
  });
}

/**
 * Compiles a sort specification to an order of documents. An array counts as its smallest element when ascending and
 * its largest when descending; an empty array is smaller than null; an absent field equals null.
 *
 * @throws CommandError as sortKeys
 */
export function compileSort(spec: Document, strings?: StringOrder): (a: Document, b: Document) => number {
  const keys = sortKeys(spec).map(({ path, direction }) => ({ key: sortValue(path, direction, strings), direction }));
  return (a, b) => {
    for (const { key, direction } of keys) {
      const difference = compareSortValues(key(a), key(b), strings);
      if (difference !== 0) return difference * direction;
    }
    return 0;
  };
}

/** The values that something is sorted by. */
export interface SortValues {
  readonly values: readonly unknown[];
}

/** A document with the values that it is sorted by. */
export interface SortRow extends SortValues {
  readonly document: Document;
}

/** Reads the sort keys once per document, not once per comparison. @throws CommandError as sortKeys */
export function sortReader(
  spec: Document,
  strings?: StringOrder,
): { readonly read: (document: Document) => SortRow; readonly compare: (a: SortValues, b: SortValues) => number } {
  const keys = sortKeys(spec);
  const readers = keys.map(({ path, direction }) => sortValue(path, direction, strings));
  return {
    read: (document) => ({ document, values: readers.map((reader) => reader(document)) }),
    compare: (a, b) => {
      for (let index = 0; index < keys.length; index++) {
        const difference = compareSortValues(a.values[index], b.values[index], strings);
        if (difference !== 0) return difference * (keys[index]?.direction ?? 1);
      }
      return 0;
    },
  };
}

/** Sorts in one piece. @returns a new array; equal documents keep their order */
export function sortDocuments(documents: readonly Document[], spec: Document, strings?: StringOrder): Document[] {
  const { read, compare } = sortReader(spec, strings);
  return documents
    .map(read)
    .sort(compare)
    .map((row) => row.document);
}

/** Stands for an empty array at the end of a sort path: below null, above MinKey, as undefined in an index key. */
const EMPTY_ARRAY: unique symbol = Symbol('empty array');

function compareSortValues(a: unknown, b: unknown, strings: StringOrder | undefined): number {
  if (a === EMPTY_ARRAY || b === EMPTY_ARRAY) {
    if (a === b) return 0;
    const other = a === EMPTY_ARRAY ? b : a;
    const aboveMinKey = compareValues(other, null) < 0 ? 1 : -1;
    return a === EMPTY_ARRAY ? aboveMinKey : -aboveMinKey;
  }
  return compareValues(a, b, strings);
}

function sortValue(path: string, direction: 1 | -1, strings: StringOrder | undefined): (document: Document) => unknown {
  const components = path.split('.');
  const [only] = components;
  const choose = (candidates: readonly unknown[]): unknown =>
    candidates.reduce((best, value) => (compareSortValues(value, best, strings) * direction < 0 ? value : best));
  return (document) => {
    if (components.length === 1 && only !== undefined) {
      const value = getField(document, only);
      if (!Array.isArray(value)) return value ?? null;
    }
    const candidates = pathValues(document, components, 0);
    return candidates.length === 0 ? null : choose(candidates);
  };
}

/**
 * The values that a dotted path reaches, arrays at the end replaced by their elements (EMPTY_ARRAY when there are
 * none): the values by which a multikey index holds a document.
 */
export function pathValues(node: unknown, components: readonly string[], at: number): unknown[] {
  const component = components[at];
  if (component === undefined) {
    if (!Array.isArray(node)) return [node ?? null];
    return node.length === 0 ? [EMPTY_ARRAY] : node;
  }
  if (isDocument(node)) return pathValues(getField(node, component), components, at + 1);
  if (!Array.isArray(node)) return [null];
  const index = arrayIndex(component);
  if (index !== undefined && !node.some((element) => isDocument(element) && Object.hasOwn(element, component))) {
    return pathValues(node[index], components, at + 1);
  }
  const reached = node.flatMap((element: unknown) =>
    isDocument(element) ? pathValues(element, components, at) : [null],
  );
  return reached.length === 0 ? [null] : reached;
}
