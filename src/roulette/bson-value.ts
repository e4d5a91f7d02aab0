import {
  type Binary,
  BSONType,
  type Decimal128,
  type Double,
  deserialize,
  type Int32,
  type Long,
  type ObjectId,
  onDemand,
} from 'bson';

/** A document as it comes out of MongoDB: nothing about its fields is known yet. */
export type RawDocument = Readonly<Record<string, unknown>>;

/**
 * The BSON class of a value ("Long", "ObjectId", ...), null for everything else. The tag is on the class: a stored
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
const isBoxedNumber = (value: unknown): value is Int32 | Double => {
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
const isGarbled = (value: string): boolean => value.includes('\uFFFD');

/** A table's name as a writer gave it; null when it gave none that can be shown. */
export function nameOf(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > MAX_NAME || isGarbled(value)) return null;
  return value.trim() || null;
}

/** Patterns stay text, since not all that MongoDB takes is one to JavaScript; bytes that are not UTF-8 become U+FFFD. */
const TOLERANT = { bsonRegExp: true, validation: { utf8: false } } as const;

/** Stands for a value that cannot be decoded: of no type that any field takes. */
const UNDECODABLE: RawDocument = Object.freeze({});

const text = new TextDecoder('utf-8');

/** A document with the bytes of one element. */
function withElement(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const single = new Uint8Array(4 + (to - from) + 1);
  new DataView(single.buffer).setInt32(0, single.length, true);
  single.set(bytes.subarray(from, to), 4);
  return single;
}

function byField(bytes: Uint8Array): RawDocument {
  const fields: [string, unknown][] = [];
  for (const [type, nameAt, nameLength, at, length] of onDemand.parseToElements(bytes)) {
    const name = text.decode(bytes.subarray(nameAt, nameAt + nameLength));
    if (type === BSONType.object) {
      fields.push([name, decodeDocument(bytes.subarray(at, at + length)) ?? UNDECODABLE]);
      continue;
    }
    const element = decodeWhole(withElement(bytes, nameAt - 1, at + length));
    fields.push([name, element === null ? UNDECODABLE : Object.values(element)[0]]);
  }
  return Object.fromEntries(fields);
}

function decodeWhole(bytes: Uint8Array): RawDocument | null {
  try {
    return deserialize(bytes, TOLERANT);
  } catch {
    // The caller looks at smaller parts, or says that the document is skipped.
    return null;
  }
}

/**
 * Decodes a document as tolerantly as can be: a field that the library refuses becomes an empty document, which no
 * reader takes for a value. Null where the bytes are no BSON at all.
 */
export function decodeDocument(bytes: Uint8Array): RawDocument | null {
  const whole = decodeWhole(bytes);
  if (whole !== null) return whole;
  try {
    return byField(bytes);
  } catch {
    // Lengths and types that do not fit together: nothing of it can be trusted.
    return null;
  }
}

/** The last millisecond that ISO-8601 writes with four digits of year. */
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(?:(Z)|([+-])(\d{2})(?::?(\d{2}))?)?$/i;
const LONGEST_TEXT = 64;

const inRange = (ms: number): number | null => {
  const whole = Math.trunc(ms);
  return whole >= 0 && whole <= LATEST_MS ? whole + 0 : null;
};

function parseIso(text: string): number | null {
  const match = ISO.exec(text);
  if (match === null) return null;
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  if (hour > 23 || minute > 59 || second > 59 || part(10) > 23 || part(11) > 59) return null;
  const midnight = Date.UTC(year, month - 1, day);
  // Date.UTC rolls 31 February over into March, and reads the years 0 to 99 as 19xx.
  if (new Date(midnight).toISOString().slice(0, 10) !== text.slice(0, 10)) return null;
  const fractionMs = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const offsetMinutes = (part(10) * 60 + part(11)) * (match[9] === '-' ? -1 : 1);
  return inRange(midnight + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1000 + fractionMs);
}

/** No roulette was scraped before 2001: a lower number is none of milliseconds. */
export const FIRST_EPOCH_MS = 978_307_200_000;
/** Epoch seconds from 2001 up to 2100. */
export const FIRST_EPOCH_S = FIRST_EPOCH_MS / 1000;
export const LAST_EPOCH_S = 4_102_444_800;

/**
 * Epoch time written as digits: seconds or milliseconds, which sort as their instants do, to the second, and apart from
 * every ISO-8601 text. From 9 September 2001 to 4 June 2032: later ones would sort among the texts of years from 1970.
 */
const EPOCH_TEXT = /^1(?:[0-8]\d|9[0-6])\d{7}(?:\d{3})?(?:\.\d{1,9})?$/;
export const FIRST_EPOCH_TEXT_S = 1_000_000_000;
export const LAST_EPOCH_TEXT_S = 1_970_000_000;
/** Every text of epoch time sorts below this, every text of ISO-8601 at or above it. */
export const FIRST_ISO_TEXT = '1970';

function ofNumber(value: number): number | null {
  if (value >= FIRST_EPOCH_MS) return inRange(value);
  return value >= FIRST_EPOCH_S && value < LAST_EPOCH_S ? inRange(value * 1000) : null;
}

/**
 * Epoch milliseconds (whole, years 1970 to 9999) of what writers store as `timestamp`: a Date, an ISO-8601 text with
 * `T` or a space, with or without zone (without, it is UTC) and with up to nanoseconds (cut off), or epoch milliseconds
 * or seconds (2001 to 2100) as any numeric BSON type, or as digits in a text (2001 to 2032). Null for everything else.
 */
export function parseTimestamp(value: unknown): number | null {
  if (value instanceof Date) return inRange(value.getTime());
  if (typeof value === 'string') {
    if (value.length > LONGEST_TEXT) return null;
    return EPOCH_TEXT.test(value) ? ofNumber(Number(value)) : parseIso(value);
  }
  const number = numberOf(value);
  return number === null ? null : ofNumber(number);
}

/** ISO-8601 UTC with milliseconds and `Z`, as the wire carries it. */
export const isoOf = (ms: number): string => new Date(ms).toISOString();

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
 * documents whose fields look like its classes, and whatever is in the database must be nameable.
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
 * the same digits differ, and 5 as int, long or double does not. The digits of an ObjectId, others behind a letter and a
 * colon. String order follows ObjectIds and natural integers.
 */
export function keyOf(id: unknown): string {
  if (isObjectId(id)) return id.toHexString();
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

/** When an ObjectId was made, ms since 1970, to the second; without the Date that its own method makes for each. */
export function madeMsOf({ id }: ObjectId): number {
  const [first = 0, second = 0, third = 0, fourth = 0] = [id[0], id[1], id[2], id[3]];
  return (((first << 24) | (second << 16) | (third << 8) | fourth) >>> 0) * 1_000;
}

/** All of it at once: an ObjectId writes out its digits each time that it is asked for them. */
export function identityOf(id: unknown): Identity {
  if (!isObjectId(id)) return { key: keyOf(id), wireId: wireIdOf(id), maker: null };
  const hex = id.toHexString();
  return { key: hex, wireId: hex, maker: hex.slice(8, 18) };
}
