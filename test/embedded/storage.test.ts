import { Binary, Decimal128, type Document, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson';
import fc from 'fast-check';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { keyString } from '../../src/embedded/storage/key-string.ts';
import { createSortedKeys } from '../../src/embedded/storage/sorted-keys.ts';
import { compareValues } from '../../src/embedded/values/compare.ts';

const scalar = fc.oneof(
  fc.integer().map((n) => new Int32(n)),
  fc.integer({ min: -40, max: 40 }).map((n) => new Double(n / 4)),
  fc.double({ noNaN: false }).map((n) => new Double(n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
  fc.integer({ min: -500, max: 500 }).map((n) => Decimal128.fromString(String(n / 8))),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true }).map((d) => d),
  fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => new Binary(bytes)),
  fc.tuple(fc.nat(), fc.nat()).map(([t, i]) => new Timestamp({ t, i })),
  fc.constantFrom(new MinKey(), new MaxKey()),
);

const value = fc.oneof(
  { weight: 8, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom('a', 'b', 'ção'), scalar, { maxKeys: 3 }) },
);

describe('key strings', () => {
  test('have the order of the values that they stand for', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [ka, kb] = [keyString(a), keyString(b)];
        const order = ka < kb ? -1 : ka > kb ? 1 : 0;
        expect(order).toBe(Math.sign(compareValues(a, b)));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('sorted keys', () => {
  test('scan both ways what a sorted array would hold, through insertions and removals', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 3000 })), { maxLength: 4000 }),
        fc.nat(3000),
        fc.nat(3000),
        (steps, from, to) => {
          const keys = createSortedKeys();
          const model = new Set<string>();
          const name = (n: number) => String(n).padStart(5, '0');
          for (const [adds, n] of steps) {
            if (adds && !model.has(name(n))) {
              keys.insert(name(n), n);
              model.add(name(n));
            } else if (!adds) expect(keys.remove(name(n))).toBe(model.delete(name(n)));
          }
          const [low, high] = [name(Math.min(from, to)), name(Math.max(from, to))];
          const wanted = [...model].filter((key) => key >= low && key < high).sort();
          expect([...keys.scan(low, high)].map(({ key }) => key)).toEqual(wanted);
          expect([...keys.scanReverse(low, high)].map(({ key }) => key)).toEqual(wanted.reverse());
          expect(keys.size).toBe(model.size);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('an indexed query', () => {
  let server: EmbeddedMongo;
  let client: MongoClient;

  beforeAll(async () => {
    server = await startEmbeddedMongo();
    client = await new MongoClient(server.uri).connect();
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  const field = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 6 }) },
    { weight: 2, arbitrary: fc.constantFrom<unknown>('x', 'y', null, new Date(0), new Date(5), 2.5, true) },
    { weight: 1, arbitrary: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }) },
  );
  const row = fc.record({ a: field, b: field, c: field }, { requiredKeys: [] });
  const condition = fc.oneof(
    field,
    fc.record({ $gt: field }),
    fc.record({ $gte: field, $lt: field }, { requiredKeys: ['$gte'] }),
    fc.record({ $lte: field }),
    fc.array(field, { minLength: 1, maxLength: 3 }).map((list) => ({ $in: list })),
    fc.constantFrom({ $type: 'string' }, { $type: 'date' }, { $exists: true }, { $ne: 3 }, { $not: { $gt: 3 } }),
  );
  const filter = fc.record({ a: condition, b: condition, c: condition }, { requiredKeys: [] });
  const sort = fc.constantFrom<Document | undefined>(
    undefined,
    { a: 1 },
    { a: -1 },
    { a: 1, b: -1 },
    { a: -1, b: 1 },
    { b: 1 },
    { b: -1, c: -1 },
    { _id: -1 },
  );

  test('finds what a scan of everything finds, in an order that the sort allows', async () => {
    const db = client.db('planned');
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 40 }),
        fc.array(fc.tuple(filter, sort), { minLength: 5, maxLength: 5 }),
        async (rows, queries) => {
          await db.dropDatabase();
          const documents = rows.map((one, _id) => ({ _id, ...one }));
          const [plain, indexed] = [db.collection<Document>('plain'), db.collection<Document>('indexed')];
          await indexed
            .createIndexes([{ key: { a: 1 } }, { key: { a: 1, b: -1 } }, { key: { b: -1, c: -1 } }])
            .catch(() => undefined);
          for (const document of documents) {
            // Two arrays in one compound index are refused: such rows are in neither.
            const stored = await indexed.insertOne({ ...document, _id: document._id as never }).catch(() => undefined);
            if (stored !== undefined) await plain.insertOne({ ...document, _id: document._id as never });
          }
          for (const [query, order] of queries) {
            const ids = async (of: typeof plain) =>
              (await of.find(query).toArray()).map(({ _id }) => Number(_id)).sort((x, y) => x - y);
            expect(await ids(indexed)).toEqual(await ids(plain));
            if (order === undefined) continue;
            const total = { ...order, ...(order['_id'] === undefined ? { _id: 1 } : {}) };
            const sorted = async (of: typeof plain, by: Document) =>
              (
                await of
                  .find(query)
                  .sort(by as never)
                  .toArray()
              ).map(({ _id }) => Number(_id));
            expect(await sorted(indexed, total)).toEqual(await sorted(plain, total));
            expect((await sorted(indexed, order)).sort((x, y) => x - y)).toEqual(await ids(plain));
          }
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  test('looks only at what it needs: equality with sort, by type, and distinct', async () => {
    const rows = client.db('narrow').collection<Document>('rows');
    await rows.createIndex({ roleta_id: 1, timestamp: -1 });
    await rows.insertMany(
      Array.from({ length: 5000 }, (_, i) => ({
        roleta_id: String(i % 100),
        timestamp: i % 50 === 7 ? 'text' : new Date(i),
      })),
    );
    const explained = await rows.find({ roleta_id: '7' }).sort({ timestamp: -1 }).limit(20).explain('executionStats');
    expect(explained['queryPlanner'].winningPlan.inputStage.stage).toBe('IXSCAN');
    expect(explained['executionStats'].totalDocsExamined).toBe(20);
    const byType = await rows.find({ roleta_id: '7', timestamp: { $type: 'string' } }).explain('executionStats');
    expect(byType['executionStats'].totalDocsExamined).toBe(50);
    expect(await rows.distinct('roleta_id')).toHaveLength(100);
    const scan = await rows.find({ other: 1 }).explain();
    expect(scan['queryPlanner'].winningPlan.stage).toBe('COLLSCAN');
  });

  test('is as fast in a large collection as in a small one', async () => {
    const db = client.db('flat');
    const examined = async (size: number) => {
      const rows = db.collection<Document>(`rows_${size}`);
      await rows.createIndex({ k: 1 });
      for (let at = 0; at < size; at += 5000) {
        await rows.insertMany(Array.from({ length: Math.min(5000, size - at) }, (_, i) => ({ k: at + i })));
      }
      const plan = await rows.find({ k: { $gte: size / 2, $lt: size / 2 + 10 } }).explain('executionStats');
      return plan['executionStats'].totalDocsExamined;
    };
    expect([await examined(100), await examined(20_000)]).toEqual([10, 10]);
  });
});

