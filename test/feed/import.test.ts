import { MongoClient, ObjectId } from 'mongodb';
import { expect, it, onTestFinished } from 'vitest';
import { startTestFeed } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

const TABLES = Array.from({ length: 13 }, (_, n) => String(2_010_001 + n));
const BATCHES = 20;
const IN_BATCH = 260;
const HOUR_MS = 3_600_000;

it('an import is no flood: live numbers come through in the midst of it, and each table is told of it once', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const numberOf = (n: number, timestamp: Date) => ({
    _id: new ObjectId(),
    roleta_id: TABLES[n % TABLES.length],
    numero: n % 37,
    timestamp,
  });
  await numbers.insertMany(TABLES.map((_, n) => numberOf(n, new Date())));
  // The import's pause does not come before the test says so.
  const timings = { backfillQuietMs: 3_600_000, backfillLatestMs: 3_600_000 };
  const feed = startTestFeed(mongo.uri, database, { timings });
  onTestFinished(() => feed.stop());
  await feed.feed.ready;
  const subscriber = feed.connect();
  subscriber.subscribe({ topics: ['roulette:*'] });
  await subscriber.next(({ type }) => type === 'subscribed');
  const before = subscriber.frames.length;

  const live: string[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const old = Array.from({ length: IN_BATCH }, (_, n) => numberOf(n, new Date(Date.now() - HOUR_MS - n * 1_000)));
    const number = numberOf(batch, new Date());
    live.push(String(number._id));
    const stored = numbers.insertMany(old);
    await numbers.insertOne(number);
    // It is awaited while the import goes on: nothing makes it wait for the end of that.
    await subscriber.next(({ type, id }) => type === 'new_number' && id === String(number._id));
    await stored;
  }
  const last = numberOf(0, new Date());
  await numbers.insertOne(last);
  await subscriber.next(({ id }) => id === String(last._id));
  const came = subscriber.frames.slice(before).filter(({ type }) => type !== 'sync' && type !== 'status');
  const idsOf = (wanted: string) => came.filter(({ type }) => type === wanted);
  expect(idsOf('new_number').map(({ id }) => id)).toEqual([...live, String(last._id)]);
  // Of 5,200 old rows each table's subscribers were told once.
  expect(idsOf('reset').map(({ topic }) => topic)).toHaveLength(TABLES.length);
  expect(new Set(idsOf('reset').map(({ topic }) => topic)).size).toBe(TABLES.length);
  expect(came).toHaveLength(live.length + 1 + TABLES.length);
});
