import type { Binary, Document } from 'bson';
import { type Cursors, createCursors } from './cursors.ts';
import { CommandError } from './errors.ts';
import { createFailPoints, type FailPoints } from './failpoints.ts';
import type { Journal } from './journal/journal.ts';
import type { Operation as CommandOperation } from './operation.ts';
import { type Clock, createClock } from './oplog/clock.ts';
import { createOplog, type Operation, type Oplog, type OplogEntry } from './oplog/oplog.ts';
import type { TokenVersion } from './oplog/tokens.ts';
import { compileFilter } from './query/filter.ts';
import { createReplication, type Replication } from './replication.ts';
import { createLocks, type Locks } from './sessions/locks.ts';
import { createSessions, type Sessions } from './sessions/sessions.ts';
import { type Catalog, createCatalog } from './storage/catalog.ts';
import type { Collection, CollectionOptions } from './storage/collection.ts';
import { type IndexSpec, indexDocument } from './storage/collindex.ts';
import { expireDocuments } from './storage/ttl.ts';
import { isDocument } from './values/types.ts';
import { rawKey } from './wire/raw.ts';

export interface EngineOptions {
  readonly standalone: boolean;
  readonly compat: '4.4' | '8.0';
  readonly oplogBytes: number;
}

export interface Running {
  readonly operation: CommandOperation;
  readonly name: string;
  readonly namespace: string;
  readonly writes: boolean;
}

/** Everything that commands work on; one per server, nothing is shared between two in one process. */
export interface Engine {
  readonly options: EngineOptions;
  readonly modern: boolean;
  readonly tokenVersion: TokenVersion;
  readonly clock: Clock;
  readonly oplog: Oplog;
  readonly catalog: Catalog;
  readonly cursors: Cursors;
  readonly sessions: Sessions;
  readonly locks: Locks;
  readonly failPoints: FailPoints;
  readonly replication: Replication;
  readonly startedAt: number;
  /** Commands being run now. */
  readonly running: Set<Running>;
  /** Of serverStatus. */
  readonly connections: { current: number; available: number; totalCreated: number };
  /** Appends to the oplog and, when there is one, to the journal. */
  record(operations: readonly Operation[], extra?: Pick<OplogEntry, 'transaction' | 'origins'>): OplogEntry;
  createCollection(db: string, name: string, options: CollectionOptions, uuid?: Binary): Collection;
  dropCollection(collection: Collection): void;
  /** Builds an index. @throws CommandError 11000 when it is unique and the documents are not. */
  addIndex(collection: Collection, spec: IndexSpec): void;
  removeIndex(collection: Collection, name: string): void;
  /** Gives a collection another name; `target` is the one that had it. */
  renameCollection(collection: Collection, db: string, name: string, target: Collection | undefined): void;
  /** Removes the oldest documents of a capped collection that is over its bounds. */
  trimCapped(collection: Collection): void;
  /** Becomes secondary for a time: writes under way are interrupted, open transactions end, reads and cursors go on. */
  stepDown(forMs: number, except: CommandOperation): void;
  /** From now on everything recorded is written to the journal too. */
  attach(journal: Journal): void;
  /** Begins to serve, in the term after `lastTerm` (0 for a new set). */
  begin(lastTerm: number): void;
  /** Removes all but the newest entries of the oplog. */
  cutOplog(keep: number): void;
  /** Makes what was recorded durable; before an answer goes out. */
  flush(): void;
  stop(): void;
}

const NOOP_INTERVAL_MS = 10_000;
const SWEEP_INTERVAL_MS = 60_000;

function placeOf(collection: Collection) {
  return { db: collection.db, coll: collection.name, uuid: collection.uuid };
}

/** `periodic` tasks run on timers that do not keep the process alive. */
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

  let lastSeen = 0;
  // As the server's periodic no-op: idle streams thereby learn that time has passed.
  const noop = setInterval(() => {
    if (oplog.nextSequence === lastSeen && replication.isPrimary)
      engine.record([{ kind: 'noop', message: 'periodic noop' }]);
    lastSeen = oplog.nextSequence;
    engine.flush();
  }, NOOP_INTERVAL_MS).unref();
  const sweep = setInterval(() => {
    sessions.expire(Date.now());
    cursors.expire(Date.now());
    if (replication.isPrimary) expireDocuments(engine, Date.now());
    engine.flush();
  }, SWEEP_INTERVAL_MS).unref();

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
    failPoints: createFailPoints(),
    replication,
    startedAt: Date.now(),
    running: new Set(),
    connections: { current: 0, available: 0, totalCreated: 0 },
    record(operations, extra) {
      const entry = oplog.append(operations, extra);
      journal?.append(entry);
      return entry;
    },
    createCollection(db, name, collectionOptions, uuid) {
      const collection = catalog.add(db, name, collectionOptions, uuid);
      const description: Document = { ...collectionOptions.shown, idIndex: { v: 2, key: { _id: 1 }, name: '_id_' } };
      engine.record([{ kind: 'create', db, coll: name, uuid: collection.uuid, description }]);
      return collection;
    },
    dropCollection(collection) {
      catalog.remove(collection);
      engine.record([{ kind: 'drop', db: collection.db, coll: collection.name, uuid: collection.uuid }]);
    },
    addIndex(collection, spec) {
      const partial: unknown = spec.options['partialFilterExpression'];
      collection.addIndex(spec, isDocument(partial) ? compileFilter(partial) : undefined);
      engine.record([
        { kind: 'createIndexes', ...placeOf(collection), description: { indexes: [indexDocument(spec)] } },
      ]);
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
      const error = new CommandError(11602, 'InterruptedDueToReplStateChange', 'operation was interrupted');
      for (const { operation, writes } of engine.running)
        if (writes && operation !== except) operation.interrupt(error);
      for (const session of sessions.all()) session.transaction?.abort();
    },
    attach(attached) {
      journal = attached;
    },
    begin(lastTerm) {
      if (options.standalone) return;
      replication.begin(lastTerm + 1);
      if (lastTerm === 0) engine.record([{ kind: 'noop', message: 'initiating set' }]);
      engine.record([{ kind: 'noop', message: 'new primary' }]);
    },
    cutOplog(keep) {
      oplog.cut(keep);
      journal?.cut(keep);
    },
    flush: () => journal?.flush(),
    stop() {
      clearInterval(noop);
      clearInterval(sweep);
      for (const session of sessions.all()) session.transaction?.abort();
      replication.stop();
      journal?.close();
    },
  };
  return engine;
}
