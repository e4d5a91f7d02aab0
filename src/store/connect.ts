import { MongoClient } from 'mongodb';
import type { NumberToStore } from '../roulette/ingest.ts';
import type { TableId } from '../roulette/table.ts';
import { type Base, type BaseRequest, readBase } from './base.ts';
import { confirmNumber } from './confirm.ts';
import { toProtocolError } from './errors.ts';
import { createHistory, type History } from './history.ts';
import { ensureIndexes, type IndexReport } from './indexes.ts';
import { createIngest, type Ingest, type Layout } from './ingest.ts';
import type { Databases } from './places.ts';
import { createSpellings, type Spellings } from './spellings.ts';

export interface StoreOptions {
  readonly uri: string;
  /** Database of the shared layout. */
  readonly database: string;
  /** Database of the per-table layout; null where it is the same. */
  readonly tablesDatabase: string | null;
  readonly layout: Layout;
  readonly minSpinIntervalMs: number;
  /** The one known table that a UUID means. */
  readonly resolve: (reference: string) => TableId | null;
  readonly nameOf: (table: TableId) => string | null;
  /** Shared with whoever reads the base on a client of its own, so that what it learns is known here. */
  readonly spellings?: Spellings;
  /** Epoch milliseconds; the clock of the host by default. */
  readonly now?: () => number;
}

/** MongoDB at rest. Everything that rejects does so with ProtocolError. */
export interface Store extends Ingest, History {
  /** The documents that a state begins with. */
  readBase(request: BaseRequest): Promise<Base>;
  confirmNumber(item: NumberToStore, waitMs: number): Promise<boolean>;
  /** Ensures the indexes that reading needs; changes nothing else. */
  ensureIndexes(): Promise<IndexReport>;
  /** Whether a primary is known now; false before the first connection. */
  isUp(): boolean;
  close(): Promise<void>;
}

const WRITABLE: ReadonlySet<string> = new Set(['RSPrimary', 'Standalone', 'Mongos', 'LoadBalancer']);

/**
 * A store on a client of its own. It never waits for MongoDB: the first call connects, and every call tries again, so
 * that a server which comes up later is found. Throws MongoParseError when the address cannot be read.
 */
export function connectStore(options: StoreOptions): Store {
  const client = new MongoClient(options.uri, {
    appName: 'runcash-live store',
    maxPoolSize: 20,
    connectTimeoutMS: 2_000,
    serverSelectionTimeoutMS: 3_000,
    heartbeatFrequencyMS: 1_000,
    // Longer than any command may take by its own limit, so that only a frozen server meets it.
    socketTimeoutMS: 30_000,
    waitQueueTimeoutMS: 5_000,
    retryWrites: true,
    retryReads: true,
  });
  let up = false;
  client.on('topologyDescriptionChanged', ({ newDescription }) => {
    up = [...newDescription.servers.values()].some(({ type }) => WRITABLE.has(type));
  });
  const databases: Databases = {
    client,
    shared: client.db(options.database),
    tables: client.db(options.tablesDatabase ?? options.database),
  };
  const spellings = options.spellings ?? createSpellings();
  let connected = false;
  /** After a first connection that failed the driver stays closed until it is told to connect; later it recovers. */
  const ready = async (): Promise<void> => {
    if (connected) return;
    await client.connect().catch((cause: unknown) => {
      throw toProtocolError(cause, 'read');
    });
    connected = true;
  };
  const mapped = (cause: unknown): never => {
    throw toProtocolError(cause, 'read');
  };
  const history = createHistory(databases, spellings, options);
  const ingest = createIngest(databases, { layout: options.layout, now: options.now ?? Date.now });
  return {
    insertNumbers: (items) => ready().then(() => ingest.insertNumbers(items)),
    insertStrategies: (items) => ready().then(() => ingest.insertStrategies(items)),
    numbersPage: (table, limit, before) => ready().then(() => history.numbersPage(table, limit, before)),
    tableStats: (table, last) => ready().then(() => history.tableStats(table, last)),
    legacyNumbers: (query) => ready().then(() => history.legacyNumbers(query)),
    readBase: (request) => ready().then(() => readBase(databases, spellings, request).catch(mapped)),
    confirmNumber: (item, waitMs) => ready().then(() => confirmNumber(databases, spellings, item, waitMs)),
    ensureIndexes: () => ready().then(() => ensureIndexes(databases).catch(mapped)),
    isUp: () => up,
    close: () => client.close(),
  };
}
