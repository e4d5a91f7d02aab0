import { MongoClient, ObjectId } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import { QUICK } from '../../bench/chaos/instance.ts';
import type { FeedOptions } from '../../src/feed/feed.ts';
import { KEPT } from '../../src/feed/table-state.ts';
import { logTo } from '../../src/log/log.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { readBase } from '../../src/store/base.ts';
import { startTestFeed, type TestFeed, type TestSubscriber } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

const STEADY = { timeout: 20_000, interval: 20 };
const isNumber = (numero: number) => (frame: Record<string, unknown>) =>
  frame['type'] === 'new_number' && frame['numero'] === numero;

interface Row {
  readonly _id?: ObjectId;
  readonly roleta_id: string;
  readonly numero: number | string;
  readonly timestamp: Date;
}

async function stage() {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection<Row>('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const lines: string[] = [];
  const start = (options: Partial<FeedOptions> = {}): TestFeed => {
    const log = logTo((_level, event, fields) => lines.push(`${event} ${JSON.stringify(fields)}`));
    const feed = startTestFeed(mongo.uri, database, options, { log });
    onTestFinished(() => feed.stop());
    return feed;
  };
  return { uri: mongo.uri, client, database, numbers, lines, start, admin: client.db('admin') };
}

async function follow(feed: TestFeed, ...topics: string[]): Promise<TestSubscriber> {
  const subscriber = feed.connect();
  subscriber.subscribe({ topics });
  await subscriber.next(({ type }) => type === 'subscribed');
  return subscriber;
}

/** What it was told of its tables; on a busy machine a `sync` comes between. */
const toldOf = ({ frames }: TestSubscriber): unknown[] =>
  frames.map(({ type }) => type).filter((type) => type !== 'sync');

const numberOf = (table: string, numero: number, ageMs = 0): Row => ({
  roleta_id: table,
  numero,
  timestamp: new Date(Date.now() - ageMs),
});

const blockGetMore = (blockTimeMS: number, mode: unknown) => ({
  configureFailPoint: 'failCommand',
  mode,
  data: { failCommands: ['getMore'], appName: 'runcash-live feed', blockConnection: true, blockTimeMS },
});

it('was opened again for ever: a getMore that scans for longer than the watchdog waits is waited for', async () => {
  const { numbers, admin, start } = await stage();
  await numbers.insertOne(numberOf('2010011', 1));
  await admin.command(blockGetMore(2_500, { times: 1 }));
  const feed = start({ awaitMs: 200, timings: { ...QUICK, rewindBudgetMs: 10_000 } });
  await feed.feed.ready;
  expect(feed.feed.status()).toMatchObject({ reopens: {}, resets: {} });
});

it('was never ready: where the past cannot be read in time, recovery reaches back less far, and says so', async () => {
  const { numbers, admin, lines, start } = await stage();
  await numbers.insertOne(numberOf('2010011', 1));
  await admin.command(blockGetMore(5_000, { times: 2 }));
  const feed = start({ awaitMs: 200, timings: { ...QUICK, rewindBudgetMs: 800 } });
  const began = performance.now();
  await feed.feed.ready;
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(feed.feed.status().recoverySeconds).toBeLessThan(150);
  expect(lines.filter((line) => line.startsWith('feed_fresh'))).toHaveLength(2);
  const subscriber = await follow(feed, 'roulette:2010011');
  expect(subscriber.frames[0]?.['numeros']).toMatchObject([{ numero: 1 }]);
});

it('was told as a correction: a number whose publication fails is in the snapshots of a fresh state past it', async () => {
  const { uri, database, numbers, lines } = await stage();
  let thrown = 0;
  const log = logTo((_level, event, fields) => lines.push(`${event} ${JSON.stringify(fields)}`));
  const feed: TestFeed = startTestFeed(
    uri,
    database,
    { timings: QUICK },
    {
      log,
      publish(topic, frame) {
        if (frame.type === 'new_number' && frame.text.includes('"numero":13,')) {
          thrown += 1;
          throw new TypeError('an error of this process has no code of a server');
        }
        feed.publish(topic, frame);
      },
    },
  );
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  const subscriber = await follow(feed, 'roulette:2010011');
  await numbers.insertOne(numberOf('2010011', 13));
  await subscriber.next(({ type, numeros }) => type === 'snapshot' && JSON.stringify(numeros).includes('"numero":13,'));
  expect(thrown).toBe(1);
  expect(toldOf(subscriber)).not.toContain('number_corrected');
  await numbers.insertOne(numberOf('2010011', 2));
  await subscriber.next(isNumber(2));
  expect(lines.filter((line) => line.startsWith('feed_fresh'))).toHaveLength(1);
});

it('was tried for ever: an error without a code of a server that stays at one place is counted too', async () => {
  const { uri, client, database, lines } = await stage();
  const shared = client.db(database);
  let failed = 0;
  const log = logTo((_level, event, fields) => lines.push(`${event} ${JSON.stringify(fields)}`));
  const feed = startTestFeed(
    uri,
    database,
    { timings: QUICK },
    {
      log,
      async readBase(_client, afterClusterTime, known, tables) {
        if (!lines.some((line) => line.startsWith('feed_fresh'))) {
          failed += 1;
          throw new TypeError('no code');
        }
        const databases = { client, shared, tables: shared, sources: DEFAULT_SOURCES };
        return await readBase({ databases }, { afterClusterTime, numbersPerTable: KEPT, known, tables });
      },
    },
  );
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  expect(failed).toBe(6);
  expect(lines.find((line) => line.startsWith('feed_fresh'))).toContain('too often at one place: no code');
});

it('gave the others nothing: corrections of old rows of one table raise its floor and no other', async () => {
  const { numbers, start } = await stage();
  const ids = Array.from({ length: 400 }, () => new ObjectId());
  const monthMs = 30 * 86_400_000;
  const rows = ids.map((_id, n) => ({ ...numberOf('2010011', n % 37, monthMs - n * 40_000), _id }));
  await numbers.insertMany([...rows, numberOf('2010012', 1)]);
  const feed = start({ recoveryWindowSeconds: 0 });
  await feed.feed.ready;
  const calm = await follow(feed, 'roulette:2010012');
  const migrated = await follow(feed, 'roulette:2010011');
  for (const [n, _id] of ids.slice(0, 60).entries()) {
    await numbers.updateOne({ _id }, { $set: { timestamp: new Date(Date.now() - monthMs - n) } });
  }
  // One of them comes to the top of its table.
  await numbers.updateOne({ _id: ids[0] ?? new ObjectId() }, { $set: { timestamp: new Date() } });
  await numbers.insertOne(numberOf('2010012', 2));
  await calm.next(isNumber(2));
  expect(toldOf(calm)).toEqual(['snapshot', 'subscribed', 'new_number']);
  const shown = (frame: Record<string, unknown>): boolean =>
    frame['type'] === 'snapshot' && JSON.stringify(frame['numeros']).includes(`${ids[0]?.toHexString()}`);
  await migrated.next(shown);
  expect(feed.feed.status()).toMatchObject({ phase: 'live', reopens: {} });
  expect(feed.feed.status().resets['history_lost']).toBeUndefined();
});

it('stopped everybody: a table of which most is deleted is read again alone', async () => {
  const { numbers, lines, start } = await stage();
  const rows = Array.from({ length: 700 }, (_, n) => ({
    ...numberOf('2010011', n % 37, 86_400_000 - n * 1000),
    _id: new ObjectId(),
  }));
  await numbers.insertMany([...rows, numberOf('2010012', 1)]);
  const feed = start({ recoveryWindowSeconds: 0 });
  await feed.feed.ready;
  const calm = await follow(feed, 'roulette:2010012');
  await numbers.deleteMany({ _id: { $in: rows.slice(-300).map(({ _id }) => _id) } });
  await vi.waitUntil(() => lines.some((line) => line.startsWith('feed_tables_read')), STEADY);
  await numbers.insertOne(numberOf('2010012', 2));
  await calm.next(isNumber(2));
  expect(toldOf(calm)).toEqual(['snapshot', 'subscribed', 'new_number']);
  const subscriber = feed.connect();
  subscriber.subscribe({ topics: [{ topic: 'roulette:2010011', history: 200 }] });
  const { numeros, stale } = await subscriber.next(({ type }) => type === 'snapshot');
  expect(Array.isArray(numeros) ? numeros.map(({ id }) => id) : []).toEqual(
    rows
      .slice(200, 400)
      .reverse()
      .map(({ _id }) => _id.toHexString()),
  );
  expect(stale).toBe(false);
  expect(feed.feed.status().partial).toEqual([]);
  expect(lines.some((line) => line.startsWith('feed_fresh'))).toBe(false);
});

it('left a mark behind: a removal that changes the mark of the number above it tells subscribers', async () => {
  const { numbers, start } = await stage();
  const first = { ...numberOf('2010011', 7, 5_000), _id: new ObjectId() };
  const second = { ...numberOf('2010011', 7, 1_000), _id: new ObjectId() };
  await numbers.insertMany([first, second]);
  const feed = start();
  await feed.feed.ready;
  const subscriber = await follow(feed, 'roulette:2010011');
  expect(subscriber.frames[0]?.['numeros']).toMatchObject([{ suspeito: true }, { numero: 7 }]);
  await numbers.deleteOne({ _id: first._id });
  await subscriber.next(({ type }) => type === 'reset');
  const { numeros } = await subscriber.next(
    (frame) => frame['type'] === 'snapshot' && Array.isArray(frame['numeros']) && frame['numeros'].length === 1,
  );
  expect(numeros).toEqual([expect.not.objectContaining({ suspeito: true })]);
});

it('looked whole: a table that could not be read to the end is named, and its snapshots say so until it is mended', async () => {
  const { uri, client, database, numbers } = await stage();
  const [odd, good] = ['2010011', '2010012'];
  // What a text in the place of a number looks like only shows when it is read.
  const rows = Array.from({ length: 1_000 }, (_, n) => ({
    roleta_id: odd,
    numero: 'none',
    timestamp: new Date(Date.now() - 86_400_000 + n),
  }));
  await numbers.insertMany(rows);
  await numbers.insertOne(numberOf(good, 5));
  const shared = client.db(database);
  const feed = startTestFeed(
    uri,
    database,
    { recoveryWindowSeconds: 0, timings: { ...QUICK, mendApartMs: 200 } },
    {
      readBase: (_client, afterClusterTime, known, tables) =>
        readBase(
          { databases: { client, shared, tables: shared, sources: DEFAULT_SOURCES } },
          { afterClusterTime, numbersPerTable: KEPT, known, tables, patience: 600 },
        ),
    },
  );
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  expect(feed.feed.status().partial).toEqual([odd]);
  const subscriber = await follow(feed, `roulette:${odd}`, `roulette:${good}`);
  const told = (table: string) =>
    subscriber.frames.findLast(({ topic, type }) => type === 'snapshot' && topic === `roulette:${table}`);
  expect([told(odd)?.['stale'], told(good)?.['stale']]).toEqual([true, false]);
  await numbers.deleteMany({ numero: 'none' });
  await numbers.insertOne(numberOf(odd, 7));
  await vi.waitFor(() => expect(feed.feed.status().partial).toEqual([]), STEADY);
  expect(feed.feed.status().fresh).toEqual({});
});

it('may stay shown: what a capped collection lets go is in no snapshot of an instance that starts later', async () => {
  const { client, database, numbers, start } = await stage();
  const capped = { capped: true, size: 100_000, max: 3 };
  await client.db(database).createCollection('roleta_numeros', capped);
  const numerosIn = async (feed: TestFeed): Promise<unknown[]> => {
    const [snapshot] = (await follow(feed, 'roulette:2010011')).frames;
    return Array.isArray(snapshot?.['numeros']) ? snapshot['numeros'].map(({ numero }) => numero) : [];
  };
  const old = start();
  await old.feed.ready;
  const subscriber = await follow(old, 'roulette:*');
  for (const numero of [1, 2, 3, 4, 5]) {
    await numbers.insertOne(numberOf('2010011', numero));
    await subscriber.next(isNumber(numero));
  }
  expect(await numbers.countDocuments()).toBe(3);
  // Whether a delete is told of the others depends on the version of MongoDB.
  expect((await numerosIn(old)).slice(0, 3)).toEqual([5, 4, 3]);
  const young = start({ recoveryWindowSeconds: 0 });
  await young.feed.ready;
  expect(await numerosIn(young)).toEqual([5, 4, 3]);
});
