import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, Long, type Timestamp } from 'bson';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { type EmbeddedMongo, type EmbeddedMongoOptions, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createTestDisk, type TestDisk } from './support/disk.ts';
import { connectWire, type WireClient } from './support/wire.ts';

const folder = mkdtempSync(join(tmpdir(), 'embedded-durable-'));
const servers = new Set<EmbeddedMongo>();
const wires: WireClient[] = [];
const disks: TestDisk[] = [];
let folders = 0;

function freshFolder(): string {
  folders += 1;
  return join(folder, String(folders));
}

function testDisk(): TestDisk {
  const disk = createTestDisk();
  disks.push(disk);
  return disk;
}

async function serve(options: EmbeddedMongoOptions): Promise<EmbeddedMongo> {
  const server = await startEmbeddedMongo({ report: () => undefined, ...options });
  servers.add(server);
  return server;
}

async function end(server: EmbeddedMongo): Promise<void> {
  servers.delete(server);
  await server.stop();
}

async function connect(server: EmbeddedMongo): Promise<WireClient> {
  const wire = await connectWire(server.port);
  wires.push(wire);
  return wire;
}

afterEach(async () => {
  for (const wire of wires.splice(0)) wire.close();
  for (const disk of disks.splice(0)) disk.letSync();
  for (const server of servers) await end(server);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const insert = (_id: number, writeConcern: Document = { w: 'majority' }, coll = 'c') => ({
  insert: coll,
  documents: [{ _id }],
  writeConcern,
  $db: 'd',
});

async function idsIn(wire: WireClient, coll = 'c'): Promise<number[]> {
  const reply = await wire.command({ find: coll, sort: { _id: 1 }, batchSize: 100_000, singleBatch: true, $db: 'd' });
  return reply['cursor'].firstBatch.map(({ _id }: Document) => _id.value);
}

async function reopened(dataDir: string): Promise<WireClient> {
  return await connect(await serve({ dataDir }));
}

async function openStream(wire: WireClient, options: Document = {}) {
  const opened = await wire.command({
    aggregate: 'c',
    pipeline: [{ $changeStream: options }],
    cursor: {},
    $db: 'd',
  });
  const more = { getMore: opened['cursor'].id, collection: 'c', $db: 'd' };
  return {
    first: opened['cursor'].firstBatch,
    more: async (maxTimeMS: number): Promise<Document[]> =>
      (await wire.command({ ...more, maxTimeMS }))['cursor'].nextBatch,
  };
}

test('a majority write is acknowledged only when it is on disk; meanwhile others are served', async () => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const [writer, other] = [await connect(server), await connect(server)];
  await writer.command(insert(0));
  disk.holdSync();
  let answered = false;
  const acknowledged = writer.command(insert(1)).then((reply) => {
    answered = true;
    return reply;
  });
  await vi.waitUntil(() => disk.waiting === 1);
  for (let times = 0; times < 20; times += 1) await other.command({ ping: 1, $db: 'admin' });
  expect(await idsIn(other)).toEqual([0, 1]);
  expect(answered).toBe(false);
  disk.letSync();
  expect((await acknowledged)['n'].value).toBe(1);
});

test.each([
  { w: 1, j: true },
  { w: 'majority', j: false },
])('%j waits for the disk as well', async (concern) => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const [writer, other] = [await connect(server), await connect(server)];
  disk.holdSync();
  let answered = false;
  const acknowledged = writer.command(insert(1, concern)).then(() => {
    answered = true;
  });
  await vi.waitUntil(() => disk.waiting === 1);
  await other.command({ ping: 1, $db: 'admin' });
  expect(answered).toBe(false);
  disk.letSync();
  await acknowledged;
});

test('w: 1 is acknowledged at once, and shown by change streams and counted as majority only when it is on disk', async () => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const [writer, watcher] = [await connect(server), await connect(server)];
  await writer.command(insert(0));
  const stream = await openStream(watcher);
  disk.holdSync();
  await writer.command(insert(1, { w: 1 }));
  const { lastWrite } = await writer.command({ hello: 1, $db: 'admin' });
  expect(lastWrite.opTime.ts.greaterThan(lastWrite.majorityOpTime.ts)).toBe(true);
  expect(await stream.more(50)).toEqual([]);
  disk.letSync();
  expect(await stream.more(30_000)).toMatchObject([{ operationType: 'insert', documentKey: { _id: { value: 1 } } }]);
});

test('a majority read waits until what it shows is on disk, a local one does not', async () => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const [writer, reader] = [await connect(server), await connect(server)];
  disk.holdSync();
  await writer.command(insert(1, { w: 1 }));
  expect(await idsIn(writer)).toEqual([1]);
  const limited = { find: 'c', readConcern: { level: 'majority' }, maxTimeMS: 50, $db: 'd' };
  expect(await reader.command(limited)).toMatchObject({ code: { value: 50 } });
  disk.letSync();
  const { maxTimeMS: _, ...unlimited } = limited;
  expect((await reader.command(unlimited))['cursor'].firstBatch).toHaveLength(1);
});

