import { Binary, type Document, Long, serialize, Timestamp } from 'bson';
import { fromTimestamp } from '../oplog/clock.ts';
import {
  type DocumentOperation,
  isDocumentOperation,
  type Operation,
  type OplogEntry,
  type WriteOrigin,
} from '../oplog/oplog.ts';
import { decode } from '../values/bson.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { rawElements, wrapElements } from '../wire/raw.ts';
import { DataFolderError } from './frames.ts';

/**
 * What the files hold: BSON documents whose first field says what they are.
 *
 * - `format`: the first of every file
 * - `entry`, `past`: an oplog entry with its operations. A past one is history for change streams; its effect is in the
 *   documents of the same file already
 * - `forget`: a capped collection let a document go; `cut`: the oplog was cut
 * - `collection`, `documents`: what a base begins with
 */
export type DataRecord =
  | { readonly is: 'format'; readonly format: unknown }
  | { readonly is: 'entry' | 'past'; readonly entry: RestoredEntry }
  | { readonly is: 'forget'; readonly collection: Binary; readonly key: Buffer }
  | { readonly is: 'cut'; readonly keep: number }
  | { readonly is: 'collection'; readonly description: Document }
  | { readonly is: 'documents'; readonly collection: Binary; readonly documents: readonly Buffer[] };

export type RestoredEntry = Omit<OplogEntry, 'sequence' | 'bytes'>;

export const FORMAT = 'runcash-live embedded data 2';

const HEADER = serialize({ format: FORMAT });

export function logHeader(): Uint8Array {
  return HEADER;
}

const DOCUMENT = 0x03;
const ARRAY = 0x04;

/** A BSON document put together from the raw elements of others; documents go in byte by byte. */
function assemble(parts: readonly (Uint8Array | string)[], size: number): Buffer {
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string') at += buffer.write(part, at, 'latin1');
    else {
      buffer.set(part, at);
      at += part.length;
    }
  }
  return buffer;
}

interface Assembly {
  /** The fields of a small document. */
  fields(document: Document): void;
  elements(bytes: Uint8Array): void;
  raw(name: string, document: Uint8Array): void;
  begin(type: number, name: string): void;
  end(): void;
  finish(): Buffer;
}

const ZERO = Buffer.alloc(1);

/** A document's elements without its length and end. */
function elementsOf(document: Document): Uint8Array {
  const bytes = serialize(document, { ignoreUndefined: true });
  return bytes.subarray(4, bytes.length - 1);
}

function createAssembly(): Assembly {
  const parts: (Uint8Array | string)[] = [];
  const open: { head: Buffer; from: number }[] = [];
  let size = 0;
  const add = (part: Uint8Array | string) => {
    parts.push(part);
    size += part.length;
  };
  const start = () => {
    const head = Buffer.allocUnsafe(4);
    open.push({ head, from: size });
    add(head);
  };
  const end = () => {
    add(ZERO);
    const { head, from } = open.pop() ?? { head: Buffer.alloc(4), from: 0 };
    head.writeInt32LE(size - from, 0);
  };
  const name = (type: number, text: string) => add(`${String.fromCharCode(type)}${text}\0`);
  start();
  return {
    fields: (document) => add(elementsOf(document)),
    elements: add,
    raw(field, document) {
      name(DOCUMENT, field);
      add(document);
    },
    begin(type, field) {
      name(type, field);
      start();
    },
    end,
    finish() {
      end();
      return assemble(parts, size);
    },
  };
}

const places = new WeakMap<Binary, Map<string, Uint8Array>>();

/** What and where: the same bytes for each operation of a kind on a collection, and most of the work of encoding one. */
function placeOf({ kind, db, coll, uuid }: DocumentOperation): Uint8Array {
  const known = places.get(uuid) ?? new Map<string, Uint8Array>();
  places.set(uuid, known);
  // A collection keeps its id when it is renamed.
  const key = `${kind} ${db}.${coll}`;
  const bytes = known.get(key) ?? elementsOf({ kind, db, coll, uuid });
  known.set(key, bytes);
  return bytes;
}

