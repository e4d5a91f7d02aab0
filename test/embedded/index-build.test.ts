import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

const DOCUMENTS = 60_000;

/** Four of them, so that the build is long against the few turns that an answer takes, also on a fast machine. */
const INDEXES = [{ key: { n: 1 } }, { key: { table: 1, n: -1 } }, { key: { text: 1 } }, { key: { a: 1, n: 1 } }];
const NAMES = ['_id_', 'n_1', 'table_1_n_-1', 'text_1', 'a_1_n_1'];

interface Row {
  _id: number;
  n: number;
  table?: string;
}

let server: EmbeddedMongo;
let busy: MongoClient;
let other: MongoClient;
let rows: Collection<Row>;

async function fill(collection: Collection<Row>): Promise<void> {
  for (let at = 0; at < DOCUMENTS; at += 20_000) {
    await collection.insertMany(
      Array.from({ length: 20_000 }, (_, i) => {
        const n = ((at + i) * 7919) % DOCUMENTS;
        return { _id: at + i, n, table: `${n % 39}`, text: `number ${n}`, a: [n, n + 1] };
      }),
    );
  }
}

/** Names of the commands that the server is at now. */
async function running(): Promise<string[]> {
  const { inprog } = await other.db('admin').command({ currentOp: 1 });
  return inprog
    .flatMap((one: Document) => Object.keys(one['command'])[0] ?? [])
    .filter((name: string) => name !== 'currentOp');
}

interface Build {
  readonly outcome: Promise<PromiseSettledResult<unknown>>;
  readonly over: boolean;
}

function watch(work: Promise<unknown>): Build {
  let over = false;
  const outcome = Promise.allSettled([work]).then(([settled]) => {
    over = true;
    return settled;
  });
  return {
    outcome,
    get over() {
      return over;
    },
  };
}

/**
 * Asks until all of these commands are under way at once, each as often as it is named; fails when the build ends
 * before. What does not wait is done in one turn, and never seen.
 */
async function untilRunning(build: Build, ...names: string[]): Promise<void> {
  for (;;) {
    const now = await running();
    const count = (name: string, among: readonly string[]) => among.filter((one) => one === name).length;
    if (names.every((name) => count(name, now) >= count(name, names))) return;
    expect(build.over, `the build ended before ${names.join(', ')} were all under way: ${now.join(', ')}`).toBe(false);
  }
}

async function beginBuild(work: Promise<unknown>): Promise<Build> {
  const build = watch(work);
  await untilRunning(build, 'createIndexes');
  return build;
}

const indexNames = async (of: Collection<Row> = rows) => (await of.indexes()).map(({ name }) => name);

beforeAll(async () => {
  server = await startEmbeddedMongo({ compat: '8.0' });
  busy = new MongoClient(server.uri);
  other = new MongoClient(server.uri);
  await Promise.all([busy.connect(), other.connect()]);
});

beforeEach(async () => {
  rows = busy.db('runcash').collection('rows');
  await fill(rows);
}, 60_000);

afterEach(async () => {
  await busy.db('runcash').dropDatabase();
});

afterAll(async () => {
  await Promise.all([busy.close(), other.close()]);
  await server.stop();
});

