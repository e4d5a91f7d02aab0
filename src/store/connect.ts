import { MongoBulkWriteError, MongoClient, type MongoClientOptions } from 'mongodb';
import type { BuiltinStatus } from '../protocol/delivery.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { NumberToStore } from '../roulette/ingest.ts';
import { createSources, NOTED_TABLES, type Sources } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { type Base, type BaseProgress, type BaseRequest, readBase } from './base.ts';
import { readBuiltinStatus } from './builtin-status.ts';
import { CODES, toProtocolError } from './errors.ts';
import { createHistory, type History } from './history.ts';
import { ensureIndexes, type IndexReport } from './indexes.ts';
import { createIngest, type Ingest, type Layout } from './ingest.ts';
import { createOrders, type OrderStore } from './orders.ts';
import { collectionsNamed, type Databases, type Skipped } from './places.ts';
import { confirmNumber } from './table-reader.ts';

export interface StoreOptions {
  readonly uri: string;
  /** Database of the shared layout. */
  readonly database: string;
  /** Database of the per-table layout; null where it is the same. */
  readonly tablesDatabase: string | null;
  readonly layout: Layout;
  readonly minSpinIntervalMs: number;
  /** Which collections and fields are read; the feed is handed the same. */
  readonly sources?: Sources;
  /** The one known table that a UUID means. */
  readonly resolve: (reference: string) => TableId | null;
  readonly nameOf: (table: TableId) => string | null;
  /** Epoch milliseconds; the clock of the host by default. */
  readonly now?: () => number;
  /** Told of each document at rest that cannot be read. */
  readonly skipped?: Skipped;
}

/** MongoDB at rest. Everything but `readBase` rejects with ProtocolError alone. */
export interface Store extends Ingest, History, OrderStore {
  /**
   * The documents that a state begins with, as `from` shows them, whose commands may take minutes. Rejects with the
   * driver's errors: whoever follows the database decides by them what to do.
   */
  readBase(from: MongoClient, request: BaseRequest): Promise<Base>;
  /** How far the base read that is under way is; null when none is. */
  baseProgress(): BaseProgress | null;
  confirmNumber(item: NumberToStore, waitMs: number): Promise<boolean>;
  /** Ensures the indexes that reading needs; changes nothing else. Building one may take long. */
  ensureIndexes(): Promise<IndexReport>;
  /** What the built-in MongoDB reports of itself; null of a real one. */
  builtinStatus(): Promise<BuiltinStatus | null>;
  /** Notes that the wheels of these tables have a double zero. Rejects with ProtocolError. */
  noteDoubleZeros(tables: readonly TableId[]): Promise<void>;
  /** Asks the tables' own documents which collections they name. Rejects with ProtocolError. */
  learnCollections(): Promise<void>;
  /** Whether a primary is known now; false before the first connection. */
  isUp(): boolean;
  close(): Promise<void>;
}

const WRITABLE: ReadonlySet<string> = new Set(['RSPrimary', 'Standalone', 'Mongos', 'LoadBalancer']);

/** Longer than any command of a caller may take by its own limit, so that only a frozen server meets it. */
const SOCKET_MS = 30_000;

const COMMON: MongoClientOptions = {
  connectTimeoutMS: 2_000,
  serverSelectionTimeoutMS: 3_000,
  // A server that does not answer this ends what waits on its connections, however long that may wait by itself.
  heartbeatFrequencyMS: 1_000,
  // One question per heartbeat instead of a stream of answers and a ping beside it.
  serverMonitoringMode: 'poll',
  retryWrites: true,
  retryReads: true,
};

/** Of what may take minutes. */
const PATIENT: MongoClientOptions = { ...COMMON, appName: 'runcash-live base', maxPoolSize: 10, socketTimeoutMS: 0 };

const mapped = (cause: unknown): never => {
  throw toProtocolError(cause, 'read');
};

/** A client that connects when it is first used, again after a first attempt that failed, and never after its end. */
function lazily(client: MongoClient) {
  let state: 'new' | 'connected' | 'closed' = 'new';
  return {
    async ready(): Promise<void> {
      if (state === 'connected') return;
      if (state === 'closed') throw new ProtocolError('database_unavailable');
      await client.connect().catch(mapped);
      state = 'connected';
    },
    async close(): Promise<void> {
      state = 'closed';
      await client.close(true);
    },
  };
}

/**
 * Clients of which each ends with what it is used for: an idle one wakes the process ten times a second. After `close`,
 * which ends them by force, `use` rejects.
 */
