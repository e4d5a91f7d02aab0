import { Binary, type Document, Long } from 'bson';
import type { UserName } from '../connection.ts';
import { type DocumentOperation, isDocumentOperation, type OplogEntry, type OplogOperation } from '../oplog/oplog.ts';
import { createWriter } from '../wire/writer.ts';

/** How what the files hold is encoded; read-records.ts says what there is. */

export const FORMAT = 'runcash-live embedded data 3';
/** Its logs have any length, and its bases no end. */
export const OLD_FORMAT = 'runcash-live embedded data 2';

const writer = createWriter();

/** A document whose undefined fields are left out. */
function encoded(document: Document): Buffer {
  writer.clear();
  const place = writer.start();
  writer.fields(document);
  writer.finish(place);
  return Buffer.from(writer.view());
}

const HEADER = encoded({ format: FORMAT });

export function logHeader(): Uint8Array {
  return HEADER;
}

/** The last record of a base: without it the file was cut. */
export const BASE_END = encoded({ end: true });

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
  const bytes = encoded(document);
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
  bytes.writeBigInt64LE(BigInt(wallTime), at);
  return bytes;
}

/** Type bytes, the ends of three names, two names of four letters, three values of eight bytes. */
const TIMES_BYTES = 3 + 3 + 8 + 24;

function addOperation(to: Assembly, operation: OplogOperation): void {
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
  return encoded({ forget: collection, key: new Binary(key) });
}

/** Without a document the user is gone. */
export function userRecord({ user, db }: UserName, document?: Document): Uint8Array {
  return encoded({ user, db, document });
}

export function cutRecord(keep: number): Uint8Array {
  return encoded({ cut: keep });
}

/** `description`: `db`, `coll`, `shown` and `indexes`. */
export function collectionRecord(uuid: Binary, description: Document): Uint8Array {
  return encoded({ collection: uuid, ...description });
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
