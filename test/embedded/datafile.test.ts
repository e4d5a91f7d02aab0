import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChangeStreamInsertDocument, type Document, Long, MongoClient, UUID } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createEngine } from '../../src/embedded/createengine.ts';
import { openDataFile } from '../../src/embedded/journal/datafile.ts';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { buildCli, type ServerProcess, startProcess } from './support/process.ts';
import { connectWire } from './support/wire.ts';

interface Row {
  _id: number;
  numero: number;
}

let program: string;
let folder: string;
const clients: MongoClient[] = [];
const processes: ServerProcess[] = [];

function connect(uri: string): MongoClient {
  const client = new MongoClient(uri);
  clients.push(client);
  return client;
}

async function start(...args: string[]): Promise<ServerProcess> {
  const started = await startProcess(program, args);
  processes.push(started);
  return started;
}

beforeAll(async () => {
  program = await buildCli('datafile');
  folder = mkdtempSync(join(tmpdir(), 'embedded-data-'));
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const one of processes.splice(0))
    if (one.child.exitCode === null && one.child.signalCode === null) await one.end('SIGKILL');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Starting a process takes seconds on a busy machine.
const SLOW = { timeout: 60_000 };

describe('a server with a data file', SLOW, () => {
  test('has everything that it acknowledged after it was killed and started again', async () => {
    const file = join(folder, 'killed.bson');
    const first = await start('--port', '0', '--data-file', file);
    const rows = connect(first.uri).db('runcash').collection<Row>('numbers');
    await rows.createIndex({ numero: 1 }, { name: 'by_numero' });
    await rows.insertMany(
      Array.from({ length: 500 }, (_, i) => ({ _id: i, numero: i % 37 })),
      { writeConcern: { w: 'majority' } },
    );
    await rows.updateOne({ _id: 3 }, { $set: { numero: 36 } });
    await rows.deleteOne({ _id: 4 });
    await rows.insertOne({ _id: 1000, numero: 0 });
    await first.end('SIGKILL');

    const second = await start('--port', String(first.port), '--data-file', file);
    const again = connect(second.uri).db('runcash').collection<Row>('numbers');
    expect(await again.countDocuments()).toBe(500);
    expect(await again.findOne({ _id: 3 })).toEqual({ _id: 3, numero: 36 });
    expect(await again.findOne({ _id: 4 })).toBeNull();
    expect((await again.indexes()).map(({ name }) => name)).toEqual(['_id_', 'by_numero']);
  });

  test('resumes a change stream across the restart, from a token of before', async () => {
    const file = join(folder, 'resumed.bson');
    const first = await start('--port', '0', '--data-file', file);
    const db = connect(first.uri).db('runcash');
    const stream = db.collection<Row>('numbers').watch();
    const opened = once(stream, 'resumeTokenChanged');
    const seen: Promise<unknown[]> = once(stream, 'change');
    await opened;
    await db.collection<Row>('numbers').insertOne({ _id: 1, numero: 1 });
    const [event] = await seen;
    await db.collection<Row>('numbers').insertOne({ _id: 2, numero: 2 });
    await stream.close();
    await first.end('SIGKILL');

    const second = await start('--port', String(first.port), '--data-file', file);
    const resumeAfter = (event as ChangeStreamInsertDocument<Row>)._id;
    const resumed = connect(second.uri).db('runcash').collection<Row>('numbers').watch([], { resumeAfter });
    const next = await resumed.next();
    expect(next).toMatchObject({ operationType: 'insert', fullDocument: { _id: 2, numero: 2 } });
    await resumed.close();
  });

  test('elects itself in a later term after a restart', async () => {
    const file = join(folder, 'term.bson');
    const first = await start('--port', '0', '--data-file', file);
    await first.end('SIGTERM');
    const second = await start('--port', '0', '--data-file', file);
    const hello = await connect(second.uri).db('admin').command({ hello: 1 });
    expect(hello['lastWrite'].opTime.t).toEqual(2);
  });

  test('answers a retryable write sent again after the restart with its first answer, and does nothing twice', async () => {
    const file = join(folder, 'retried.bson');
    const first = await startEmbeddedMongo({ dataFile: file });
    const id = { id: new UUID().toBinary() };
    const write = {
      update: 'c',
      updates: [{ q: { _id: 1 }, u: { $inc: { v: 1 } }, upsert: true }],
      lsid: id,
      txnNumber: Long.fromNumber(1),
      $db: 'd',
    };
    const wire = await connectWire(first.port);
    const answer = await wire.command(write);
    wire.close();
    await first.stop();

    const second = await startEmbeddedMongo({ dataFile: file });
    const again = await connectWire(second.port);
    expect((await again.command(write))['upserted']).toEqual(answer['upserted']);
    const found = await again.command({ find: 'c', $db: 'd' });
    expect(found['cursor'].firstBatch[0].v.value).toBe(1);
    again.close();
    await second.stop();
  });

  test('forgets only what a kill tore off in the middle of a record', async () => {
    const file = join(folder, 'torn.bson');
    const first = await startEmbeddedMongo({ dataFile: file });
    const client = connect(first.uri);
    await client.db('d').collection<Row>('c').insertOne({ _id: 1, numero: 1 });
    await client.close();
    await first.stop();
    appendFileSync(file, Buffer.from([200, 0, 0, 0, 3, 65]));

    const second = await startEmbeddedMongo({ dataFile: file });
    const rows = connect(second.uri).db('d').collection<Row>('c');
    await rows.insertOne({ _id: 2, numero: 2 });
    await clients.pop()?.close();
    await second.stop();

    const third = await startEmbeddedMongo({ dataFile: file });
    expect(await connect(third.uri).db('d').collection<Row>('c').countDocuments()).toBe(2);
    await clients.pop()?.close();
    await third.stop();
  });

  test('keeps a transaction whole across the restart', async () => {
    const file = join(folder, 'transaction.bson');
    const first = await startEmbeddedMongo({ dataFile: file });
    const client = connect(first.uri);
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await client.db('d').collection<Row>('a').insertOne({ _id: 1, numero: 1 }, { session });
        await client.db('d').collection<Row>('b').insertOne({ _id: 1, numero: 1 }, { session });
      }),
    );
    await client.close();
    await first.stop();
    const second = await startEmbeddedMongo({ dataFile: file });
    const db = connect(second.uri).db('d');
    expect([await db.collection('a').countDocuments(), await db.collection('b').countDocuments()]).toEqual([1, 1]);
    await clients.pop()?.close();
    await second.stop();
  });

  test('is written anew when most of it is past, and still leads to the same', async () => {
    const file = join(folder, 'rewritten.bson');
    const settings = { dataFile: file, oplogSizeMb: 0.05 };
    const first = await startEmbeddedMongo(settings);
    const wire = await connectWire(first.port);
    const run = (command: Document) => wire.command({ ...command, $db: 'd' });
    await run({ createIndexes: 'c', indexes: [{ key: { v: 1 }, name: 'v_1', unique: true }] });
    for (let v = 0; v < 10; v += 1) {
      await run({
        update: 'c',
        updates: [{ q: { _id: 1 }, u: { $set: { v, text: 'x'.repeat(40_000) } }, upsert: true }],
      });
    }
    await run({ insert: 'c', documents: [{ _id: 2, v: 100 }] });
    wire.close();
    await first.stop();
    const before = statSync(file).size;

    const engine = createEngine({ standalone: false, compat: '4.4', oplogBytes: 50_000 });
    openDataFile(engine, file, 100_000);
    engine.stop();
    expect(statSync(file).size).toBeLessThan(before / 2);
    const third = await startEmbeddedMongo(settings);
    const rows = connect(third.uri).db('d').collection('c');
    expect(
      await rows
        .find({}, { projection: { v: 1 } })
        .sort({ _id: 1 })
        .toArray(),
    ).toEqual([
      { _id: 1, v: 9 },
      { _id: 2, v: 100 },
    ]);
    await expect(rows.insertOne({ v: 100 })).rejects.toMatchObject({ code: 11000 });
    await clients.pop()?.close();
    await third.stop();
  });

  test('remembers what capped collections let go, also when inserts are grouped', async () => {
    const file = join(folder, 'capped.bson');
    const first = await startEmbeddedMongo({ dataFile: file, compat: '8.0' });
    const wire = await connectWire(first.port);
    await wire.command({ create: 'c', capped: true, size: 100_000, max: 2, $db: 'd' });
    await wire.command({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }, { _id: 4 }], $db: 'd' });
    wire.close();
    await first.stop();
    const second = await startEmbeddedMongo({ dataFile: file, compat: '8.0' });
    const found = await connect(second.uri).db('d').collection<Row>('c').find().toArray();
    expect(found.map(({ _id }) => _id)).toEqual([3, 4]);
    await clients.pop()?.close();
    await second.stop();
  });

  test('does not touch a file that is not its own', async () => {
    const file = join(folder, 'notes.txt');
    writeFileSync(file, 'thirteen lucky numbers, kept by hand');
    await expect(startEmbeddedMongo({ dataFile: file })).rejects.toThrow();
    expect(readFileSync(file, 'utf8')).toBe('thirteen lucky numbers, kept by hand');
  });

  test('is refused to a second server', async () => {
    const file = join(folder, 'shared.bson');
    const first = await startEmbeddedMongo({ dataFile: file });
    await expect(startEmbeddedMongo({ dataFile: file })).rejects.toThrow(/in use/);
    await first.stop();
  });
});

describe('the command line', SLOW, () => {
  test('a port that is taken is an error with exit code 1', async () => {
    const first = await start('--port', '0');
    const second = spawn(process.execPath, [program, '--port', String(first.port)], { stdio: 'ignore' });
    const [code]: unknown[] = await once(second, 'exit');
    expect(code).toBe(1);
  });

  test('SIGTERM ends it with exit code 0', async () => {
    const server = await start('--port', '0');
    await server.end('SIGTERM');
    expect(server.child.exitCode).toBe(0);
  });
});
