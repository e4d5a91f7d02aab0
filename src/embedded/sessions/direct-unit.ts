import type { Document } from 'bson';
import type { Engine } from '../engine.ts';
import type { DocumentOperation, WriteOrigin } from '../oplog/oplog.ts';
import { checkNamespace, PLAIN_OPTIONS } from '../storage/catalog.ts';
import { type Collection, placeOf } from '../storage/collection.ts';
import type { IndexKeys } from '../storage/collection-index.ts';
import { currentView } from '../storage/view.ts';
import { whole } from '../values/effort.ts';
import { rawKey } from '../wire/raw.ts';
import { Locked, type Unit } from './unit.ts';

export function checkConflict(collection: Collection, keys: IndexKeys, document: Document, self?: number): void {
  const conflict = collection.conflict(keys, self);
  if (conflict !== undefined) throw conflict.index.duplicateError(collection.namespace, document, conflict.key);
}

function checkUnlocked(engine: Engine, collection: Collection, keys: IndexKeys | undefined, id?: number): void {
  const holder = engine.locks.holder(collection, keys, id);
  if (holder !== undefined) throw new Locked(holder);
}

/** @returns a view of the stored bytes, so that the oplog holds no copy of its own */
function store(collection: Collection, id: number, raw: Buffer, keys: IndexKeys): Buffer {
  collection.put(id, raw, keys);
  return collection.records.get(id) ?? raw;
}

/** Since 8.0 up to this many inserted documents and bytes share one oplog entry (internalInsertMaxBatchSize). */
const GROUP_LIMIT = 500;
const GROUP_BYTES = 256 * 1024;

/** What goes into the oplog: each operation at once, or those between two flushes in one entry (`grouped`). */
function createGroup(engine: Engine, grouped: boolean) {
  let group: DocumentOperation[] = [];
  let groupBytes = 0;
  let origins: WriteOrigin[] = [];

  const flush = () => {
    if (group.length === 0) return;
    whole(() => engine.record(group, origins.length > 0 ? { origins } : {}));
    group = [];
    groupBytes = 0;
    origins = [];
  };
  const emit = (operation: DocumentOperation, origin: WriteOrigin | undefined) => {
    if (!grouped) {
      engine.record([operation], origin === undefined ? {} : { origins: [origin] });
      return;
    }
    group.push(operation);
    groupBytes += operation.after.length;
    if (origin !== undefined) origins.push(origin);
    if (group.length >= GROUP_LIMIT || groupBytes >= GROUP_BYTES) flush();
  };
  return { flush, emit, isEmpty: () => group.length === 0 };
}

/**
 * Writes that take effect at once. `grouped`: documents inserted between two flushes share one oplog entry.
 * `beforeStatement` runs when a write is certain to succeed, and may throw to prevent it.
 */
export function createDirectUnit(
  engine: Engine,
  grouped: boolean,
  beforeStatement: () => void = () => undefined,
): Unit {
  const { catalog } = engine;
  const { flush, emit, isEmpty } = createGroup(engine, grouped);
  return {
    collection: (db, name) => catalog.find(db, name),
    view: currentView,
    isFresh: () => false,
    ensureCollection(db, name, options = PLAIN_OPTIONS) {
      const known = catalog.find(db, name);
      if (known !== undefined) return known;
      checkNamespace(db, name);
      return engine.createCollection(db, name, options);
    },
    insert(collection, raw, document, origin) {
      engine.checkMemory();
      const keys = collection.keysOf(document);
      checkUnlocked(engine, collection, keys);
      checkConflict(collection, keys, document);
      beforeStatement();
      whole(() => {
        catalog.commits.current += 1;
        const after = store(collection, collection.nextRecordId(), raw, keys);
        emit({ kind: 'insert', ...placeOf(collection), after }, origin);
        if (collection.options.capped === undefined) return;
        // What is let go must have been recorded before.
        flush();
        engine.trimCapped(collection);
      });
    },
    update(collection, id, raw, document, change, origin) {
      const keys = collection.keysOf(document);
      checkUnlocked(engine, collection, keys, id);
      checkConflict(collection, keys, document, id);
      const before = collection.records.get(id);
      beforeStatement();
      whole(() => {
        catalog.commits.current += 1;
        const after = store(collection, id, raw, keys);
        const kept = collection.options.preImages && before !== undefined ? { before } : {};
        emit({ ...change, ...placeOf(collection), after, ...kept }, origin);
      });
    },
    remove(collection, id, origin) {
      checkUnlocked(engine, collection, undefined, id);
      const before = collection.records.get(id);
      if (before === undefined) return;
      beforeStatement();
      whole(() => {
        catalog.commits.current += 1;
        collection.remove(id);
        const kept = collection.options.preImages ? { before } : {};
        emit({ kind: 'delete', ...placeOf(collection), after: rawKey(before), ...kept }, origin);
      });
    },
    get isGrouping() {
      return !isEmpty();
    },
    flush,
  };
}
