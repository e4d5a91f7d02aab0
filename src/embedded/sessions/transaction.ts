import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { CommandError } from '../errors.ts';
import type { DocumentOperation } from '../oplog/oplog.ts';
import { checkNamespace, PLAIN_OPTIONS } from '../storage/catalog.ts';
import { type Collection, placeOf } from '../storage/collection.ts';
import type { IndexKeys } from '../storage/collection-index.ts';
import { FULL_SCAN } from '../storage/plan.ts';
import { type View, viewAt } from '../storage/view.ts';
import { whole } from '../values/effort.ts';
import { rawKey } from '../wire/raw.ts';
import { createOverlay, type Overlay } from './overlay.ts';
import type { Session, Transaction, TransactionState } from './session.ts';
import { Locked, type Unit } from './unit.ts';

/** What a timer can wait at most. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function writeConflict(): CommandError {
  return new CommandError(
    CODES.WriteConflict,
    'WriteConflict error: this operation conflicted with another operation. Please retry your operation or multi-document transaction.',
  );
}

/** What a transaction sees: the state of the moment it began, with its own changes on top. */
function createReads(engine: Engine) {
  const snapshot = engine.catalog.openSnapshot();
  const overlays = new Map<Collection, Overlay>();
  const created: Collection[] = [];

  const checkVisible = (collection: Collection): void => {
    if (collection.createdAt > snapshot && !created.includes(collection)) {
      throw new CommandError(
        CODES.SnapshotUnavailable,
        'Unable to read from a snapshot due to pending collection catalog changes; please retry the operation.',
      );
    }
  };
  return {
    snapshot,
    overlays,
    created,
    checkVisible,
    overlayOf(collection: Collection): Overlay {
      const overlay = overlays.get(collection) ?? createOverlay(collection);
      overlays.set(collection, overlay);
      return overlay;
    },
    viewOf(collection: Collection): View {
      checkVisible(collection);
      const overlay = overlays.get(collection);
      const under = viewAt(collection, snapshot);
      const changes = overlay?.changes;
      const get = (id: number) => (changes?.has(id) === true ? changes.get(id) : under.get(id));
      return {
        collection,
        get,
        *ids() {
          const extra = new Set([...(changes?.keys() ?? []), ...under.loose(FULL_SCAN)]);
          for (const id of collection.records.keys()) {
            extra.delete(id);
            yield id;
          }
          yield* extra;
        },
        hasLoose: () => changes !== undefined || under.hasLoose(),
        loose: (plan) => [...(overlay?.idsOf(plan) ?? []), ...under.loose(plan)],
      };
    },
    /** Unique keys against the newest state and against this transaction's own documents. */
    checkUnique(collection: Collection, keys: IndexKeys, document: Document, self: number): void {
      const overlay = overlays.get(collection);
      const conflict = collection.conflict(keys, self);
      if (conflict !== undefined && overlay?.changes.has(conflict.id) !== true) {
        if (collection.at(conflict.id, snapshot) === undefined) throw writeConflict();
        throw conflict.index.duplicateError(collection.namespace, document, conflict.key);
      }
      const among = overlay?.conflict(keys, self);
      if (among !== undefined) throw among.index.duplicateError(collection.namespace, document, among.key);
    },
  };
}

type Reads = ReturnType<typeof createReads>;
type Lock = (collection: Collection, keys: IndexKeys | undefined, id: number) => void;

/** What a transaction writes is its own until commit. */
function createUnit(engine: Engine, reads: Reads, lock: Lock, operations: DocumentOperation[]): Unit {
  const { created, overlays } = reads;
  const unit: Unit = {
    collection: (db, name) =>
      created.find((one) => one.db === db && one.name === name) ?? engine.catalog.find(db, name),
    view: reads.viewOf,
    isFresh: (collection) => created.includes(collection) && overlays.get(collection) === undefined,
    ensureCollection(db, name, options = PLAIN_OPTIONS) {
      const known = unit.collection(db, name);
      if (known !== undefined) return known;
      checkNamespace(db, name);
      const collection = engine.catalog.prepare(db, name, options);
      created.push(collection);
      return collection;
    },
    insert(collection, raw, document) {
      engine.checkMemory();
      reads.checkVisible(collection);
      const id = collection.nextRecordId();
      const keys = collection.keysOf(document);
      lock(collection, keys, id);
      reads.checkUnique(collection, keys, document, id);
      reads.overlayOf(collection).put(id, raw, keys);
      operations.push({ kind: 'insert', ...placeOf(collection), after: raw });
    },
    update(collection, id, raw, document, change) {
      const keys = collection.keysOf(document);
      lock(collection, keys, id);
      reads.checkUnique(collection, keys, document, id);
      const before = reads.viewOf(collection).get(id);
      const kept = collection.options.preImages && before !== undefined ? { before } : {};
      reads.overlayOf(collection).put(id, raw, keys);
      operations.push({ ...change, ...placeOf(collection), after: raw, ...kept });
    },
    remove(collection, id) {
      const before = reads.viewOf(collection).get(id);
      if (before === undefined) return;
      lock(collection, undefined, id);
      const kept = collection.options.preImages ? { before } : {};
      reads.overlayOf(collection).remove(id);
      operations.push({ kind: 'delete', ...placeOf(collection), after: rawKey(before), ...kept });
    },
    isGrouping: false,
    flush: () => undefined,
  };
  return unit;
}

