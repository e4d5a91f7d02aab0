import type { Document } from 'bson';
import { isDocument, RANK, rankOf } from '../values/types.ts';
import { isOperatorDocument } from './filter.ts';
import { isRegex } from './predicates.ts';

/** What an index on one field may be asked for; each bound is a BSON value and holds within its own type rank. */
export interface IndexBounds {
  readonly eq?: readonly unknown[];
  readonly gt?: unknown;
  readonly gte?: unknown;
  readonly lt?: unknown;
  readonly lte?: unknown;
}

/**
 * The values that a field must have for a document to match, read from a filter's equality, `$in` and ranges, also
 * within `$and`. Every matching document has an index entry within the bounds (arrays have one entry per element);
 * not every document there matches, so the filter is still to be applied.
 *
 * `eq` may contain null, which an absent field equals too. Two ranges over an array field may be met by different
 * elements, so only bounds of one side are given when the index is multikey.
 *
 * @returns null when the filter does not narrow the field
 */
export function indexBounds(filter: Document, field: string, multikey = false): IndexBounds | null {
  let bounds: IndexBounds | null = null;
  for (const operand of operandsOf(filter, field)) {
    const found = boundsOf(operand, multikey);
    if (found?.eq !== undefined) return found;
    bounds = found === null || (multikey && bounds !== null) ? bounds : { ...(bounds ?? {}), ...found };
  }
  return bounds;
}

function operandsOf(filter: Document, field: string): unknown[] {
  const operands: unknown[] = Object.hasOwn(filter, field) ? [filter[field]] : [];
  const branches: unknown = filter['$and'];
  if (Array.isArray(branches)) for (const branch of branches) operands.push(...operandsOf(branch, field));
  return operands;
}

function boundsOf(operand: unknown, multikey: boolean): IndexBounds | null {
  if (isRegex(operand)) return null;
  if (!isDocument(operand) || !isOperatorDocument(operand)) return equality([operand]);
  const operators: Document = operand;
  if (Object.hasOwn(operators, '$eq')) return equality([operators['$eq']]);
  const list: unknown = operators['$in'];
  if (Array.isArray(list)) return list.some(isRegex) ? null : equality(list);
  const range: { gt?: unknown; gte?: unknown; lt?: unknown; lte?: unknown } = {};
  for (const name of ['gt', 'gte', 'lt', 'lte'] as const) {
    const bound: unknown = operators[`$${name}`];
    // Null, arrays and the two extremes compare across types or as a whole: no range of single values.
    if (bound === undefined || !RANGED.has(rankOf(bound))) continue;
    range[name] = bound;
    if (multikey) break;
  }
  return Object.keys(range).length === 0 ? null : range;
}

const RANGED: ReadonlySet<number> = new Set([
  RANK.number,
  RANK.string,
  RANK.binData,
  RANK.objectId,
  RANK.bool,
  RANK.date,
  RANK.timestamp,
]);

function equality(values: readonly unknown[]): IndexBounds | null {
  // An array equals both a field with that array and an element that is it: it has no single index entry.
  return values.some((value) => Array.isArray(value)) ? null : { eq: values };
}