/** `{entry: Timestamp, term: Long, wall: Date}` without its length and end. */
function timesOf({ time, term, wallTime }: OplogEntry, is: 'entry' | 'past'): Buffer {
  const bytes = Buffer.allocUnsafe(TIMES_BYTES + is.length);
  let at = bytes.write(`\x11${is}\0`, 0, 'latin1');
  at = bytes.writeUInt32LE(time.i, at);
  at = bytes.writeUInt32LE(time.t, at);
  at += bytes.write('\x12term\0', at, 'latin1');
  at = bytes.writeBigInt64LE(BigInt(term), at);
  at += bytes.write('\x09wall\0', at, 'latin1');
  bytes.writeBigInt64LE(BigInt(wallTime.getTime()), at);
  return bytes;
}

/** Type bytes, the ends of three names, two names of four letters, three values of eight bytes. */
const TIMES_BYTES = 3 + 3 + 8 + 24;

function addOperation(to: Assembly, operation: Operation): void {
  if (!isDocumentOperation(operation)) {
    to.fields({ ...operation });
    return;
  }
  const { after, before, description } = operation;
  to.elements(placeOf(operation));
  if (description !== undefined) to.fields({ description });
  to.raw('after', after);
  if (before !== undefined) to.raw('before', before);
}

/** An oplog entry as a record. */
export function entryRecord(entry: OplogEntry, is: 'entry' | 'past'): Buffer {
  const record = createAssembly();
  const { transaction, origins } = entry;
  record.elements(timesOf(entry, is));
  if (transaction !== undefined)
    record.fields({ txn: { lsid: transaction.lsid, txnNumber: Long.fromBigInt(transaction.txnNumber) } });
  if (origins !== undefined)
    record.fields({ origins: origins.map((origin) => ({ ...origin, txnNumber: Long.fromBigInt(origin.txnNumber) })) });
  record.begin(ARRAY, 'ops');
  entry.operations.forEach((operation, at) => {
    record.begin(DOCUMENT, String(at));
    addOperation(record, operation);
    record.end();
  });
  record.end();
  return record.finish();
}

export function forgetRecord(collection: Binary, key: Buffer): Uint8Array {
  return serialize({ forget: collection, key: new Binary(key) });
}

export function cutRecord(keep: number): Uint8Array {
  return serialize({ cut: keep });
}

/** `description`: `db`, `coll`, `shown` and `indexes`. */
export function collectionRecord(uuid: Binary, description: Document): Uint8Array {
  return serialize({ collection: uuid, ...description });
}

export function documentsRecord(collection: Binary, documents: readonly Buffer[]): Buffer {
  const record = createAssembly();
  record.fields({ documents: collection });
  record.begin(ARRAY, 'list');
  documents.forEach((document, at) => {
    record.raw(String(at), document);
  });
  record.end();
  return record.finish();
}

function bad(what: string): DataFolderError {
  return new DataFolderError(`the data folder holds a record without a valid ${what}`);
}

function text(record: Document, name: string): string {
  const value: unknown = record[name];
  if (typeof value !== 'string') throw bad(name);
  return value;
}

function binary(record: Document, name: string): Binary {
  const value: unknown = record[name];
  if (!(value instanceof Binary)) throw bad(name);
  return value;
}

interface Split {
  /** The other elements, as a document. */
  readonly rest: Buffer;
  readonly raws: ReadonlyMap<string, Buffer>;
}

/** A raw document with the named fields taken out, as the bytes they are. */
function split(raw: Buffer, apart: readonly string[]): Split {
  const raws = new Map<string, Buffer>();
  const rest: Buffer[] = [];
  for (const element of rawElements(raw)) {
    if (apart.includes(element.name)) raws.set(element.name, raw.subarray(element.valueStart, element.end));
    else rest.push(raw.subarray(element.start, element.end));
  }
  return { rest: wrapElements(rest), raws };
}

const decodedPlaces = new Map<string, Document>();
const MAX_PLACES = 10_000;

/** The fields of `placeOf`, decoded once: a million operations on a collection share them, in memory too. */
function decodePlace(raw: Buffer): Document {
  const key = raw.toString('latin1');
  const known = decodedPlaces.get(key);
  if (known !== undefined) return known;
  const fields = decode(raw);
  if (decodedPlaces.size >= MAX_PLACES) decodedPlaces.clear();
  decodedPlaces.set(key, fields);
  return fields;
}

/** The documents of a raw array. */
function rawItems(array: Buffer | undefined): Buffer[] {
  if (array === undefined) throw bad('list');
  return [...rawElements(array)].map(({ valueStart, end }) => array.subarray(valueStart, end));
}

