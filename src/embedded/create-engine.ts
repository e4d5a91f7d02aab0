import { createUsers } from './auth/users.ts';
import { createCatalogChanges } from './catalog-changes.ts';
import { CODES } from './codes.ts';
import { createCursors } from './cursors.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { CommandError } from './errors.ts';
import { createFailPoints } from './fail-points.ts';
import type { Journal } from './journal/journal.ts';
import { cutRecord, forgetRecord, userRecord } from './journal/records.ts';
import { type Operation, waitFor } from './operation.ts';
import { createClock } from './oplog/clock.ts';
import { createOplog, type Oplog } from './oplog/oplog.ts';
import { createReplication } from './replication.ts';
import { createLocks } from './sessions/locks.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSnapshots } from './sessions/snapshots.ts';
import { createTtlMonitor } from './sessions/ttl.ts';
import { type Catalog, createCatalog } from './storage/catalog.ts';
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

function createMemory(oplog: Oplog, catalog: Catalog, limit: number): Pick<Engine, 'bytesHeld' | 'checkMemory'> {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let held = 0;
  const bytesHeld = (): number => {
    let bytes = oplog.bytes;
    for (const db of catalog.databases()) for (const one of catalog.collections(db)) bytes += one.heldBytes;
    return bytes;
  };
  return {
    bytesHeld,
    checkMemory() {
      const now = performance.now();
      if (now - lookedAt >= MEMORY_LOOK_MS) {
        lookedAt = now;
        held = bytesHeld();
      }
      if (held > limit) throw memoryFull(held, limit);
    },
  };
}

async function waitForDisk(journal: Journal, operation: Operation, timeoutMs?: number): Promise<boolean> {
  const inTime = await waitFor(operation, (callback) => journal.whenDurable(callback), timeoutMs);
  if (journal.failure !== undefined) throw journal.failure;
  return inTime;
}

/** What writes ask and await of the disk. `current`: the journal, once one is attached. */
function createDiskWaits(
  current: () => Journal | undefined,
): Pick<Engine, 'checkWritable' | 'whenRoom' | 'whenDurable'> {
  const whenDurable: Engine['whenDurable'] = (operation, timeoutMs) => {
    const journal = current();
    if (journal === undefined || journal.isDurable) return undefined;
    return waitForDisk(journal, operation, timeoutMs);
  };
  return {
    checkWritable() {
      const failure = current()?.failure;
      if (failure !== undefined) throw failure;
    },
    whenRoom: (operation) => (current()?.isFull === true ? whenDurable(operation) : undefined),
    whenDurable,
  };
}

function beginTerm(engine: Engine, lastTerm: number): void {
  engine.replication.begin(lastTerm + 1);
  if (lastTerm === 0) engine.record([{ kind: 'noop', message: 'initiating set' }]);
  engine.record([{ kind: 'noop', message: 'new primary' }]);
}

/** Ends the writes under way but `except`, and all transactions. */
function stepDown(engine: Engine, forMs: number, except: Operation): void {
  engine.replication.stepDown(forMs);
  const error = new CommandError(CODES.InterruptedDueToReplStateChange, 'operation was interrupted');
  for (const { operation, writes } of engine.running) if (writes && operation !== except) operation.interrupt(error);
  for (const session of engine.sessions.all()) session.transaction?.abort();
}

/** No-ops and expiry, written while `canWrite`. */
function startChores(engine: Engine, canWrite: () => boolean) {
  const { oplog, sessions, cursors } = engine;
  const ttl = createTtlMonitor(engine, engine.options.ttlMonitorSleepSecs, canWrite);
  let lastSeen = 0;
  // As the server's periodic no-op: idle streams thereby learn that time has passed.
  const noop = setInterval(() => {
    if (oplog.nextSequence === lastSeen && canWrite()) engine.record([{ kind: 'noop', message: 'periodic noop' }]);
    lastSeen = oplog.nextSequence;
  }, NOOP_INTERVAL_MS).unref();
  const sweep = setInterval(() => {
    sessions.expire(Date.now());
    cursors.expire(Date.now());
  }, SWEEP_INTERVAL_MS).unref();
  return {
    ttl,
    stop(): void {
      ttl.stop();
      clearInterval(noop);
      clearInterval(sweep);
    },
  };
}

/** Its timers (no-ops, expiry of sessions, cursors and documents) do not keep the process alive. */
export function createEngine(options: EngineOptions): Engine {
  const clock = createClock();
  const catalog = createCatalog();
  const cursors = createCursors();
  const sessions = createSessions();
  const locks = createLocks();
  let journal: Journal | undefined;
  const replication = createReplication(options.standalone, () => {
    engine.record([{ kind: 'noop', message: 'new primary' }]);
  });
  const oplog = createOplog(clock, () => replication.term, options.oplogBytes);
  const modern = options.compat === '8.0';

  // Timers may be overdue when a long reading of the data folder ends: what they wrote before `begin` no journal has.
  let serving = false;
  const canWrite = () => serving && replication.isPrimary && journal?.failure === undefined;

  const engine: Engine = {
    options,
    modern,
    tokenVersion: modern ? 2 : 1,
    clock,
    oplog,
    catalog,
    users: createUsers((name, document) => journal?.add(userRecord(name, document))),
    cursors,
    sessions,
    locks,
    snapshots: createSnapshots(catalog, oplog),
    failPoints: createFailPoints(),
    replication,
    get ttl() {
      return chores.ttl;
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
    ...createCatalogChanges({
      catalog,
      locks,
      record: (operations) => engine.record(operations),
      forget: (collection, raw) => journal?.add(forgetRecord(collection.uuid, rawKey(raw))),
    }),
    ...createMemory(oplog, catalog, options.maxBytes),
    stepDown: (forMs, except) => stepDown(engine, forMs, except),
    attach(attached) {
      journal = attached;
    },
    begin(lastTerm) {
      serving = true;
      if (!options.standalone) beginTerm(engine, lastTerm);
    },
    cutOplog(keep) {
      oplog.cut(keep);
      journal?.add(cutRecord(keep));
    },
    get isPersistent() {
      return journal !== undefined;
    },
    get diskFailure() {
      return journal?.failure;
    },
    ...createDiskWaits(() => journal),
    stop() {
      chores.stop();
      for (const session of sessions.all()) session.transaction?.abort();
      engine.snapshots.stop();
      replication.stop();
    },
  };
  const chores = startChores(engine, canWrite);
  return engine;
}
