import { type Document, MongoClient } from 'mongodb';
import { expect, onTestFinished, type TestContext, vi } from 'vitest';
import { isComplete, judge, KEPT_PROMISE, readTruth, type Verdict } from '../../bench/chaos/checker.ts';
import type { Follower } from '../../bench/chaos/follower.ts';
import { type Instance, startInstance } from '../../bench/chaos/instance.ts';
import { type Reader, startReaders } from '../../bench/chaos/reader.ts';
import { createWriter, type Writer } from '../../bench/chaos/writer.ts';
import { type EmbeddedMongo, type EmbeddedMongoOptions, startEmbeddedMongo } from '../../src/embedded/server.ts';
import type { FeedOptions } from '../../src/feed/feed.ts';
import { freshDatabase } from './mongo.ts';

export const TABLES = ['2010011', '2010012', '2010016'];

/** A server whose faults the tests cause: the built-in one, or the one of TEST_MONGODB_URI. */
export interface FaultServer {
  readonly uri: string;
  readonly builtIn: boolean;
}

/** Starts one for this test, ended with it. `only` are options that a server given from outside cannot have. */
export async function faultServer(options: EmbeddedMongoOptions = {}): Promise<FaultServer> {
  const given = process.env['TEST_MONGODB_URI'];
  if (given !== undefined && given !== '' && Object.keys(options).length === 0) return { uri: given, builtIn: false };
  const server: EmbeddedMongo = await startEmbeddedMongo(options);
  onTestFinished(() => server.stop());
  return { uri: server.uri, builtIn: true };
}

/** Everything that a fault test needs: a server, a writer, instances, and readers of every kind. */
export interface Rig {
  readonly uri: string;
  readonly database: string;
  readonly admin: MongoClient;
  readonly writer: Writer;
  /** The instances that run; readers connect to these in turn. */
  readonly instances: Instance[];
  readonly readers: Reader[];
  /** Starts one more and waits until it is ready. */
  instance(options?: Partial<FeedOptions>): Promise<Instance>;
  /** Starts readers of every kind, and waits until all are subscribed. */
  follow(): Promise<Reader[]>;
  /** A command on the admin database, over a connection that no fault point touches. */
  command(command: Document): Promise<Document>;
  /** How often the streams of all instances were opened again so far. */
  reopens(): number;
  /** Sets a fault point on the commands of feeds alone. */
  failFeed(mode: unknown, data: Document): Promise<void>;
  /** Sets it and waits until it had its effect. */
  failOnce(data: Document): Promise<void>;
  /** Waits until every reader has everything that is stored, then judges; expects the promise to be kept. */
  verify(readers?: readonly Reader[]): Promise<Verdict>;
}

export interface RigOptions {
  readonly server?: FaultServer;
  readonly feed?: Partial<FeedOptions>;
  /** Instances to start with; 1 by default. */
  readonly instances?: number;
  /** Readers of every kind are started, unless this is false. */
  readonly follow?: boolean;
}

/** For a reader to get what is stored, on a busy machine; the judgement comes then in any case. */
const PATIENCE_MS = 15_000;

const APP_NAME = 'runcash-live feed';

/** Sets up a rig for the test that runs, and takes it down with it. */
export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const server = options.server ?? (await faultServer());
  const database = freshDatabase();
  const { uri } = server;
  const admin = new MongoClient(uri, { serverSelectionTimeoutMS: 5_000, heartbeatFrequencyMS: 500 });
  const writer = createWriter(uri, database, TABLES);
  const instances: Instance[] = [];
  const readers: Reader[] = [];
  const command = (body: Document): Promise<Document> => admin.db('admin').command(body);
  onTestFinished(async () => {
    for (const reader of readers) reader.leave();
    await Promise.all(instances.map((instance) => instance.stop()));
    await writer.close();
    await admin.close();
  });

  const rig: Rig = {
    uri,
    database,
    admin,
    writer,
    instances,
    readers,
    async instance(feed) {
      const instance = startInstance(uri, database, { ...options.feed, ...feed });
      instances.push(instance);
      await instance.feed.ready;
      return instance;
    },
    async follow() {
      const added = startReaders(TABLES, () => instances);
      readers.push(...added);
      await Promise.all(added.map((reader) => reader.until(() => reader.follower.acknowledged)));
      return added;
    },
    command,
    reopens: () =>
      instances.flatMap(({ feed }) => Object.values(feed.status().reopens)).reduce((sum, count) => sum + count, 0),
    async failFeed(mode, data) {
      await command({ configureFailPoint: 'failCommand', mode, data: { appName: APP_NAME, ...data } });
    },
    async failOnce(data) {
      const before = rig.reopens();
      await rig.failFeed({ times: 1 }, data);
      await vi.waitUntil(() => rig.reopens() > before, { timeout: 10_000, interval: 10 });
    },
    async verify(which = readers) {
      const truth = await readTruth(writer.numbers);
      const isDone = () => which.every((reader) => isComplete(reader.follower, truth));
      // In vain: the verdict then says what is missing.
      await vi.waitUntil(isDone, { timeout: PATIENCE_MS, interval: 25 }).catch(() => undefined);
      const verdict = judge(
        which.map(({ follower }) => follower),
        truth,
        [writer],
      );
      expect(verdict).toEqual(KEPT_PROMISE);
      const late = which
        .filter(({ follower }) => !isComplete(follower, truth))
        .map(({ follower }) => stateOf(follower));
      expect(late).toEqual([]);
      return verdict;
    },
  };
  for (let count = options.instances ?? 1; count > 0; count--) await rig.instance();
  if (options.follow !== false) await rig.follow();
  return rig;
}

/** What a follower waits for, in words. */
const stateOf = ({ name, acknowledged, tables }: Follower): string =>
  `${name}: acknowledged ${acknowledged}, owed ${[...tables].filter(([, { owed }]) => owed).map(([id]) => id)}`;

/** Skips the test, saying why, when the server cannot do what the fault needs. */
export function needs(context: TestContext, able: boolean, reason: string): void {
  if (able) return;
  console.warn(`skipped: ${reason}`);
  context.skip(reason);
}
