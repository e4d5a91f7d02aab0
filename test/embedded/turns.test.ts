import { type Collection, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

const DOCUMENTS = 20_000;

/** Several turns of 8 ms, with what the collector of garbage does beside them: far from what the work takes in all. */
const LONGEST_MS = 600;

let server: EmbeddedMongo;
let busy: MongoClient;
let other: MongoClient;
let numbers: Collection;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  busy = new MongoClient(server.uri);
  other = new MongoClient(server.uri);
  await Promise.all([busy.connect(), other.connect()]);
  numbers = busy.db('runcash').collection('numbers');
  for (let at = 0; at < DOCUMENTS; at += 10_000) {
    await numbers.insertMany(
      Array.from({ length: 10_000 }, (_, n) => ({ n: (at + n) * 7919, table: `${(at + n) % 39}`, a: [1, 2, 3] })),
    );
  }
}, 60_000);

afterAll(async () => {
  await Promise.all([busy.close(), other.close()]);
  await server.stop();
});

interface Watched {
  readonly pings: number;
  /** Processor time that this process, the server in it, took between a ping and its answer, at most. */
  readonly longestMs: number;
  readonly outcome: PromiseSettledResult<unknown>;
}

/** Pings every 50 ms from another client until the work is over. */
async function whilePinging(work: Promise<unknown>): Promise<Watched> {
  let over = false;
  const settled = Promise.allSettled([work]).finally(() => {
    over = true;
  });
  let pings = 0;
  let longestMs = 0;
  while (!over) {
    const asked = process.cpuUsage();
    await other.db('admin').command({ ping: 1 });
    const { user, system } = process.cpuUsage(asked);
    longestMs = Math.max(longestMs, (user + system) / 1000);
    pings += 1;
    // A tick, not a wait for something to happen.
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  const [outcome] = await settled;
  return { pings, longestMs, outcome };
}

const rejected = (code: number) => ({ status: 'rejected', reason: expect.objectContaining({ code }) });

describe('one client cannot stop another', () => {
  test.each<[string, Document[]]>([
    [
      'groups, sorts and unwinds',
      [{ $unwind: '$a' }, { $group: { _id: '$n', s: { $sum: '$a' } } }, { $sort: { s: 1, _id: -1 } }, { $limit: 3 }],
    ],
    [
      'joins',
      [
        { $lookup: { from: 'numbers', localField: 'n', foreignField: 'n', as: 'same' } },
        { $bucketAuto: { groupBy: '$n', buckets: 4 } },
      ],
    ],
    ['facets', [{ $facet: { a: [{ $sortByCount: '$table' }], b: [{ $sort: { table: 1, n: -1 } }, { $limit: 2 }] } }]],
    ['sorts in a find', [{ $sort: { table: 1, n: -1 } }]],
  ])('pings are answered while an aggregation %s', async (_, pipeline) => {
    const { pings, longestMs, outcome } = await whilePinging(numbers.aggregate(pipeline).toArray());
    expect(outcome).toMatchObject({ status: 'fulfilled' });
    expect(pings).toBeGreaterThanOrEqual(2);
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('an aggregation ends with 50 when its time is over, in whatever stage it is', async () => {
    const pipeline = [
      { $group: { _id: null, all: { $push: '$n' } } },
      { $unwind: '$all' },
      { $lookup: { from: 'numbers', pipeline: [{ $match: { $expr: { $eq: ['$n', 1] } } }], as: 'x' } },
    ];
    const { longestMs, outcome } = await whilePinging(numbers.aggregate(pipeline, { maxTimeMS: 700 }).toArray());
    expect(outcome).toEqual(rejected(50));
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('an aggregation whose client goes away ends', async () => {
    const client = await new MongoClient(server.uri, { appName: 'leaves' }).connect();
    const join = { $lookup: { from: 'numbers', pipeline: [{ $match: { $expr: { $eq: ['$n', 1] } } }], as: 'x' } };
    const left = client.db('runcash').collection('numbers').aggregate([join]).toArray();
    const running = async () => {
      const { inprog } = await other.db('admin').command({ currentOp: 1 });
      return inprog.some((one: Document) => one['command']['aggregate'] === 'numbers');
    };
    while (!(await running()));
    await Promise.all([client.close(true), expect(left).rejects.toThrow()]);
    while (await running());
  });

  test('updates and deletes of everything leave room for others', async () => {
    const updated = await whilePinging(numbers.updateMany({}, { $inc: { m: 1 } }));
    expect(updated.outcome).toMatchObject({ value: { modifiedCount: DOCUMENTS } });
    expect(updated.longestMs).toBeLessThan(LONGEST_MS);
    const each = Array.from({ length: 1000 }, () => ({
      updateOne: { filter: { n: 7919 }, update: { $inc: { m: 1 } } },
    }));
    const bulk = await whilePinging(numbers.bulkWrite(each));
    expect(bulk.longestMs).toBeLessThan(LONGEST_MS);
    const copy = await whilePinging(numbers.aggregate([{ $out: 'copy' }]).toArray());
    expect(copy.longestMs).toBeLessThan(LONGEST_MS);
    const removed = await whilePinging(busy.db('runcash').collection('copy').deleteMany({}));
    expect(removed.outcome).toMatchObject({ value: { deletedCount: DOCUMENTS } });
    expect(removed.longestMs).toBeLessThan(LONGEST_MS);
  }, 30_000);

  test('a catastrophic regular expression costs no more than any other', async () => {
    const texts = busy.db('runcash').collection('texts');
    await texts.insertMany(Array.from({ length: 200 }, (_, n) => ({ _id: n as never, t: `${'a'.repeat(200 + n)}b` })));
    const { longestMs, outcome } = await whilePinging(texts.countDocuments({ t: /^(a+)+$/ }));
    expect(outcome).toMatchObject({ value: 0 });
    expect(longestMs).toBeLessThan(LONGEST_MS);
    expect(await texts.countDocuments({ t: /^(a+)+b$/ })).toBe(200);
    const [found] = await texts
      .aggregate([{ $match: { _id: 0 } }, { $project: { f: { $regexFind: { input: '$t', regex: '(a+)(b)' } } } }])
      .toArray();
    expect(found?.['f']).toMatchObject({ idx: 0, captures: ['a'.repeat(200), 'b'] });
  });

  test('one that only backtracking can do is ended at the match limit', async () => {
    const texts = busy.db('runcash').collection('texts');
    const { longestMs, outcome } = await whilePinging(texts.find({ t: { $regex: '(?=a)(a+)+$' } }).toArray());
    expect(outcome).toEqual(rejected(51156));
    expect(longestMs).toBeLessThan(LONGEST_MS);
    expect(await texts.countDocuments({ t: /^(?=a)(a)\1+b$/ })).toBeGreaterThan(0);
  });

  test('an expression over one document that would never end is ended', async () => {
    const thousand = { $range: [0, 1000] };
    const nested = { $map: { input: thousand, as: 'x', in: { $size: { $map: { input: thousand, in: thousand } } } } };
    const { outcome } = await whilePinging(numbers.aggregate([{ $limit: 1 }, { $project: { nested } }]).toArray());
    expect(outcome).toEqual(rejected(50));
    const doubled = { $reduce: { input: thousand, initialValue: [1], in: { $concatArrays: ['$$value', '$$value'] } } };
    // Too long for memory or, on a busy machine, for the time that it may take: whichever comes first.
    const { outcome: grown } = await whilePinging(
      numbers.aggregate([{ $limit: 1 }, { $project: { doubled } }]).toArray(),
    );
    expect(grown).toMatchObject({ status: 'rejected', reason: { name: 'MongoServerError' } });
    expect(grown).toMatchObject({ reason: { code: expect.toSatisfy((code: number) => code === 146 || code === 50) } });
  });

  const reduce = (times: number, initialValue: unknown, into: unknown): Document => ({
    $reduce: { input: { $range: [0, times] }, initialValue, in: into },
  });
  const nested = (times: number, leaf: unknown, wrap: (inner: unknown) => unknown): unknown =>
    times === 0 ? leaf : nested(times - 1, wrap(leaf), wrap);
  const big = { $range: [0, 2_000_000] };
  const replaced = (input: unknown): Document => ({
    $replaceAll: { input, find: 'a', replacement: 'a'.repeat(60) },
  });

  test.each<[string, unknown, readonly number[]]>([
    ['a text that doubles', { $strLenCP: reduce(40, 'aaaaaaaa', { $concat: ['$$value', '$$value'] }) }, [50, 10334]],
    ['replacements that multiply', { $strLenCP: nested(6, 'a'.repeat(1000), replaced) }, [50, 10334]],
    ['an array of two thousand millions', { $size: { $range: [0, 2_147_483_647] } }, [146]],
    ['a set of millions', { $size: { $setUnion: [big, big] } }, [50]],
    ['a sort of millions', { $first: { $sortArray: { input: big, sortBy: -1 } } }, [50]],
    [
      'a document that doubles',
      nested(40, '$n', (x) => ({ $let: { vars: { v: x }, in: ['$$v', '$$v'] } })),
      [50, 10334],
    ],
  ])('%s in an expression is refused as a real server refuses it', async (_, expression, codes) => {
    const pipeline = [{ $limit: 1 }, { $project: { x: expression } }];
    const { longestMs, outcome } = await whilePinging(numbers.aggregate(pipeline).toArray());
    expect(codes).toContain(outcome.status === 'rejected' ? outcome.reason.code : undefined);
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('a group that holds too much is refused, and its memory with it', async () => {
    const held = { $push: { $concat: [{ $toString: '$n' }, 'x'.repeat(20_000)] } };
    const { outcome } = await whilePinging(numbers.aggregate([{ $group: { _id: null, held } }]).toArray());
    expect(outcome).toEqual(rejected(146));
    const wide = [{ $set: { t: 'x'.repeat(20_000) } }, { $sort: { n: -1 } }];
    const { outcome: sorting } = await whilePinging(numbers.aggregate(wide).toArray());
    expect(sorting).toEqual(rejected(292));
  });

  test('a join of joins that would be larger than any document is refused, and its memory with it', async () => {
    const few = busy.db('runcash').collection('few');
    await few.insertMany(Array.from({ length: 300 }, (_, i) => ({ i })));
    const joins = (depth: number): Document[] =>
      depth === 0 ? [] : [{ $lookup: { from: 'few', pipeline: joins(depth - 1), as: 'all' } }];
    const before = process.memoryUsage().rss;
    const { outcome, longestMs } = await whilePinging(few.aggregate(joins(4)).toArray());
    expect([4568, 50]).toContain(outcome.status === 'rejected' ? outcome.reason.code : undefined);
    expect(longestMs).toBeLessThan(LONGEST_MS);
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(600);
  });

  test('a hundred thousand patterns in one filter hold nobody up', async () => {
    const patterns = Array.from({ length: 100_000 }, (_, n) => new RegExp(`(a${n}+)+$`));
    const { outcome } = await whilePinging(numbers.find({ table: { $in: patterns } }).toArray());
    expect(outcome).toEqual(rejected(50));
  });
});
