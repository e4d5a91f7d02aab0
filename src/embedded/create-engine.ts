import type { Document } from 'bson';
import { CODES } from './codes.ts';
import { createCursors } from './cursors.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { CommandError } from './errors.ts';
import { createFailPoints } from './fail-points.ts';
import type { Journal } from './journal/journal.ts';
import { type Operation, waitFor } from './operation.ts';
import { createClock } from './oplog/clock.ts';
import { createOplog } from './oplog/oplog.ts';
import { createReplication } from './replication.ts';
import { createLocks } from './sessions/locks.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSnapshots } from './sessions/snapshots.ts';
import { createTtlMonitor } from './sessions/ttl.ts';
import { createCatalog } from './storage/catalog.ts';
import { type Collection, placeOf } from './storage/collection.ts';
import { type IndexSpec, indexDocument, partialFilter } from './storage/collection-index.ts';
import { buildIndexes } from './storage/index-build.ts';
import { rawKey } from './wire/raw.ts';

const NOOP_INTERVAL_MS = 10_000;
const SWEEP_INTERVAL_MS = 60_000;

/** Adding up what is held costs more than an insert: between two looks little can come. */
const MEMORY_LOOK_MS = 50;
const BYTES_PER_MB = 1024 * 1024;

function memoryFull(held: number, limit: number): CommandError {
  const [heldMb, limitMb] = [held, limit].map((bytes) => Math.round(bytes / BYTES_PER_MB));
  return new CommandError(
    CODES.ExceededMemoryLimit,
    `This server holds ${heldMb} MB of data, and its limit is ${limitMb} MB (--max-mb, EMBEDDED_MAX_MB). Inserts are refused; ` +
      'reads, updates and deletes go on. Delete documents, raise the limit, or use a real MongoDB.',
  );
}

async function waitForDisk(journal: Journal, operation: Operation, timeoutMs?: number): Promise<boolean> {
  const inTime = await waitFor(operation, (callback) => journal.whenDurable(callback), timeoutMs);
  if (journal.failure !== undefined) throw journal.failure;
  return inTime;
}

