import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { deletedAfter } from './support/deletions.ts';

interface Row extends Document {
  _id: number;
}

let server: EmbeddedMongo;
let client: MongoClient;
let rows: Collection<Row>;
let count = 0;

beforeAll(async () => {
  server = await startEmbeddedMongo({ ttlMonitorSleepSecs: 0.02 });
  client = await new MongoClient(server.uri).connect();
});

beforeEach(() => {
  count += 1;
  rows = client.db('ttl').collection(`rows_${count}`);
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

const past = () => new Date(Date.now() - 3_600_000);
const future = () => new Date(Date.now() + 3_600_000);

test.each([1, -1] as const)(
  'documents expire by the earliest date in a field, in an index of direction %i, and nothing else does',
  async (direction) => {
    await rows.createIndex({ at: direction }, { expireAfterSeconds: 60 });
    const kept = [
      { _id: 2, at: future() },
      { _id: 3, at: 0 },
      { _id: 4, at: 'long ago' },
      { _id: 5, at: null },
      { _id: 6 },
      { _id: 7, at: new Date(Date.now() + 3_000) },
    ];
    const documents = [{ _id: 1, at: past() }, ...kept, { _id: 8, at: [future(), past()] }];
    expect((await deletedAfter(rows.watch(), () => rows.insertMany(documents), 2)).sort()).toEqual([1, 8]);
    // A further pass has come over all of them when it deletes what came later.
    expect(await deletedAfter(rows.watch(), () => rows.insertOne({ _id: 9, at: past() }), 1)).toEqual([9]);
    expect(await rows.find().sort({ _id: 1 }).toArray()).toEqual(kept);
  },
);

test('collMod lets documents expire that did not', async () => {
  await rows.createIndex({ at: 1 }, { expireAfterSeconds: 86_400 });
  await rows.insertMany([
    { _id: 1, at: past() },
    { _id: 2, at: new Date() },
  ]);
  const shorten = () =>
    client
      .db('ttl')
      .command({ collMod: rows.collectionName, index: { keyPattern: { at: 1 }, expireAfterSeconds: 1800 } });
  expect(await deletedAfter(rows.watch(), shorten, 1)).toEqual([1]);
  expect(await rows.distinct('_id')).toEqual([2]);
});

test('a document that a transaction makes old expires when it has committed', async () => {
  await rows.createIndex({ at: 1 }, { expireAfterSeconds: 60 });
  await rows.insertOne({ _id: 1, at: future() });
  const session = client.startSession();
  session.startTransaction();
  await rows.updateOne({ _id: 1 }, { $set: { at: past() } }, { session });
  expect(await deletedAfter(rows.watch(), () => rows.insertOne({ _id: 2, at: past() }), 1)).toEqual([2]);
  expect(await rows.distinct('_id')).toEqual([1]);
  expect(await deletedAfter(rows.watch(), () => session.commitTransaction(), 1)).toEqual([1]);
  await session.endSession();
});

test('others get their turn while many documents expire', async () => {
  const total = 20_000;
  const at = past();
  await rows.insertMany(Array.from({ length: total }, (_, _id) => ({ _id, at })));
  await rows.createIndex({ at: 1 }, { expireAfterSeconds: 60 });
  const seen = new Set<number>();
  for (let left = total; left > 0; left = await rows.estimatedDocumentCount()) seen.add(left);
  // Deleted in one piece, nobody would see anything between all and nothing.
  expect([...seen].filter((left) => left < total)).not.toEqual([]);
});

test('what expires as soon as a data folder is open stays gone', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'embedded-ttl-'));
  const withRows = async <T>(ttlMonitorSleepSecs: number, work: (kept: Collection<Row>) => Promise<T>): Promise<T> => {
    const running = await startEmbeddedMongo({ dataDir, ttlMonitorSleepSecs });
    const connected = await new MongoClient(running.uri).connect();
    const result = await work(connected.db('ttl').collection('kept'));
    await connected.close();
    await running.stop();
    return result;
  };
  await withRows(3600, async (kept) => {
    await kept.createIndex({ at: 1 }, { expireAfterSeconds: 60 });
    await kept.insertMany(Array.from({ length: 5000 }, (_, _id) => ({ _id, at: past() })));
  });
  await withRows(0.001, async (kept) => {
    while ((await kept.estimatedDocumentCount()) > 0);
  });
  expect(await withRows(3600, (kept) => kept.countDocuments())).toBe(0);
  rmSync(dataDir, { recursive: true });
});
