import { Binary, type Document, Long, Timestamp } from 'bson';
import type { UserName } from '../connection.ts';
import { fromTimestamp } from '../oplog/clock.ts';
import type { DocumentOperation, NewEntry, OplogOperation, WriteOrigin } from '../oplog/oplog.ts';
import { decode } from '../values/bson.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { findElement, isNamed, rawElements, valueEnd, valueStartOf, wrapElements } from '../wire/raw.ts';
import { DataFolderError } from './frames.ts';

/**
 * What the files hold: BSON documents whose first field says what they are.
 *
 * - `format`: the first of every file
 * - `entry`, `past`: an oplog entry with its operations. A past one is history for change streams; its effect is in the
 *   documents of the same file already
 * - `forget`: a capped collection let a document go; `cut`: the oplog was cut
 * - `user`: one that was stored, or, without its document, is gone
 * - `collection`, `documents`: what a base begins with; `end`: what it ends with
 */
export type DataRecord =
  | { readonly is: 'format'; readonly format: unknown }
  | { readonly is: 'entry' | 'past'; readonly raw: Buffer }
  | { readonly is: 'forget'; readonly collection: Binary; readonly key: Buffer }
  | { readonly is: 'cut'; readonly keep: number }
  | { readonly is: 'user'; readonly name: UserName; readonly document: Document | undefined }
  | { readonly is: 'end' }
  | { readonly is: 'collection'; readonly description: Document }
  | { readonly is: 'documents'; readonly collection: Binary; readonly documents: readonly Buffer[] };

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

/** Where and how a document was changed, and how that stands in a record: operation after operation share it. */
interface ReadPlace {
  readonly bytes: Buffer;
  readonly place: Pick<DocumentOperation, 'kind' | 'db' | 'coll' | 'uuid'>;
}

let lastPlace: ReadPlace | undefined;

const isDocumentKind = (kind: unknown): kind is DocumentOperation['kind'] =>
  kind === 'insert' || kind === 'update' || kind === 'replace' || kind === 'delete';

/** Of the operation from `from` to `until`; undefined for one on something else than a document. */
function readPlace(list: Buffer, from: number, until: number): ReadPlace | undefined {
  if (lastPlace !== undefined) {
    const { bytes } = lastPlace;
    const end = from + 4 + bytes.length;
    if (end < until && bytes.compare(list, from + 4, end) === 0) return lastPlace;
  }
  const raw = list.subarray(from, until);
  const end = findElement(raw, ['description', 'after']);
  if (end < 0) return undefined;
  const bytes = Buffer.from(raw.subarray(4, end));
  const fields = decode(wrapElements([bytes]));
  const { kind } = fields;
  if (!isDocumentKind(kind)) return undefined;
  const place = { kind, db: text(fields, 'db'), coll: text(fields, 'coll'), uuid: binary(fields, 'uuid') };
  lastPlace = { bytes, place };
  return lastPlace;
}

/** The documents are views: a collection keeps a copy, and the oplog what was read, as long as it goes back there. */
function readDocumentOperation(
  raw: Buffer,
  from: number,
  until: number,
  { bytes, place }: ReadPlace,
): DocumentOperation {
  let after: Buffer | undefined;
  let before: Buffer | undefined;
  let description: Document | undefined;
  const last = until - 1;
  for (let at = from + 4 + bytes.length; at < last; ) {
    const start = valueStartOf(raw, at);
    const end = valueEnd(raw, raw[at] ?? 0, start, last);
    const value = raw.subarray(start, end);
    if (isNamed(raw, at, AFTER)) after = value;
    else if (isNamed(raw, at, BEFORE)) before = value;
    else description = decode(value);
    at = end;
  }
  if (after === undefined) throw bad('document');
  const { kind, db, coll, uuid } = place;
  // Written out: what is put together by spreading takes twice the memory, and there are as many as the oplog holds.
  if (before === undefined && description === undefined) return { kind, db, coll, uuid, after };
  return { ...place, after, ...(before && { before }), ...(description && { description }) };
}

const AFTER = Buffer.from('after');
const BEFORE = Buffer.from('before');
const OPERATIONS = Buffer.from('ops');
const TRANSACTION = Buffer.from('txn');

