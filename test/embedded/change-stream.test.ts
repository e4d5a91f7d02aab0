import { type Document, Long, Timestamp, UUID } from 'bson';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseToken } from '../../src/embedded/oplog/tokens.ts';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { connectWire, type WireClient } from './support/wire.ts';

let server: EmbeddedMongo;
let wire: WireClient;
let writer: WireClient;

async function start(compat: '4.4' | '8.0'): Promise<void> {
  server = await startEmbeddedMongo({ compat });
  wire = await connectWire(server.port);
  writer = await connectWire(server.port);
}

afterEach(async () => {
  wire.close();
  writer.close();
  await server.stop();
});

const run = (command: Document) => writer.command({ ...command, $db: 'd' });

async function open(
  options: Document = {},
  stages: Document[] = [],
  coll: string | 1 = 1,
  on = wire,
): Promise<Document> {
  return on.command({ aggregate: coll, pipeline: [{ $changeStream: options }, ...stages], cursor: {}, $db: 'd' });
}

function next(opened: Document, waitMs = 10_000, settings: Document = {}, on = wire): Promise<Document> {
  const { id, ns } = opened['cursor'];
  return on.command({ getMore: id, collection: ns.slice(2), maxTimeMS: waitMs, $db: 'd', ...settings });
}

const events = (reply: Document): Document[] => reply['cursor'].nextBatch ?? reply['cursor'].firstBatch;
const types = (reply: Document): string[] => events(reply).map((event) => event['operationType']);
const idOf = (event: Document | undefined): number => Number(event?.['documentKey']._id);

