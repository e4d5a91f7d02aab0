import { type Document, Long, MongoClient, Timestamp } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

let server: EmbeddedMongo;
let client: MongoClient;

beforeEach(async () => {
  server = await startEmbeddedMongo({ compat: '8.0' });
  client = await new MongoClient(server.uri).connect();
});

afterEach(async () => {
  await client.close();
  await server.stop();
});

interface NumberDocument extends Document {
  readonly _id?: number | { readonly $a: number };
}

const numbers = () => client.db('runcash').collection<NumberDocument>('numbers');

describe('a snapshot session', () => {
  test('reads what stood when it first read, whatever is written since', async () => {
    await numbers().insertMany([
      { _id: 1, n: 1 },
      { _id: 2, n: 2 },
    ]);
    await numbers().createIndex({ n: 1 });
    const session = client.startSession({ snapshot: true });
    const read = () =>
      numbers()
        .find({}, { session, sort: { _id: 1 } })
        .toArray();
    const before = await read();
    await numbers().updateOne({ _id: 1 }, { $set: { n: 7 } });
    await numbers().deleteOne({ _id: 2 });
    await numbers().insertOne({ _id: 3, n: 3 });
    expect(await read()).toEqual(before);
    expect(await numbers().find({ n: 1 }, { session }).toArray()).toEqual([{ _id: 1, n: 1 }]);
    expect(await numbers().find({ n: 7 }, { session }).toArray()).toEqual([]);
    expect(await numbers().distinct('n', {}, { session })).toEqual([1, 2]);
    expect(await numbers().countDocuments({}, { session })).toBe(2);
    expect(await numbers().countDocuments({})).toBe(2);
    expect(await numbers().distinct('n')).toEqual([3, 7]);
    await session.endSession();
  });

  test('is refused by commands that cannot read a snapshot, and at times that are not kept', async () => {
    const db = client.db('runcash');
    await numbers().insertOne({ _id: 1 });
    const readConcern = { level: 'snapshot' };
    await expect(db.command({ listCollections: 1, readConcern })).rejects.toMatchObject({ code: 72 });
    await expect(db.command({ count: 'numbers', readConcern })).rejects.toMatchObject({ code: 72 });
    const old = { level: 'snapshot', atClusterTime: new Timestamp({ t: 1, i: 1 }) };
    await expect(db.command({ find: 'numbers', readConcern: old })).rejects.toMatchObject({ code: 239 });
  });
});

describe('a collection made in a transaction', () => {
  test('is gone with it when it is aborted, and there with its indexes when it is committed', async () => {
    const db = client.db('runcash');
    const make = async (end: 'abortTransaction' | 'commitTransaction') => {
      const session = client.startSession();
      session.startTransaction();
      await db.createCollection('fresh', { session });
      await numbers().insertOne({ _id: 1 }, { session });
      await db.collection('fresh').createIndex({ n: 1 }, { session, unique: true });
      await db.collection('fresh').insertOne({ n: 1 }, { session });
      expect(await db.listCollections({ name: 'fresh' }).toArray()).toEqual([]);
      await session[end]();
      await session.endSession();
    };
    await make('abortTransaction');
    expect(await db.listCollections().toArray()).toEqual([]);
    await make('commitTransaction');
    expect((await db.listCollections().toArray()).map(({ name }) => name).sort()).toEqual(['fresh', 'numbers']);
    await expect(db.collection('fresh').insertOne({ n: 1 })).rejects.toMatchObject({ code: 11000 });
  });

  test('conflicts with one that others make meanwhile', async () => {
    const session = client.startSession();
    session.startTransaction();
    await numbers().insertOne({ _id: 1 }, { session });
    await numbers().insertOne({ _id: 2 });
    await expect(session.commitTransaction()).rejects.toMatchObject({
      code: 112,
      errorLabels: expect.arrayContaining(['TransientTransactionError']),
    });
    expect(await numbers().find().toArray()).toEqual([{ _id: 2 }]);
    await session.endSession();
  });

  test('takes no new index once it holds documents', async () => {
    const session = client.startSession();
    session.startTransaction();
    await numbers().insertOne({ _id: 1 }, { session });
    await expect(numbers().createIndex({ n: 1 }, { session })).rejects.toMatchObject({ code: 263 });
    await session.endSession();
  });
});

describe('writes as newer servers take them', () => {
  test('names that begin with $ may stand within values, but not within _id', async () => {
    await numbers().insertOne({ _id: 1, a: {} });
    await numbers().updateOne({ _id: 1 }, { $set: { a: { $b: 1 } } });
    expect(await numbers().findOne()).toEqual({ _id: 1, a: { $b: 1 } });
    await expect(numbers().insertOne({ _id: { $a: 1 } })).rejects.toMatchObject({ code: 52 });
  });

  test('an array that a pipeline cuts short is told as truncated', async () => {
    const stream = client.db('runcash').watch();
    await stream.tryNext();
    await numbers().insertOne({ _id: 1, list: [1, 2, 3, 4], text: 'x'.repeat(100) });
    await numbers().updateOne({ _id: 1 }, [{ $set: { list: [1, 2] } }]);
    await stream.next();
    expect(await stream.next()).toMatchObject({
      updateDescription: { updatedFields: {}, truncatedArrays: [{ field: 'list', newSize: 2 }] },
    });
    await stream.close();
  });

  test('an empty timestamp becomes the present one in inserts and replacements', async () => {
    const empty = () => new Timestamp(Long.ZERO);
    await numbers().insertOne({ _id: 1, at: empty() });
    await numbers().replaceOne({ _id: 2 }, { at: empty(), in: { at: empty() } }, { upsert: true });
    const [one, two] = await numbers()
      .find({}, { sort: { _id: 1 } })
      .toArray();
    expect(one?.['at'].t).toBeGreaterThan(0);
    expect(two?.['at'].t).toBeGreaterThan(0);
    expect(two?.['in'].at.isZero()).toBe(true);
  });

  test('let holds expressions', async () => {
    await numbers().insertOne({ _id: 1, n: 3 });
    const filter = { $expr: { $eq: ['$n', '$$three'] } };
    expect(
      await numbers()
        .find(filter, { let: { three: { $add: [1, 2] } } })
        .toArray(),
    ).toHaveLength(1);
    const [found] = await numbers()
      .aggregate([{ $set: { y: '$$x' } }], { let: { x: { $literal: '$n' } } })
      .toArray();
    expect(found?.['y']).toBe('$n');
  });

  test('a commit whose write concern cannot be satisfied says so', async () => {
    const session = client.startSession();
    session.startTransaction({ writeConcern: { w: 10 } });
    await numbers().insertOne({ _id: 1 }, { session });
    await expect(session.commitTransaction()).rejects.toThrow('Not enough data-bearing nodes');
    expect(await numbers().countDocuments()).toBe(1);
    await session.endSession();
  });

  test('distinct takes what a collation holds equal for one value', async () => {
    await numbers().insertMany([{ t: 'PING' }, { t: 'ping' }, { t: 'pong' }]);
    expect(await numbers().distinct('t', {}, { collation: { locale: 'en', strength: 2 } })).toEqual(['PING', 'pong']);
  });
});