/** @throws CommandError 112 WriteConflict, 263; Locked while an index is built */
function checkFree(
  engine: Engine,
  snapshot: number,
  transaction: Transaction,
  ...[collection, keys, id]: Parameters<Lock>
): void {
  const { state, number } = transaction;
  // While its statement waited, the transaction may have been aborted: it must not hold anything any more.
  if (state !== 'active') throw new CommandError(CODES.NoSuchTransaction, `Transaction ${number} has been ${state}.`);
  if (collection.options.capped !== undefined) {
    throw new CommandError(
      CODES.OperationNotSupportedInTransaction,
      `Collection '${collection.namespace}' is a capped collection. Writes in transactions are not allowed on capped collections.`,
    );
  }
  const build = engine.locks.build(collection);
  if (build !== undefined) throw new Locked(build);
  const holder = engine.locks.holder(collection, keys, id);
  if (holder !== undefined && holder !== transaction) throw writeConflict();
  if (collection.isChangedSince(id, snapshot)) throw writeConflict();
}

/** Makes all that the transaction wrote visible, in one piece however long it takes. */
function apply(engine: Engine, { created, overlays }: Reads, { operations, session, number }: Transaction): void {
  whole(() => {
    for (const collection of created) engine.publishCollection(collection);
    if (operations.length === 0) return;
    engine.catalog.commits.current += 1;
    for (const [collection, overlay] of overlays) collection.putAll(overlay.changes);
    engine.record(operations, { transaction: { lsid: session.lsid, txnNumber: number } });
  });
}

/** Starts a transaction: what it reads is the state of this moment, what it writes is its own until commit. */
export function startTransaction(engine: Engine, session: Session, number: bigint): Transaction {
  const reads = createReads(engine);
  const operations: DocumentOperation[] = [];
  const waiting = new Set<() => void>();
  let state: TransactionState = 'active';

  const end = (how: TransactionState) => {
    state = how;
    clearTimeout(timer);
    engine.locks.release(transaction);
    engine.catalog.closeSnapshot();
    reads.overlays.clear();
    for (const callback of waiting) callback();
    waiting.clear();
  };
  const lock: Lock = (collection, keys, id) => {
    checkFree(engine, reads.snapshot, transaction, collection, keys, id);
    engine.locks.take(transaction, collection, keys, id);
  };

  const transaction: Transaction = {
    session,
    number,
    unit: createUnit(engine, reads, lock, operations),
    operations,
    get state() {
      return state;
    },
    commit() {
      if (state !== 'active') return;
      if (reads.created.some(({ db, name }) => engine.catalog.find(db, name) !== undefined)) {
        end('aborted');
        throw writeConflict();
      }
      apply(engine, reads, transaction);
      end('committed');
    },
    abort() {
      if (state === 'active') end('aborted');
    },
    whenEnded(callback) {
      if (state !== 'active') {
        callback();
        return () => undefined;
      }
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
  };
  const lifetimeMs = Math.min(engine.settings.transactionLifetimeLimitSeconds * 1000, MAX_TIMER_MS);
  const timer = setTimeout(() => transaction.abort(), lifetimeMs).unref();
  return transaction;
}

/** A transaction that was committed before a restart: committing it again is still answered. */
export function committedTransaction(engine: Engine, session: Session, number: bigint): Transaction {
  const transaction = startTransaction(engine, session, number);
  transaction.commit();
  return transaction;
}
