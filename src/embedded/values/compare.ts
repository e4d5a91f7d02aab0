import { Binary, BSONRegExp, BSONSymbol, Code, type Document, Double, Int32, ObjectId, Timestamp } from 'bson';
import { spend } from './effort.ts';
import { compareNumeric, numericKey, numericKind, numericValue } from './numbers.ts';
import { DbPointer, dateMillis } from './rare.ts';
import { hasEscapes, utf8Bytes } from './text.ts';
import { fieldNames, isDocument, RANK, rankOf } from './types.ts';

/** How two strings compare: by bytes, or as a collation says. */
export type StringOrder = (a: string, b: string) => number;

/**
 * MongoDB's total order over BSON values of all types (MongoDB manual, "Comparison/Sort Order"): by type rank first,
 * then by value; numbers of all types by exact value, strings by UTF-8 bytes, documents field by field in their
 * order. Undefined (an absent field) equals null. `strings` replaces the order of strings (collation).
 *
 * @returns negative, zero or positive
 */
export function compareValues(a: unknown, b: unknown, strings: StringOrder = compareStrings): number {
  if (a === b) return 0;
  if (a instanceof Int32 && b instanceof Int32) return a.value - b.value;
  const rank = rankOf(a);
  const difference = rank - rankOf(b);
  return difference === 0 ? compareWithinRank(rank, a, b, strings) : difference;
}

/** Whether MongoDB's `$eq` holds between two values, element by element; 1, Long 1, 1.0 and Decimal 1 are equal. */
export function valuesEqual(a: unknown, b: unknown, strings: StringOrder = compareStrings): boolean {
  return compareValues(a, b, strings) === 0;
}

function compareWithinRank(rank: number, a: unknown, b: unknown, strings: StringOrder): number {
  switch (rank) {
    case RANK.number:
      return compareNumeric(numericValue(a) ?? 0, numericValue(b) ?? 0);
    case RANK.string:
      return strings(textOf(a), textOf(b));
    case RANK.object:
      return isDocument(a) && isDocument(b) ? compareDocuments(a, b, strings) : 0;
    case RANK.array:
      return Array.isArray(a) && Array.isArray(b) ? compareArrays(a, b, strings) : 0;
    case RANK.binData:
      return compareBinaries(bytesOf(a), bytesOf(b));
    case RANK.objectId:
      return a instanceof ObjectId && b instanceof ObjectId ? Buffer.compare(a.id, b.id) : 0;
    case RANK.bool:
      return Number(a) - Number(b);
    case RANK.date:
      return a instanceof Date && b instanceof Date ? compareNumeric(dateMillis(a), dateMillis(b)) : 0;
    case RANK.timestamp:
      return a instanceof Timestamp && b instanceof Timestamp ? a.t - b.t || a.i - b.i : 0;
    case RANK.regex: {
      const [x, y] = [regexParts(a), regexParts(b)];
      return compareStrings(x.pattern, y.pattern) || compareStrings(x.options, y.options);
    }
    case RANK.dbPointer:
      return a instanceof DbPointer && b instanceof DbPointer
        ? compareStrings(a.collection, b.collection) || compareValues(a.id, b.id)
        : 0;
    case RANK.javascript:
    case RANK.javascriptWithScope:
      return a instanceof Code && b instanceof Code
        ? compareStrings(String(a.code), String(b.code)) || compareValues(a.scope, b.scope)
        : 0;
    default:
      return 0;
  }
}

function textOf(value: unknown): string {
  return value instanceof BSONSymbol ? value.value : String(value);
}

/** The pattern and the options, in alphabetical order, of a BSON or JavaScript regular expression. */
export function regexParts(value: unknown): { pattern: string; options: string } {
  if (value instanceof BSONRegExp) return { pattern: value.pattern, options: value.options };
  if (value instanceof RegExp) return { pattern: value.source, options: value.flags.replace(/[^ims]/g, '') };
  return { pattern: '', options: '' };
}

/**
 * Order of the UTF-8 bytes. UTF-16 units agree with it except that surrogates stand below U+E000, and for bytes that
 * are no UTF-8 (see values/text.ts).
 */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x === y) continue;
    if (x < 0xd800 && y < 0xd800) return x - y;
    if (hasEscapes(a) || hasEscapes(b)) return Buffer.compare(utf8Bytes(a), utf8Bytes(b));
    return lifted(x) - lifted(y);
  }
  return a.length - b.length;
}