/** Its timers (no-ops, expiry of sessions, cursors and documents) do not keep the process alive. */
export function createEngine(options: EngineOptions): Engine {
  const clock = createClock();
  const catalog = createCatalog();
  const cursors = createCursors();
  const sessions = createSessions();
  let journal: Journal | undefined;
  const replication = createReplication(options.standalone, () => {
    engine.record([{ kind: 'noop', message: 'new primary' }]);
  });
  const oplog = createOplog(clock, () => replication.term, options.oplogBytes);
  const modern = options.compat === '8.0';

  // Timers may be overdue when a long reading of the data folder ends: what they wrote before `begin` no journal has.
  let serving = false;
  const canWrite = () => serving && replication.isPrimary && journal?.failure === undefined;
  let lastSeen = 0;
  let lookedAt = 0;
  let held = 0;
  // As the server's periodic no-op: idle streams thereby learn that time has passed.
  const noop = setInterval(() => {
    if (oplog.nextSequence === lastSeen && canWrite()) engine.record([{ kind: 'noop', message: 'periodic noop' }]);
    lastSeen = oplog.nextSequence;
  }, NOOP_INTERVAL_MS).unref();
  const sweep = setInterval(() => {
    sessions.expire(Date.now());
    cursors.expire(Date.now());
  }, SWEEP_INTERVAL_MS).unref();

  const recordIndexes = (collection: Collection, ...specs: readonly IndexSpec[]) => {
    const description = { indexes: specs.map(indexDocument) };
    engine.record([{ kind: 'createIndexes', ...placeOf(collection), description }]);
  };

  const engine: Engine = {
    options,
    modern,
    tokenVersion: modern ? 2 : 1,
    clock,
    oplog,
    catalog,
    cursors,
    sessions,
    locks: createLocks(),
    snapshots: createSnapshots(catalog, oplog),
    failPoints: createFailPoints(),
    replication,
    get ttl() {
      return ttl;
    },
    settings: { transactionLifetimeLimitSeconds: 60 },
    startedAt: Date.now(),
    running: new Set(),
    members: null,
    connections: { current: 0, available: 0, totalCreated: 0 },
    record(operations, extra) {
      const entry = oplog.append(operations, extra);
      journal?.append(entry);
      return entry;
    },
    createCollection(db, name, collectionOptions, uuid) {
      const collection = catalog.prepare(db, name, collectionOptions, uuid);
      engine.publishCollection(collection);
      return collection;
    },
    publishCollection(collection) {
      catalog.add(collection);
      const description: Document = { ...collection.options.shown, idIndex: { v: 2, key: { _id: 1 }, name: '_id_' } };
      engine.record([{ kind: 'create', ...placeOf(collection), description }]);
      for (const { spec } of collection.indexes.values()) if (spec.name !== '_id_') recordIndexes(collection, spec);
    },
    dropCollection(collection) {
      catalog.remove(collection);
      engine.record([{ kind: 'drop', ...placeOf(collection) }]);
    },
    addIndex(collection, spec) {
      collection.addIndex(spec, partialFilter(spec));
      recordIndexes(collection, spec);
    },
    async buildIndexes(collection, specs, operation) {
      // As the server records it: each index of an empty collection by itself, those that were built as one.
      if (collection.records.size === 0) {
        for (const spec of specs) engine.addIndex(collection, spec);
        return;
      }
      const release = engine.locks.takeForBuild(collection);
      try {
        await buildIndexes(collection, specs, operation);
        recordIndexes(collection, ...specs);
      } finally {
        release();
      }
    },
    removeIndex(collection, name) {
      const index = collection.indexes.get(name);
      if (index === undefined) return;
      collection.removeIndex(name);
      engine.record([
        { kind: 'dropIndexes', ...placeOf(collection), description: { indexes: [indexDocument(index.spec)] } },
      ]);
    },
    renameCollection(collection, db, name, target) {
      const from = placeOf(collection);
      if (target !== undefined) catalog.remove(target);
      catalog.move(collection, db, name);
      const to = { db, coll: name };
      const dropped = target === undefined ? {} : { dropTarget: target.uuid };
      engine.record([
        {
          kind: 'rename',
          ...from,
          to,
          ...(target === undefined ? {} : { droppedTarget: target.uuid }),
          description: { to, ...dropped },
        },
      ]);
    },
    trimCapped(collection) {
      const { capped } = collection.options;
      if (capped === undefined) return;
      const over = () =>
        collection.bytes > capped.size || (capped.max !== undefined && collection.records.size > capped.max);
      for (const [id, raw] of collection.records) {
        if (!over()) return;
        collection.remove(id);
        // The journal alone hears of it: change streams do not show what a capped collection lets go.
        journal?.forget(collection.uuid, rawKey(raw));
      }
    },
    stepDown(forMs, except) {
      replication.stepDown(forMs);
      const error = new CommandError(CODES.InterruptedDueToReplStateChange, 'operation was interrupted');
      for (const { operation, writes } of engine.running)
        if (writes && operation !== except) operation.interrupt(error);
      for (const session of sessions.all()) session.transaction?.abort();
    },
    attach(attached) {
      journal = attached;
    },
    begin(lastTerm) {
      serving = true;
      if (options.standalone) return;
      replication.begin(lastTerm + 1);
      if (lastTerm === 0) engine.record([{ kind: 'noop', message: 'initiating set' }]);
      engine.record([{ kind: 'noop', message: 'new primary' }]);
    },
    cutOplog(keep) {
      oplog.cut(keep);
      journal?.cut(keep);
    },
    get isPersistent() {
      return journal !== undefined;
    },
    get diskFailure() {
      return journal?.failure;
    },
    checkWritable() {
      if (journal?.failure !== undefined) throw journal.failure;
    },
    bytesHeld() {
      let held = oplog.bytes;
      for (const db of catalog.databases()) for (const one of catalog.collections(db)) held += one.heldBytes;
      return held;
    },
    checkMemory() {
      const now = Date.now();
      if (now - lookedAt >= MEMORY_LOOK_MS) {
        lookedAt = now;
        held = engine.bytesHeld();
      }
      if (held > options.maxBytes) throw memoryFull(held, options.maxBytes);
    },
    whenRoom: (operation) => (journal?.isFull === true ? engine.whenDurable(operation) : undefined),
    whenDurable(operation, timeoutMs) {
      if (journal === undefined || journal.isDurable) return undefined;
      return waitForDisk(journal, operation, timeoutMs);
    },
    stop() {
      clearInterval(noop);
      clearInterval(sweep);
      ttl.stop();
      for (const session of sessions.all()) session.transaction?.abort();
      engine.snapshots.stop();
      replication.stop();
    },
  };
  const ttl = createTtlMonitor(engine, options.ttlMonitorSleepSecs, canWrite);
  return engine;
}
