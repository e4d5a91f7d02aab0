import {
  bsonTypeOf,
  isBinary,
  isBoxedNumber,
  isDecimal,
  isDocument,
  isLong,
  isObjectId,
  type RawDocument,
} from './bson-value.ts';

const bytesHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The digits of a numeric value, exact also beyond 2^53; null when it is no number. */
function digitsOf(value: unknown): string | null {
  if (typeof value === 'bigint' || isLong(value) || isDecimal(value)) return value.toString();
  const number = isBoxedNumber(value) ? Number(value.valueOf()) : value;
  if (typeof number !== 'number') return null;
  return Number.isInteger(number) ? BigInt(number).toString() : String(number);
}

/**
 * A value as JSON text after the manner of relaxed Extended JSON. Written out here because the library's own refuses
 * documents whose fields look like its classes, and whatever stands in the database must be nameable.
 */
function describe(value: unknown): string {
  const digits = digitsOf(value);
  if (digits !== null) {
    if (isDecimal(value)) return `{"$numberDecimal":"${digits}"}`;
    return /^-?\d/.test(digits) ? digits : `{"$numberDouble":"${digits}"}`;
  }
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (isObjectId(value)) return `{"$oid":"${value.toHexString()}"}`;
  if (value instanceof Date) {
    const ms = value.getTime();
    const inYears = ms >= 0 && ms < 253402300800000;
    return `{"$date":${inYears ? JSON.stringify(value.toISOString()) : `{"$numberLong":"${ms}"}`}}`;
  }
  if (isBinary(value)) return `{"$binary":{"hex":"${value.toString('hex')}","subType":"${value.sub_type}"}}`;
  if (value instanceof Uint8Array) return `{"$binary":{"hex":"${bytesHex(value)}","subType":"0"}}`;
  if (Array.isArray(value)) return `[${value.map(describe).join(',')}]`;
  if (isDocument(value)) return describeFields(value);
  const fields =
    typeof value === 'object' && !(value instanceof RegExp)
      ? describeFields({ ...value })
      : JSON.stringify(String(value));
  return `{${JSON.stringify(`$${bsonTypeOf(value) ?? typeof value}`)}:${fields}}`;
}

function describeFields(document: RawDocument): string {
  const fields = Object.entries(document).map(([field, value]) => `${JSON.stringify(field)}:${describe(value)}`);
  return `{${fields.join(',')}}`;
}

/**
 * The identity of an `_id`: equal exactly when MongoDB takes the two for the same key, so a text and an ObjectId with
 * the same digits differ, and 5 as int, long or double does not. String order follows ObjectIds and natural integers.
 */
export function keyOf(id: unknown): string {
  if (isObjectId(id)) return `o:${id.toHexString()}`;
  if (typeof id === 'string') return `s:${id}`;
  const digits = digitsOf(id);
  if (digits === null) return `x:${describe(id)}`;
  return `n:${/^\d+$/.test(digits) ? digits.padStart(19, '0') : digits}`;
}

/** Texts that other ids are written as: an ObjectId, or JSON. */
const LIKE_ANOTHER = /^(?:[0-9a-f]{24}|-?\d[\d.e+-]*|true|false|null|["[{].*)$/is;

/**
 * How an `_id` is written on the wire: an ObjectId as its hex digits, a text as it is, others as Extended JSON. A text
 * that looks like one of the others is written as JSON too, so that no two ids of a collection are the same.
 */
export function wireIdOf(id: unknown): string {
  if (isObjectId(id)) return id.toHexString();
  if (typeof id !== 'string') return describe(id);
  return LIKE_ANOTHER.test(id) ? JSON.stringify(id) : id;
}

/** The wire id of a document in a table's own collection: other collections may hold the same `_id`. */
export const idInTable = (wireId: string, table: string): string => `${wireId}@${table}`;

/**
 * Keys that several `_id`s may have: bytes that are no UTF-8 became U+FFFD, and what cannot be decoded an empty document.
 * None of them is one then.
 */
export const isAmbiguous = (key: string): boolean => key.includes('\uFFFD') || key === 'x:{}';

/** What an `_id` says. */
export interface Identity {
  /** `keyOf` it. */
  readonly key: string;
  /** `wireIdOf` it. */
  readonly wireId: string;
  /** The process that made an ObjectId (bytes 5 to 9, hex); null for other types, which do not tell. */
  readonly maker: string | null;
}

/** All of it at once: an ObjectId writes out its digits each time that it is asked for them. */
export function identityOf(id: unknown): Identity {
  if (!isObjectId(id)) return { key: keyOf(id), wireId: wireIdOf(id), maker: null };
  const hex = id.toHexString();
  return { key: `o:${hex}`, wireId: hex, maker: hex.slice(8, 18) };
}