test('what a majority write refers to is on disk as well: a duplicate key is told of only then', async () => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const [first, second] = [await connect(server), await connect(server)];
  disk.holdSync();
  await first.command(insert(1, { w: 1 }));
  const timed = await second.command(insert(1, { w: 'majority', wtimeout: 50 }));
  expect(timed).toMatchObject({
    writeErrors: [{ code: { value: 11000 } }],
    writeConcernError: { code: { value: 64 } },
  });
  disk.letSync();
  expect((await second.command(insert(1)))['writeErrors']).toHaveLength(1);
});

test('writes that wait together share one fsync', async () => {
  const disk = testDisk();
  const server = await serve({ dataDir: freshFolder(), files: disk });
  const writers = await Promise.all(Array.from({ length: 50 }, () => connect(server)));
  await writers[0]?.command(insert(-1));
  disk.holdSync();
  const before = disk.syncs;
  const acknowledged = writers.map((writer, at) => writer.command(insert(at)));
  const probe = await connect(server);
  await vi.waitUntil(async () => (await idsIn(probe)).length === 51);
  disk.letSync();
  await Promise.all(acknowledged);
  expect(disk.syncs - before).toBeLessThanOrEqual(2);
});

test('a full disk refuses writes in words, keeps reading, and goes on when there is room', async () => {
  const disk = testDisk();
  const dataDir = freshFolder();
  const words: string[] = [];
  const server = await serve({ dataDir, files: disk, report: (line) => words.push(line) });
  const wire = await connect(server);
  await wire.command(insert(1));
  disk.failWrites('ENOSPC');
  // What was under way is done and not durable: its writer cannot know, and must not be told that nothing happened.
  expect(await wire.command(insert(2))).toMatchObject({
    n: { value: 1 },
    writeConcernError: { code: { value: 64 }, errmsg: expect.stringMatching(/ENOSPC/) },
  });
  const next = await wire.command(insert(3, { w: 1 }));
  expect(next).toMatchObject({
    ok: { value: 0 },
    code: { value: 14031 },
    codeName: 'OutOfDiskSpace',
    errorLabels: ['RetryableWriteError'],
  });
  const majority = { find: 'c', readConcern: { level: 'majority' }, $db: 'd' };
  expect(await wire.command(majority)).toMatchObject({ ok: { value: 1 } });
  expect(next['errmsg']).toMatch(/^The data folder cannot be written: ENOSPC.*Writes are refused/);
  expect(await idsIn(wire)).not.toContain(3);
  disk.failWrites(undefined);
  await vi.waitUntil(async () => (await wire.command(insert(4)))['ok'].value === 1, { timeout: 20_000, interval: 50 });
  expect(words).toHaveLength(2);
  expect(words[1]).toMatch(/can be written again/);
  const found = await idsIn(wire);
  expect(found).toEqual([1, 2, 4]);
  await end(server);
  expect(await idsIn(await reopened(dataDir))).toEqual(found);
});

test('after a failed fsync nothing more is acknowledged, also when the disk says it is well again', async () => {
  const disk = testDisk();
  const dataDir = freshFolder();
  const server = await serve({ dataDir, files: disk });
  const wire = await connect(server);
  await wire.command(insert(1));
  disk.failSync('EIO');
  expect((await wire.command(insert(2)))['writeConcernError'].errmsg).toMatch(/EIO.*start it again/);
  disk.failSync(undefined);
  expect(await wire.command(insert(3))).toMatchObject({ ok: { value: 0 }, code: { value: 96 } });
  await end(server);
  expect(await idsIn(await reopened(dataDir))).toContain(1);
});

test('a server whose disk takes nothing does not start', async () => {
  const disk = createTestDisk();
  disk.failWrites('ENOSPC');
  await expect(serve({ dataDir: freshFolder(), files: disk })).rejects.toThrow(/cannot be written: ENOSPC/);
});

test('unique keys that changed places in a transaction have theirs after a restart', async () => {
  const dataDir = freshFolder();
  const server = await serve({ dataDir });
  const wire = await connect(server);
  await wire.command({ createIndexes: 'c', indexes: [{ key: { k: 1 }, name: 'k', unique: true }], $db: 'd' });
  await wire.command({
    insert: 'c',
    documents: [
      { _id: 1, k: 'a' },
      { _id: 2, k: 'b' },
    ],
    $db: 'd',
  });
  const lsid = { id: (await wire.command({ startSession: 1, $db: 'admin' }))['id'].id };
  const inTransaction = { lsid, txnNumber: Long.fromNumber(1), autocommit: false };
  const set = (_id: number, k: string) => ({ update: 'c', updates: [{ q: { _id }, u: { $set: { k } } }], $db: 'd' });
  for (const [at, step] of [set(1, 'x'), set(2, 'a'), set(1, 'b')].entries())
    await wire.command({ ...step, ...inTransaction, ...(at === 0 ? { startTransaction: true } : {}) });
  const commit = { commitTransaction: 1, writeConcern: { w: 'majority' }, ...inTransaction, $db: 'admin' };
  expect((await wire.command(commit))['ok'].value).toBe(1);
  await end(server);
  const again = await reopened(dataDir);
  for (const [k, id] of [['b', 1] as const, ['a', 2] as const]) {
    const found = await again.command({ find: 'c', filter: { k }, hint: 'k', $db: 'd' });
    expect(found['cursor'].firstBatch.map(({ _id }: Document) => _id.value)).toEqual([id]);
  }
});

