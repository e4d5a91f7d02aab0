import { Binary, type Document } from 'bson';
import { collectionOptions } from '../commands/collection-options.ts';
import { changeIndex } from '../commands/collections.ts';
import { parseIndexSpec } from '../commands/index-spec.ts';
import type { Engine } from '../engine.ts';
import { type CatalogOperation, type DocumentOperation, isDocumentOperation, type OplogEntry } from '../oplog/oplog.ts';
import { committedTransaction } from '../sessions/transaction.ts';
import type { Collection } from '../storage/collection.ts';
import { partialFilter } from '../storage/collection-index.ts';
import { keyString } from '../storage/key-string.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { rawKey } from '../wire/raw.ts';
import { DataFolderError } from './frames.ts';
import { type RestoredEntry, readRecord } from './read-records.ts';
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
  collection.put(id, raw, collection.keysOf(collection.decodeKeys(raw)));
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

function applyEntry(engine: Engine, entry: RestoredEntry): void {
  if (entry.transaction !== undefined) {
    applyTogether(engine, entry.operations.filter(isDocumentOperation));
    return;
  }
  for (const operation of entry.operations) {
    if (operation.kind === 'noop') continue;
    if (isDocumentOperation(operation)) applyToDocument(engine, operation);
    else applyToCatalog(engine, operation);
  }
}

/**
 * Applies one record of the data folder.
 *
 * @returns the term of the record, when it is an oplog entry
 * @throws DataFolderError when it does not fit what came before
 */
export function replayRecord(engine: Engine, raw: Buffer): number | undefined {
  const record = readRecord(raw);
  switch (record.is) {
    case 'entry':
    case 'past':
      if (record.is === 'entry') applyEntry(engine, record.entry);
      rememberSessions(engine, record.entry);
      engine.oplog.restore(record.entry);
      return record.entry.term;
    case 'forget': {
      const collection = collectionOf(engine, record.collection);
      collection.remove(recordIdOf(collection, record.key));
      return undefined;
    }
    case 'cut':
      engine.oplog.cut(record.keep);
      return undefined;
    case 'collection':
      addCollection(engine, record.description);
      return undefined;
    case 'documents': {
      const collection = collectionOf(engine, record.collection);
      for (const document of record.documents) putDocument(collection, document);
      return undefined;
    }
    case 'end':
      return undefined;
    case 'format':
      if (record.format === FORMAT || record.format === OLD_FORMAT) return undefined;
      throw new DataFolderError(
        `the data folder was written by another version: its format is ${String(record.format)}`,
      );
    default:
      return record satisfies never;
  }
}