describe('a change stream of 4.4', () => {
  beforeEach(() => start('4.4'));

  test('wakes a waiting getMore at once when something is written', async () => {
    const opened = await open();
    const waiting = next(opened, 600_000);
    await run({ insert: 'c', documents: [{ _id: 1 }] });
    expect(types(await waiting)).toEqual(['insert']);
  });

  test('wakes every one of many waiting cursors', async () => {
    const others = await Promise.all(Array.from({ length: 50 }, () => connectWire(server.port)));
    const waiting = await Promise.all(
      others.map(async (one) => {
        const opened = await open({}, [], 1, one);
        return { reply: next(opened, 600_000, {}, one) };
      }),
    );
    await run({ insert: 'c', documents: [{ _id: 1 }] });
    for (const { reply } of waiting) expect(types(await reply)).toEqual(['insert']);
    for (const one of others) one.close();
  });

  test('answers an empty batch when its time is over, with a token that has moved past foreign writes', async () => {
    const opened = await open();
    const before = opened['cursor'].postBatchResumeToken._data;
    await writer.command({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }], $db: 'elsewhere' });
    const reply = await next(opened, 1);
    expect(events(reply)).toEqual([]);
    const after = parseToken(reply['cursor'].postBatchResumeToken._data);
    expect(after.type).toBe('high-water mark');
    expect(reply['cursor'].postBatchResumeToken._data > before).toBe(true);
  });

  test('ends a getMore that waits on a killed cursor', async () => {
    const opened = await open();
    const waiting = next(opened, 600_000);
    await run({ killCursors: '$cmd.aggregate', cursors: [opened['cursor'].id] });
    expect(await waiting).toMatchObject({ codeName: 'CursorKilled' });
    expect(await next(opened)).toMatchObject({ codeName: 'CursorNotFound' });
  });

  test('shows the document of now, or null, with updateLookup', async () => {
    await run({
      insert: 'c',
      documents: [
        { _id: 1, v: 1 },
        { _id: 2, v: 1 },
      ],
    });
    const opened = await open({ fullDocument: 'updateLookup' });
    await run({ update: 'c', updates: [{ q: {}, u: { $set: { v: 2 } }, multi: true }] });
    await run({ update: 'c', updates: [{ q: { _id: 1 }, u: { $set: { v: 3 } } }] });
    await run({ delete: 'c', deletes: [{ q: { _id: 2 }, limit: 1 }] });
    const [first, second] = events(await next(opened));
    expect(Number(first?.['fullDocument'].v)).toBe(3);
    expect(second?.['fullDocument']).toBeNull();
  });

  test('describes updates by their dotted paths', async () => {
    await run({ insert: 'c', documents: [{ _id: 1, a: { b: 1, c: 2 }, list: [1] }] });
    const opened = await open();
    await run({
      update: 'c',
      updates: [{ q: { _id: 1 }, u: { $set: { 'a.b': 5 }, $unset: { 'a.c': '' }, $push: { list: 2 } } }],
    });
    const [event] = events(await next(opened));
    const { updatedFields, removedFields } = event?.['updateDescription'] ?? {};
    expect(Object.keys(updatedFields).sort()).toEqual(['a.b', 'list.1']);
    expect(removedFields).toEqual(['a.c']);
  });

  test('lets through what the stages behind it let through', async () => {
    const opened = await open({}, [
      { $match: { 'ns.coll': { $regex: '^\\d{7}$' }, operationType: 'insert' } },
      { $match: { 'fullDocument.numero': { $gte: 30 } } },
      { $addFields: { alto: { $gt: ['$fullDocument.numero', 35] } } },
    ]);
    await run({ insert: 'other', documents: [{ _id: 0, numero: 36 }] });
    await run({
      insert: '2010165',
      documents: [
        { _id: 1, numero: 7 },
        { _id: 2, numero: 30 },
        { _id: 3, numero: 36 },
      ],
    });
    const seen = events(await next(opened));
    expect(seen.map((event) => [idOf(event), event['alto']])).toEqual([
      [2, false],
      [3, true],
    ]);
  });

  test('keeps the bytes of stored values through a projection', async () => {
    const opened = await open({}, [{ $project: { _id: 1, operationType: 1, fullDocument: 1 } }]);
    await run({ insert: 'c', documents: [{ _id: 1, long: Long.fromNumber(5), 10: 'ten', 2: 'two' }] });
    const [event] = events(await next(opened));
    expect(Object.keys(event ?? {})).toEqual(['_id', 'operationType', 'fullDocument']);
    expect(event?.['fullDocument'].long).toBeInstanceOf(Long);
  });

  test('keeps parts of documents and of arrays as a $project between other stages does', async () => {
    const projection = {
      $project: { operationType: 1, 'fullDocument.a.x': 1, 'fullDocument.b': 1, 'fullDocument.c.d.e': 1 },
    };
    const document = {
      _id: 1,
      a: [{ x: 1, y: 2 }, 5, [{ x: 'in', y: 0 }, 'out'], {}],
      b: [Long.fromNumber(5)],
      c: { d: { e: null, f: 1 }, g: 1 },
      z: 'not asked for',
    };
    const raw = await open({}, [projection]);
    const decoded = await open({}, [projection, { $match: {} }]);
    await run({ insert: 'c', documents: [document, { _id: 2, a: 1, c: [] }] });
    const seen = events(await next(raw));
    expect(seen).toEqual(events(await next(decoded)));
    expect(seen.map((event) => event['fullDocument'])).toMatchObject([
      { a: [{}, [{ x: 'in' }], {}], b: [Long.fromNumber(5)], c: { d: { e: null } } },
      { c: [] },
    ]);
    expect(seen[1]?.['fullDocument']).toEqual({ c: [] });
  });

  test('gives as many events as the batch size allows, and the rest later', async () => {
    const opened = await open();
    await run({ insert: 'c', documents: Array.from({ length: 5 }, (_, i) => ({ _id: i })) });
    expect(events(await next(opened, 1000, { batchSize: 2 })).map(idOf)).toEqual([0, 1]);
    expect(events(await next(opened, 1000)).map(idOf)).toEqual([2, 3, 4]);
  });

  test('resumes in the middle of a transaction', async () => {
    await run({ create: 'c' });
    const opened = await open();
    const lsid = { id: new UUID().toBinary() };
    const txn = { lsid, txnNumber: Long.fromNumber(1), autocommit: false };
    await run({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }], startTransaction: true, ...txn });
    await writer.command({ commitTransaction: 1, ...txn, $db: 'admin' });
    const [, second] = events(await next(opened));
    const resumed = await open({ resumeAfter: second?.['_id'] });
    expect(events(resumed).map(idOf)).toEqual([3]);
    const byTime = await open({ startAtOperationTime: second?.['clusterTime'] });
    expect(events(byTime).map(idOf)).toEqual([1, 2, 3]);
  });

  test('by time before the oplog is refused with 286, by token it fails at the next event', async () => {
    const opened = await open();
    await run({ insert: 'c', documents: [{ _id: 1 }] });
    const [first] = events(await next(opened));
    await run({ insert: 'c', documents: [{ _id: 2 }] });
    await writer.command({ runcashTestCutOplog: 1, $db: 'admin' });
    expect(await open({ startAtOperationTime: first?.['clusterTime'] })).toMatchObject({
      codeName: 'ChangeStreamHistoryLost',
      errorLabels: ['NonResumableChangeStreamError'],
    });
    const byToken = await open({ resumeAfter: first?.['_id'] });
    expect(byToken).toMatchObject({ code: { value: 280 } });
  });

  test('that was overtaken by the oplog’s end fails with 136', async () => {
    const opened = await open();
    await run({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }] });
    await writer.command({ runcashTestCutOplog: 1, keep: 1, $db: 'admin' });
    expect(await next(opened)).toMatchObject({ codeName: 'CappedPositionLost' });
  });

  test('of a collection ends when that collection is renamed or dropped', async () => {
    await run({ create: 'c' });
    const opened = await open({}, [], 'c');
    await writer.command({ renameCollection: 'd.c', to: 'd.e', $db: 'admin' });
    const reply = await next(opened);
    expect([types(reply), Number(reply['cursor'].id)]).toEqual([['rename', 'invalidate'], 0]);
  });

  test('of the cluster goes on after a database is dropped', async () => {
    const opened = await wire.command({
      aggregate: 1,
      pipeline: [{ $changeStream: { allChangesForCluster: true } }],
      cursor: {},
      $db: 'admin',
    });
    await run({ insert: 'c', documents: [{ _id: 1 }] });
    await run({ dropDatabase: 1 });
    const reply = await wire.command({ getMore: opened['cursor'].id, collection: '$cmd.aggregate', $db: 'admin' });
    expect(types(reply)).toEqual(['insert', 'drop', 'dropDatabase']);
    expect(Number(reply['cursor'].id)).not.toBe(0);
  });

  test('starts at a time to come and leaves out what is before it', async () => {
    const { operationTime } = await run({ insert: 'c', documents: [{ _id: 1 }] });
    const opened = await open({ startAtOperationTime: new Timestamp({ t: operationTime.t, i: operationTime.i + 2 }) });
    await run({ insert: 'c', documents: [{ _id: 2 }] });
    await run({ insert: 'c', documents: [{ _id: 3 }] });
    const at = events(await next(opened)).map(idOf);
    expect(at.at(-1)).toBe(3);
    expect(at).not.toContain(1);
  });

  test.each([
    [{ resumeAfter: { _data: 'zz' } }, 9],
    [{ resumeAfter: { _data: '00' } }, 260],
    [{ resumeAfter: { other: 1 } }, 40647],
    [{ startAtOperationTime: 5 }, 14],
    [{ fullDocument: 'sometimes' }, 40575],
    [{ showExpandedEvents: true }, 40415],
  ])('refuses %j with %i', async (options, code) => {
    expect(await open(options)).toMatchObject({ code: { value: code } });
  });
});

