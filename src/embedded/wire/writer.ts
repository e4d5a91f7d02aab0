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
import { badValue, location } from '../errors.ts';
import { regexParts } from '../values/compare.ts';
import { spend } from '../values/effort.ts';
import { BsonUndefined, DbPointer, dateMillis } from '../values/rare.ts';
import { hasEscapes, utf8Bytes, utf8Length } from '../values/text.ts';
import { fieldNames, isInt32 } from '../values/types.ts';

/** https://bsonspec.org/spec.html */
const DOUBLE = 0x01;
const STRING = 0x02;
const DOCUMENT = 0x03;
const ARRAY = 0x04;
const BINARY = 0x05;
const UNDEFINED = 0x06;
const OBJECT_ID = 0x07;
const BOOLEAN = 0x08;
const DATE = 0x09;
const NULL = 0x0a;
const REGEX = 0x0b;
const DB_POINTER = 0x0c;
const CODE = 0x0d;
const SYMBOL = 0x0e;
const CODE_WITH_SCOPE = 0x0f;
const INT32 = 0x10;
const TIMESTAMP = 0x11;
const INT64 = 0x12;
const DECIMAL = 0x13;
const MAX_KEY = 0x7f;
const MIN_KEY = 0xff;

const INITIAL_BYTES = 16 * 1024;
/** What one large reply needed is not kept for all small ones. */
const KEPT_BYTES = 256 * 1024;
/** As the server's own buffer: nothing that is answered or stored comes near it. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A UTF-16 unit takes at most this many bytes of UTF-8. */
const UTF8_BYTES = 3;
/** Texts below this many units are given the most that they can need, instead of being measured. */
const SHORT = 1_000;

const RAW = Symbol('documents in raw BSON');

/** A list of documents that are already raw BSON: they are written as they are stored, byte by byte. */
export interface RawBatch {
  readonly [RAW]: readonly Uint8Array[];
}

export const rawBatch = (documents: readonly Uint8Array[]): RawBatch => ({ [RAW]: documents });

/** Writes BSON and the frames around it into memory that is used again and again. */
export interface Writer {
  /** Bytes written since `clear`. */
  readonly length: number;
  /** What was written: valid until the next call of anything here. */
  view(): Buffer;
  clear(): void;
  int32(value: number): void;
  byte(value: number): void;
  /** Writes over four bytes that were written before. */
  patchInt32(value: number, at: number): void;
  /** Begins a document. @returns its place, for `finish` */
  start(): number;
  finish(place: number): void;
  /** Fields of a document, in its order, but for the one named. */
  fields(document: Document, except?: string): void;
  field(name: string, value: unknown): void;
  /** A field whose value is a document in raw BSON. */
  raw(name: string, document: Uint8Array): void;
  /** A field that is a timestamp: seconds and an ordinal. */
  time(name: string, time: { readonly t: number; readonly i: number }): void;
  /** Begins a field that is a document. @returns its place, for `finish` */
  startField(name: string): number;
}

const isRawBatch = (value: object): value is RawBatch => RAW in value;
const isPlain = (value: object): value is Document => Object.getPrototypeOf(value) === Object.prototype;

function checkBuffer(size: number): void {
  if (size > MAX_BYTES) throw location(13548, `BufBuilder attempted to grow() to ${size} bytes, past the 64MB limit.`);
}

/**
 * `absent`: what becomes of fields that are undefined; `checkSize` may refuse to hold so many bytes.
 *
 * @throws CommandError 2 for what BSON cannot hold; 50 when there is too much of it; what `checkSize` throws
 */
