import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import { spend } from './effort.ts';
import { BsonUndefined, DbPointer } from './rare.ts';

/** Names as `$type` knows them, with the number of each type in the BSON specification (bsonspec.org). */
export const TYPE_NUMBERS: Readonly<Record<string, number>> = {
  double: 1,
  string: 2,
  object: 3,
  array: 4,
  binData: 5,
  undefined: 6,
  objectId: 7,
  bool: 8,
  date: 9,
  null: 10,
  regex: 11,
  dbPointer: 12,
  javascript: 13,
  symbol: 14,
  javascriptWithScope: 15,
  int: 16,
  timestamp: 17,
  long: 18,
  decimal: 19,
  minKey: -1,
  maxKey: 127,
};

/** The `$type` name of a value; "missing" for undefined, which stands for an absent field. */
export function typeName(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'missing';
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'long';
    case 'number':
      return isInt32(value) ? 'int' : 'double';
    default:
      return value === null ? 'null' : objectTypeName(value);
  }
}

function objectTypeName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value instanceof Int32) return 'int';
  if (value instanceof Double) return 'double';
  if (value instanceof Date) return 'date';
  if (value instanceof ObjectId) return 'objectId';
  if (value instanceof Timestamp) return 'timestamp';
  if (value instanceof Long) return 'long';
  if (value instanceof Decimal128) return 'decimal';
  if (value instanceof Binary || value instanceof Uint8Array) return 'binData';
  if (value instanceof BSONRegExp || value instanceof RegExp) return 'regex';
  if (value instanceof Code)
    return value.scope === null || value.scope === undefined ? 'javascript' : 'javascriptWithScope';
  if (value instanceof BSONSymbol) return 'symbol';
  if (value instanceof DbPointer) return 'dbPointer';
  if (value instanceof BsonUndefined) return 'undefined';
  if (value instanceof MinKey) return 'minKey';
  if (value instanceof MaxKey) return 'maxKey';
  return 'object';
}

/** Ranks of MongoDB's comparison order; types of one rank compare with each other by value. */
export const RANK = {
  minKey: 0,
  /** The deprecated type, not an absent field. */
  undefined: 0.5,
  null: 1,
  number: 2,
  string: 3,
  object: 4,
  array: 5,
  binData: 6,
  objectId: 7,
  bool: 8,
  date: 9,
  timestamp: 10,
  regex: 11,
  dbPointer: 12,
  javascript: 13,
  javascriptWithScope: 14,
  maxKey: 15,
} as const;

const RANK_BY_NAME: Readonly<Record<string, number>> = {
  ...RANK,
  missing: RANK.null,
  int: RANK.number,
  long: RANK.number,
  double: RANK.number,
  decimal: RANK.number,
  symbol: RANK.string,
};

/** The rank of a value; an absent field (undefined) ranks as null. */
export function rankOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return RANK.string;
    case 'number':
    case 'bigint':
      return RANK.number;
    case 'boolean':
      return RANK.bool;
    case 'undefined':
      return RANK.null;
    default:
      if (value === null) return RANK.null;
      if (value instanceof Int32 || value instanceof Double) return RANK.number;
      return RANK_BY_NAME[objectTypeName(value)] ?? RANK.object;
  }
}

/** Whether a value is an embedded document, and not one of the value classes of BSON. */
export function isDocument(value: unknown): value is Document {
  if (typeof value !== 'object' || value === null) return false;
  return Object.getPrototypeOf(value) === Object.prototype || objectTypeName(value) === 'object';
}

/** Whether a JS number is what BSON stores as int; -0 only exists as a double. */
export function isInt32(value: number): boolean {
  return (value | 0) === value && !Object.is(value, -0);
}

/** The field's own value, or undefined when absent: names like "constructor" never reach the prototype. */
export function getField(document: Document, name: string): unknown {
  return Object.hasOwn(document, name) ? document[name] : undefined;
}

/** Sets a field, also one named `__proto__`, which a plain assignment would swallow. */
export function setField(document: Document, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(document, name, { value, writable: true, enumerable: true, configurable: true });
  } else {
    document[name] = value;
  }
}

const ORDER = Symbol('names in their order');

/** Whether a JavaScript object would put a field of this name first, whatever its place was. */
export function isIndexLike(name: string): boolean {
  const first = name.charCodeAt(0);
  return first >= 0x30 && first <= 0x39 && /^(?:0|[1-9]\d{0,9})$/.test(name);
}

/** Gives a document the order of its fields that its own keys do not show. */
export function keepOrder(document: Document, names: readonly string[]): void {
  const own = Object.keys(document);
  if (own.length === names.length && own.every((name, index) => name === names[index])) return;
  Object.defineProperty(document, ORDER, { value: [...new Set(names)], enumerable: true, writable: true });
}

/** The names of a document's fields in their order: as they were decoded, later ones behind. */
export function fieldNames(document: Document): string[] {
  const own = Object.keys(document);
  if (!(ORDER in document)) return own;
  const order: unknown = Reflect.get(document, ORDER);
  const kept = (Array.isArray(order) ? order : []).filter((name: string) => Object.hasOwn(document, name));
  const known = new Set<string>(kept);
  return [...kept, ...own.filter((name) => !known.has(name))];
}

/** A copy whose documents and arrays are its own; leaf values are immutable and shared. */
export function copyValue<T>(value: T): T;
export function copyValue(value: unknown): unknown {
  spend();
  if (Array.isArray(value)) return value.map((item: unknown) => copyValue(item));
  return isDocument(value) ? copyDocument(value) : value;
}

/** As copyValue, for a whole document. */
export function copyDocument(document: Document): Document {
  const copy: Document = {};
  for (const key of Object.keys(document)) setField(copy, key, copyValue(document[key]));
  if (ORDER in document) keepOrder(copy, fieldNames(document));
  return copy;
}
