import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError } from '../errors.ts';
import { compareStrings } from '../values/compare.ts';
import { copyValue, getField, isDocument, setField, typeName } from '../values/types.ts';
import { arrayIndex } from './path.ts';
import { type FieldModifier, inWords, type ModifierOutcome, REMOVED } from './update-modifiers.ts';

/** One modifier at one path, whose components may still be `$[]` or `$[identifier]`. */
export interface Modification {
  readonly components: readonly string[];
  readonly modifier: FieldModifier;
}

/** What an update has changed so far, as the change stream tells it (`updateDescription`). */
export interface Changes {
  readonly updatedFields: Document;
  readonly removedFields: string[];
  /** Whether to note and to check as servers since 5.0 do. */
  readonly modern: boolean;
}

export type ArrayFilters = ReadonlyMap<string, (element: unknown) => boolean>;

type Container = Document | unknown[];

/** How far past its end an array may be written to. */
const MAX_PADDING = 1_500_000;

/** Components in the order in which mongod applies an update: by field name at each level. */
export function compareComponents(a: readonly string[], b: readonly string[]): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = compareStrings(a[index] ?? '', b[index] ?? '');
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Splits an update path.
 *
 * @throws CommandError 56 EmptyFieldName, 52 DollarPrefixedFieldName, 2 BadValue
 */
export function updateComponents(path: string): string[] {
  if (path === '') throw new CommandError(CODES.EmptyFieldName, 'An empty update path is not valid.');
  const components = path.split('.');
  for (const [index, component] of components.entries()) {
    if (component === '') {
      throw new CommandError(
        CODES.EmptyFieldName,
        `The update path '${path}' contains an empty field name, which is not allowed.`,
      );
    }
    if (!component.startsWith('$') || ['$id', '$ref', '$db'].includes(component)) continue;
    if (component !== '$' && !/^\$\[\w*\]$/.test(component)) {
      throw new CommandError(
        CODES.DollarPrefixedFieldName,
        `The dollar ($) prefixed field '${component}' in '${path}' is not valid for storage.`,
      );
    }
    if (index === 0)
      throw badValue(`Cannot have positional (i.e. '${component}') element in the first position in path '${path}'`);
  }
  return components;
}

/**
 * Applies a modification to a document, in place, and notes what it changed.
 *
 * @throws CommandError 28 PathNotViable, 2 BadValue, 66 ImmutableField, or what the modifier throws
 */
export function applyModification(
  document: Document,
  { components, modifier }: Modification,
  filters: ArrayFilters,
  changes: Changes,
): void {
  const documentId = getField(document, '_id');
  const step = (container: Container, at: number, taken: readonly string[]): void => {
    const component = components[at] ?? '';
    const identifier = /^\$\[(\w*)\]$/.exec(component)?.[1];
    if (identifier !== undefined) {
      everyElement(container, at, taken, identifier);
      return;
    }
    const index = Array.isArray(container) ? arrayIndex(component) : undefined;
    if (Array.isArray(container) && index === undefined) {
      if (modifier.creates) throw notViable(component, taken.at(-1), container);
      return;
    }
    visit(container, index ?? component, at, [...taken, component]);
  };

  const everyElement = (container: Container, at: number, taken: readonly string[], identifier: string): void => {
    if (!Array.isArray(container)) {
      throw badValue(`Cannot apply array updates to non-array element ${taken.at(-1)}: ${inWords(container)}`);
    }
    const accepts = identifier === '' ? () => true : filters.get(identifier);
    for (const [index, element] of container.entries()) {
      if (accepts?.(element) === true) visit(container, index, at, [...taken, String(index)]);
    }
  };

  const visit = (container: Container, key: string | number, at: number, taken: readonly string[]): void => {
    const value = childOf(container, key);
    if (at === components.length - 1) {
      const path = taken.join('.');
      const outcome = modifier.apply(value, { path, documentId });
      if (outcome === undefined) return;
      keepId(taken, documentId);
      write(container, key, outcome, taken, value, changes);
      return;
    }
    if (isDocument(value) || Array.isArray(value)) {
      step(value, at + 1, taken);
      return;
    }
    const rest = components.slice(at + 1);
    if (rest.some((component) => component.startsWith('$['))) throw mustExist(taken, value);
    if (!modifier.creates) return;
    if (value !== undefined) throw notViable(components[at + 1], taken.at(-1), value);
    const path = [...taken, ...rest];
    const outcome = modifier.apply(undefined, { path: path.join('.'), documentId });
    if (outcome === undefined) return;
    keepId(path, documentId);
    if (!changes.modern) checkStorable(outcome.value, path.join('.'));
    const nested = rest.reduceRight<unknown>((inner, component) => singleField(component, inner), outcome.value);
    setChild(container, key, nested);
    if (changes.modern) note(taken, nested, changes);
    else note(path, outcome.value, changes);
  };

  step(document, 0, []);
}

