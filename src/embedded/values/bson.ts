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
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { INTERNAL_OVERHEAD_BYTES, MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { valueEnd } from '../wire/raw.ts';
import { createWriter } from '../wire/writer.ts';
import { spend } from './effort.ts';
import { DbPointer, FarDate, UNDEFINED } from './rare.ts';
import { textOf } from './text.ts';
import { isIndexLike, keepOrder, setField } from './types.ts';

/** The largest date that JavaScript has, https://tc39.es/ecma262/#sec-time-values-and-time-range */
const MAX_DATE = 8_640_000_000_000_000;
const OBJECT_ID_BYTES = 12;

/**
 * Raw BSON to a document with typed values (Int32, Double, Long, Decimal128, Binary, ObjectId, Timestamp, Date,
 * BSONRegExp, string, boolean, null, and the rare ones of `rare.ts`). What MongoDB stores without looking at it is
 * taken as it is: bytes that are no UTF-8, patterns that JavaScript cannot compile, UUIDs of any length. So
 * `encode(decode(raw))` gives the same bytes, but for names that one document has twice: the last stays. With `only`,
 * other fields at the top are passed over.
 *
 * @throws CommandError 22 InvalidBSON.
 */
export function decode(raw: Uint8Array, only?: ReadonlySet<string>): Document {
  bytes = Buffer.isBuffer(raw) ? raw : Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  at = 0;
  try {
    const document = only === undefined ? readDocument() : readFields(only);
    if (at !== bytes.length) throw invalid('a document does not end where it says');
    return document;
  } catch (cause) {
    if (cause instanceof RangeError) throw invalid(cause.message);
    throw cause;
  } finally {
    bytes = NOTHING;
  }
}

function invalid(message: string): CommandError {
  return new CommandError(CODES.InvalidBSON, message);
}

const NOTHING = Buffer.alloc(0);
/** What is being decoded, and where the next value begins: one document at a time, and closures would cost as much. */
let bytes: Buffer = NOTHING;
let at = 0;

/** Moves on by a length that has to lie within the bytes. @returns the place before */
function pass(length: number): number {
  const from = at;
  at += length;
  if (length < 0 || at > bytes.length) throw invalid('a value goes beyond the end of its document');
  return from;
}

function readName(): string {
  const from = at;
  while (at < bytes.length && bytes[at] !== 0) at += 1;
  const text = textOf(bytes, from, at);
  pass(1);
  return text;
}

function readString(): string {
  const length = bytes.readInt32LE(at);
  if (length < 1) throw invalid('bad string length');
  const from = pass(4 + length) + 4;
  return textOf(bytes, from, at - 1);
}

/** Moves into the document that begins here. @returns its end */
function open(): number {
  const size = bytes.readInt32LE(at);
  const end = at + size;
  if (size < 5 || end > bytes.length || bytes[end - 1] !== 0) throw invalid('bad document length');
  at += 4;
  return end;
}

function close(end: number): void {
  at += 1;
  if (at !== end) throw invalid('a document does not end where it says');
}

function readDocument(): Document {
  const end = open();
  const fields: Document = {};
  let names: string[] | undefined;
  while (at < end - 1) {
    spend();
    const type = bytes[at] ?? 0;
    at += 1;
    const name = readName();
    if (names !== undefined) names.push(name);
    else if (isIndexLike(name)) names = [...Object.keys(fields), name];
    setField(fields, name, readValue(type));
  }
  close(end);
  if (names !== undefined) keepOrder(fields, names);
  return fields;
}

/** The named fields of the document, without a look at the others. */
function readFields(names: ReadonlySet<string>): Document {
  const end = open();
  const fields: Document = {};
  while (at < end - 1) {
    const type = bytes[at] ?? 0;
    at += 1;
    const name = readName();
    if (names.has(name)) setField(fields, name, readValue(type));
    else at = valueEnd(bytes, type, at, end - 1);
  }
  close(end);
  return fields;
}

function readArray(): unknown[] {
  const end = open();
  const items: unknown[] = [];
  while (at < end - 1) {
    spend();
    const type = bytes[at] ?? 0;
    at += 1;
    while (at < end && bytes[at] !== 0) at += 1;
    at += 1;
    items.push(readValue(type));
  }
  close(end);
  return items;
}

function readObjectId(): ObjectId {
  const id = Buffer.allocUnsafe(OBJECT_ID_BYTES);
  const from = pass(OBJECT_ID_BYTES);
  for (let index = 0; index < OBJECT_ID_BYTES; index += 1) id[index] = bytes[from + index] ?? 0;
  return new ObjectId(id);
}

function readDate(): Date {
  const low = bytes.readUInt32LE(at);
  const millis = bytes.readInt32LE(at + 4) * 2 ** 32 + low;
  if (Math.abs(millis) > MAX_DATE) return new FarDate(bytes.readBigInt64LE(pass(8)));
  at += 8;
  return new Date(millis);
}

function readBinary(): Binary {
  const length = bytes.readInt32LE(pass(4));
  const subtype = bytes[pass(1)] ?? 0;
  return new Binary(Buffer.from(bytes.subarray(pass(length), at)), subtype);
}

function readRegex(): BSONRegExp {
  const value = new BSONRegExp(readName());
  // Its constructor refuses options that MongoDB stores, and sorts them.
  value.options = readName();
  return value;
}

function readValue(type: number): unknown {
  switch (type) {
    case 0x01:
      return new Double(bytes.readDoubleLE(pass(8)));
    case 0x02:
      return readString();
    case 0x03:
      return readDocument();
    case 0x04:
      return readArray();
    case 0x05:
      return readBinary();
    case 0x06:
      return UNDEFINED;
    case 0x07:
      return readObjectId();
    case 0x08:
      return bytes[pass(1)] === 1;
    case 0x09:
      return readDate();
    case 0x0a:
      return null;
    case 0x0b:
      return readRegex();
    case 0x0c:
      return new DbPointer(readString(), readObjectId());
    case 0x0d:
      return new Code(readString());
    case 0x0e:
      return new BSONSymbol(readString());
    case 0x0f:
      pass(4);
      return new Code(readString(), readDocument());
    case 0x10:
      return new Int32(bytes.readInt32LE(pass(4)));
    case 0x11: {
      const i = bytes.readUInt32LE(pass(4));
      return new Timestamp({ t: bytes.readUInt32LE(pass(4)), i });
    }
    case 0x12: {
      const low = bytes.readInt32LE(pass(4));
      return new Long(low, bytes.readInt32LE(pass(4)));
    }
    case 0x13:
      return new Decimal128(Buffer.from(bytes.subarray(pass(16), at)));
    case 0x7f:
      return new MaxKey();
    case 0xff:
      return new MinKey();
    default:
      throw invalid(`unknown type ${type}`);
  }
}

/** The largest document that the server makes, with what it may add to it. */
const MAX_BYTES = MAX_DOCUMENT_BYTES + INTERNAL_OVERHEAD_BYTES;

const writer = createWriter('null', (size) => {
  if (size <= MAX_BYTES) return;
  throw new CommandError(
    CODES.BSONObjectTooLarge,
    `BSONObj size: ${size} is invalid. Size must be between 0 and ${MAX_BYTES}(16MB)`,
  );
});

/**
 * A document to raw BSON. Plain JS numbers become Int32 or Double as the driver decides, bigint becomes Long,
 * undefined null. `_id` comes first, as the server stores it.
 *
 * @throws CommandError 2 BadValue for what BSON cannot hold.
 */
export function encode(document: Document): Buffer {
  writer.clear();
  const place = writer.start();
  if (Object.hasOwn(document, '_id')) writer.field('_id', document['_id']);
  writer.fields(document, '_id');
  writer.finish(place);
  return Buffer.from(writer.view());
}
