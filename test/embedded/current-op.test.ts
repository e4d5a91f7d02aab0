import { type ChangeStream, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

let server: EmbeddedMongo;
let client: MongoClient;
let watcher: MongoClient;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  client = await new MongoClient(server.uri).connect();
  watcher = await new MongoClient(server.uri, { appName: 'watcher' }).connect();
});

afterAll(async () => {
  await watcher.close();
  await client.close();
  await server.stop();
});

const admin = () => client.db('admin');
const listed = (options: Document, ...rest: Document[]): Promise<Document[]> =>
  admin()
    .aggregate([{ $currentOp: options }, ...rest])
    .toArray();
const OF_STREAMS = { $match: { 'cursor.originatingCommand.pipeline.0.$changeStream': { $exists: true } } };

/** A stream whose getMore waits at the server. */
async function openStream(): Promise<ChangeStream> {
  const stream = watcher.db('shown').collection('numbers').watch([], { maxAwaitTimeMS: 60_000 });
  stream.on('change', () => undefined);
  await new Promise((resolve) => stream.once('resumeTokenChanged', resolve));
  for (;;) {
    const waiting = await listed({ allUsers: true }, { $match: { op: 'getmore', ns: 'shown.numbers' } });
    if (waiting.length > 0) return stream;
  }
}

describe('currentOp', () => {
  test('shows the cursor of a change stream while its getMore waits', async () => {
    const stream = await openStream();
    const [shown, ...others] = await listed({ allUsers: true, idleCursors: true }, OF_STREAMS);
    expect(others).toEqual([]);
    expect(shown).toMatchObject({
      type: 'op',
      op: 'getmore',
      ns: 'shown.numbers',
      appName: 'watcher',
      active: true,
      cursor: { tailable: true, awaitData: true, nDocsReturned: 0, originatingCommand: { aggregate: 'numbers' } },
    });
    const { inprog } = await admin().command({ currentOp: 1, ns: 'shown.numbers' });
    expect(inprog.map((one: Document) => one['opid'])).toEqual([shown?.['opid']]);
    await stream.close();
    while ((await listed({ idleCursors: true }, OF_STREAMS)).length > 0);
  });

  test('shows cursors that nobody uses at the moment when it is asked to, with what was sent of them', async () => {
    const numbers = client.db('shown').collection('idle');
    await numbers.insertMany(Array.from({ length: 10 }, (_, n) => ({ n })));
    const cursor = numbers.find({ n: { $gte: 0 } }, { batchSize: 2 });
    for (let n = 0; n < 3; n += 1) await cursor.next();
    const here = { $match: { ns: 'shown.idle' } };
    expect(await listed({}, here)).toEqual([]);
    const [shown] = await listed({ idleCursors: true }, here);
    expect(shown).toMatchObject({
      type: 'idleCursor',
      cursor: {
        cursorId: cursor.id,
        nDocsReturned: 4,
        nBatchesReturned: 2,
        tailable: false,
        originatingCommand: { find: 'idle', filter: { n: { $gte: 0 } } },
      },
    });
    await cursor.close();
    expect(await listed({ idleCursors: true }, here)).toEqual([]);
  });

  test('shows the beginning of a large command, so that its reply stays small', async () => {
    const wanted = Array.from({ length: 5_000 }, (_, n) => n);
    const cursor = client
      .db('shown')
      .collection('idle')
      .find({ n: { $in: wanted } }, { batchSize: 1 });
    await cursor.next();
    const [shown] = await listed({ idleCursors: true }, { $match: { ns: 'shown.idle' } });
    expect(shown?.['cursor'].originatingCommand).toEqual({
      find: 'idle',
      $truncated: expect.stringMatching(/^\d+ bytes$/),
    });
    await cursor.close();
  });

  test('refuses options that it has not', async () => {
    await expect(listed({ nonsense: true })).rejects.toMatchObject({ code: 9 });
    await expect(listed({ idleCursors: 1 })).rejects.toMatchObject({ code: 9 });
    await expect(
      client
        .db('shown')
        .aggregate([{ $currentOp: {} }])
        .toArray(),
    ).rejects.toMatchObject({ code: 73 });
  });
});
