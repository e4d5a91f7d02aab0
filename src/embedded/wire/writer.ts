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
import { regexParts } from '../values/compare.ts';
import { spend } from '../values/effort.ts';
import { BsonUndefined, DbPointer, dateMillis } from '../values/rare.ts';
import { fieldNames, isInt32 } from '../values/types.ts';
import { type Bytes, createBytes } from './bytes.ts';

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

/** `absent`: what becomes of fields that are undefined. */
function createFields(to: Bytes, absent: 'omit' | 'null') {
  const time: Writer['time'] = (name, { t, i }) => {
    to.head(TIMESTAMP, name);
    to.int32(i);
    to.int32(t);
  };
  const startField = (name: string): number => {
    to.head(DOCUMENT, name);
    return to.start();
  };
  const raw = (name: string, document: Uint8Array) => {
    to.head(DOCUMENT, name);
    to.copy(document);
  };
  const double = (name: string, value: number) => {
    to.head(DOUBLE, name);
    to.double(value);
  };
  const fields = (document: Document, except?: string) => {
    for (const name of fieldNames(document)) if (name !== except) field(name, document[name]);
  };
  const document = (name: string, value: Document) => {
    const place = startField(name);
    fields(value);
    to.finish(place);
  };

  /** Values of the types that most fields have; false for all others. */
  const common = (name: string, value: object): boolean => {
    if (value instanceof Int32) {
      to.head(INT32, name);
      to.int32(value.value);
    } else if (value instanceof Double) double(name, value.value);
    else if (value instanceof ObjectId) {
      to.head(OBJECT_ID, name);
      to.copy(value.id);
    } else if (value instanceof Date) {
      to.head(DATE, name);
      to.int64(BigInt(dateMillis(value)));
    } else if (value instanceof Timestamp) time(name, value);
    else if (value instanceof Long) writeLong(to, name, value);
    else if (isRawBatch(value)) writeBatch(to, name, value[RAW], raw);
    else if (Array.isArray(value)) writeArray(to, name, value, field);
    else if (isPlain(value)) document(name, value);
    else return false;
    return true;
  };

  const field = (name: string, value: unknown): void => {
    spend();
    switch (typeof value) {
      case 'string':
        to.head(STRING, name);
        to.sized(value);
        return;
      case 'number':
        if (isInt32(value)) {
          to.head(INT32, name);
          to.int32(value);
        } else double(name, value);
        return;
      case 'boolean':
        to.head(BOOLEAN, name);
        to.byte(value ? 1 : 0);
        return;
      case 'bigint':
        to.head(INT64, name);
        to.int64(value);
        return;
      case 'object':
        if (value === null) to.head(NULL, name);
        else if (!common(name, value) && !writeRare(to, name, value, fields)) document(name, value);
        return;
      default:
        if (value === undefined && absent === 'null') to.head(NULL, name);
    }
  };
  return { time, startField, raw, fields, field };
}

function writeLong(to: Bytes, name: string, { low, high }: Long): void {
  to.head(INT64, name);
  to.int32(low);
  to.int32(high);
}

function writeArray(to: Bytes, name: string, values: readonly unknown[], field: Writer['field']): void {
  to.head(ARRAY, name);
  const place = to.start();
  for (let index = 0; index < values.length; index += 1) field(String(index), values[index] ?? null);
  to.finish(place);
}

type WriteFields = (document: Document) => void;

function writeBatch(to: Bytes, name: string, documents: readonly Uint8Array[], raw: Writer['raw']): void {
  to.head(ARRAY, name);
  const place = to.start();
  // Large batches grow the memory once.
  to.reserve(documents.reduce((sum, document) => sum + document.length, 0));
  for (const [index, document] of documents.entries()) raw(String(index), document);
  to.finish(place);
}

function writeBinary(to: Bytes, name: string, content: Uint8Array, subtype: number): void {
  to.head(BINARY, name);
  to.int32(content.length);
  to.byte(subtype);
  to.copy(content);
}

function writeString(to: Bytes, name: string, value: string, type: number): void {
  to.head(type, name);
  to.sized(value);
}

function writeCode(to: Bytes, name: string, value: Code, fields: WriteFields): void {
  const { scope } = value;
  if (scope === null || scope === undefined) {
    writeString(to, name, value.code, CODE);
    return;
  }
  to.head(CODE_WITH_SCOPE, name);
  const place = to.start();
  to.sized(value.code);
  const body = to.start();
  fields(scope);
  to.finish(body);
  to.patchInt32(to.length() - place, place);
}

/** Values of the rarer types; false for what is to be taken as a document. */
function writeRare(to: Bytes, name: string, value: object, fields: WriteFields): boolean {
  if (value instanceof Binary) writeBinary(to, name, value.buffer.subarray(0, value.position), value.sub_type);
  else if (value instanceof Uint8Array) writeBinary(to, name, value, 0);
  else if (value instanceof Decimal128) {
    to.head(DECIMAL, name);
    to.copy(value.bytes);
  } else if (value instanceof BSONRegExp || value instanceof RegExp) {
    const { pattern, options } = regexParts(value);
    to.head(REGEX, name);
    to.cstring(pattern);
    to.cstring(options);
  } else if (value instanceof BSONSymbol) writeString(to, name, value.value, SYMBOL);
  else if (value instanceof Code) writeCode(to, name, value, fields);
  else if (value instanceof DbPointer) {
    writeString(to, name, value.collection, DB_POINTER);
    to.copy(value.id.id);
  } else if (value instanceof MinKey) to.head(MIN_KEY, name);
  else if (value instanceof MaxKey) to.head(MAX_KEY, name);
  else if (value instanceof BsonUndefined) to.head(UNDEFINED, name);
  else return false;
  return true;
}

/**
 * `absent`: what becomes of fields that are undefined; `checkSize` may refuse to hold so many bytes.
 *
 * @throws CommandError 2 for what BSON cannot hold; 50 when there is too much of it; what `checkSize` throws
 */
export function createWriter(absent: 'omit' | 'null' = 'omit', checkSize?: (size: number) => void): Writer {
  const to = createBytes(checkSize);
  const { int32, byte, patchInt32, start, finish, view, clear } = to;
  return {
    get length() {
      return to.length();
    },
    view,
    clear,
    int32,
    byte,
    patchInt32,
    start,
    finish,
    ...createFields(to, absent),
  };
}