// Seconds of work on a busy machine.
describe('while an index is built', { timeout: 60_000 }, () => {
  test('other clients are answered, and see nothing of it before it is done', async () => {
    const build = await beginBuild(rows.createIndexes(INDEXES));
    const seen = other.db('runcash').collection<Row>('rows');
    let answers = 0;
    while (!build.over) {
      await other.db('admin').command({ ping: 1 });
      const found = await seen.findOne({ _id: 1 });
      const names = await indexNames(seen);
      const plan = await seen.find({ n: 7919 }).explain('queryPlanner');
      await other.db('runcash').collection('others').insertOne({});
      if (build.over) break;
      expect(found).toMatchObject({ n: 7919 });
      expect(names).toEqual(['_id_']);
      expect(JSON.stringify(plan)).not.toContain('IXSCAN');
      answers += 1;
    }
    expect(await build.outcome).toMatchObject({ status: 'fulfilled' });
    expect(answers).toBeGreaterThanOrEqual(2);
    expect(await indexNames()).toEqual(NAMES);
    expect(JSON.stringify(await seen.find({ n: 7919 }).explain('queryPlanner'))).toContain('IXSCAN');
  });

  test('writes to its collection go on and are in the index, those in transactions wait', async () => {
    const build = await beginBuild(rows.createIndexes(INDEXES));
    const seen = other.db('runcash').collection<Row>('rows');
    const session = other.startSession();
    const late = watch(session.withTransaction(() => seen.insertOne({ _id: -6, n: -6 }, { session })));
    // One of the first and one of the last records, whatever the build has passed by now.
    await seen.updateOne({ _id: 2 }, { $set: { n: -2 } });
    await seen.deleteOne({ _id: 3 });
    await seen.findOneAndUpdate({ _id: DOCUMENTS - 1 }, { $set: { n: -4 } });
    await seen.insertOne({ _id: -1, n: -1 });
    await seen.insertOne({ _id: -5, n: -5 });
    await seen.updateOne({ _id: -5 }, { $set: { table: 'changed' } });
    expect(build.over).toBe(false);
    expect(await build.outcome).toMatchObject({ status: 'fulfilled' });
    expect(await late.outcome).toMatchObject({ status: 'fulfilled' });
    await session.endSession();
    const low = await rows.find({ n: { $lt: 0 } }, { hint: 'n_1', projection: { n: 1 } }).toArray();
    expect(low.map(({ _id, n }) => [_id, n])).toEqual([
      [-6, -6],
      [-5, -5],
      [DOCUMENTS - 1, -4],
      [2, -2],
      [-1, -1],
    ]);
    const removed = (3 * 7919) % DOCUMENTS;
    expect(await rows.find({ n: removed }, { hint: 'n_1' }).toArray()).toEqual([]);
    expect(await rows.countDocuments({ n: { $gte: -10 } }, { hint: 'n_1' })).toBe(DOCUMENTS + 2);
    const { valid, keysPerIndex } = await rows.db.command({ validate: 'rows' });
    expect({ valid, n: keysPerIndex['n_1'] }).toEqual({ valid: true, n: DOCUMENTS + 2 });
  });

  test('changes of the catalog that concern its collection wait, one after another', async () => {
    const build = await beginBuild(rows.createIndexes(INDEXES));
    const seen = other.db('runcash').collection<Row>('rows');
    const same = { createIndexes: 'rows', indexes: INDEXES.map(({ key }, i) => ({ key, name: NAMES[i + 1] })) };
    const second = watch(other.db('runcash').command(same));
    const third = watch(seen.createIndex({ text: -1 }));
    const changed = watch(other.db('runcash').command({ collMod: 'rows', validator: { n: { $lt: DOCUMENTS } } }));
    const output = watch(seen.aggregate([{ $limit: 1 }, { $out: 'rows' }]).toArray());
    await untilRunning(build, 'createIndexes', 'createIndexes', 'createIndexes', 'collMod', 'aggregate');
    // It found what it had waited for.
    expect(await second.outcome).toMatchObject({ value: { note: 'all indexes already exist' } });
    for (const one of [build, third, changed, output]) {
      expect(await one.outcome).toMatchObject({ status: 'fulfilled' });
    }
    expect(await seen.countDocuments()).toBe(1);
    await seen.drop();
    expect(await other.db('runcash').listCollections({ name: 'rows' }).toArray()).toEqual([]);
  });

  test('a drop and a rename wait', async () => {
    const build = await beginBuild(rows.createIndexes(INDEXES));
    const renamed = watch(other.db('runcash').renameCollection('rows', 'moved'));
    await untilRunning(build, 'createIndexes', 'renameCollection');
    expect(await renamed.outcome).toMatchObject({ status: 'fulfilled' });
    const moved = busy.db('runcash').collection<Row>('moved');
    expect(await indexNames(moved)).toEqual(NAMES);
    const again = await beginBuild(
      moved.createIndexes(
        INDEXES.map(({ key }) => ({ key, name: `p_${Object.keys(key)}`, partialFilterExpression: { n: { $gte: 0 } } })),
      ),
    );
    const dropped = watch(other.db('runcash').collection('moved').drop());
    await untilRunning(again, 'createIndexes', 'drop');
    expect(await again.outcome).toMatchObject({ status: 'fulfilled' });
    expect(await dropped.outcome).toMatchObject({ status: 'fulfilled' });
    expect(await moved.countDocuments()).toBe(0);
  });
});

