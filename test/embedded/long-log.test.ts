import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChangeStreamInsertDocument, type Collection, MongoClient, type Timestamp } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Files, systemFiles } from '../../src/embedded/journal/files.ts';
import { type EmbeddedMongo, type EmbeddedMongoOptions, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { spend, whole } from '../../src/embedded/values/effort.ts';

interface Row {
  _id: number;
  text: string;
}

let folder: string;
let server: EmbeddedMongo | undefined;
let client: MongoClient | undefined;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'embedded-long-'));
});

afterEach(async () => {
  await client?.close();
  await server?.stop();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(options: EmbeddedMongoOptions): Promise<Collection<Row>> {
  server = await startEmbeddedMongo(options);
  client = await new MongoClient(server.uri).connect();
  return client.db('runcash').collection<Row>('numbers');
}

async function restart(options: EmbeddedMongoOptions): Promise<Collection<Row>> {
  await client?.close();
  await server?.stop();
  return await start(options);
}

const rows = (from: number, count: number, text = 'x'.repeat(500)): Row[] =>
  Array.from({ length: count }, (_, n) => ({ _id: from + n, text }));

describe('a log that is longer than the oplog', () => {
  test('brings back all documents, and history as far as the oplog goes', async () => {
    const options = { dataDir: join(folder, 'history'), oplogSizeMb: 1 };
    let numbers = await start(options);
    await numbers.insertMany(rows(0, 4_000));
    const early = (await numbers.db.command({ ping: 1 }))['operationTime'] as Timestamp;
    await numbers.insertMany(rows(4_000, 3_000));
    const late = (await numbers.db.command({ ping: 1 }))['operationTime'] as Timestamp;
    await numbers.insertMany(rows(7_000, 20), { writeConcern: { w: 'majority' } });
    numbers = await restart(options);
    expect(await numbers.countDocuments()).toBe(7_020);
    const { oplog } = await numbers.db.admin().serverStatus();
    expect(oplog.bytes).toBeLessThanOrEqual(2 ** 20);
    expect(oplog.bytes).toBeGreaterThan(2 ** 19);
    await expect(numbers.watch([], { startAtOperationTime: early }).tryNext()).rejects.toMatchObject({ code: 286 });
    const stream = numbers.watch<Row, ChangeStreamInsertDocument<Row>>([], { startAtOperationTime: late });
    const seen: number[] = [];
    while (seen.at(-1) !== 7_019) seen.push((await stream.next()).fullDocument._id);
    expect(seen.slice(-20)).toEqual(rows(7_000, 20).map(({ _id }) => _id));
    await stream.close();
  });
});

async function baseIn(dataDir: string): Promise<void> {
  await vi.waitFor(() => expect(readdirSync(dataDir)).toContainEqual(expect.stringMatching(/^base-\d+$/)), {
    timeout: 20_000,
  });
}

/** As if a command had used what it may in the same turn: the processor is busy for 60 ms, as that limit counts it. */
function spendTurn(): void {
  // The writing of files is not what the limit may end.
  whole(() => spend(2_000));
  const until = performance.now() + 60;
  while (performance.now() < until);
}

describe('a log that is replaced by a base', () => {
  // Streams from a time that history had lost began without a word, and were told nothing of what they had missed.
  test('refuses to begin where history no longer goes, also after a restart with room for more', async () => {
    const options = { dataDir: join(folder, 'cut'), oplogSizeMb: 0.5, compactAboveMb: 0.5 };
    let numbers = await start(options);
    const early = (await numbers.db.command({ ping: 1 }))['operationTime'] as Timestamp;
    await numbers.insertMany(rows(0, 3_000), { writeConcern: { w: 'majority' } });
    await baseIn(options.dataDir);
    numbers = await restart({ ...options, oplogSizeMb: 8 });
    expect(await numbers.countDocuments()).toBe(3_000);
    await expect(numbers.watch([], { startAtOperationTime: early }).tryNext()).rejects.toMatchObject({ code: 286 });
  });

  test('is replaced whatever commands used before in the same turn', async () => {
    const dataDir = join(folder, 'busy');
    const report = vi.fn();
    const files: Files = {
      ...systemFiles,
      async open(path) {
        const file = await systemFiles.open(path);
        if (!path.endsWith('.new')) return file;
        return {
          ...file,
          async write(bytes, position) {
            await file.write(bytes, position);
            spendTurn();
          },
        };
      },
    };
    const numbers = await start({ dataDir, files, report, compactAboveMb: 0.25 });
    const durable = { writeConcern: { w: 'majority' } } as const;
    // Retryable: the record of each tells what was answered.
    await numbers.insertMany(rows(0, 6_000, ''), durable);
    await numbers.insertOne({ _id: -1, text: '' }, durable);
    await baseIn(dataDir);
    expect(report).not.toHaveBeenCalled();
  });
});