describe('a compound index over nested arrays', () => {
  let server: EmbeddedMongo;
  let client: MongoClient;

  beforeAll(async () => {
    server = await startEmbeddedMongo();
    client = await new MongoClient(server.uri).connect();
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });
  test('holds one key for each element that its paths share, however many arrays are inside', async () => {
    const nested = client.db('nested').collection('rows');
    await nested.createIndex({ 'a.x': 1, 'a.y': 1 }, { name: 'both' });
    await nested.insertOne({ a: [{ x: [1, 2], y: 3 }, { x: 4, y: 5 }, 6] });
    const { keysPerIndex } = await nested.db.command({ validate: 'rows' });
    // (1, 3), (2, 3), (4, 5) and (missing, missing).
    expect(keysPerIndex).toEqual({ _id_: 1, both: 4 });
    expect(await nested.countDocuments({ 'a.x': 2, 'a.y': 3 }, { hint: 'both' })).toBe(1);
    await expect(nested.insertOne({ a: [{ x: [1], y: [2] }] })).rejects.toMatchObject({ code: 171 });
  });

  test('is not the end of the server when a document would have ten million keys', async () => {
    const nested = client.db('nested').collection('large');
    await nested.createIndex({ 'a.x': 1, 'a.y': 1, 'a.z': 1 });
    const x = Array.from({ length: 1_000 }, (_, n) => n);
    const a = Array.from({ length: 100 }, (_, y) => ({ x, y }));
    await expect(nested.insertOne({ a })).rejects.toMatchObject({ code: 50 });
    expect(await nested.countDocuments()).toBe(0);
  });
});
