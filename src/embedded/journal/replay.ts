import { Binary, type Document } from 'bson';
import { collectionOptions } from '../commands/collectionoptions.ts';
import { changeIndex } from '../commands/collections.ts';
import { parseIndexSpec } from '../commands/indexspec.ts';
import type { Engine } from '../engine.ts';
import { type CatalogOperation, type DocumentOperation, isDocumentOperation, type OplogEntry } from '../oplog/oplog.ts';
import { committedTransaction } from '../sessions/transaction.ts';
import type { Collection } from '../storage/collection.ts';
import { partialFilter } from '../storage/collindex.ts';
import { keyString } from '../storage/keystring.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { rawKey } from '../wire/raw.ts';
import { DataFileError, readEntry } from './records.ts';

function collectionOf(engine: Engine, uuid: Binary | undefined): Collection {
  const collection = uuid === undefined ? undefined : engine.catalog.byUuid(uuid);
  if (collection === undefined)
    throw new DataFileError(`the data file changes an unknown collection ${uuid?.toString('hex')}`);
  return collection;
}

/** `document`: whole, or `{_id}` alone. */
function recordIdOf(collection: Collection, key: Buffer): number {
  const id = collection.idIndex.keys.get(keyString(decode(rawKey(key))['_id']));
  if (id === undefined) throw new DataFileError(`the data file changes an unknown document of ${collection.namespace}`);
  return id;
}

function putDocument(collection: Collection, raw: Buffer, id = collection.nextRecordId()): void {
  collection.put(id, raw, collection.keysOf(decode(raw)));
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
      throw new DataFileError('the data file holds a session without an id');
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

/**
 * Applies one record of the data file.
 *
 * @returns the term of the record, when it is an oplog entry
 * @throws DataFileError when it does not fit what came before
 */
export function replayRecord(engine: Engine, record: Document): number | undefined {
  if (record['forget'] instanceof Binary && record['key'] instanceof Binary) {
    const collection = collectionOf(engine, record['forget']);
    collection.remove(recordIdOf(collection, Buffer.from(record['key'].value())));
    return undefined;
  }
  if (record['cut'] !== undefined) {
    engine.oplog.cut(Number(record['cut']));
    return undefined;
  }
  if (record['collection'] instanceof Binary) {
    const { shown } = record;
    const collection = engine.catalog.prepare(
      String(record['db']),
      String(record['coll']),
      collectionOptions(isDocument(shown) ? shown : {}, engine.modern),
      record['collection'],
    );
    engine.catalog.add(collection);
    addIndexes(collection, record);
    return undefined;
  }
  if (record['document'] instanceof Binary && record['in'] instanceof Binary) {
    putDocument(collectionOf(engine, record['in']), Buffer.from(record['document'].value()));
    return undefined;
  }
  const entry = readEntry(record);
  // History that a rewritten file keeps for change streams: its effect is in the documents already.
  if (record['past'] !== true) {
    for (const operation of entry.operations) {
      if (operation.kind === 'noop') continue;
      if (isDocumentOperation(operation)) applyToDocument(engine, operation);
      else applyToCatalog(engine, operation);
    }
  }
  rememberSessions(engine, entry);
  engine.oplog.restore(entry);
  return entry.term;
}
