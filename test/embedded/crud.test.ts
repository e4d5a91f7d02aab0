import { type Collection, type Db, type Document, MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

interface Row extends Document {
  _id: number;
}

describe.each(['4.4', '8.0'] as const)('a small database of generation %s', (compat) => {
  let server: EmbeddedMongo;
  let client: MongoClient;
  let db: Db;
  let rows: Collection<Row>;
  let count = 0;

  beforeAll(async () => {
    server = await startEmbeddedMongo({ compat });
    client = await new MongoClient(server.uri).connect();
  });

  beforeEach(async () => {
    count += 1;
    db = client.db(`crud_${count}`);
    rows = db.collection<Row>('rows');
    await rows.insertMany([
      { _id: 1, x: 11, tags: ['a', 'b'] },
      { _id: 2, x: 22, tags: ['b'] },
      { _id: 3, x: 33 },
    ]);
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  test('updates one, many, by replacement and by pipeline', async () => {
    expect(await rows.updateOne({ _id: 1 }, { $inc: { x: 1 } })).toMatchObject({ matchedCount: 1, modifiedCount: 1 });
    expect(await rows.updateMany({ x: { $gt: 20 } }, { $set: { big: true } })).toMatchObject({
      matchedCount: 2,
      modifiedCount: 2,
    });
    await rows.replaceOne({ _id: 2 }, { y: 1 });
    await rows.updateOne({ _id: 3 }, [{ $set: { twice: { $multiply: ['$x', 2] } } }]);
    expect(await rows.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 1, x: 12, tags: ['a', 'b'] },
      { _id: 2, y: 1 },
      { _id: 3, x: 33, big: true, twice: 66 },
    ]);
  });

  test('upserts and says what it made', async () => {
    const made = await rows.updateOne({ _id: 9 }, { $set: { x: 1 }, $setOnInsert: { y: 2 } }, { upsert: true });
    expect(made).toMatchObject({ matchedCount: 0, upsertedCount: 1, upsertedId: 9 });
    const fresh = await rows.updateOne({ z: 5 }, { $set: { x: 1 } }, { upsert: true });
    expect(fresh.upsertedId).toBeInstanceOf(ObjectId);
  });

  test('finds one and changes it, giving the document before or after', async () => {
    expect(await rows.findOneAndUpdate({ x: { $gt: 11 } }, { $inc: { x: 1 } }, { sort: { x: -1 } })).toEqual({
      _id: 3,
      x: 33,
    });
    expect(
      await rows.findOneAndUpdate({ _id: 3 }, { $inc: { x: 1 } }, { returnDocument: 'after', projection: { _id: 0 } }),
    ).toEqual({ x: 35 });
    expect(await rows.findOneAndReplace({ _id: 2 }, { x: 0 }, { returnDocument: 'after' })).toEqual({ _id: 2, x: 0 });
    expect(await rows.findOneAndDelete({ _id: 1 })).toMatchObject({ x: 11 });
    expect(await rows.findOneAndDelete({ _id: 1 })).toBeNull();
  });

  test('updates elements of arrays by filters and by position', async () => {
    await rows.updateOne({ _id: 1 }, { $set: { 'tags.$[t]': 'c' } }, { arrayFilters: [{ t: 'b' }] });
    await rows.updateOne({ _id: 1, tags: 'a' }, { $set: { 'tags.$': 'z' } });
    expect((await rows.findOne({ _id: 1 }))?.['tags']).toEqual(['z', 'c']);
  });

  test('writes in bulk, in order and not', async () => {
    const result = await rows.bulkWrite([
      { insertOne: { document: { _id: 4, x: 44 } } },
      { updateMany: { filter: { x: { $gte: 33 } }, update: { $set: { y: 1 } } } },
      { deleteOne: { filter: { _id: 1 } } },
      { replaceOne: { filter: { _id: 8 }, replacement: { x: 8 }, upsert: true } },
    ]);
    expect(result).toMatchObject({ insertedCount: 1, modifiedCount: 2, deletedCount: 1, upsertedCount: 1 });
    const failing = rows.insertMany([{ _id: 4 }, { _id: 5 }, { _id: 4 }, { _id: 6 }], { ordered: false });
    await expect(failing).rejects.toMatchObject({ code: 11000, insertedCount: 2 });
  });

  test('counts, and lists distinct values', async () => {
    expect(await rows.countDocuments({ x: { $lt: 30 } })).toBe(2);
    expect(await rows.estimatedDocumentCount()).toBe(3);
    expect(await rows.distinct('tags')).toEqual(['a', 'b']);
    expect(await rows.distinct('tags', { _id: 2 })).toEqual(['b']);
  });

  test('reads in batches through a cursor that lives on between them', async () => {
    await rows.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: 100 + i, x: i })));
    const ids: number[] = [];
    for await (const { _id } of rows.find({ _id: { $gte: 100 } }).batchSize(7)) ids.push(_id);
    expect(ids).toEqual(Array.from({ length: 500 }, (_, i) => 100 + i));
  });

  test('aggregates: groups, joins, unwinds, facets', async () => {
    await db.collection('names').insertMany([
      { tag: 'a', name: 'first' },
      { tag: 'b', name: 'second' },
    ]);
    const joined = await rows
      .aggregate([
        { $match: { tags: { $exists: true } } },
        { $unwind: '$tags' },
        { $lookup: { from: 'names', localField: 'tags', foreignField: 'tag', as: 'found' } },
        { $group: { _id: '$tags', n: { $sum: 1 }, name: { $first: { $arrayElemAt: ['$found.name', 0] } } } },
        { $sort: { _id: 1 } },
      ])
      .toArray();
    expect(joined).toEqual([
      { _id: 'a', n: 1, name: 'first' },
      { _id: 'b', n: 2, name: 'second' },
    ]);
  });

  test('writes the results of an aggregation into collections', async () => {
    await rows.aggregate([{ $match: { x: { $gt: 11 } } }, { $out: 'copied' }]).toArray();
    expect(await db.collection('copied').countDocuments()).toBe(2);
    await rows
      .aggregate([
        { $project: { x: 1, seen: { $literal: true } } },
        { $merge: { into: 'copied', whenMatched: 'merge', whenNotMatched: 'insert' } },
      ])
      .toArray();
    expect(await db.collection<Row>('copied').find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 1, x: 11, seen: true },
      { _id: 2, x: 22, tags: ['b'], seen: true },
      { _id: 3, x: 33, seen: true },
    ]);
  });

  test('reads through views', async () => {
    await db.createCollection('large', {
      viewOn: 'rows',
      pipeline: [{ $match: { x: { $gt: 11 } } }, { $project: { x: 1 } }],
    });
    const view = db.collection<Row>('large');
    expect(await view.find({ x: { $lt: 30 } }).toArray()).toEqual([{ _id: 2, x: 22 }]);
    expect([await view.countDocuments(), await view.distinct('x')]).toEqual([2, [22, 33]]);
    await expect(view.insertOne({ _id: 5 })).rejects.toMatchObject({ code: 166 });
  });

  test('keeps a capped collection within its bounds, and lets a cursor tail it', async () => {
    const capped = await db.createCollection<Row>('capped', { capped: true, size: 100_000, max: 3 });
    await capped.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3 }, { _id: 4 }]);
    expect((await capped.find().toArray()).map(({ _id }) => _id)).toEqual([2, 3, 4]);
    const tail = capped.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 5000 });
    for (let i = 0; i < 3; i += 1) await tail.next();
    const waiting = tail.next();
    await capped.insertOne({ _id: 5 });
    expect(await waiting).toEqual({ _id: 5 });
    await tail.close();
  });

  test('compares strings by the collation that the command brings', async () => {
    await rows.insertMany([
      { _id: 20, nome: 'Mesa' },
      { _id: 21, nome: 'mesa' },
    ]);
    const found = rows.find({ nome: 'MESA' }).collation({ locale: 'pt', strength: 2 });
    expect(await found.toArray()).toHaveLength(2);
  });

  test('makes, lists and drops indexes, and enforces unique ones', async () => {
    expect(await rows.createIndex({ x: 1 }, { unique: true })).toBe('x_1');
    await expect(rows.insertOne({ _id: 50, x: 11 })).rejects.toMatchObject({ code: 11000, keyValue: { x: 11 } });
    await expect(rows.createIndex({ x: 1 }, { name: 'other' })).rejects.toMatchObject({ code: 85 });
    await rows.createIndex({ y: 1 }, { partialFilterExpression: { y: { $gt: 5 } }, unique: true });
    await rows.insertMany([
      { _id: 51, x: 51, y: 1 },
      { _id: 52, x: 52, y: 1 },
    ]);
    await rows.dropIndex('x_1');
    expect((await rows.indexes()).map(({ name }) => name)).toEqual(['_id_', 'y_1']);
    await expect(rows.createIndex({ place: '2dsphere' })).rejects.toMatchObject({ code: 67 });
  });

  test('refuses a document that its validator does not accept', async () => {
    const checked = await db.createCollection<Row>('checked', { validator: { numero: { $gte: 0, $lte: 36 } } });
    await checked.insertOne({ _id: 1, numero: 0 });
    await expect(checked.insertOne({ _id: 2, numero: 99 })).rejects.toMatchObject({ code: 121 });
    await expect(checked.updateOne({ _id: 1 }, { $set: { numero: 99 } })).rejects.toMatchObject({ code: 121 });
  });

  test('lists, renames and drops collections and databases', async () => {
    await rows.rename('moved');
    expect((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name)).toEqual(['moved']);
    expect((await client.db().admin().listDatabases()).databases.map(({ name }) => name)).toContain(db.databaseName);
    expect(await db.dropDatabase()).toBe(true);
    expect(await db.listCollections().toArray()).toEqual([]);
  });

  test('explains what it does', async () => {
    const plan = await rows.aggregate([{ $match: { _id: 1 } }]).explain('queryPlanner');
    expect(JSON.stringify(plan)).toContain('IXSCAN');
    expect(JSON.stringify(await rows.find({ x: 1 }).explain('queryPlanner'))).toContain('COLLSCAN');
  });

  test('keeps the order of fields', async () => {
    const wide = db.collection<Row>('wide');
    await wide.insertOne({ _id: 1, b: { z: 1, a: 2 }, ten: 10.5, nothing: null, when: new Date(5) });
    expect(Object.keys((await wide.findOne({ _id: 1 }))?.['b'])).toEqual(['z', 'a']);
  });
});

test('clients of 8.0 write to many collections with one command', async () => {
  const server = await startEmbeddedMongo({ compat: '8.0' });
  const client = await new MongoClient(server.uri).connect();
  const result = await client.bulkWrite(
    [
      { name: 'insertOne', namespace: 'd.a', document: { _id: 1 as never, x: 1 } },
      { name: 'insertOne', namespace: 'd.b', document: { _id: 1 as never, x: 1 } },
      { name: 'updateMany', namespace: 'd.a', filter: { x: 1 }, update: { $set: { y: 2 } } },
      { name: 'updateOne', namespace: 'd.b', filter: { x: 7 }, update: { $set: { y: 2 } }, upsert: true },
      { name: 'deleteOne', namespace: 'd.b', filter: { x: 1 } },
    ],
    { verboseResults: true },
  );
  expect(result).toMatchObject({
    insertedCount: 2,
    matchedCount: 1,
    modifiedCount: 1,
    upsertedCount: 1,
    deletedCount: 1,
  });
  expect(await client.db('d').collection('a').findOne({})).toEqual({ _id: 1, x: 1, y: 2 });
  await client.close();
  await server.stop();
});
