import { Binary, type Document } from 'bson';
import { collectionOptions } from '../commands/collection-options.ts';
import { changeIndex } from '../commands/collections.ts';
import { parseIndexSpec } from '../commands/index-spec.ts';
import type { Engine } from '../engine.ts';
import {
  type CatalogOperation,
  type DocumentOperation,
  entryBytes,
  isDocumentOperation,
  type OplogEntry,
  type OplogOperation,
} from '../oplog/oplog.ts';
import { committedTransaction } from '../sessions/transaction.ts';
import type { Collection } from '../storage/collection.ts';
import { partialFilter } from '../storage/collection-index.ts';
import { keyString } from '../storage/key-string.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { rawKey } from '../wire/raw.ts';
import { DataFolderError } from './frames.ts';
import { type DataRecord, operationsIn, readEntry, readRecord } from './read-records.ts';
import { FORMAT, OLD_FORMAT } from './records.ts';

function collectionOf(engine: Engine, uuid: Binary | undefined): Collection {
  const collection = uuid === undefined ? undefined : engine.catalog.byUuid(uuid);
  if (collection === undefined)
    throw new DataFolderError(`the data folder changes an unknown collection ${uuid?.toString('hex')}`);
  return collection;
}

/** `document`: whole, or `{_id}` alone. */
function recordIdOf(collection: Collection, key: Buffer): number {
  const id = collection.idIndex.keys.get(keyString(decode(rawKey(key))['_id']));
  if (id === undefined)
    throw new DataFolderError(`the data folder changes an unknown document of ${collection.namespace}`);
  return id;
}

function putDocument(collection: Collection, raw: Buffer, id = collection.nextRecordId()): void {
  collection.put(id, raw, collection.keysOfRaw(raw));
}

function applyToDocument(engine: Engine, operation: DocumentOperation): void {
  const collection = collectionOf(engine, operation.uuid);
  const { kind, after } = operation;
  if (kind === 'insert') putDocument(collection, after);
  else if (kind === 'delete') collection.remove(recordIdOf(collection, after));
  else putDocument(collection, after, recordIdOf(collection, after));
}

function addIndexes(collection: Collection, description: Document | undefined): void {
  const indexes: unknown = description?.['indexes'];
  if (!Array.isArray(indexes)) return;
  for (const index of indexes) {
    if (!isDocument(index)) continue;
    const spec = parseIndexSpec(index);
    collection.addIndex(spec, partialFilter(spec));
  }
}

function applyToCatalog(engine: Engine, operation: CatalogOperation): void {
  const { catalog, modern } = engine;
  const { kind, db, coll, uuid, description = {} } = operation;
  if (kind === 'dropDatabase' || coll === undefined) return;
  if (kind === 'create') {
    const { idIndex: _idIndex, ...shown } = description;
    catalog.add(catalog.prepare(db, coll, collectionOptions(shown, modern), uuid));
    return;
  }
  const collection = collectionOf(engine, uuid);
  if (kind === 'drop') catalog.remove(collection);
  else if (kind === 'createIndexes') addIndexes(collection, description);
  else if (kind === 'dropIndexes') {
    const indexes: unknown = description['indexes'];
    for (const index of Array.isArray(indexes) ? indexes : []) collection.removeIndex(String(index?.name));
  } else if (kind === 'rename' && operation.to !== undefined) {
    if (operation.droppedTarget !== undefined) catalog.remove(collectionOf(engine, operation.droppedTarget));
    catalog.move(collection, operation.to.db, operation.to.coll);
  } else if (kind === 'modify') {
    const { index, ...options } = description;
    if (isDocument(index)) changeIndex(collection, index);
    collection.setOptions(collectionOptions({ ...collection.options.shown, ...options }, modern));
  }
}

/** Sessions remember what they did, so that a retry that spans the restart has no second effect. */
function rememberSessions(engine: Engine, entry: Pick<OplogEntry, 'origins' | 'transaction'>): void {
  const sessionOf = (lsid: Document, number: bigint) => {
    const { id, uid } = lsid;
    if (!(id instanceof Binary) || !(uid instanceof Binary))
      throw new DataFolderError('the data folder holds a session without an id');
    const session = engine.sessions.use(id, uid);
    if (session.txnNumber !== number) {
      session.txnNumber = number;
      session.statements.clear();
      session.transaction = undefined;
    }
    return session;
  };
  for (const { lsid, txnNumber, statement, reply } of entry.origins ?? []) {
    sessionOf(lsid, txnNumber).statements.set(statement, { reply });
  }
  if (entry.transaction !== undefined) {
    const session = sessionOf(entry.transaction.lsid, entry.transaction.txnNumber);
    session.transaction = committedTransaction(engine, session, entry.transaction.txnNumber);
  }
}

function addCollection(engine: Engine, { collection: uuid, db, coll, shown, indexes }: Document): void {
  if (!(uuid instanceof Binary)) throw new DataFolderError('the data folder holds a collection without an id');
  const options = collectionOptions(isDocument(shown) ? shown : {}, engine.modern);
  const collection = engine.catalog.prepare(String(db), String(coll), options, uuid);
  engine.catalog.add(collection);
  addIndexes(collection, { indexes });
}