function lifted(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function compareArrays(a: readonly unknown[], b: readonly unknown[], strings: StringOrder): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    spend();
    const difference = compareValues(a[index], b[index], strings);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function compareDocuments(a: Document, b: Document, strings: StringOrder): number {
  const keysA = fieldNames(a);
  const keysB = fieldNames(b);
  const length = Math.min(keysA.length, keysB.length);
  for (let index = 0; index < length; index++) {
    spend();
    const keyA = keysA[index] ?? '';
    const keyB = keysB[index] ?? '';
    const x: unknown = a[keyA];
    const y: unknown = b[keyB];
    const difference = rankOf(x) - rankOf(y) || compareStrings(keyA, keyB) || compareValues(x, y, strings);
    if (difference !== 0) return difference;
  }
  return keysA.length - keysB.length;
}

interface Bytes {
  readonly bytes: Uint8Array;
  readonly subtype: number;
}

/** The content and subtype of binary data; empty for anything else. */
export function bytesOf(value: unknown): Bytes {
  if (value instanceof Binary) return { bytes: value.value(), subtype: value.sub_type };
  return { bytes: value instanceof Uint8Array ? value : new Uint8Array(), subtype: 0 };
}

function compareBinaries(a: Bytes, b: Bytes): number {
  return a.bytes.length - b.bytes.length || a.subtype - b.subtype || Buffer.compare(a.bytes, b.bytes);
}

/** Whether two values are the same BSON, types included: Int32 1 and Double 1 are not. An update that changes nothing in this sense is no update. */
export function valuesIdentical(a: unknown, b: unknown): boolean {
  spend();
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => valuesIdentical(item, b[index]));
  }
  if (isDocument(a)) {
    if (!isDocument(b)) return false;
    const keysA = fieldNames(a);
    const keysB = fieldNames(b);
    return (
      keysA.length === keysB.length &&
      keysA.every((key, index) => key === keysB[index] && valuesIdentical(a[key], b[key]))
    );
  }
  const kind = numericKind(a);
  if (kind !== undefined) return kind === numericKind(b) && sameNumber(a, b);
  if (typeof a === 'string' || typeof b === 'string') return false;
  return (a === undefined) === (b === undefined) && compareValues(a, b) === 0;
}

function sameNumber(a: unknown, b: unknown): boolean {
  if (a instanceof Double && b instanceof Double) return Object.is(a.value, b.value);
  return String(a) === String(b);
}

/**
 * A canonical text of a value, equal exactly when the values are equal to compareValues: the key of hash and unique
 * indexes, of `$group` and of sets.
 */
export function valueKey(value: unknown): string {
  return valueKeyBy(value, (text) => text);
}

/** The same with each string, at any depth, replaced by what stands for it. */
export function valueKeyBy(value: unknown, standIn: (text: string) => string): string {
  spend();
  if (typeof value === 'string') return textKey(standIn(value));
  const rank = rankOf(value);
  switch (rank) {
    case RANK.number:
      return `n${numericKey(numericValue(value) ?? 0)};`;
    case RANK.string:
      return textKey(standIn(textOf(value)));
    case RANK.object:
      return isDocument(value)
        ? `{${fieldNames(value)
            .map((key) => `${key.length}:${key}${valueKeyBy(value[key], standIn)}`)
            .join('')}}`
        : '{}';
    case RANK.array:
      return `[${(Array.isArray(value) ? value : []).map((item) => valueKeyBy(item, standIn)).join('')}]`;
    case RANK.binData: {
      const { bytes, subtype } = bytesOf(value);
      return `b${subtype}:${Buffer.from(bytes).toString('base64')};`;
    }
    case RANK.objectId:
      return `o${value instanceof ObjectId ? value.toHexString() : ''}`;
    case RANK.bool:
      return value === true ? 'T' : 'F';
    case RANK.date:
      return `d${value instanceof Date ? dateMillis(value) : ''};`;
    case RANK.timestamp:
      return `t${value instanceof Timestamp ? `${value.t},${value.i}` : ''};`;
    case RANK.regex: {
      const { pattern, options } = regexParts(value);
      return `r${pattern.length}:${pattern}${options};`;
    }
    case RANK.dbPointer:
      return value instanceof DbPointer ? `p${value.collection.length}:${value.collection}${valueKey(value.id)}` : 'p';
    case RANK.javascript:
    case RANK.javascriptWithScope: {
      const code = value instanceof Code ? String(value.code) : '';
      return `c${code.length}:${code}${value instanceof Code ? valueKey(value.scope) : ''}`;
    }
    default:
      return rank === RANK.null ? 'N' : rank === RANK.undefined ? 'U' : rank === RANK.minKey ? '<' : '>';
  }
}

function textKey(text: string): string {
  return `s${text.length}:${text}`;
}
