import { Binary } from 'bson';
import { type Collection, type Db, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOperation } from '../../src/embedded/operation.ts';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { PLAIN_OPTIONS } from '../../src/embedded/storage/catalog.ts';
import { createCollection } from '../../src/embedded/storage/collection.ts';
import { validateCollection } from '../../src/embedded/storage/validate.ts';
import { encode } from '../../src/embedded/values/bson.ts';

interface Row extends Document {
  _id: number;
}

describe.each(['4.4', '8.0'] as const)('validate of generation %s', (compat) => {
  let server: EmbeddedMongo;
  let client: MongoClient;
  let db: Db;
  let rows: Collection<Row>;
  let count = 0;

  beforeAll(async () => {
    server = await startEmbeddedMongo({ compat });
    client = await new MongoClient(server.uri).connect();
    db = client.db('validated');
  });

  beforeEach(() => {
    count += 1;
    rows = db.collection(`rows_${count}`);
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  const validate = () => db.command({ validate: rows.collectionName });

  test('finds nothing wrong after writes of all kinds, in indexes of all kinds', async () => {
    await rows.createIndex({ tags: 1, x: -1 });
    await rows.createIndex({ u: 1 }, { unique: true, sparse: true });
    await rows.createIndex({ x: 1 }, { name: 'high', partialFilterExpression: { x: { $gte: 50 } } });
    await rows.insertMany(Array.from({ length: 100 }, (_, x) => ({ _id: x, x, tags: ['a', `${x % 7}`, 'a'] })));
    await rows.updateMany({ x: { $lt: 10 } }, { $unset: { tags: 1 }, $inc: { x: 60 } });
    await rows.updateMany({ _id: { $in: [1, 2] } }, [{ $set: { u: '$_id' } }]);
    await rows.deleteMany({ x: { $gte: 90 } });
    const session = client.startSession();
    await session.withTransaction(async () => {
      await rows.updateOne({ _id: 20 }, { $set: { x: 77, tags: [] } }, { session });
      await rows.deleteOne({ _id: 21 }, { session });
      await rows.insertOne({ _id: 200, x: 5 }, { session });
    });
    await session.endSession();
    const answer = await validate();
    expect(answer).toMatchObject({
      ns: rows.namespace,
      valid: true,
      errors: [],
      warnings: [],
      nInvalidDocuments: 0,
      nrecords: 90,
      nIndexes: 4,
      // Two tags each, but one entry for the ten without, one for the empty array and one for the inserted.
      keysPerIndex: { _id_: 90, 'tags_1_x_-1': 78 * 2 + 12, u_1: 2, high: 51 },
      indexDetails: { _id_: { valid: true }, high: { valid: true } },
      extraIndexEntries: [],
      missingIndexEntries: [],
    });
    expect(answer['uuid']).toEqual(compat === '8.0' ? expect.anything() : undefined);
  });

  test('counts documents that the validator would refuse', async () => {
    await rows.insertMany([{ _id: 1, x: 1 }, { _id: 2 }]);
    await db.command({ collMod: rows.collectionName, validator: { x: { $exists: true } } });
    const answer = await validate();
    expect(answer).toMatchObject({ valid: true, warnings: [expect.stringContaining('not compliant')] });
    if (compat === '8.0') expect(answer).toMatchObject({ nNonCompliantDocuments: 1, repaired: false });
  });

  test('others write meanwhile, and it still finds nothing wrong', async () => {
    await rows.createIndex({ x: 1 });
    await rows.insertMany(Array.from({ length: 60_000 }, (_, x) => ({ _id: x, x })));
    let over = false;
    const validating = validate().finally(() => {
      over = true;
    });
    let written = 0;
    for (; !over; written += 1) {
      await rows.updateOne({ _id: (written * 7919) % 60_000 }, { $inc: { x: 100_000 } });
      await rows.deleteOne({ _id: 59_999 - written });
      await rows.insertOne({ _id: 60_000 + written, x: -written });
    }
    expect(await validating).toMatchObject({ valid: true, errors: [] });
    expect(written).toBeGreaterThan(1);
  });

  test('refuses what does not exist, a view, and what it cannot do', async () => {
    await expect(validate()).rejects.toMatchObject({ code: 26 });
    await db.createCollection(`view_${count}`, { viewOn: rows.collectionName, pipeline: [] });
    await expect(db.command({ validate: `view_${count}` })).rejects.toMatchObject({ code: 166 });
    await rows.insertOne({ _id: 1 });
    const repair = db.command({ validate: rows.collectionName, repair: true });
    await expect(repair).rejects.toMatchObject({ code: 40415 });
  });
});

describe('validation finds', () => {
  const commits = { current: 0, openSnapshots: 0 };

  function collectionOf(...documents: readonly Document[]) {
    const uuid = new Binary(Buffer.alloc(16), Binary.SUBTYPE_UUID);
    const collection = createCollection('db', 'rows', uuid, PLAIN_OPTIONS, commits);
    collection.addIndex({ name: 'x_1', key: { x: 1 }, unique: false, sparse: false, options: {} });
    for (const document of documents)
      collection.put(collection.nextRecordId(), Buffer.from(encode(document)), collection.keysOf(document));
    const index = collection.indexes.get('x_1');
    if (index === undefined) throw new Error('there is no index x_1');
    return { collection, index, look: () => validateCollection(collection, commits, createOperation()) };
  }

  test('an entry that an index lacks', async () => {
    const { index, look } = collectionOf({ _id: 1, x: 1 }, { _id: 2, x: 2 });
    index.remove(index.keysOf({ x: 2 }), 2);
    expect(await look()).toMatchObject({ missing: [{ index, recordId: 2 }], extra: [], miscounts: [] });
  });

  test('an entry of another value, and one of no record', async () => {
    const { index, look } = collectionOf({ _id: 1, x: 1 });
    index.add(index.keysOf({ x: 7 }), 1);
    index.add(index.keysOf({ x: 8 }), 9);
    const found = await look();
    expect(found.missing).toEqual([]);
    expect(found.extra.map(({ recordId }) => recordId)).toEqual([1, 9]);
  });

  test('two records that changed places in a unique index', async () => {
    const { collection, look } = collectionOf({ _id: 1 }, { _id: 2 });
    const { idIndex } = collection;
    idIndex.remove(idIndex.keysOf({ _id: 1 }), 1);
    idIndex.add(idIndex.keysOf({ _id: 1 }), 2);
    const found = await look();
    expect(found.missing.map(({ recordId }) => recordId)).toEqual([1]);
    expect(found.extra.map(({ recordId }) => recordId)).toEqual([2]);
  });

  test('a record that is no document, and counts that are not true', async () => {
    const { collection, index, look } = collectionOf({ _id: 1, x: 1 });
    collection.put(2, Buffer.from([9, 0, 0, 0, 99, 99, 99, 99, 0]), new Map());
    expect(await look()).toMatchObject({ invalidDocuments: 1, missing: [], extra: [], miscounts: [] });
    Object.defineProperty(index.keys, 'size', { value: 5 });
    Object.defineProperty(collection, 'bytes', { value: 1 });
    expect((await look()).miscounts).toEqual([
      expect.stringMatching(/bytes are counted as 1$/),
      '1 entries of index x_1 are counted as 5',
    ]);
  });
});
