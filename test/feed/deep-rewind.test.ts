import { MongoClient, ObjectId } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import { compare } from '../../bench/chaos/equality.ts';
import { startInstance } from '../../bench/chaos/instance.ts';
import { KEPT } from '../../src/feed/table-state.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { readBase } from '../../src/store/base.ts';
import { startTestFeed } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

interface Row {
  readonly _id: ObjectId | number | string;
  readonly roleta_id: string;
  readonly numero: number;
  readonly timestamp: Date;
}

it('an instance that rewinds over more numbers than a table holds sends what a live one sends', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection<Row>('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  let made = 0;
  const began = Date.now() - 30_000;
  const idOf = (n: number): Row['_id'] => [new ObjectId(), n, `${'x'.repeat(100)}${n}`][n % 3] ?? n;
  // Pairs of equal numbers within the time of a spin: every other one is marked as a probable repeat.
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      _id: idOf(made++),
      roleta_id: '2010011',
      numero: Math.floor(n / 2) % 37,
      // In their order: one that comes between others changes their marks, which no replay crosses.
      timestamp: new Date(began + made * 10),
    }));
  await numbers.insertMany(many(400));
  const live = startInstance(mongo.uri, database);
  onTestFinished(() => live.stop());
  await live.feed.ready;
  await vi.waitUntil(() => live.feed.status().position !== null, { timeout: 15_000, interval: 20 });
  const from = live.feed.status().position ?? '';
  await numbers.insertMany(many(900));
  await vi.waitUntil(() => live.feed.status().ring.events >= 900, { timeout: 15_000, interval: 20 });
  const late = startInstance(mongo.uri, database);
  onTestFinished(() => late.stop());
  await late.feed.ready;
  const { compared, differences } = await compare(live, late, ['roulette:2010011', 'roulette:*'], [from]);
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThan(1_800);
});

it('a rewind does not read again what it inserts itself', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const rows = (name: string) => client.db(database).collection(name, { writeConcern: { w: 'majority', j: true } });
  const numbers = Array.from({ length: 2_000 }, (_, n) => ({ numero: n % 37, timestamp: new Date(Date.now() + n) }));
  await rows('2010012').insertMany(numbers);
  await rows('roleta_numeros').insertMany(numbers.map((number) => ({ ...number, roleta_id: '2010011' })));
  let read: number | null = null;
  const feed = startTestFeed(
    mongo.uri,
    database,
    {},
    {
      async readBase(open, afterClusterTime, inserted) {
        const databases = {
          client: open,
          shared: open.db(database),
          tables: open.db(database),
          sources: DEFAULT_SOURCES,
        };
        const request = { afterClusterTime, numbersPerTable: KEPT, known: inserted };
        const base = await readBase({ databases }, request);
        read = base.numbers.length + base.documents.length;
        return base;
      },
    },
  );
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  expect(feed.feed.status().ring.events).toBe(4_000);
  expect(read).toBe(0);
});

it('a number that an update makes readable while the base is read comes into the snapshot', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const rows = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const { insertedId } = await rows.insertOne({ roleta_id: '2010011', numero: 99, timestamp: new Date() });
  await rows.insertOne({ roleta_id: '2010011', numero: 1, timestamp: new Date() });
  let reads = 0;
  const feed = startTestFeed(
    mongo.uri,
    database,
    // Nothing of the past comes by the stream: the document is met by the read alone.
    { recoveryWindowSeconds: 0 },
    {
      async readBase(open, afterClusterTime, inserted) {
        const databases = {
          client: open,
          shared: open.db(database),
          tables: open.db(database),
          sources: DEFAULT_SOURCES,
        };
        const request = { afterClusterTime, numbersPerTable: KEPT, known: inserted };
        const base = await readBase({ databases }, request);
        if (reads++ === 0) await rows.updateOne({ _id: insertedId }, { $set: { numero: 36 } });
        return base;
      },
    },
  );
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  const subscriber = feed.connect();
  subscriber.subscribe({ topics: ['roulette:2010011'] });
  const { numeros } = await subscriber.next(({ type }) => type === 'snapshot');
  expect(numeros).toMatchObject([{ numero: 1 }, { numero: 36 }]);
  // The document alone was read again, not the database.
  expect(reads).toBe(1);
});

it('INVARIANT reread: a rewind over an update of a number that is not kept resumes every table but its own', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection<Row>('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const old = Date.now() - 30 * 86_400_000;
  const rowOf = (roleta_id: string, n: number, ms: number): Row => ({
    _id: new ObjectId(),
    roleta_id,
    numero: n % 37,
    timestamp: new Date(ms),
  });
  const rows = Array.from({ length: KEPT * 2 }, (_, n) => rowOf('2010011', n, old + n * 40_000));
  await numbers.insertMany([...rows, rowOf('2010012', 1, Date.now())]);
  const first = startTestFeed(mongo.uri, database);
  onTestFinished(() => first.stop());
  await first.feed.ready;
  const { epoch, position } = first.feed.reached() ?? { epoch: '', position: '' };

  const [oldest, older] = rows;
  if (oldest === undefined || older === undefined) throw new Error('there are many rows');
  await numbers.updateOne({ _id: oldest._id }, { $set: { numero: 36 } });
  await numbers.deleteOne({ _id: older._id });
  await numbers.insertOne(rowOf('2010012', 2, Date.now()));
  const second = startTestFeed(mongo.uri, database);
  onTestFinished(() => second.stop());
  await second.feed.ready;
  const back = second.connect();
  back.subscribe({ topics: ['roulette:2010011', 'roulette:2010012'], after: position, epoch });
  const { topics } = await back.next(({ type }) => type === 'subscribed');
  expect(topics).toEqual([
    { topic: 'roulette:2010011', recovered: false, reason: 'too_old' },
    { topic: 'roulette:2010012', recovered: true, replayed: 1 },
  ]);
});
