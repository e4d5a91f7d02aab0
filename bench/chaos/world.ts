import { randomUUID } from 'node:crypto';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import type { FeedOptions } from '../../src/feed/feed.ts';
import type { Chance } from './chance.ts';
import { type Instance, SLOW, startInstance, startLeaf } from './instance.ts';
import { type Reader, startReader } from './reader.ts';
import { createWriter, type Writer } from './writer.ts';

export const TABLES = ['2010011', '2010012', '2010016'];
/** The table that has a collection of its own as well. */
export const OWN = TABLES[1] ?? '';
export const NUMBERS = 'roleta_numeros';
export const ROWS = 'estrategia_historico_novo';
/** Tables that come up all at once, some time in a world. */
export const CROWD: readonly string[] = Array.from({ length: 300 }, (_, at) => String(3_000_000 + at));

/** How many instances there are, and how many of those follow the database itself. */
export const PLACES = 4;
const CORES = 2;

/** A database, two instances that follow it, two that follow any of those before them, and readers of all. */
export interface World {
  readonly uri: string;
  readonly database: string;
  readonly admin: MongoClient;
  readonly writer: Writer;
  /** Places for instances, those on the database first; null while one is dead. */
  readonly instances: (Instance | null)[];
  readonly readers: readonly Reader[];
  /** D of quiet moments, newest last: places to recover from. */
  readonly positions: string[];
  /** Every id that was ever inserted as a number. */
  readonly written: Set<string>;
  collection(name: string): Collection<Document>;
  living(): Instance[];
  /** Starts the dead ones. */
  revive(): void;
  kill(place: number): Promise<void>;
  /** One more instance, for a comparison; the caller stops it. */
  another(): Instance;
  stop(): Promise<void>;
}

/** Builds one as chance has it: version of the server, size of the batches and of the ring, width of the watch. */
export async function createWorld(chance: Chance, uri: string | null): Promise<World> {
  const server = uri === null ? await startEmbeddedMongo({ compat: chance.pick(['4.4', '8.0']) }) : null;
  const at = uri ?? server?.uri ?? '';
  const database = `chaos_${randomUUID().slice(0, 8)}`;
  const admin = new MongoClient(at, { heartbeatFrequencyMS: 500 });
  const writer = createWriter(at, database, TABLES);
  const options = (): Partial<FeedOptions> => ({
    batchSize: chance.pick([3, 20, 1_000]),
    ringBytes: chance.pick([8_000, 60_000, 64e6]),
  });
  const settings = [options(), { ...options(), ...(chance.next() < 0.3 ? { tablesDatabase: `${database}_b` } : {}) }];
  const start = (place: number): Instance =>
    place < CORES
      ? startInstance(at, database, settings[place] ?? {})
      : startLeaf(() => instances.slice(0, place).filter((instance) => instance !== null));
  const instances: (Instance | null)[] = [];
  while (instances.length < PLACES) instances.push(start(instances.length));
  const living = (): Instance[] => instances.filter((instance) => instance !== null);
  await Promise.all(living().map(({ feed }) => feed.ready));
  const [first = ''] = TABLES;
  const readers = [
    startReader('all', null, living, { perTurn: 10_000, room: 10_000 }),
    startReader('each', TABLES, living),
    startReader('all, slow', null, living, SLOW),
    startReader('one, slow', [first], living, SLOW),
  ];
  const written = new Set<string>();
  return {
    uri: at,
    database,
    admin,
    writer,
    instances,
    readers,
    positions: [],
    written,
    collection: (name) => writer.client.db(database).collection(name, { writeConcern: { w: 'majority', j: true } }),
    living,
    revive() {
      instances.forEach((instance, place) => {
        if (instance === null) instances[place] = start(place);
      });
    },
    async kill(place) {
      const instance = instances[place] ?? null;
      instances[place] = null;
      await instance?.stop();
    },
    another: () => startInstance(at, database),
    async stop() {
      for (const reader of readers) reader.leave();
      await Promise.all(living().map((instance) => instance.stop()));
      await writer.client.db(database).dropDatabase();
      await writer.close();
      await admin.close();
      await server?.stop();
    },
  };
}

/** Something that happens to a world; says what, for the trace. */
export interface Action {
  /** How often it is chosen, against the others. */
  readonly weight: number;
  run(world: World, chance: Chance): Promise<string>;
}