export function createWriter(absent: 'omit' | 'null' = 'omit', checkSize = checkBuffer): Writer {
  let bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  let at = 0;

  const reserve = (more: number) => {
    if (at + more <= bytes.length) return;
    checkSize(at + more);
    let size = bytes.length;
    while (size < at + more) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    bytes.copy(larger, 0, 0, at);
    bytes = larger;
  };
  const int32 = (value: number) => {
    reserve(4);
    at = bytes.writeInt32LE(value, at);
  };
  const byte = (value: number) => {
    reserve(1);
    bytes[at] = value;
    at += 1;
  };
  const copy = (part: Uint8Array) => {
    reserve(part.length);
    bytes.set(part, at);
    at += part.length;
  };
  const head = (type: number, name: string) => {
    reserve(name.length * UTF8_BYTES + 2);
    bytes[at] = type;
    at += 1;
    // Names are short and plain: a loop costs less than the call that encodes any text.
    for (let index = 0; index < name.length; index += 1) {
      const code = name.charCodeAt(index);
      if (code === 0) throw badValue('a field name with a null byte cannot be stored');
      if (code >= 0x80) {
        text(name.slice(index));
        break;
      }
      bytes[at] = code;
      at += 1;
    }
    bytes[at] = 0;
    at += 1;
  };
  /** The bytes of a text that there is room for. */
  const text = (value: string) => {
    if (hasEscapes(value)) at += utf8Bytes(value).copy(bytes, at);
    else at += bytes.write(value, at);
  };
  const sized = (value: string) => {
    reserve((value.length < SHORT ? value.length * UTF8_BYTES : utf8Length(value)) + 5);
    const place = at;
    at += 4;
    text(value);
    bytes[at] = 0;
    at += 1;
    bytes.writeInt32LE(at - place - 4, place);
  };
  const cstring = (value: string) => {
    if (value.includes('\0')) throw badValue('a null byte in a regular expression cannot be stored');
    reserve(value.length * UTF8_BYTES + 1);
    text(value);
    byte(0);
  };
  const int64 = (value: bigint) => {
    reserve(8);
    at = bytes.writeBigInt64LE(BigInt.asIntN(64, value), at);
  };
  const start = (): number => {
    reserve(4);
    at += 4;
    return at - 4;
  };
  const finish = (place: number) => {
    byte(0);
    bytes.writeInt32LE(at - place, place);
  };
  const time: Writer['time'] = (name, { t, i }) => {
    head(TIMESTAMP, name);
    reserve(8);
    at = bytes.writeUInt32LE(i, at);
    at = bytes.writeUInt32LE(t, at);
  };
  const startField = (name: string): number => {
    head(DOCUMENT, name);
    return start();
  };
  const raw = (name: string, document: Uint8Array) => {
    head(DOCUMENT, name);
    copy(document);
  };
  const batch = (name: string, documents: readonly Uint8Array[]) => {
    head(ARRAY, name);
    const place = start();
    // Large batches grow the memory once.
    reserve(documents.reduce((sum, document) => sum + document.length, 0));
    for (const [index, document] of documents.entries()) raw(String(index), document);
    finish(place);
  };

  /** Values of the types that most fields have; false for all others. */
  const common = (name: string, value: object): boolean => {
    if (value instanceof Int32) {
      head(INT32, name);
      int32(value.value);
    } else if (value instanceof Double) double(name, value.value);
    else if (value instanceof ObjectId) {
      head(OBJECT_ID, name);
      copy(value.id);
    } else if (value instanceof Date) {
      head(DATE, name);
      int64(BigInt(dateMillis(value)));
    } else if (value instanceof Timestamp) time(name, value);
    else if (value instanceof Long) {
      head(INT64, name);
      int32(value.low);
      int32(value.high);
    } else if (isRawBatch(value)) batch(name, value[RAW]);
    else if (Array.isArray(value)) {
      head(ARRAY, name);
      const place = start();
      for (let index = 0; index < value.length; index += 1) field(String(index), value[index] ?? null);
      finish(place);
    } else if (isPlain(value)) {
      const place = startField(name);
      fields(value);
      finish(place);
    } else return false;
    return true;
  };
  /** The other types; anything else is taken as a document. */
  const rare = (name: string, value: object) => {
    if (value instanceof Binary) binary(name, value.buffer.subarray(0, value.position), value.sub_type);
    else if (value instanceof Uint8Array) binary(name, value, 0);
    else if (value instanceof Decimal128) {
      head(DECIMAL, name);
      copy(value.bytes);
    } else if (value instanceof BSONRegExp || value instanceof RegExp) {
      const { pattern, options } = regexParts(value);
      head(REGEX, name);
      cstring(pattern);
      cstring(options);
    } else if (value instanceof BSONSymbol) string(name, value.value, SYMBOL);
    else if (value instanceof Code) code(name, value);
    else if (value instanceof DbPointer) {
      string(name, value.collection, DB_POINTER);
      copy(value.id.id);
    } else if (value instanceof MinKey) head(MIN_KEY, name);
    else if (value instanceof MaxKey) head(MAX_KEY, name);
    else if (value instanceof BsonUndefined) head(UNDEFINED, name);
    else {
      const place = startField(name);
      fields(value);
      finish(place);
    }
  };
  const double = (name: string, value: number) => {
    head(DOUBLE, name);
    reserve(8);
    at = bytes.writeDoubleLE(value, at);
  };
  const binary = (name: string, content: Uint8Array, subtype: number) => {
    head(BINARY, name);
    int32(content.length);
    byte(subtype);
    copy(content);
  };
  const code = (name: string, value: Code) => {
    const { scope } = value;
    if (scope === null || scope === undefined) {
      string(name, value.code, CODE);
      return;
    }
    head(CODE_WITH_SCOPE, name);
    const place = start();
    sized(value.code);
    const body = start();
    fields(scope);
    finish(body);
    bytes.writeInt32LE(at - place, place);
  };
  const string = (name: string, value: string, type = STRING) => {
    head(type, name);
    sized(value);
  };

  const field = (name: string, value: unknown) => {
    spend();
    switch (typeof value) {
      case 'string':
        string(name, value);
        return;
      case 'number':
        if (isInt32(value)) {
          head(INT32, name);
          int32(value);
        } else double(name, value);
        return;
      case 'boolean':
        head(BOOLEAN, name);
        byte(value ? 1 : 0);
        return;
      case 'bigint':
        head(INT64, name);
        int64(value);
        return;
      case 'object':
        if (value === null) head(NULL, name);
        else if (!common(name, value)) rare(name, value);
        return;
      default:
        if (value === undefined && absent === 'null') head(NULL, name);
    }
  };
  const fields = (document: Document, except?: string) => {
    for (const name of fieldNames(document)) if (name !== except) field(name, document[name]);
  };

  return {
    get length() {
      return at;
    },
    view: () => bytes.subarray(0, at),
    clear() {
      at = 0;
      if (bytes.length > KEPT_BYTES) bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    },
    int32,
    byte,
    patchInt32(value, place) {
      bytes.writeInt32LE(value, place);
    },
    start,
    finish,
    fields,
    field,
    raw,
    time,
    startField,
  };
}