/** What `read` makes of the items of the raw array that begins at `start`. */
function readItems<T>(raw: Buffer, start: number, read: (from: number, until: number) => T): T[] {
  const items: T[] = [];
  const last = start + raw.readInt32LE(start) - 1;
  for (let at = start + 4; at < last; ) {
    const from = valueStartOf(raw, at);
    at = valueEnd(raw, raw[at] ?? 0, from, last);
    items.push(read(from, at));
  }
  return items;
}

/** The documents of a raw array. */
function rawItems(array: Buffer | undefined): Buffer[] {
  if (array === undefined) throw bad('list');
  return readItems(array, 0, (from, until) => array.subarray(from, until));
}

function readOperation(list: Buffer, from: number, until: number): OplogOperation {
  const place = readPlace(list, from, until);
  if (place !== undefined) return readDocumentOperation(list, from, until, place);
  const fields = decode(list.subarray(from, until));
  const kind = text(fields, 'kind');
  const described = isDocument(fields['description']) ? { description: fields['description'] } : {};
  switch (kind) {
    case 'noop':
      return { kind, message: text(fields, 'message') };
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

const shared = new Map<string, Document>();
const MAX_SHARED = 1_000;

/** Sessions and answers, which hundreds of thousands of origins have in common: they share them in memory as well. */
function decodeShared(raw: Buffer | undefined): Document {
  if (raw === undefined) throw bad('origin');
  const key = raw.toString('latin1');
  const known = shared.get(key);
  if (known !== undefined) return known;
  const document = decode(raw);
  if (shared.size >= MAX_SHARED) shared.clear();
  shared.set(key, document);
  return document;
}

function readOrigin(raw: Buffer): WriteOrigin {
  const { rest, raws } = split(raw, ['lsid', 'reply']);
  const { txnNumber, statement } = decode(rest);
  if (!(txnNumber instanceof Long)) throw bad('origin');
  return {
    lsid: decodeShared(raws.get('lsid')),
    txnNumber: txnNumber.toBigInt(),
    statement: toInteger(statement) ?? 0,
    reply: decodeShared(raws.get('reply')),
  };
}

/** The operations of an entry's record, and whether they were one transaction. */
export function operationsIn(raw: Buffer): { readonly operations: OplogOperation[]; readonly isTransaction: boolean } {
  const last = raw.length - 1;
  let isTransaction = false;
  for (let at = 4; at < last; ) {
    const start = valueStartOf(raw, at);
    if (isNamed(raw, at, OPERATIONS))
      return { isTransaction, operations: readItems(raw, start, (from, until) => readOperation(raw, from, until)) };
    isTransaction ||= isNamed(raw, at, TRANSACTION);
    at = valueEnd(raw, raw[at] ?? 0, start, last);
  }
  throw bad('entry');
}

/** An entry's record as the oplog has it. */
export function readEntry(raw: Buffer): NewEntry {
  const { rest, raws } = split(raw, ['ops', 'origins']);
  const fields = decode(rest);
  const time: unknown = fields['entry'] ?? fields['past'];
  const wall: unknown = fields['wall'];
  if (!(time instanceof Timestamp) || !(wall instanceof Date)) throw bad('entry');
  const transaction: unknown = fields['txn'];
  const origins = raws.get('origins');
  const number: unknown = isDocument(transaction) ? transaction['txnNumber'] : undefined;
  const lsid: unknown = isDocument(transaction) ? transaction['lsid'] : undefined;
  return {
    time: fromTimestamp(time),
    term: toInteger(fields['term']) ?? 1,
    wallTime: wall.getTime(),
    operations: operationsIn(raw).operations,
    transaction: isDocument(lsid) && number instanceof Long ? { lsid, txnNumber: number.toBigInt() } : undefined,
    origins: origins === undefined ? undefined : rawItems(origins).map(readOrigin),
  };
}

/** @throws DataFolderError when it is none of this server's */
export function readRecord(raw: Buffer): DataRecord {
  // The name of the first element, without a look at the rest.
  const is = raw.toString('latin1', 5, raw.indexOf(0, 5));
  switch (is) {
    case 'entry':
    case 'past':
      return { is, raw };
    case 'format':
      return { is, format: decode(raw)['format'] };
    case 'forget': {
      const record = decode(raw);
      return { is, collection: binary(record, is), key: Buffer.from(binary(record, 'key').value()) };
    }
    case 'user': {
      const record = decode(raw);
      const document: unknown = record['document'];
      const name = { user: text(record, is), db: text(record, 'db') };
      return { is, name, document: isDocument(document) ? document : undefined };
    }
    case 'end':
      return { is };
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
