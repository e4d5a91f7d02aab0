import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Config, forbidMongodDownload, namesDataFolder, type Surroundings } from '../config/load.ts';
import { shownAddress } from '../config/mongo-address.ts';
import { BuiltinStartError } from './builtin.ts';

/** The MongoDB that the service uses, and how to end it if it was started here. */
export interface ChosenMongo {
  readonly uri: string;
  readonly kind: 'uri' | 'mongod' | 'builtin';
  /** What it is, in a few words. */
  readonly name: string;
  /** Its address without secrets. */
  readonly shown: string;
  /** Where its data is, and whether it stays. */
  readonly data: string;
  /** Sentences for the operator: which one, where a shell reaches it, what it does not give. Without secrets. */
  readonly words: readonly string[];
  /** Ends a MongoDB that was started here; leaves any other alone. */
  stop(): Promise<void>;
}

interface StartedMongo {
  readonly uri: string;
  stop(): Promise<void>;
}

/** How each kind is started on loopback; both reject when they cannot. */
export interface MongoStarters {
  /** Starts the built-in MongoDB on a port, 0 for any, with its data in a folder or, for null, in memory; rejects with BuiltinStartError. */
  builtin(port: number, dataDir: string | null): Promise<StartedMongo>;
  /** Starts a mongod program as a one-node replica set, on the port or, when it is taken, on a free one. */
  mongod(binary: string, port: number): Promise<StartedMongo>;
}

/** No MongoDB of the wished kind can be had; the message says why and what to do. */
export class MongoChoiceError extends Error {
  override readonly name = 'MongoChoiceError';
}

type Wish = Pick<Config, 'MONGO' | 'MONGODB_URI' | 'MONGOMS_SYSTEM_BINARY' | 'EMBEDDED_PORT' | 'EMBEDDED_DATA_DIR'>;

/**
 * Takes MONGODB_URI; else, where EMBEDDED_DATA_DIR names a folder, the built-in MongoDB; else starts a `mongod` that is
 * already on this machine; else the built-in MongoDB. `MONGO` forces one of them. Never downloads anything. Throws MongoChoiceError when the forced one cannot be had.
 */
export async function chooseMongo(
  wish: Wish,
  surroundings: Surroundings,
  starters: MongoStarters,
): Promise<ChosenMongo> {
  if (wish.MONGO === 'uri' || (wish.MONGO === null && wish.MONGODB_URI !== null)) return given(wish.MONGODB_URI);
  if (wish.MONGO === 'builtin') return await builtin(wish, starters, ['MONGO=builtin: the built-in MongoDB is used.']);
  if (wish.MONGO === null && namesDataFolder(wish)) {
    return await builtin(wish, starters, ['No MONGODB_URI, but EMBEDDED_DATA_DIR: the built-in MongoDB is used.']);
  }
  const binary = findMongod(wish.MONGOMS_SYSTEM_BINARY, surroundings);
  if (binary === null) {
    if (wish.MONGO === 'mongod') {
      throw new MongoChoiceError(
        'MONGO=mongod, but there is no mongod in PATH, in MONGOMS_SYSTEM_BINARY or in the cache of mongodb-memory-server.',
      );
    }
    return await builtin(wish, starters, ['No MONGODB_URI and no mongod here: the built-in MongoDB is used.']);
  }
  try {
    return await local(binary, wish, starters);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (wish.MONGO === 'mongod') throw new MongoChoiceError(`${binary} did not start: ${reason}`, { cause });
    return await builtin(wish, starters, [
      `${binary} did not start (${reason}): the built-in MongoDB is used instead.`,
    ]);
  }
}

function given(uri: string | null): ChosenMongo {
  if (uri === null) throw new MongoChoiceError('MONGO=uri, but MONGODB_URI is not set.');
  const shown = shownAddress(uri);
  return {
    uri,
    kind: 'uri',
    name: 'your own',
    shown,
    data: 'there',
    words: [`MONGODB_URI is used: ${shown}`, 'It must be a replica set: change streams need one.'],
    stop: () => Promise.resolve(),
  };
}

async function local(binary: string, wish: Wish, starters: MongoStarters): Promise<ChosenMongo> {
  const started = await starters.mongod(binary, wish.EMBEDDED_PORT);
  return {
    uri: started.uri,
    kind: 'mongod',
    name: binary,
    shown: started.uri,
    data: 'temporary, deleted at the end',
    words: [
      `No MONGODB_URI: ${binary} was started as a replica set of one node.`,
      `A shell reaches it by: mongosh "${started.uri}"`,
      'It is for development: its data is deleted when this process ends. Production is a replica set of your own.',
    ],
    stop: () => started.stop(),
  };
}

