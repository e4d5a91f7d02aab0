import type { Document } from 'bson';
import { getField, isDocument } from '../values/types.ts';

/** Filled while a filter matches: which array element the positional operator `$` stands for. */
export interface MatchDetails {
  index: number | undefined;
}

/** What a predicate asks of one value; undefined is an absent field. */
export type ValueTest = (value: unknown, details?: MatchDetails) => boolean;

export interface Leaf {
  readonly test: ValueTest;
  /** Whether an array at the end of the path matches through any of its elements, and not only as a whole. */
  readonly throughArray: boolean;
}

export type DocumentTest = (document: Document, details?: MatchDetails) => boolean;

/** The index that a path component names ("0", "17"), or undefined. */
export function arrayIndex(component: string): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(component) ? Number(component) : undefined;
}

/**
 * A test of a dotted path with MongoDB's array semantics: arrays on the way match when any embedded document does, or
 * the element that a numeric component names; an array at the end as the leaf says.
 */
export function testPath(path: string, leaf: Leaf): DocumentTest {
  const components = path.split('.');
  const [only] = components;
  if (components.length === 1 && only !== undefined) {
    return (document, details) => testLeaf(getField(document, only), leaf, details);
  }
  return (document, details) => descend(document, components, 0, leaf, details);
}

function testLeaf(value: unknown, leaf: Leaf, details: MatchDetails | undefined): boolean {
  if (!Array.isArray(value) || !leaf.throughArray) return leaf.test(value, details);
  for (let index = 0; index < value.length; index++) {
    if (leaf.test(value[index])) {
      if (details !== undefined) details.index = index;
      return true;
    }
  }
  return leaf.test(value);
}

function descend(
  node: Document | readonly unknown[],
  components: readonly string[],
  at: number,
  leaf: Leaf,
  details: MatchDetails | undefined,
): boolean {
  const value = childOf(node, components[at] ?? '');
  if (at === components.length - 1) return testLeaf(value, leaf, details);
  if (isDocument(value)) return descend(value, components, at + 1, leaf, details);
  if (Array.isArray(value)) return descendArray(value, components, at + 1, leaf, details);
  return leaf.test(undefined);
}

function childOf(node: Document | readonly unknown[], component: string): unknown {
  if (isDocument(node)) return getField(node, component);
  const index = arrayIndex(component);
  return index === undefined || !Array.isArray(node) ? undefined : node[index];
}

function descendArray(
  array: readonly unknown[],
  components: readonly string[],
  at: number,
  leaf: Leaf,
  details: MatchDetails | undefined,
): boolean {
  const named = arrayIndex(components[at] ?? '');
  for (let index = 0; index < array.length; index++) {
    const element = array[index];
    const matches =
      (isDocument(element) && descend(element, components, at, leaf, details)) ||
      (index === named && testNamed(element, components, at, leaf, details));
    if (matches) {
      // With nested arrays the outermost index is the one that `$` stands for.
      if (details !== undefined) details.index = index;
      return true;
    }
  }
  return false;
}

/** An element that the path names by its index: at the end it is taken as it is, without looking into it. */
function testNamed(
  element: unknown,
  components: readonly string[],
  at: number,
  leaf: Leaf,
  details: MatchDetails | undefined,
): boolean {
  if (at === components.length - 1) return leaf.test(element, details);
  if (isDocument(element) || Array.isArray(element)) return descend(element, components, at + 1, leaf, details);
  return false;
}