function readOperation(raw: Buffer): Operation {
  const { rest, raws } = split(raw, ['after', 'before', 'description']);
  const fields = raws.has('after') ? decodePlace(rest) : decode(rest);
  const kind = text(fields, 'kind');
  const description = raws.get('description');
  const described = description === undefined ? {} : { description: decode(description) };
  switch (kind) {
    case 'noop':
      return { kind, message: text(fields, 'message') };
    case 'insert':
    case 'update':
    case 'replace':
    case 'delete': {
      const after = raws.get('after');
      const before = raws.get('before');
      if (after === undefined) throw bad('document');
      return {
        kind,
        db: text(fields, 'db'),
        coll: text(fields, 'coll'),
        uuid: binary(fields, 'uuid'),
        // Copies: what was read stays in memory only as far as it is kept.
        after: Buffer.from(after),
        ...(before === undefined ? {} : { before: Buffer.from(before) }),
        ...described,
      };
    }
    case 'create':
    case 'drop':
    case 'rename':
    case 'dropDatabase':
    case 'createIndexes':
    case 'dropIndexes':
    case 'modify': {
      const to: unknown = fields['to'];
      return {
        kind,
        db: text(fields, 'db'),
        ...(fields['coll'] === undefined ? {} : { coll: text(fields, 'coll') }),
        ...(fields['uuid'] === undefined ? {} : { uuid: binary(fields, 'uuid') }),
        ...(isDocument(to) ? { to: { db: text(to, 'db'), coll: text(to, 'coll') } } : {}),
        ...(fields['droppedTarget'] === undefined ? {} : { droppedTarget: binary(fields, 'droppedTarget') }),
        ...described,
      };
    }
    default:
      throw bad(`kind (${kind})`);
  }
}

function readOrigin(record: unknown): WriteOrigin {
  if (!isDocument(record)) throw bad('origin');
  const { lsid, txnNumber, statement, reply } = record;
  if (!isDocument(lsid) || !(txnNumber instanceof Long) || !isDocument(reply)) throw bad('origin');
  return { lsid, txnNumber: txnNumber.toBigInt(), statement: toInteger(statement) ?? 0, reply };
}

function readEntry(raw: Buffer, is: 'entry' | 'past'): RestoredEntry {
  const { rest, raws } = split(raw, ['ops']);
  const fields = decode(rest);
  const time: unknown = fields[is];
  const wall: unknown = fields['wall'];
  const operations = raws.get('ops');
  if (!(time instanceof Timestamp) || !(wall instanceof Date) || operations === undefined) throw bad('entry');
  const transaction: unknown = fields['txn'];
  const origins: unknown = fields['origins'];
  const number: unknown = isDocument(transaction) ? transaction['txnNumber'] : undefined;
  const lsid: unknown = isDocument(transaction) ? transaction['lsid'] : undefined;
  return {
    time: fromTimestamp(time),
    term: toInteger(fields['term']) ?? 1,
    wallTime: wall,
    operations: rawItems(operations).map(readOperation),
    ...(isDocument(lsid) && number instanceof Long ? { transaction: { lsid, txnNumber: number.toBigInt() } } : {}),
    ...(Array.isArray(origins) ? { origins: origins.map(readOrigin) } : {}),
  };
}

/** @throws DataFolderError when it is none of this server's */
export function readRecord(raw: Buffer): DataRecord {
  // The name of the first element, without a look at the rest.
  const is = raw.toString('latin1', 5, raw.indexOf(0, 5));
  switch (is) {
    case 'entry':
    case 'past':
      return { is, entry: readEntry(raw, is) };
    case 'format':
      return { is, format: decode(raw)['format'] };
    case 'forget': {
      const record = decode(raw);
      return { is, collection: binary(record, is), key: Buffer.from(binary(record, 'key').value()) };
    }
    case 'cut':
      return { is, keep: toInteger(decode(raw)[is]) ?? 1 };
    case 'collection':
      return { is, description: decode(raw) };
    case 'documents': {
      const { rest, raws } = split(raw, ['list']);
      return { is, collection: binary(decode(rest), is), documents: rawItems(raws.get('list')) };
    }
    default:
      throw bad(`kind (${is})`);
  }
}
