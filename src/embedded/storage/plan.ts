import type { Document } from 'bson';
import { badValue } from '../errors.ts';
import { fieldBounds, type KeyRange, narrow, pointRange, withPrefix } from './bounds.ts';
import type { Collection } from './collection.ts';
import { ABOVE, type CollectionIndex } from './collection-index.ts';
import { shellText } from './shell-text.ts';

/** How the documents of a query are found. */
export interface Plan {
  readonly index?: CollectionIndex;
  readonly ranges: readonly KeyRange[];
  readonly reverse: boolean;
  /** The documents come in the order of the query's sort. */
  readonly sorted: boolean;
  /** Fields that the index narrows, for explain. */
  readonly boundFields: number;
}

/** At most this many ranges from `$in`s: beyond it, the first field alone narrows. */
const MAX_RANGES = 10_000;
/** Every document, in natural order. */
export const FULL_SCAN: Plan = { ranges: [], reverse: false, sorted: false, boundFields: 0 };

/** Whether fields of the index from `from` on give the sort's order: 1 forwards, -1 backwards, 0 not. */
function sortDirection(
  index: CollectionIndex,
  from: number,
  sort: readonly (readonly [string, number])[],
  fixed: ReadonlySet<string>,
): number {
  let at = from;
  let direction = 0;
  for (const [path, order] of sort) {
    if (fixed.has(path)) continue;
    const field = index.fields[at];
    if (field?.path !== path) return 0;
    const wanted = order < 0 === field.descending ? 1 : -1;
    if (direction !== 0 && wanted !== direction) return 0;
    direction = wanted;
    at += 1;
  }
  return direction === 0 ? 1 : direction;
}

function planWith(index: CollectionIndex, filter: Document, sort: Document | undefined): Plan | undefined {
  let ranges: KeyRange[] = [{ low: '', high: ABOVE }];
  const fixed = new Set<string>();
  let at = 0;
  let boundFields = 0;
  let points = 1;
  for (const field of index.fields) {
    // A multikey index mixes the elements of arrays: only its first field may narrow safely.
    const bounds = index.multikey && at > 0 ? undefined : fieldBounds(filter, field.path);
    if (bounds === undefined) break;
    const prefixes = ranges.map((range) => (at === 0 ? '' : range.low));
    if (bounds.points === undefined) {
      const range = narrow(bounds.ranges, index.multikey);
      ranges = prefixes.map((prefix) => withPrefix(prefix, range, field));
      boundFields += 1;
      break;
    }
    if (prefixes.length * bounds.points.length > MAX_RANGES) break;
    const wanted = bounds.points;
    ranges = prefixes.flatMap((prefix) => wanted.map((value) => pointRange(prefix, value, field)));
    points *= wanted.length;
    boundFields += 1;
    if (wanted.length === 1) fixed.add(field.path);
    at += 1;
  }
  if (boundFields === 0 && index.partial) return undefined;
  const order = Object.entries(sort ?? {}).map(([path, direction]): [string, number] => [path, Number(direction)]);
  const orderable = order.length > 0 && !index.multikey && points === 1 && order.every(([, d]) => d === 1 || d === -1);
  const direction = orderable ? sortDirection(index, at, order, fixed) : 0;
  if (boundFields === 0 && direction === 0) return undefined;
  return { index, ranges: distinctRanges(ranges), reverse: direction < 0, sorted: direction !== 0, boundFields };
}

function distinctRanges(ranges: readonly KeyRange[]): KeyRange[] {
  if (ranges.length === 1) return [...ranges];
  const byLow = new Map(ranges.map((range) => [range.low, range]));
  return [...byLow.values()].sort((a, b) => (a.low < b.low ? -1 : 1));
}

function score(plan: Plan): number {
  const unique = plan.index?.spec.unique === true && plan.boundFields === plan.index.fields.length ? 100 : 0;
  return unique + plan.boundFields * 10 + (plan.sorted ? 5 : 0);
}

/** @throws CommandError 2 BadValue when a hint names no index. */
function hinted(collection: Collection, hint: unknown): CollectionIndex | 'natural' {
  for (const index of collection.indexes.values()) {
    if (hint === index.spec.name || (typeof hint === 'object' && shellText(hint) === shellText(index.spec.key)))
      return index;
  }
  if (typeof hint === 'object' && hint !== null && '$natural' in hint) return 'natural';
  throw badValue(
    'error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index',
  );
}

/** Chooses the index that narrows most; a full scan when none narrows or sorts. */
export function planQuery(collection: Collection, filter: Document, sort?: Document, hint?: unknown): Plan {
  const natural = sort?.['$natural'];
  if (natural !== undefined) return { ...FULL_SCAN, reverse: Number(natural) < 0, sorted: true };
  if (hint !== undefined) {
    const index = hinted(collection, hint);
    if (index === 'natural')
      return {
        ...FULL_SCAN,
        reverse: typeof hint === 'object' && hint !== null && '$natural' in hint && Number(hint.$natural) < 0,
      };
    const whole: Plan = { index, ranges: [{ low: '', high: ABOVE }], reverse: false, sorted: false, boundFields: 0 };
    return planWith(index, filter, sort) ?? whole;
  }
  let best: Plan = FULL_SCAN;
  for (const index of collection.indexes.values()) {
    if (index.spec.options['partialFilterExpression'] !== undefined || index.spec.options['hidden'] === true) continue;
    const plan = planWith(index, filter, sort);
    if (plan !== undefined && score(plan) > score(best)) best = plan;
  }
  return best;
}
