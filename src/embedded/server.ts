import { createServer, type Server, type Socket } from 'node:net';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { createEngine } from './create-engine.ts';
import type { Engine } from './engine.ts';
import { type DataFolder, openDataFolder } from './journal/data-folder.ts';
import type { Files } from './journal/files.ts';
import { createOperation } from './operation.ts';
import { type ServedConnection, serveConnection } from './serve.ts';

export interface EmbeddedMongoOptions {
  /** Address to listen on; 127.0.0.1 by default. */
  host?: string;
  /** 0, the default, takes any free port. */
  port?: number;
  /**
   * The same data at a second address too, on any free port, which announces itself as a secondary: for clients that read
   * from one.
   */
  secondary?: boolean;
  /** A server that is not a replica set: no oplog, no change streams, no transactions. */
  standalone?: boolean;
  /** Whose behaviour to show; 4.4 by default. */
  compat?: '4.4' | '8.0';
  /** How much history change streams can go back to; 64 MB by default. */
  oplogSizeMb?: number;
  /** Keeps the data in this folder over restarts, crashes and losses of power. In memory only by default. */
  dataDir?: string;
  /** The file system under the data folder, for tests of its failures. */
  files?: Files;
  /** The log of changes is replaced by what it leads to above this size and twice that; 64 MB by default. */
  compactAboveMb?: number;
  /** Inserts are refused when data, indexes and oplog take more; by default what the process can hold. */
  maxMb?: number;
  /** Seconds between two searches for documents that TTL indexes let expire; 60 by default. */
  ttlMonitorSleepSecs?: number;
  /** Clients must authenticate with SCRAM; the first user is made from this machine with `createUser` on admin. */
  auth?: boolean;
  /** Hears in words when the data folder cannot be written, and when it can again; the console by default. */
  report?(words: string): void;
}

export interface EmbeddedMongo {
  /** `mongodb://HOST:PORT/?replicaSet=rs0`, or with `directConnection` for a standalone server. */
  readonly uri: string;
  readonly port: number;
  /** Closes every connection, frees the port, and makes everything durable. */
  stop(): Promise<void>;
}

const DEFAULT_OPLOG_MB = 64;
const DEFAULT_TTL_SLEEP_SECS = 60;
const BYTES_PER_MB = 1024 * 1024;
/** As `net.maxIncomingConnections`, bounded by what a process can hold. */
const MAX_CONNECTIONS = 20_000;

/** Documents are outside of the heap, their keys in it: more would end the process. */
function defaultMaxBytes(): number {
  return Math.min(getHeapStatistics().heap_size_limit * 1.5, totalmem() / 2);
}

/**
 * Starts a MongoDB-compatible server for development and tests.
 *
 * @throws the error of `listen` when the address cannot be had.
 */
export async function startEmbeddedMongo(options: EmbeddedMongoOptions = {}): Promise<EmbeddedMongo> {
  const { host = '127.0.0.1', port = 0, standalone = false, compat = '4.4', oplogSizeMb = DEFAULT_OPLOG_MB } = options;
  const { ttlMonitorSleepSecs = DEFAULT_TTL_SLEEP_SECS, auth = false } = options;
  const oplogBytes = Math.max(1, Math.floor(oplogSizeMb * BYTES_PER_MB));
  const maxBytes = options.maxMb === undefined ? defaultMaxBytes() : options.maxMb * BYTES_PER_MB;
  const engine = createEngine({ standalone, compat, oplogBytes, ttlMonitorSleepSecs, maxBytes, auth });
  const connections = new Set<ServedConnection>();
  let lastConnection = 0;
  const countConnections = () => {
    engine.connections.current = connections.size;
    engine.connections.available = MAX_CONNECTIONS - connections.size;
  };
  const serve = (socket: Socket): void => {
    lastConnection += 1;
    engine.connections.totalCreated = lastConnection;
    const served = serveConnection(engine, socket, lastConnection, reportDefect);
    connections.add(served);
    countConnections();
    socket.on('close', () => {
      connections.delete(served);
      countConnections();
    });
  };
  const servers = Array.from({ length: options.secondary === true ? 2 : 1 }, () =>
    createServer({ noDelay: true }, serve),
  );
  let data: DataFolder | undefined;
  try {
    data = await openData(engine, options);
    engine.begin(data?.term ?? 0);
    // A disk that takes nothing is an error of the start, not of the first client.
    await engine.whenDurable(createOperation());
    for (const [at, server] of servers.entries()) {
      server.maxConnections = MAX_CONNECTIONS;
      await listen(server, host, at === 0 ? port : 0);
    }
  } catch (error) {
    for (const server of servers) server.close();
    engine.stop();
    await data?.close();
    throw error;
  }
  const [boundPort = port, secondaryPort] = servers.map(portOf);
  const shownHost = host.includes(':') ? `[${host}]` : host;
  if (secondaryPort !== undefined) {
    engine.members = { primary: `${shownHost}:${boundPort}`, secondary: `${shownHost}:${secondaryPort}` };
  }
  return {
    uri: `mongodb://${shownHost}:${boundPort}/?${standalone ? 'directConnection=true' : 'replicaSet=rs0'}`,
    port: boundPort,
    stop: async () => {
      const closed = Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      for (const connection of connections) connection.close();
      await closed;
      engine.stop();
      await data?.close();
    },
  };
}

async function openData(engine: Engine, options: EmbeddedMongoOptions): Promise<DataFolder | undefined> {
  const { dataDir, files, compactAboveMb, report = (words) => console.error(`embedded MongoDB: ${words}`) } = options;
  if (dataDir === undefined) return undefined;
  const data = await openDataFolder(engine, dataDir, {
    ...(files === undefined ? {} : { files }),
    ...(compactAboveMb === undefined ? {} : { compactAboveBytes: compactAboveMb * BYTES_PER_MB }),
    report,
  });
  engine.attach(data.journal);
  return data;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function reportDefect(error: unknown): void {
  console.error('embedded MongoDB: a command failed in a way it should not:', error);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