async function builtin(wish: Wish, starters: MongoStarters, first: readonly string[]): Promise<ChosenMongo> {
  const words = [...first];
  const folder = wish.EMBEDDED_DATA_DIR;
  const started = await starters
    .builtin(wish.EMBEDDED_PORT, folder)
    .catch((error: unknown) => {
      if (!(error instanceof BuiltinStartError) || error.code !== 'EADDRINUSE') throw error;
      words.push(
        `Port ${wish.EMBEDDED_PORT} is taken; if that is a MongoDB of yours, set MONGODB_URI to use it. A free port is used.`,
      );
      return starters.builtin(0, folder);
    })
    .catch((cause: unknown) => {
      if (!(cause instanceof BuiltinStartError) || cause.reason !== 'DataFolderError') throw cause;
      throw new MongoChoiceError(
        `${cause.message}. EMBEDDED_DATA_DIR names another folder, or memory only when it is set to nothing; MONGODB_URI uses a MongoDB that runs already.`,
        { cause },
      );
    });
  words.push(
    `A shell reaches it by: mongosh "${started.uri}"`,
    folder === null
      ? 'Its data is in memory only and gone when this process ends; EMBEDDED_DATA_DIR=folder would keep it.'
      : `Its data is kept in ${folder}: a restart, also after a crash, goes on with it.`,
    'It is for development and tests: one node, for programs on this machine, without authentication. Production is a replica set of your own.',
  );
  return {
    uri: started.uri,
    kind: 'builtin',
    name: 'built-in',
    shown: started.uri,
    data: folder === null ? 'in memory only, gone at the end' : `${folder}, kept over restarts`,
    words,
    stop: () => started.stop(),
  };
}

/**
 * A mongod program that is already there: the configured one, else the first in PATH, else the newest in the caches of
 * mongodb-memory-server. Throws MongoChoiceError when the configured one cannot be run.
 */
export function findMongod(configured: string | null, surroundings: Surroundings): string | null {
  if (configured !== null) {
    if (isProgram(configured)) return configured;
    throw new MongoChoiceError(`MONGOMS_SYSTEM_BINARY names no program that can be run: ${configured}`);
  }
  for (const name of ['mongod', 'mongod.exe']) {
    for (const folder of surroundings.searchPath) {
      const candidate = join(folder, name);
      if (isProgram(candidate)) return candidate;
    }
  }
  for (const folder of cacheFolders(surroundings)) {
    const newest = programsIn(folder).at(-1);
    if (newest !== undefined) return newest;
  }
  return null;
}

/** Where mongodb-memory-server puts what it downloads (its DryMongoBinary.generatePaths). */
function cacheFolders({ home, downloadDir }: Surroundings): string[] {
  return [
    ...(downloadDir === null ? [] : [downloadDir]),
    resolve('node_modules/.cache/mongodb-memory-server'),
    ...(home === null ? [] : [join(home, '.cache/mongodb-binaries')]),
    resolve('mongodb-binaries'),
  ];
}

/** Oldest version first: the names end in it. */
function programsIn(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    // Most of these folders do not exist on most machines; that is the ordinary case and no error.
    return [];
  }
  return names
    .filter((name) => /^mongod\b(?!.*\.(md5|lock|tgz|zip|downloading)$)/.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((name) => join(folder, name))
    .filter(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Absent or not executable: not a program that can be run, which is all that was asked.
    return false;
  }
}

const START_TIMEOUT_MS = 60_000;

/**
 * Starts a mongod program as replica set `rs0` of one node on loopback, with its data in a temporary folder that is
 * deleted by `stop`; `args` are options of its own. Takes another port when the wished one is not free. Rejects when mongodb-memory-server, an
 * optional package, is absent, or the program does not start within a minute.
 */
export async function startMongod(
  binary: string,
  port: number,
  args: readonly string[] = [],
): Promise<{ uri: string; stop(): Promise<void> }> {
  forbidMongodDownload();
  const { MongoMemoryReplSet } = await import('mongodb-memory-server');
  const set = await MongoMemoryReplSet.create({
    binary: { systemBinary: binary },
    instanceOpts: [{ port, args: [...args], launchTimeout: START_TIMEOUT_MS }],
    replSet: { name: 'rs0', count: 1, storageEngine: 'wiredTiger', ip: '127.0.0.1' },
  });
  return {
    uri: set.getUri(),
    async stop() {
      await set.stop({ doCleanup: true });
    },
  };
}