function keepId(path: readonly string[], documentId: unknown): void {
  // A document without _id is one that an upsert is still building.
  if (path[0] !== '_id' || documentId === undefined) return;
  throw new CommandError(
    CODES.ImmutableField,
    `Performing an update on the path '${path.join('.')}' would modify the immutable field '_id'`,
  );
}

function mustExist(taken: readonly string[], value: unknown): CommandError {
  if (value === undefined) {
    return badValue(`The path '${taken.join('.')}' must exist in the document in order to apply array updates.`);
  }
  return badValue(`Cannot apply array updates to non-array element ${taken.at(-1)}: ${inWords(value)}`);
}

function notViable(component: string | undefined, parent: string | undefined, value: unknown): CommandError {
  return new CommandError(
    CODES.PathNotViable,
    `Cannot create field '${component}' in element {${parent}: ${inWords(value)}}`,
  );
}

function singleField(name: string, value: unknown): Document {
  const document: Document = {};
  setField(document, name, value);
  return document;
}

function childOf(container: Container, key: string | number): unknown {
  if (Array.isArray(container)) return typeof key === 'number' ? container[key] : undefined;
  return getField(container, String(key));
}

function setChild(container: Container, key: string | number, value: unknown): void {
  if (!Array.isArray(container)) {
    setField(container, String(key), value);
    return;
  }
  const index = Number(key);
  if (index - container.length > MAX_PADDING) throw badValue(`can't backfill more than ${MAX_PADDING} elements`);
  while (container.length < index) container.push(null);
  container[index] = value;
}

function write(
  container: Container,
  key: string | number,
  outcome: Exclude<ModifierOutcome, undefined>,
  taken: readonly string[],
  before: unknown,
  changes: Changes,
): void {
  const path = taken.join('.');
  const { value, appendedFrom } = outcome;
  if (value === REMOVED) {
    // An element cannot leave its array this way: it becomes null.
    if (Array.isArray(container)) container[Number(key)] = null;
    else delete container[key];
    if (!Array.isArray(container)) changes.removedFields.push(path);
    else if (changes.modern && before !== null) note(taken, null, changes);
    else if (before !== null) changes.removedFields.push(path);
    return;
  }
  if (!changes.modern) checkStorable(value, path);
  setChild(container, key, value);
  if (appendedFrom === undefined || !Array.isArray(value)) {
    note(taken, value, changes);
    return;
  }
  for (let index = appendedFrom; index < value.length; index++) note([...taken, String(index)], value[index], changes);
}

function note(path: readonly string[], value: unknown, changes: Changes): void {
  setField(changes.updatedFields, path.join('.'), copyValue(value));
}

/**
 * Refuses field names that start with `$` anywhere in a value, except a reference's.
 *
 * @throws CommandError 52 DollarPrefixedFieldName
 */
export function checkStorable(value: unknown, path: string): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkStorable(item, `${path}.${index}`);
  } else if (isDocument(value)) {
    for (const [name, item] of Object.entries(value) as [string, unknown][]) {
      const at = path === '' ? name : `${path}.${name}`;
      if (name.startsWith('$') && !(['$ref', '$id', '$db'].includes(name) && path !== '')) {
        throw new CommandError(
          CODES.DollarPrefixedFieldName,
          `The dollar ($) prefixed field '${name}' in '${at}' is not valid for storage.`,
        );
      }
      checkStorable(item, at);
    }
  }
}

/**
 * Refuses what cannot be an `_id`.
 *
 * @throws CommandError 53 InvalidIdField
 */
export function checkId(id: unknown): void {
  if (Array.isArray(id) || typeName(id) === 'regex') {
    throw new CommandError(CODES.InvalidIdField, `The '_id' value cannot be of type ${typeName(id)}`);
  }
}