describe('an index build that fails', { timeout: 60_000 }, () => {
  test('for a duplicate leaves none of its indexes, and takes no write back', async () => {
    // The last record is the duplicate: the build finds it at its end.
    await rows.insertOne({ _id: DOCUMENTS, n: 7919 });
    const build = await beginBuild(
      rows.createIndexes([...INDEXES, { key: { n: 1 }, name: 'once', unique: true, sparse: true }].slice(1)),
    );
    await other.db('runcash').collection<Row>('rows').insertOne({ _id: -1, n: 7919 });
    expect(await build.outcome).toMatchObject({ status: 'rejected', reason: { code: 11000, keyValue: { n: 7919 } } });
    expect(await indexNames()).toEqual(['_id_']);
    expect(await rows.countDocuments({ n: 7919 })).toBe(3);
  });

  test('for its time limit, or since its client went away, leaves none, and takes no write back', async () => {
    const indexes = INDEXES.map(({ key }, i) => ({ key, name: NAMES[i + 1] }));
    const limited = busy.db('runcash').command({ createIndexes: 'rows', indexes, maxTimeMS: 20 });
    await expect(limited).rejects.toMatchObject({ code: 50 });
    expect(await indexNames()).toEqual(['_id_']);
    await rows.insertOne({ _id: -1, n: -1 });
    const client = await new MongoClient(server.uri).connect();
    const build = await beginBuild(client.db('runcash').collection('rows').createIndexes(INDEXES));
    await other.db('runcash').collection<Row>('rows').insertOne({ _id: -2, n: -2 });
    await client.close(true);
    expect(await build.outcome).toMatchObject({ status: 'rejected' });
    expect(await indexNames()).toEqual(['_id_']);
  });

  test('for another index of that name in the same command builds nothing', async () => {
    const twice = [
      { key: { n: 1 }, name: 'same' },
      { key: { table: 1 }, name: 'same' },
    ];
    await expect(rows.createIndexes(twice)).rejects.toMatchObject({ code: 86 });
    expect(await indexNames()).toEqual(['_id_']);
  });
});

describe('a transaction whose write waits for an index', { timeout: 60_000 }, () => {
  test('holds nothing when it was aborted meanwhile', async () => {
    const session = other.startSession();
    session.startTransaction();
    const seen = other.db('runcash').collection<Row>('rows');
    await seen.findOne({ _id: 1 }, { session });
    const build = await beginBuild(rows.createIndexes(INDEXES));
    const inserted = watch(seen.insertOne({ _id: -1, n: -1 }, { session }));
    await untilRunning(build, 'createIndexes', 'insert');
    await other.db('admin').command({ killAllSessions: [] });
    expect(await inserted.outcome).toMatchObject({ status: 'rejected', reason: { code: 251 } });
    expect(await build.outcome).toMatchObject({ status: 'fulfilled' });
    await session.endSession();
    // A lock left behind would keep this waiting for ever.
    await rows.dropIndex('n_1');
    expect(await rows.countDocuments({ _id: -1 })).toBe(0);
  });
});

test('what was built, and what was written after, is there after a restart', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-index-'));
  const first = await startEmbeddedMongo({ dataDir: folder });
  const client = await new MongoClient(first.uri).connect();
  const kept = client.db('runcash').collection<Row>('rows');
  await fill(kept);
  await Promise.all([kept.createIndexes(INDEXES), kept.insertOne({ _id: -1, n: -1 })]);
  await kept.insertOne({ _id: -2, n: -2 });
  await client.close();
  await first.stop();
  const second = await startEmbeddedMongo({ dataDir: folder });
  const again = await new MongoClient(second.uri).connect();
  const back = again.db('runcash').collection<Row>('rows');
  expect(await indexNames(back)).toEqual(NAMES);
  const low = await back.find({ n: { $lt: 0 } }, { hint: 'n_1' }).toArray();
  expect(low.map(({ _id }) => _id)).toEqual([-2, -1]);
  await again.close();
  await second.stop();
  rmSync(folder, { recursive: true });
});