describe('a change stream of 8.0', () => {
  beforeEach(() => start('8.0'));

  test('gives the documents of one insertMany one cluster time and rising operation indexes', async () => {
    const opened = await open();
    await run({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }] });
    const seen = events(await next(opened));
    expect(new Set(seen.map((event) => event['clusterTime'].toString())).size).toBe(1);
    expect(seen.map((event) => parseToken(event['_id']._data).operationIndex)).toEqual([0, 1, 2]);
    expect(
      seen.every((event) => event['wallTime'] instanceof Date && parseToken(event['_id']._data).version === 2),
    ).toBe(true);
    expect(events(await open({ resumeAfter: seen[0]?.['_id'] })).map(idOf)).toEqual([2, 3]);
  });

  test('is refused with 286 also by a token from before the oplog', async () => {
    const opened = await open();
    await run({ insert: 'c', documents: [{ _id: 1 }] });
    const [first] = events(await next(opened));
    await run({ insert: 'c', documents: [{ _id: 2 }] });
    await writer.command({ runcashTestCutOplog: 1, $db: 'admin' });
    expect(await open({ resumeAfter: first?.['_id'] })).toMatchObject({ codeName: 'ChangeStreamHistoryLost' });
  });

  test('shows the catalog’s changes when expanded events are asked for', async () => {
    const opened = await open({ showExpandedEvents: true });
    const plain = await open();
    await run({ create: 'c' });
    await run({ createIndexes: 'c', indexes: [{ key: { a: 1 }, name: 'a_1' }] });
    await run({ dropIndexes: 'c', index: 'a_1' });
    await run({ drop: 'c' });
    expect(types(await next(opened))).toEqual(['create', 'createIndexes', 'dropIndexes', 'drop']);
    expect(types(await next(plain))).toEqual(['drop']);
  });

  test('gives the document before the change where the collection keeps it', async () => {
    await run({ create: 'c', changeStreamPreAndPostImages: { enabled: true } });
    await run({ insert: 'c', documents: [{ _id: 1, v: 1 }] });
    const opened = await open({ fullDocumentBeforeChange: 'required', fullDocument: 'required' });
    await run({ update: 'c', updates: [{ q: { _id: 1 }, u: { $set: { v: 2 } } }] });
    await run({ delete: 'c', deletes: [{ q: { _id: 1 }, limit: 1 }] });
    const [update, removal] = events(await next(opened));
    expect([Number(update?.['fullDocumentBeforeChange'].v), Number(update?.['fullDocument'].v)]).toEqual([1, 2]);
    expect(Number(removal?.['fullDocumentBeforeChange'].v)).toBe(2);
  });

  test('logs a pipeline update as the difference that it made', async () => {
    await run({ insert: 'c', documents: [{ _id: 1, a: 1, b: 2, long: 'x'.repeat(100) }] });
    const opened = await open();
    await run({ update: 'c', updates: [{ q: { _id: 1 }, u: [{ $set: { a: 7 } }, { $unset: 'b' }] }] });
    const [event] = events(await next(opened));
    expect([event?.['operationType'], Number(event?.['updateDescription'].updatedFields.a)]).toEqual(['update', 7]);
    expect(event?.['updateDescription']).toMatchObject({ removedFields: ['b'], truncatedArrays: [] });
  });

  test('fails on an event above 16 MB, or splits it when asked to', async () => {
    const big = 'x'.repeat(9 * 1024 * 1024);
    await run({ create: 'c', changeStreamPreAndPostImages: { enabled: true } });
    await run({ insert: 'c', documents: [{ _id: 1, big }] });
    const whole = await open({ fullDocumentBeforeChange: 'required', fullDocument: 'updateLookup' });
    const split = await open({ fullDocumentBeforeChange: 'required', fullDocument: 'updateLookup' }, [
      { $changeStreamSplitLargeEvent: {} },
    ]);
    await run({ update: 'c', updates: [{ q: { _id: 1 }, u: { $set: { v: 1 } } }] });
    expect(await next(whole)).toMatchObject({ code: { value: 10334 } });
    const fragments: Document[] = [];
    while (fragments.length < 2) fragments.push(...events(await next(split)));
    const numbers = (seen: Document[]) => seen.map((event) => Number(event['splitEvent'].fragment));
    expect([numbers(fragments), Number(fragments[0]?.['splitEvent'].of)]).toEqual([[1, 2], 2]);
    const resumed = await open(
      { fullDocumentBeforeChange: 'required', fullDocument: 'updateLookup', resumeAfter: fragments[0]?.['_id'] },
      [{ $changeStreamSplitLargeEvent: {} }],
    );
    expect(numbers(events(resumed))).toEqual([2]);
  });

  test('says which numbers in a path are names, when expanded events are asked for', async () => {
    await run({ insert: 'c', documents: [{ _id: 1, a: { 1: 1 }, list: [{ v: 1 }] }] });
    const opened = await open({ showExpandedEvents: true });
    await run({ update: 'c', updates: [{ q: { _id: 1 }, u: { $set: { 'a.1': 2, 'list.0.v': 2 } } }] });
    const [event] = events(await next(opened));
    expect(event?.['updateDescription'].disambiguatedPaths).toEqual({ 'a.1': ['a', '1'] });
  });
});
