import { Binary, type Document, Long, Timestamp } from 'bson';
import { fromTimestamp } from '../oplog/clock.ts';
import type { Operation, OplogEntry, WriteOrigin } from '../oplog/oplog.ts';
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
 * - `collection`, `documents`: what a base begins with; `end`: what it ends with
 */
export type DataRecord =
  | { readonly is: 'format'; readonly format: unknown }
  | { readonly is: 'entry' | 'past'; readonly entry: RestoredEntry }
  | { readonly is: 'forget'; readonly collection: Binary; readonly key: Buffer }
  | { readonly is: 'cut'; readonly keep: number }
  | { readonly is: 'end' }
  | { readonly is: 'collection'; readonly description: Document }
  | { readonly is: 'documents'; readonly collection: Binary; readonly documents: readonly Buffer[] };

export type RestoredEntry = Omit<OplogEntry, 'sequence' | 'bytes'>;

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
        // Views: the collection keeps a copy, and the oplog what was read, as long as it goes back there.
        after,
        ...(before === undefined ? {} : { before }),
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
    wallTime: wall.getTime(),
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