/** All together, as they were committed: unique keys may have moved between the documents of a transaction. */
function applyTogether(engine: Engine, operations: readonly DocumentOperation[]): void {
  const changes = new Map<Collection, Map<number, Buffer | undefined>>();
  const inserted = new Map<Collection, Map<string, number>>();
  for (const { kind, uuid, after } of operations) {
    const collection = collectionOf(engine, uuid);
    const own = changes.get(collection) ?? new Map<number, Buffer | undefined>();
    changes.set(collection, own);
    const made = inserted.get(collection) ?? new Map<string, number>();
    inserted.set(collection, made);
    const key = keyString(decode(rawKey(after))['_id']);
    if (kind === 'insert') made.set(key, collection.nextRecordId());
    const id = made.get(key) ?? recordIdOf(collection, after);
    own.set(id, kind === 'delete' ? undefined : after);
  }
  for (const [collection, own] of changes) collection.putAll(own);
}

function applyEntry(engine: Engine, operations: readonly OplogOperation[], together: boolean): void {
  if (together) {
    applyTogether(engine, operations.filter(isDocumentOperation));
    return;
  }
  for (const operation of operations) {
    if (operation.kind === 'noop') continue;
    if (isDocumentOperation(operation)) applyToDocument(engine, operation);
    else applyToCatalog(engine, operation);
  }
}

/** Bytes one after the other in slabs: a Buffer of its own for each record would cost more than it holds. */
interface KeptRecord {
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
  /** What it counts in the oplog. */
  readonly bytes: number;
}

const KEPT_SLAB_BYTES = 1024 * 1024;

/**
 * The newest entries as they were read. Those that the oplog would let go again are never made: they are most of a long
 * log. What sessions did is remembered as far back as the oplog goes, as on a real server.
 */
function createHistory(engine: Engine) {
  let records: KeptRecord[] = [];
  let slab = Buffer.alloc(0);
  let end = 0;
  let oldest = 0;
  let bytes = 0;
  let wasCut = false;
  const keep = (raw: Buffer, size: number): KeptRecord => {
    if (end + raw.length > slab.length) {
      slab = Buffer.allocUnsafeSlow(Math.max(KEPT_SLAB_BYTES, raw.length));
      end = 0;
    }
    slab.set(raw, end);
    end += raw.length;
    return { slab, start: end - raw.length, end, bytes: size };
  };
  const forgetOldest = () => {
    bytes -= records[oldest]?.bytes ?? 0;
    oldest += 1;
  };
  return {
    add(raw: Buffer, operations: readonly OplogOperation[]): void {
      const size = entryBytes(operations);
      records.push(keep(raw, size));
      bytes += size;
      // One more than there is room for: letting it go tells the oplog that it is not whole.
      while (bytes - (records[oldest]?.bytes ?? 0) > engine.options.oplogBytes && records.length - oldest > 1)
        forgetOldest();
      if (oldest <= MAX_FORGOTTEN) return;
      records = records.slice(oldest);
      oldest = 0;
    },
    /** The oplog was cut to that many entries. */
    cut(left: number): void {
      wasCut = true;
      while (records.length - oldest > Math.max(1, left)) forgetOldest();
    },
    /** Puts what is kept into the oplog. @returns the newest term, 0 when there never was an entry */
    restore(): number {
      let term = 0;
      for (const kept of records.slice(oldest)) {
        const entry = readEntry(kept.slab.subarray(kept.start, kept.end));
        rememberSessions(engine, entry);
        engine.oplog.restore(entry);
        term = Math.max(term, entry.term);
      }
      if (wasCut) engine.oplog.cut(records.length);
      return term;
    },
  };
}

/** Records that are kept in vain: removing each at once would move all others. */
const MAX_FORGOTTEN = 50_000;

/** Brings records into an engine, one after the other. */
export interface Replay {
  /** @throws DataFolderError when it does not fit what came before */
  record(raw: Buffer): void;
  /** To be called when all is read. @returns the newest term, 0 for a folder without entries */
  finish(): number;
}

export function createReplay(engine: Engine): Replay {
  const history = createHistory(engine);
  const apply = (record: DataRecord): void => {
    switch (record.is) {
      case 'entry':
      case 'past': {
        const { operations, isTransaction } = operationsIn(record.raw);
        if (record.is === 'entry') applyEntry(engine, operations, isTransaction);
        history.add(record.raw, operations);
        return;
      }
      case 'forget': {
        const collection = collectionOf(engine, record.collection);
        collection.remove(recordIdOf(collection, record.key));
        return;
      }
      case 'user':
        if (record.document === undefined) engine.users.remove(record.name);
        else engine.users.put(record.name, record.document);
        return;
      case 'cut':
        history.cut(record.keep);
        return;
      case 'collection':
        addCollection(engine, record.description);
        return;
      case 'documents': {
        const collection = collectionOf(engine, record.collection);
        for (const document of record.documents) putDocument(collection, document);
        return;
      }
      case 'end':
        return;
      case 'format':
        if (record.format === FORMAT || record.format === OLD_FORMAT) return;
        throw new DataFolderError(
          `the data folder was written by another version: its format is ${String(record.format)}`,
        );
      default:
        record satisfies never;
    }
  };
  return { record: (raw) => apply(readRecord(raw)), finish: history.restore };
}
