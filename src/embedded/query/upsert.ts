import { type Document, ObjectId } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { copyValue, getField, isDocument, setField } from '../values/types.ts';
import { isOperatorDocument } from './filter.ts';
import { isRegex } from './predicates.ts';
import { compileUpdate, isOperatorUpdate, type UpdateOptions } from './update.ts';
import { checkId } from './update-paths.ts';

/**
 * The document that an upsert inserts when nothing matched: the equality conditions of the filter, the update applied
 * over them, and an `_id`, made here if neither gives one, in first place.
 *
 * @throws CommandError 54 NotSingleValueField, 53 InvalidIdField, and what the update throws
 */
export function upsertDocument(
  filter: Document,
  update: Document | readonly Document[],
  options: UpdateOptions = {},
): Document {
  const isReplacement = !Array.isArray(update) && isDocument(update) && !isOperatorUpdate(update);
  const seed = equalitySeed(filter, isReplacement);
  const updated = compileUpdate(update, { ...options, isInsert: true })(seed)?.doc ?? seed;
  const given = getField(updated, '_id');
  const id: unknown = given === undefined ? new ObjectId() : given;
  checkId(id);
  const document: Document = { _id: id };
  for (const [key, value] of Object.entries(updated)) if (key !== '_id') setField(document, key, value);
  return document;
}

/** For a replacement only `_id` is taken from the filter. */
function equalitySeed(filter: Document, onlyId: boolean): Document {
  const seed: Document = {};
  const found = new Map<string, unknown>();
  collectEqualities(filter, found);
  for (const [path, value] of found) {
    if (onlyId && path !== '_id' && !path.startsWith('_id.')) continue;
    place(seed, path.split('.'), value, path);
  }
  return seed;
}

function collectEqualities(filter: Document, found: Map<string, unknown>): void {
  for (const [path, operand] of Object.entries(filter) as [string, unknown][]) {
    if (path === '$and' || path === '$or') {
      const branches = Array.isArray(operand) ? operand.filter(isDocument) : [];
      if (path === '$and' || branches.length === 1) for (const branch of branches) collectEqualities(branch, found);
      continue;
    }
    if (path.startsWith('$') || isRegex(operand)) continue;
    for (const value of equalValues(operand)) {
      if (found.has(path)) throw twice(path);
      found.set(path, value);
    }
  }
}

function equalValues(operand: unknown): unknown[] {
  if (!isDocument(operand) || !isOperatorDocument(operand)) return [operand];
  if (Object.hasOwn(operand, '$eq')) return [operand['$eq']];
  const list: unknown = operand['$all'] ?? operand['$in'];
  return Array.isArray(list) && list.length === 1 && !isRegex(list[0]) && !isElementMatch(list[0]) ? list : [];
}

function isElementMatch(value: unknown): boolean {
  return isDocument(value) && isOperatorDocument(value);
}

function place(seed: Document, components: readonly string[], value: unknown, path: string): void {
  let node = seed;
  for (const component of components.slice(0, -1)) {
    const next = getField(node, component);
    if (next === undefined) {
      const created: Document = {};
      setField(node, component, created);
      node = created;
    } else if (isDocument(next)) {
      node = next;
    } else {
      throw twice(path);
    }
  }
  const last = components.at(-1) ?? path;
  if (getField(node, last) !== undefined) throw twice(path);
  setField(node, last, copyValue(value));
}

function twice(path: string): CommandError {
  return new CommandError(
    CODES.NotSingleValueField,
    `cannot infer query fields to set, path '${path}' is matched twice`,
  );
}
