import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { buildCli } from './support/process.ts';

const DOCUMENTS = 20_000;

/**
 * Processor time of the server's longest turn. Twice what is promised on a machine of its own: with all cores taken by
 * others the same work takes up to twice the time. Work that is not cut into turns takes a second and more here.
 */
const LONGEST_MS = 100;

let server: ChildProcess;
let uri: string;
let busy: MongoClient;
let other: MongoClient;
let numbers: Collection;

const measured = z.object({ longestMs: z.number(), rss: z.number() });

/** The server's longest turn since this was asked last, and its memory in bytes. */
async function measure(): Promise<z.infer<typeof measured>> {
  const said = once(server, 'message');
  server.send('measure');
  const [message]: unknown[] = await said;
  return measured.parse(message);
}

beforeAll(async () => {
  server = fork(await buildCli('metered', new URL('./support/metered.ts', import.meta.url)), { execArgv: [] });
  const [started]: unknown[] = await once(server, 'message');
  uri = z.object({ uri: z.string() }).parse(started).uri;
  busy = new MongoClient(uri);
  other = new MongoClient(uri);
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
  const gone = once(server, 'exit');
  server.disconnect();
  await gone;
});

interface Watched {
  /** Answered while the work went on. */
  readonly pings: number;
  readonly longestMs: number;
  readonly outcome: PromiseSettledResult<unknown>;
}

