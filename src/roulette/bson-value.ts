import type { Binary, Decimal128, Double, Int32, Long, ObjectId } from 'bson';

/** A document as it comes out of MongoDB: nothing about its fields is known yet. */
export type RawDocument = Readonly<Record<string, unknown>>;

/**
 * The BSON class of a value ("Long", "ObjectId", ...), null for everything else. The tag stands on the class: a stored
 * subdocument may have a field of the same name, and is no BSON value for it. Tags instead of `instanceof`, since the
 * values may come from another copy of the library.
 */
export function bsonTypeOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || !('_bsontype' in value)) return null;
  if (Object.hasOwn(value, '_bsontype')) return null;
  return typeof value._bsontype === 'string' ? value._bsontype : null;
}

export const isObjectId = (value: unknown): value is ObjectId => bsonTypeOf(value) === 'ObjectId';
export const isLong = (value: unknown): value is Long => bsonTypeOf(value) === 'Long';
export const isDecimal = (value: unknown): value is Decimal128 => bsonTypeOf(value) === 'Decimal128';
export const isBinary = (value: unknown): value is Binary => bsonTypeOf(value) === 'Binary';
export const isBoxedNumber = (value: unknown): value is Int32 | Double => {
  const type = bsonTypeOf(value);
  return type === 'Int32' || type === 'Double';
};

/** Whether a value is a subdocument: no array, no Date, no BSON class, no bytes. */
export function isDocument(value: unknown): value is RawDocument {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (value instanceof Date || value instanceof RegExp || value instanceof Uint8Array) return false;
  return bsonTypeOf(value) === null;
}

/** The number that any numeric BSON type holds (possibly NaN or infinite); null for other types, also for strings. */
export function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (isBoxedNumber(value)) return Number(value.valueOf());
  if (isLong(value)) return value.toNumber();
  if (isDecimal(value)) return Number(value.toString());
  return null;
}

const INTEGER_TEXT = /^\s*(-?)(0|0?[1-9]|[1-9]\d{1,14})\s*$/;

/**
 * The integer that a writer meant: any numeric BSON type, or decimal digits in a string. "00" is none: it is the
 * second zero of an American wheel, which must not turn into 0.
 */
export function integerOf(value: unknown): number | null {
  const number = typeof value === 'string' && INTEGER_TEXT.test(value) ? Number(value) : numberOf(value);
  if (number === null || !Number.isSafeInteger(number)) return null;
  return number === 0 ? 0 : number;
}

/** Text longer than this is refused in every field that we publish. In UTF-16 units. */
export const MAX_TEXT = 1000;

/** Whether a value is text beyond that limit. */
export const isTooLong = (value: unknown): boolean => typeof value === 'string' && value.length > MAX_TEXT;

/** The trimmed text of a field; null when it is no string or empty. */
export const textOf = (value: unknown): string | null => (typeof value === 'string' ? value.trim() || null : null);

const MAX_NAME = 200;

/** Whether a text holds bytes that were no UTF-8 (U+FFFD by now), so that what it said is not known. */
export const isGarbled = (value: string): boolean => value.includes('\uFFFD');

/** A table's name as a writer gave it; null when it gave none that can be shown. */
export function nameOf(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > MAX_NAME || isGarbled(value)) return null;
  return value.trim() || null;
}
