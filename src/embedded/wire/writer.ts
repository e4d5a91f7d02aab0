import { type Document, Double, Int32, Long, ObjectId, serialize, Timestamp } from 'bson';
import { isInt32 } from '../values/types.ts';

/** https://bsonspec.org/spec.html */
const DOUBLE = 0x01;
const STRING = 0x02;
const DOCUMENT = 0x03;
const ARRAY = 0x04;
const OBJECT_ID = 0x07;
const BOOLEAN = 0x08;
const INT32 = 0x10;
const TIMESTAMP = 0x11;
const INT64 = 0x12;

const INITIAL_BYTES = 16 * 1024;
/** What one large reply needed is not kept for all small ones. */
const KEPT_BYTES = 256 * 1024;
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
  /** Fields of a document, in its order; undefined ones are left out. */
  fields(document: Document): void;
  /** A field whose value is a document in raw BSON. */
  raw(name: string, document: Uint8Array): void;
  /** A field that is a timestamp: seconds and an ordinal. */
  time(name: string, time: { readonly t: number; readonly i: number }): void;
  /** Begins a field that is a document. @returns its place, for `finish` */
  startField(name: string): number;
}

const isRawBatch = (value: object): value is RawBatch => RAW in value;
const isPlain = (value: object): value is Document => Object.getPrototypeOf(value) === Object.prototype;

export function createWriter(): Writer {
  let bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  let at = 0;

  const reserve = (more: number) => {
    if (at + more <= bytes.length) return;
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
      if (code >= 0x80) {
        at += bytes.write(name.slice(index), at);
        break;
      }
      bytes[at] = code;
      at += 1;
    }
    bytes[at] = 0;
    at += 1;
  };
  const string = (name: string, value: string) => {
    head(STRING, name);
    reserve((value.length < SHORT ? value.length * UTF8_BYTES : Buffer.byteLength(value)) + 5);
    const length = bytes.write(value, at + 4);
    bytes.writeInt32LE(length + 1, at);
    at += length + 4;
    bytes[at] = 0;
    at += 1;
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
    } else if (value instanceof Double) {
      head(DOUBLE, name);
      reserve(8);
      at = bytes.writeDoubleLE(value.value, at);
    } else if (value instanceof ObjectId) {
      head(OBJECT_ID, name);
      copy(value.id);
    } else if (value instanceof Timestamp) time(name, value);
    else if (value instanceof Long) {
      head(INT64, name);
      int32(value.low);
      int32(value.high);
    } else if (isRawBatch(value)) batch(name, value[RAW]);
    else if (isPlain(value)) {
      const place = startField(name);
      fields(value);
      finish(place);
    } else return false;
    return true;
  };

  const field = (name: string, value: unknown) => {
    if (typeof value === 'string') string(name, value);
    else if (typeof value === 'number' && isInt32(value)) {
      head(INT32, name);
      int32(value);
    } else if (typeof value === 'boolean') {
      head(BOOLEAN, name);
      byte(value ? 1 : 0);
    } else if (typeof value !== 'object' || value === null || !common(name, value)) {
      const document = serialize({ [name]: value }, { ignoreUndefined: true });
      copy(document.subarray(4, document.length - 1));
    }
  };
  const fields = (document: Document) => {
    for (const name of Object.keys(document)) field(name, document[name]);
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
    raw,
    time,
    startField,
  };
}