/** Pings from another client, one after the other, until the work is over. */
async function whilePinging(work: () => Promise<unknown>): Promise<Watched> {
  await measure();
  let over = false;
  const settled = Promise.allSettled([work()]).finally(() => {
    over = true;
  });
  let pings = 0;
  while (!over) {
    await other.db('admin').command({ ping: 1 });
    pings += 1;
  }
  const [outcome] = await settled;
  const { longestMs } = await measure();
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
    const { pings, longestMs, outcome } = await whilePinging(() => numbers.aggregate(pipeline).toArray());
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
    const { longestMs, outcome } = await whilePinging(() => numbers.aggregate(pipeline, { maxTimeMS: 700 }).toArray());
    expect(outcome).toEqual(rejected(50));
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('an aggregation whose client goes away ends', async () => {
    const client = await new MongoClient(uri, { appName: 'leaves' }).connect();
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
    const updated = await whilePinging(() => numbers.updateMany({}, { $inc: { m: 1 } }));
    expect(updated.outcome).toMatchObject({ value: { modifiedCount: DOCUMENTS } });
    expect(updated.longestMs).toBeLessThan(LONGEST_MS);
    const each = Array.from({ length: 1000 }, () => ({
      updateOne: { filter: { n: 7919 }, update: { $inc: { m: 1 } } },
    }));
    const bulk = await whilePinging(() => numbers.bulkWrite(each));
    expect(bulk.longestMs).toBeLessThan(LONGEST_MS);
    const copy = await whilePinging(() => numbers.aggregate([{ $out: 'copy' }]).toArray());
    expect(copy.longestMs).toBeLessThan(LONGEST_MS);
    const removed = await whilePinging(() => busy.db('runcash').collection('copy').deleteMany({}));
    expect(removed.outcome).toMatchObject({ value: { deletedCount: DOCUMENTS } });
    expect(removed.longestMs).toBeLessThan(LONGEST_MS);
  }, 30_000);

  test('a catastrophic regular expression costs no more than any other', async () => {
    const texts = busy.db('runcash').collection('texts');
    await texts.insertMany(Array.from({ length: 200 }, (_, n) => ({ _id: n as never, t: `${'a'.repeat(200 + n)}b` })));
    const { longestMs, outcome } = await whilePinging(() => texts.countDocuments({ t: /^(a+)+$/ }));
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
    const { longestMs, outcome } = await whilePinging(() => texts.find({ t: { $regex: '(?=a)(a+)+$' } }).toArray());
    expect(outcome).toEqual(rejected(51156));
    expect(longestMs).toBeLessThan(LONGEST_MS);
    expect(await texts.countDocuments({ t: /^(?=a)(a)\1+b$/ })).toBeGreaterThan(0);
  });

  test('an expression over one document that would never end is ended', async () => {
    const thousand = { $range: [0, 1000] };
    const nested = { $map: { input: thousand, as: 'x', in: { $size: { $map: { input: thousand, in: thousand } } } } };
    const { outcome } = await whilePinging(() =>
      numbers.aggregate([{ $limit: 1 }, { $project: { nested } }]).toArray(),
    );
    expect(outcome).toEqual(rejected(50));
    const doubled = { $reduce: { input: thousand, initialValue: [1], in: { $concatArrays: ['$$value', '$$value'] } } };
    // Too long for memory or, on a busy machine, for the time that it may take: whichever comes first.
    const { outcome: grown } = await whilePinging(() =>
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
  const fieldsOf = (count: number): Document => ({
    $arrayToObject: { $map: { input: { $range: [0, count] }, in: [{ $toString: '$$this' }, 1] } },
  });
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
      'a wide document that is merged again and again',
      reduce(1000, fieldsOf(10_000), { $mergeObjects: ['$$value', { last: '$$this' }] }),
      [50],
    ],
    [
      'a document that doubles',
      nested(40, '$n', (x) => ({ $let: { vars: { v: x }, in: ['$$v', '$$v'] } })),
      [50, 10334],
    ],
  ])('%s in an expression is refused as a real server refuses it', async (_, expression, codes) => {
    const pipeline = [{ $limit: 1 }, { $project: { x: expression } }];
    const { longestMs, outcome } = await whilePinging(() => numbers.aggregate(pipeline).toArray());
    expect(codes).toContain(outcome.status === 'rejected' ? outcome.reason.code : undefined);
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('a group that holds too much is refused, and its memory with it', async () => {
    const held = { $push: { $concat: [{ $toString: '$n' }, 'x'.repeat(20_000)] } };
    const { outcome } = await whilePinging(() => numbers.aggregate([{ $group: { _id: null, held } }]).toArray());
    expect(outcome).toEqual(rejected(146));
    const wide = [{ $set: { t: 'x'.repeat(20_000) } }, { $sort: { n: -1 } }];
    const { outcome: sorting } = await whilePinging(() => numbers.aggregate(wide).toArray());
    expect(sorting).toEqual(rejected(292));
  });

  test('a join of joins that would be larger than any document is refused, and its memory with it', async () => {
    const few = busy.db('runcash').collection('few');
    await few.insertMany(Array.from({ length: 300 }, (_, i) => ({ i })));
    const joins = (depth: number): Document[] =>
      depth === 0 ? [] : [{ $lookup: { from: 'few', pipeline: joins(depth - 1), as: 'all' } }];
    const before = (await measure()).rss;
    const { outcome, longestMs } = await whilePinging(() => few.aggregate(joins(4)).toArray());
    expect([4568, 50]).toContain(outcome.status === 'rejected' ? outcome.reason.code : undefined);
    expect(longestMs).toBeLessThan(LONGEST_MS);
    expect(((await measure()).rss - before) / 2 ** 20).toBeLessThan(600);
  });

  test('a search of a graph goes on past more than a hundred thousand values, found or not', async () => {
    const graph = busy.db('runcash').collection<{ _id: number; next: number[] }>('graph');
    await graph.insertOne({ _id: 1, next: Array.from({ length: 150_000 }, (_, n) => n + 2) });
    const search = { from: 'graph', startWith: 1, connectFromField: 'next', connectToField: '_id', as: 'reached' };
    const pipeline = [{ $graphLookup: search }, { $project: { reached: { $size: '$reached' } } }];
    const { outcome, longestMs } = await whilePinging(() => graph.aggregate(pipeline).toArray());
    expect(outcome).toMatchObject({ value: [{ _id: 1, reached: 1 }] });
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('more than a hundred thousand arguments or conditions do not overflow the stack', async () => {
    const lists = Array.from({ length: 130_000 }, () => '$a');
    const answered = async (pipeline: Document[]) =>
      numbers
        .aggregate(pipeline)
        .toArray()
        .then(
          () => 'answered',
          ({ code }: Document) => code,
        );
    for (const x of [{ $size: { $zip: { inputs: lists } } }, { $size: { $concatArrays: lists } }]) {
      expect(['answered', 50, 146, 10334]).toContain(await answered([{ $limit: 1 }, { $project: { x } }]));
    }
    const $and = lists.map(() => ({ _id: 0 }));
    expect(['answered', 50]).toContain(await answered([{ $match: { $and: [{ $and }] } }]));
  });

  test('an array of millions in an update, or in a document of an index, stops nobody', async () => {
    const large = busy.db('runcash').collection<{ _id: number; a: number[] }>('large');
    await large.insertOne({ _id: 1, a: [] });
    const half = Array.from({ length: 500_000 }, () => 1);
    const grown = await whilePinging(async () => {
      for (let i = 0; i < 4; i += 1) await large.updateOne({ _id: 1 }, { $push: { a: { $each: half } } });
    });
    expect(grown.longestMs).toBeLessThan(LONGEST_MS);
    await large.createIndex({ a: 1, b: 1 });
    const indexed = await whilePinging(() => large.insertOne({ _id: 2, a: half.map((_, n) => n) }));
    expect(indexed.longestMs).toBeLessThan(LONGEST_MS);
    expect(indexed.outcome).toEqual(rejected(50));
  });

  test('a few documents with thousands of values each take more than one turn, and no command fails', async () => {
    const patterns = busy.db('runcash').collection('patterns');
    const list = Array.from({ length: 10_000 }, (_, n) => new RegExp(`^a${n}`));
    for (let n = 0; n < 16; n += 1) await patterns.insertOne({ n, list });
    const { outcome, longestMs } = await whilePinging(() => patterns.deleteMany({ n: { $gte: 0 } }));
    expect(outcome).toMatchObject({ value: { deletedCount: 16 } });
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test.each<[string, Document[]]>([
    ['one field', [{ $project: { 'fullDocument.n': 1, 'fullDocument.a.x': 1 } }]],
    ['what matches', [{ $match: { 'fullDocument.n': { $gte: 0 } } }, { $addFields: { 'fullDocument.seen': true } }]],
  ])('a change stream that asks for %s goes on past large documents', async (_, pipeline) => {
    const patterns = busy.db('runcash').collection('streamed');
    const list = Array.from({ length: 10_000 }, (_, n) => new RegExp(`^a${n}`));
    const stream = patterns.watch<Document, Document>(pipeline, { maxAwaitTimeMS: 100 });
    await stream.tryNext();
    for (let n = 0; n < 12; n += 1) await patterns.insertOne({ n, a: list, b: list, c: list });
    const { outcome, longestMs } = await whilePinging(async () => {
      const seen: unknown[] = [];
      while (seen.length < 12) seen.push((await stream.next())['fullDocument'].n);
      return seen;
    });
    await stream.close();
    expect(outcome).toMatchObject({ value: Array.from({ length: 12 }, (_, n) => n) });
    expect(longestMs).toBeLessThan(LONGEST_MS);
  });

  test('a hundred thousand patterns in one filter hold nobody up', async () => {
    const patterns = Array.from({ length: 100_000 }, (_, n) => new RegExp(`(a${n}+)+$`));
    const { outcome } = await whilePinging(() => numbers.find({ table: { $in: patterns } }).toArray());
    expect(outcome).toEqual(rejected(50));
  });
});
