import { BSONRegExp, type Document, MaxKey, MinKey } from 'bson';
import { isDocument } from '../values/types.ts';
import { ABOVE, fieldKey, type IndexField } from './collection-index.ts';
import { keyString, typeBracket, typeBracketByName } from './key-string.ts';

/** A range of keys, `low` inclusive, `high` exclusive. */
export interface KeyRange {
  readonly low: string;
  readonly high: string;
}

/**
 * What a filter says about one field, as far as an index can use it. The filter is still applied to what is found, so
 * a range may hold too much, never too little.
 */
export interface FieldBounds {
  /** Any of these values. */
  readonly points?: readonly unknown[];
  /** Ascending key ranges, each from one condition; all of them hold. */
  readonly ranges: readonly KeyRange[];
}

/** Conditions on `path` at the top level of the filter and inside its `$and`s. */
function conditionsOn(filter: Document, path: string): unknown[] {
  const found: unknown[] = [];
  for (const [name, value] of Object.entries(filter)) {
    if (name === path) found.push(value);
    else if (name === '$and' && Array.isArray(value)) {
      for (const part of value)
        if (isDocument(part)) for (const condition of conditionsOn(part, path)) found.push(condition);
    }
  }
  return found;
}

/** Values whose equality an index finds: not patterns, not whole arrays, not null (which also means missing). */
function isPoint(value: unknown): boolean {
  return (
    value !== null &&
    value !== undefined &&
    !Array.isArray(value) &&
    !(value instanceof BSONRegExp) &&
    !(value instanceof RegExp)
  );
}

function isOperatorDocument(value: unknown): value is Document {
  return isDocument(value) && Object.keys(value)[0]?.startsWith('$') === true;
}

function comparable(value: unknown): boolean {
  return isPoint(value) && !isDocument(value) && !(value instanceof MinKey) && !(value instanceof MaxKey);
}

function operatorBounds(operator: string, operand: unknown): Partial<FieldBounds> | undefined {
  switch (operator) {
    case '$eq':
      return isPoint(operand) ? { points: [operand] } : undefined;
    case '$in':
      return Array.isArray(operand) && operand.every(isPoint) ? { points: operand } : undefined;
    case '$gt':
    case '$gte': {
      if (!comparable(operand)) return undefined;
      const key = keyString(operand);
      return { ranges: [{ low: key, high: typeBracket(key).high }] };
    }
    case '$lt':
    case '$lte': {
      if (!comparable(operand)) return undefined;
      const key = keyString(operand);
      return { ranges: [{ low: typeBracket(key).low, high: operator === '$lt' ? key : key + ABOVE }] };
    }
    case '$type': {
      const bracket = typeBracketByName(operand);
      return bracket === undefined ? undefined : { ranges: [bracket] };
    }
    default:
      return undefined;
  }
}

/** What an index on `path` may use of the filter, or undefined. */
export function fieldBounds(filter: Document, path: string): FieldBounds | undefined {
  let points: readonly unknown[] | undefined;
  const ranges: KeyRange[] = [];
  const take = (bounds: Partial<FieldBounds> | undefined) => {
    if (bounds?.points !== undefined && (points === undefined || bounds.points.length < points.length))
      points = bounds.points;
    if (bounds?.ranges !== undefined) ranges.push(...bounds.ranges);
  };
  for (const condition of conditionsOn(filter, path)) {
    if (isOperatorDocument(condition)) {
      for (const [operator, operand] of Object.entries(condition)) take(operatorBounds(operator, operand));
    } else if (isPoint(condition)) take({ points: [condition] });
  }
  if (points !== undefined) return { points, ranges };
  return ranges.length > 0 ? { ranges } : undefined;
}

/** The narrowest single range that holds what all conditions hold; with arrays only one condition may be used. */
export function narrow(ranges: readonly KeyRange[], multikey: boolean): KeyRange {
  const [first = { low: '', high: ABOVE }, ...others] = ranges;
  if (multikey) return first;
  let { low, high } = first;
  for (const range of others) {
    if (range.low > low) low = range.low;
    if (range.high < high) high = range.high;
  }
  return { low, high };
}

/** An ascending range of one field as a range of the index's keys behind `prefix`. */
export function withPrefix(prefix: string, range: KeyRange, field: IndexField | undefined): KeyRange {
  if (field?.descending !== true) return { low: prefix + range.low, high: prefix + range.high };
  // Turned-over bytes turn the range over; ABOVE has no counterpart below, so the key itself opens the range.
  const flip = (key: string) =>
    [...key].map((c) => (c === ABOVE ? '' : String.fromCharCode(255 - c.charCodeAt(0)))).join('');
  return { low: prefix + flip(range.high), high: prefix + flip(range.low) + ABOVE };
}

export function pointRange(prefix: string, value: unknown, field: IndexField | undefined): KeyRange {
  const key = prefix + fieldKey(field, value);
  return { low: key, high: key + ABOVE };
}
