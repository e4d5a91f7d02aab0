import type { Document } from 'bson';
import { encode } from '../values/bson.ts';
import { valuesIdentical } from '../values/compare.ts';
import { isDocument, setField } from '../values/types.ts';

export interface Difference {
  readonly updatedFields: Document;
  readonly removedFields: string[];
  readonly truncatedArrays: { readonly field: string; readonly newSize: number }[];
}

/**
 * What changed between two documents, as servers since 5.0 log a pipeline update: documents are compared field by
 * field, arrays element by element, and a shortened array is truncated.
 *
 * @returns undefined when the difference would be no smaller than the new document, which is then logged instead
 */
export function describeDifference(before: Document, after: Document): Difference | undefined {
  const difference: Difference = { updatedFields: {}, removedFields: [], truncatedArrays: [] };
  compareFields(before, after, '', difference);
  return logged(difference).length <= encode(after).length ? difference : undefined;
}

/** About what the server's oplog entry of a difference holds; dotted paths stand for its nested documents. */
function logged({ updatedFields, removedFields }: Difference): Uint8Array {
  const entry: Document = {};
  if (Object.keys(updatedFields).length > 0) entry['u'] = updatedFields;
  if (removedFields.length > 0) entry['d'] = Object.fromEntries(removedFields.map((path) => [path, false]));
  return encode(entry);
}

/** Fields are told by name and order: one that moved is removed and set again. */
function compareFields(before: Document, after: Document, prefix: string, difference: Difference): void {
  const remaining = Object.keys(before);
  for (const name of Object.keys(after)) {
    const path = prefix + name;
    const at = remaining.indexOf(name);
    if (at < 0) {
      setField(difference.updatedFields, path, after[name]);
      continue;
    }
    // What stood before it in the old document and is still to come in the new one has moved behind it.
    const skipped = remaining.splice(0, at + 1).slice(0, -1);
    for (const gone of skipped) if (!Object.hasOwn(after, gone)) difference.removedFields.push(prefix + gone);
    compareMember(before[name], after[name], path, difference);
  }
  for (const gone of remaining) if (!Object.hasOwn(after, gone)) difference.removedFields.push(prefix + gone);
}

function compareMember(before: unknown, after: unknown, path: string, difference: Difference): void {
  if (valuesIdentical(before, after)) return;
  if (isDocument(before) && isDocument(after)) compareFields(before, after, `${path}.`, difference);
  else if (Array.isArray(before) && Array.isArray(after)) compareElements(before, after, path, difference);
  else setField(difference.updatedFields, path, after);
}

function compareElements(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
  difference: Difference,
): void {
  for (const [index, element] of after.entries()) {
    if (index < before.length) compareMember(before[index], element, `${path}.${index}`, difference);
    else setField(difference.updatedFields, `${path}.${index}`, element);
  }
  if (after.length < before.length) difference.truncatedArrays.push({ field: path, newSize: after.length });
}
