import {
  Binary,
  BSONRegExp,
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
import { spend } from '../values/effort.ts';
import { BsonUndefined, DbPointer, dateMillis } from '../values/rare.ts';
import { textOf, utf8Bytes } from '../values/text.ts';
import { fieldNames } from '../values/types.ts';

/**
 * MongoDB's KeyString: a value as bytes whose order is the order of the values across all BSON types
 * (https://github.com/mongodb/mongo/blob/master/src/mongo/db/storage/key_string/README.md). The bytes are carried in
 * a string of characters 0-255, because JavaScript compares strings natively and much faster than arrays.
 *
 * Integers and strings are written exactly as the server writes them (resume tokens depend on it). Fractions keep the
 * order and the uniqueness, but decimals that no double can hold are told apart by their text.
 */
const MIN_KEY = 10;
const UNDEFINED = 15;
const NULLISH = 20;
const NUMERIC = 30;
const STRING = 60;
const OBJECT = 70;
const ARRAY = 80;
const BINARY = 90;
const OBJECT_ID = 100;
const BOOLEAN = 110;
const DATE = 120;
const TIMESTAMP = 130;
const REGEX = 140;
const DBREF = 150;
const CODE = 160;
const CODE_WITH_SCOPE = 170;
const MAX_KEY = 240;

const NUMERIC_NAN = NUMERIC;
const NEGATIVE_LARGE = NUMERIC + 1;
const NEGATIVE_1_BYTE = NUMERIC + 9;
const NEGATIVE_SMALL = NUMERIC + 10;
const ZERO = NUMERIC + 11;
const POSITIVE_SMALL = NUMERIC + 12;
const POSITIVE_1_BYTE = NUMERIC + 13;
const POSITIVE_LARGE = NUMERIC + 21;

const LARGE = 2 ** 63;
const char = String.fromCharCode;
const scratch = Buffer.alloc(8);

/** Every byte turned over: descending order. */
export function inverted(key: string): string {
  let out = '';
  for (let i = 0; i < key.length; i += 1) out += char(255 - key.charCodeAt(i));
  return out;
}

/** A string whose bytes are its UTF-8, so that the order is the server's and not that of UTF-16. */
function utf8(text: string): string {
  for (let i = 0; i < text.length; i += 1) {
    if (text.charCodeAt(i) > 127) return utf8Bytes(text).toString('latin1');
  }
  return text;
}

function terminated(text: string): string {
  const bytes = utf8(text);
  return `${bytes.includes('\0') ? bytes.replaceAll('\0', '\0\xff') : bytes}\0`;
}

function uint32(value: number): string {
  return char((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function uint64(value: bigint): string {
  scratch.writeBigUInt64BE(BigInt.asUintN(64, value));
  return scratch.toString('latin1');
}

function signedBytes(bytes: string, negative: boolean): string {
  return negative ? inverted(bytes) : bytes;
}

function integerKey(value: bigint): string {
  if (value === 0n) return char(ZERO);
  const negative = value < 0n;
  const magnitude = negative ? -value : value;
  if (magnitude >= 1n << 63n) return largeKey(Number(value));
  if (magnitude < 1n << 30n) return smallIntegerKey(Number(value));
  const bytes = uint64(magnitude << 1n);
  let lead = 0;
  while (bytes.charCodeAt(lead) === 0) lead += 1;
  const length = 8 - lead;
  const type = negative ? NEGATIVE_1_BYTE - (length - 1) : POSITIVE_1_BYTE + (length - 1);
  return char(type) + signedBytes(bytes.slice(lead), negative);
}

/** The same for magnitudes below 2^30, without BigInt. */
function smallIntegerKey(value: number): string {
  if (value === 0) return char(ZERO);
  const negative = value < 0;
  const doubled = (negative ? -value : value) * 2;
  let bytes = char(doubled & 255);
  if (doubled > 0xff) bytes = char((doubled >>> 8) & 255) + bytes;
  if (doubled > 0xffff) bytes = char((doubled >>> 16) & 255) + bytes;
  if (doubled > 0xffffff) bytes = char((doubled >>> 24) & 255) + bytes;
  const type = negative ? NEGATIVE_1_BYTE - (bytes.length - 1) : POSITIVE_1_BYTE + (bytes.length - 1);
  return char(type) + signedBytes(bytes, negative);
}

function largeKey(value: number): string {
  const negative = value < 0;
  scratch.writeDoubleBE(Math.abs(value));
  return char(negative ? NEGATIVE_LARGE : POSITIVE_LARGE) + signedBytes(scratch.toString('latin1'), negative);
}

function doubleKey(value: number, continuation = ''): string {
  if (Number.isNaN(value)) return char(NUMERIC_NAN);
  if (Number.isInteger(value) && continuation === '') {
    if (Math.abs(value) < 2 ** 30) return smallIntegerKey(value);
    return Math.abs(value) < LARGE ? integerKey(BigInt(value)) : largeKey(value);
  }
  const negative = value < 0 || Object.is(value, -0);
  const magnitude = Math.abs(value);
  if (magnitude >= LARGE) return largeKey(value) + continuation;
  if (magnitude < 1) {
    scratch.writeDoubleBE(magnitude);
    return (
      char(negative ? NEGATIVE_SMALL : POSITIVE_SMALL) +
      signedBytes(scratch.toString('latin1') + continuation, negative)
    );
  }
  // Integer part doubled, its lowest bit says that a fraction follows in the bytes that the integer leaves free.
  const whole = Math.trunc(magnitude);
  const bytes = uint64((BigInt(whole) << 1n) | 1n);
  let lead = 0;
  while (bytes.charCodeAt(lead) === 0) lead += 1;
  const length = 8 - lead;
  scratch.writeDoubleBE(magnitude - whole);
  const type = negative ? NEGATIVE_1_BYTE - (length - 1) : POSITIVE_1_BYTE + (length - 1);
  return char(type) + signedBytes(bytes.slice(lead) + scratch.toString('latin1') + continuation, negative);
}

function decimalKey(value: Decimal128): string {
  const text = value.toString();
  const number = Number(text);
  if (!Number.isFinite(number)) return doubleKey(number);
  const parts = /^([+-]?)(\d*)\.?(\d*)(?:E([+-]?\d+))?$/i.exec(text);
  if (parts === null) return doubleKey(number);
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = parts;
  let digits = (whole + fraction).replace(/^0+/, '');
  let scale = Number(exponent) - fraction.length;
  const stripped = digits.replace(/0+$/, '');
  scale += digits.length - stripped.length;
  digits = stripped;
  if (digits === '') return char(ZERO);
  if (scale >= 0 && scale + digits.length <= 19) {
    return integerKey(BigInt(sign === '-' ? `-${digits}` : digits) * 10n ** BigInt(scale));
  }
  const exact = digits.length <= 15 || decimalText(number) === `${digits}e${scale}`;
  return doubleKey(number, exact ? '' : `\x01${digits}e${scale}\0`);
}

function decimalText(value: number): string {
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const digits = (whole + fraction).replace(/0+$/, '');
  return `${digits}e${Number(exponent) - (digits.length - 1)}`;
}

function binaryKey(value: Binary): string {
  const bytes = Buffer.from(value.buffer.buffer, value.buffer.byteOffset, value.position);
  const length = bytes.length < 0xff ? char(bytes.length) : `\xff${uint32(bytes.length)}`;
  return char(BINARY) + length + char(value.sub_type) + bytes.toString('latin1');
}

function dateKey(millis: number | bigint): string {
  return char(DATE) + uint64(BigInt(millis) ^ (1n << 63n));
}

/** The generic type byte that precedes a field's name inside an object. */
function fieldType(key: string): string {
  const type = key.charCodeAt(0);
  if (type >= NUMERIC && type <= POSITIVE_LARGE) return char(NUMERIC);
  if (type === BOOLEAN + 1) return char(BOOLEAN);
  return char(type);
}

function objectBody(value: Document): string {
  let out = '';
  for (const name of fieldNames(value)) {
    const key = keyString(value[name]);
    out += `${fieldType(key)}${utf8(name)}\0${key}`;
  }
  return `${out}\0`;
}

/** The bytes of one value (undefined counts as null, as a missing field does in an index). */
export function keyString(value: unknown): string {
  if (value === null || value === undefined) return char(NULLISH);
  if (typeof value === 'string') return char(STRING) + terminated(value);
  if (typeof value === 'number') return doubleKey(value);
  if (typeof value === 'bigint') return integerKey(value);
  if (typeof value === 'boolean') return char(BOOLEAN + (value ? 1 : 0));
  if (value instanceof Int32) return doubleKey(value.value);
  if (value instanceof Double) return doubleKey(value.value);
  if (value instanceof ObjectId) return char(OBJECT_ID) + Buffer.from(value.id).toString('latin1');
  if (value instanceof Date) return dateKey(dateMillis(value));
  if (value instanceof Timestamp) return char(TIMESTAMP) + uint32(value.t) + uint32(value.i);
  if (value instanceof Long) return integerKey(value.toBigInt());
  if (value instanceof Decimal128) return decimalKey(value);
  if (value instanceof Binary) return binaryKey(value);
  spend();
  if (Array.isArray(value)) return `${char(ARRAY)}${value.map((item: unknown) => keyString(item)).join('')}\0`;
  if (value instanceof BSONRegExp) return `${char(REGEX)}${utf8(value.pattern)}\0${value.options}\0`;
  if (value instanceof RegExp) return `${char(REGEX)}${utf8(value.source)}\0${value.flags}\0`;
  if (value instanceof MinKey) return char(MIN_KEY);
  if (value instanceof MaxKey) return char(MAX_KEY);
  if (value instanceof Code) {
    const text = String(value.code);
    return value.scope
      ? char(CODE_WITH_SCOPE) + terminated(text) + objectBody(value.scope)
      : char(CODE) + terminated(text);
  }
  if (value instanceof DbPointer) return char(DBREF) + terminated(value.collection) + keyString(value.id);
  if (value instanceof BsonUndefined) return char(UNDEFINED);
  if (typeof value === 'object') {
    return '_bsontype' in value && value['_bsontype'] === 'BSONSymbol'
      ? char(STRING) + terminated(String(value))
      : char(OBJECT) + objectBody(value);
  }
  return char(NULLISH);
}

/** The key of a value of one of the plain types as it stands in a document's bytes; undefined for other types. */
export function rawKeyString(bytes: Buffer, type: number, at: number): string | undefined {
  switch (type) {
    case 0x01:
      return doubleKey(bytes.readDoubleLE(at));
    case 0x02:
      return char(STRING) + terminated(textOf(bytes, at + 4, at + 3 + bytes.readInt32LE(at)));
    case 0x07:
      return char(OBJECT_ID) + bytes.toString('latin1', at, at + 12);
    case 0x08:
      return char(BOOLEAN + (bytes[at] ?? 0));
    case 0x09:
      return char(DATE) + uint32(bytes.readInt32LE(at + 4) ^ (1 << 31)) + uint32(bytes.readInt32LE(at));
    case 0x0a:
      return char(NULLISH);
    case 0x10:
      return doubleKey(bytes.readInt32LE(at));
    default:
      return undefined;
  }
}

/** The lowest and the first-too-high key of all values of one class, for ranges that stay within a type. */
export function typeBracket(key: string): { readonly low: string; readonly high: string } {
  const type = fieldType(key).charCodeAt(0);
  if (type === NUMERIC) return { low: char(NUMERIC), high: char(POSITIVE_LARGE + 1) };
  if (type === BOOLEAN) return { low: char(BOOLEAN), high: char(BOOLEAN + 2) };
  return { low: char(type), high: char(type + 1) };
}

/** The same by the name or number of a BSON type as `$type` takes them; undefined for types without one bracket. */
export function typeBracketByName(name: unknown): { readonly low: string; readonly high: string } | undefined {
  const types: Readonly<Record<string, number>> = {
    string: STRING,
    2: STRING,
    objectId: OBJECT_ID,
    7: OBJECT_ID,
    bool: BOOLEAN,
    8: BOOLEAN,
    date: DATE,
    9: DATE,
    timestamp: TIMESTAMP,
    17: TIMESTAMP,
    number: NUMERIC,
    int: NUMERIC,
    16: NUMERIC,
    long: NUMERIC,
    18: NUMERIC,
    double: NUMERIC,
    1: NUMERIC,
    decimal: NUMERIC,
    19: NUMERIC,
    binData: BINARY,
    5: BINARY,
  };
  const type = types[String(name)];
  return type === undefined ? undefined : typeBracket(char(type));
}