export function eachTime(uri: string, options: MongoClientOptions) {
  const open = new Set<MongoClient>();
  let isClosed = false;
  return {
    async use<T>(take: (client: MongoClient) => Promise<T>): Promise<T> {
      if (isClosed) throw new ProtocolError('database_unavailable');
      const client = new MongoClient(uri, options);
      open.add(client);
      try {
        return await take(client);
      } finally {
        open.delete(client);
        await client.close(true);
      }
    },
    async close(): Promise<void> {
      isClosed = true;
      await Promise.all([...open].map((client) => client.close(true)));
    },
  };
}

/**
 * A store on clients of its own: one for callers, who are answered soon, and one for building indexes, which may take
 * minutes. It never waits for MongoDB: the first call connects, and every call tries again, so that a server which comes
 * up later is found. Throws MongoParseError when the address cannot be read.
 */
export function connectStore(options: StoreOptions): Store {
  const client = new MongoClient(options.uri, {
    ...COMMON,
    appName: 'runcash-live store',
    maxPoolSize: 20,
    socketTimeoutMS: SOCKET_MS,
    waitQueueTimeoutMS: 5_000,
  });
  let up = false;
  client.on('topologyDescriptionChanged', ({ newDescription }) => {
    up = [...newDescription.servers.values()].some(({ type }) => WRITABLE.has(type));
  });
  const { sources = createSources() } = options;
  const databasesOf = (of: MongoClient): Databases => ({
    client: of,
    shared: of.db(options.database),
    tables: of.db(options.tablesDatabase ?? options.database),
    sources,
  });
  const databases = databasesOf(client);
  const callers = lazily(client);
  const { ready } = callers;
  const patient = eachTime(options.uri, PATIENT);
  let baseProgress: BaseProgress | null = null;
  const ingest = createIngest(databases, { layout: options.layout, now: options.now ?? Date.now });
  const orders = createOrders(databases);
  return {
    ...createHistory(databases, options, ready),
    insertNumbers: (items) => ready().then(() => ingest.insertNumbers(items)),
    insertStrategies: (items) => ready().then(() => ingest.insertStrategies(items)),
    async readBase(from, request) {
      const progress = (now: BaseProgress): void => {
        baseProgress = now;
      };
      const told = options.skipped === undefined ? { progress } : { progress, skipped: options.skipped };
      try {
        return await readBase({ databases: databasesOf(from), ...told }, request);
      } finally {
        baseProgress = null;
      }
    },
    baseProgress: () => baseProgress,
    confirmNumber: (item, waitMs) => ready().then(() => confirmNumber(databases, item, waitMs)),
    ensureIndexes: () => patient.use((own) => ensureIndexes(databasesOf(own))).catch(mapped),
    readOrders: () => ready().then(() => orders.readOrders()),
    deny: (denial) => ready().then(() => orders.deny(denial)),
    allow: (kind, value) => ready().then(() => orders.allow(kind, value)),
    orderRemoval: (subject, atMs) => ready().then(() => orders.orderRemoval(subject, atMs)),
    builtinStatus: () => ready().then(() => readBuiltinStatus(client).catch(mapped)),
    noteDoubleZeros: (tables) => ready().then(() => noteDoubleZeros(databases, tables)),
    learnCollections: async () => {
      await ready();
      const names = [...new Set([options.database, options.tablesDatabase ?? options.database])];
      sources.adopt(await collectionsNamed(client, names, sources).catch(mapped));
    },
    isUp: () => up,
    close: async () => {
      await Promise.all([callers.close(), patient.close()]);
    },
  };
}

interface NotedTable {
  readonly _id: string;
  readonly duplo_zero: boolean;
}

/**
 * Notes, acknowledged by a majority, that the wheels of these tables have a double zero: in the database, so that it is
 * known when their numbers that showed it are old or gone, and from the same position on everywhere. What is noted
 * already stays as it is. Rejects with ProtocolError.
 */
export async function noteDoubleZeros(
  { shared }: Pick<Databases, 'shared'>,
  tables: readonly TableId[],
): Promise<void> {
  const notes = shared.collection<NotedTable>(NOTED_TABLES);
  const upserts = tables.map((_id) => ({
    updateOne: { filter: { _id }, update: { $setOnInsert: { duplo_zero: true } }, upsert: true },
  }));
  try {
    await notes.bulkWrite(upserts, { ordered: false, writeConcern: { w: 'majority', j: true } });
  } catch (cause) {
    // Another instance was first. An error of the whole command is of the same class, and names no document.
    const refused = cause instanceof MongoBulkWriteError ? [cause.writeErrors].flat() : [];
    if (refused.length === 0 || !refused.every(({ code }) => code === CODES.DuplicateKey))
      throw toProtocolError(cause, 'write');
  }
}
