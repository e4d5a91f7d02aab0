import { createServer, type Server } from 'node:net';
import { createEngine } from './createengine.ts';
import { openDataFile } from './journal/datafile.ts';
import { type ServedConnection, serveConnection } from './serve.ts';

export interface EmbeddedMongoOptions {
  /** Address to listen on; 127.0.0.1 by default. */
  host?: string;
  /** 0, the default, takes any free port. */
  port?: number;
  /** A server that is not a replica set: no oplog, no change streams, no transactions. */
  standalone?: boolean;
  /** Whose behaviour to show; 4.4 by default. */
  compat?: '4.4' | '8.0';
  /** How much history change streams can go back to; 64 MB by default. */
  oplogSizeMb?: number;
  /** Keeps the data in this file, so that a server that was killed starts again with it. In memory only by default. */
  dataFile?: string;
}

export interface EmbeddedMongo {
  /** `mongodb://HOST:PORT/?replicaSet=rs0`, or with `directConnection` for a standalone server. */
  readonly uri: string;
  readonly port: number;
  /** Closes every connection and frees the port. */
  stop(): Promise<void>;
}

const DEFAULT_OPLOG_MB = 64;
const BYTES_PER_MB = 1024 * 1024;
/** As `net.maxIncomingConnections`, bounded by what a process can hold. */
const MAX_CONNECTIONS = 20_000;

/**
 * Starts a MongoDB-compatible server for development and tests.
 *
 * @throws the error of `listen` when the address cannot be had.
 */
export async function startEmbeddedMongo(options: EmbeddedMongoOptions = {}): Promise<EmbeddedMongo> {
  const { host = '127.0.0.1', port = 0, standalone = false, compat = '4.4', oplogSizeMb = DEFAULT_OPLOG_MB } = options;
  const engine = createEngine({ standalone, compat, oplogBytes: Math.max(1, Math.floor(oplogSizeMb * BYTES_PER_MB)) });
  const connections = new Set<ServedConnection>();
  let lastConnection = 0;
  const countConnections = () => {
    engine.connections.current = connections.size;
    engine.connections.available = MAX_CONNECTIONS - connections.size;
  };
  const server = createServer({ noDelay: true }, (socket) => {
    lastConnection += 1;
    engine.connections.totalCreated = lastConnection;
    const served = serveConnection(engine, socket, lastConnection, reportDefect);
    connections.add(served);
    countConnections();
    socket.on('close', () => {
      connections.delete(served);
      countConnections();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    const lastTerm = options.dataFile === undefined ? 0 : openDataFile(engine, options.dataFile);
    engine.begin(lastTerm);
    engine.flush();
    await listen(server, host, port);
  } catch (error) {
    engine.stop();
    throw error;
  }
  const address = server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : port;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    uri: `mongodb://${shownHost}:${boundPort}/?${standalone ? 'directConnection=true' : 'replicaSet=rs0'}`,
    port: boundPort,
    stop: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const connection of connections) connection.close();
      await closed;
      engine.stop();
    },
  };
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
