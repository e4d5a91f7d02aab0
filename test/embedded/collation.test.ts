import { type Db, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

/** Lower and upper case are one; in `loose` accents too. */
const collation = { locale: 'pt', strength: 2 };
const loose = { locale: 'pt', strength: 1 };

let server: EmbeddedMongo;
let client: MongoClient;
let db: Db;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  client = await new MongoClient(server.uri).connect();
  db = client.db('collated');
  await db.collection<Document & { _id: number }>('spins').insertMany([
    { _id: 1, table: 'Mesa', by: ['ana', 'BIA'] },
    { _id: 2, table: 'outra', by: ['Ana'] },
    { _id: 3, table: 'MESA', by: ['bia'] },
    { _id: 4, table: 'mesá', by: [] },
    { _id: 5, table: 'mesa', by: ['ANA', 'Bia'] },
  ]);
  await db.collection<Document & { _id: string }>('tables').insertMany([
    { _id: 'a', name: 'mesa', next: 'OUTRA' },
    { _id: 'b', name: 'Outra', next: 'Mesa' },
    { _id: 'c', name: 'terceira', next: null },
  ]);
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

const spins = (pipeline: Document[], options = { collation }) =>
  db
    .collection('spins')
    .aggregate([{ $sort: { _id: 1 } }, ...pipeline], options)
    .toArray();

test('$group makes one group of strings that are equal, named by the first of them', async () => {
  const n = { $sum: 1 };
  expect(await spins([{ $group: { _id: '$table', n } }])).toEqual([
    { _id: 'Mesa', n: 3 },
    { _id: 'outra', n: 1 },
    { _id: 'mesá', n: 1 },
  ]);
  expect(await spins([{ $group: { _id: '$table', n } }], { collation: loose })).toEqual([
    { _id: 'Mesa', n: 4 },
    { _id: 'outra', n: 1 },
  ]);
  expect(await spins([{ $group: { _id: { table: ['$table'] }, n } }, { $limit: 1 }])).toEqual([
    { _id: { table: ['Mesa'] }, n: 3 },
  ]);
  expect(
    await db
      .collection('spins')
      .aggregate([{ $group: { _id: '$table' } }])
      .toArray(),
  ).toHaveLength(5);
});

test('$sortByCount, $addToSet, $min and $max hold them equal too', async () => {
  expect(await spins([{ $sortByCount: '$table' }, { $limit: 1 }])).toEqual([{ _id: 'Mesa', count: 3 }]);
  const fields = { by: { $addToSet: '$by' }, first: { $min: '$by' }, last: { $max: '$by' } };
  expect(await spins([{ $unwind: '$by' }, { $group: { _id: null, ...fields } }])).toEqual([
    { _id: null, by: ['ana', 'BIA'], first: 'ana', last: 'BIA' },
  ]);
});

test('$bucket and $bucketAuto go by the order of the collation', async () => {
  const groupBy = '$table';
  expect(await spins([{ $bucket: { groupBy, boundaries: ['MESA', 'N', 'p'] } }])).toEqual([
    { _id: 'MESA', count: 4 },
    { _id: 'N', count: 1 },
  ]);
  expect(await spins([{ $bucketAuto: { groupBy, buckets: 4 } }])).toEqual([
    { _id: { min: 'Mesa', max: 'mesá' }, count: 3 },
    { _id: { min: 'mesá', max: 'outra' }, count: 1 },
    { _id: { min: 'outra', max: 'outra' }, count: 1 },
  ]);
});

test('$lookup joins strings that are equal, in arrays too', async () => {
  const as = 'found';
  const join = { $lookup: { from: 'tables', localField: 'table', foreignField: 'name', as } };
  const shown = { $project: { ids: '$found._id' } };
  const ids = async (options?: { collation: typeof collation }) =>
    (await spins([join, shown], options)).map((spin) => spin['ids']);
  expect(await ids()).toEqual([['a'], ['b'], ['a'], [], ['a']]);
  expect(await ids({ collation: loose })).toEqual([['a'], ['b'], ['a'], ['a'], ['a']]);
  const byArray = { $lookup: { from: 'spins', localField: 'by', foreignField: 'by', as } };
  const [first] = await spins([{ $match: { _id: 2 } }, byArray, shown]);
  expect(first?.['ids']).toEqual([1, 2, 5]);
});

test('$graphLookup follows strings that are equal', async () => {
  const stage = { from: 'tables', startWith: '$table', connectFromField: 'next', connectToField: 'name', as: 'all' };
  const [spin] = await spins([{ $match: { _id: 3 } }, { $graphLookup: stage }, { $project: { ids: '$all._id' } }]);
  expect(spin?.['ids']).toEqual(['a', 'b']);
});

test('among many strings each finds its group, and distinct its values', async () => {
  const words = Array.from({ length: 4000 }, (_, n) => ((n * 7919) % 1000).toString(36).padStart(2, 'a'));
  const mixed = words.map((word, n) => (n % 2 === 0 ? word.toUpperCase() : word));
  const rows = db.collection('words');
  await rows.insertMany(mixed.map((word) => ({ word })));
  const groups = await rows.aggregate([{ $group: { _id: '$word', n: { $sum: 1 } } }], { collation }).toArray();
  const counts = new Map(groups.map(({ _id, n }) => [String(_id).toLowerCase(), n]));
  const wanted = new Map<string, number>();
  for (const word of words) wanted.set(word, (wanted.get(word) ?? 0) + 1);
  expect(groups).toHaveLength(wanted.size);
  expect(counts).toEqual(wanted);
  expect(await rows.distinct('word', {}, { collation })).toHaveLength(wanted.size);
});