test('times that were given out before a crash are not given out again', async () => {
  const dataDir = freshFolder();
  const server = await serve({ dataDir });
  const wire = await connect(server);
  const before: Timestamp = (await wire.command(insert(1)))['operationTime'];
  await end(server);
  const after: Timestamp = (await (await reopened(dataDir)).command(insert(2)))['operationTime'];
  expect(after.t).toBeGreaterThan(before.t);
});

/** Everything that a client can see of a database, in natural order. */
async function contents(wire: WireClient): Promise<Document> {
  const listed = await wire.command({ listCollections: 1, $db: 'd' });
  const names: string[] = listed['cursor'].firstBatch.map(({ name }: Document) => name).sort();
  const seen: Document = {};
  for (const name of names) {
    const documents = await wire.command({ find: name, batchSize: 100_000, singleBatch: true, $db: 'd' });
    const indexes = await wire.command({ listIndexes: name, $db: 'd' });
    seen[name] = { documents: documents['cursor'].firstBatch, indexes: indexes['cursor'].firstBatch };
  }
  return seen;
}

test('a log that has grown is replaced while commands go on changing everything, and nothing is lost by it', async () => {
  const disk = testDisk();
  const dataDir = freshFolder();
  const server = await serve({ dataDir, files: disk, compactAboveMb: 3, oplogSizeMb: 16 });
  const wire = await connect(server);
  const run = async (command: Document) => expect((await wire.command({ ...command, $db: 'd' }))['ok'].value).toBe(1);
  const rows = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => ({ _id: from + n, n: from + n, text: 'x'.repeat(1000) }));
  await run({ createIndexes: 'c', indexes: [{ key: { n: 1 }, name: 'n', unique: true }] });
  await run({ insert: 'dropped', documents: rows(0, 10) });
  await run({ insert: 'renamed', documents: rows(0, 10) });
  const stream = await openStream(wire);
  disk.holdWrites(/base-/);
  await run({ insert: 'c', documents: rows(0, 3500), writeConcern: { w: 'majority' } });
  await vi.waitUntil(() => readdirSync(dataDir).includes('base-000002.new'));
  // The base is being written: all of this belongs to the log after it.
  await run({ delete: 'c', deletes: [{ q: { _id: { $lt: 3000, $mod: [2, 0] } }, limit: 0 }] });
  await run({ update: 'c', updates: [{ q: { _id: { $mod: [3, 0] } }, u: { $inc: { n: 100_000 } }, multi: true }] });
  await run({ insert: 'c', documents: rows(10_000, 100) });
  await run({ drop: 'dropped' });
  await wire.command({ renameCollection: 'd.renamed', to: 'd.moved', $db: 'admin' });
  await run({ create: 'made', capped: true, size: 100_000, max: 3 });
  await run({ insert: 'made', documents: rows(0, 8) });
  await run({ createIndexes: 'moved', indexes: [{ key: { text: 1 }, name: 'text' }] });
  disk.letWrites();
  await vi.waitUntil(() => readdirSync(dataDir).includes('base-000002'), { timeout: 20_000 });
  await run(insert(20_000));
  const seen = await contents(wire);
  const [event] = await stream.more(1000);
  await end(server);
  expect(readdirSync(dataDir).sort()).toEqual(['base-000002', 'log-000002']);

  const again = await reopened(dataDir);
  expect(await contents(again)).toEqual(seen);
  // The history from before it is there too.
  const resumed = await openStream(again, { resumeAfter: event?.['_id'] });
  const [next] = resumed.first.length > 0 ? resumed.first : await resumed.more(1000);
  expect(next.documentKey._id.value).toBe(event?.['documentKey']._id.value + 1);
});

test('a base that could not be written is made later, and the old one is kept until then', async () => {
  const disk = testDisk();
  const dataDir = freshFolder();
  const words: string[] = [];
  const report = (line: string) => words.push(line);
  const failing = {
    ...disk,
    rename: (from: string, to: string) =>
      to.includes('base-')
        ? Promise.reject(Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' }))
        : disk.rename(from, to),
  };
  const server = await serve({ dataDir, files: failing, compactAboveMb: 0.5, report });
  const wire = await connect(server);
  const documents = Array.from({ length: 600 }, (_, _id) => ({ _id, text: 'x'.repeat(1000) }));
  await wire.command({ insert: 'c', documents, writeConcern: { w: 'majority' }, $db: 'd' });
  await vi.waitUntil(() => words.length > 0);
  expect(words[0]).toMatch(/could not be made smaller: EDQUOT/);
  await wire.command(insert(1000));
  await end(server);
  expect(readdirSync(dataDir).sort()).toEqual(['log-000001', 'log-000002']);
  expect(await idsIn(await reopened(dataDir))).toHaveLength(601);
});
