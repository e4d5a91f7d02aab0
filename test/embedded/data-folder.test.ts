import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChangeStreamInsertDocument, type Document, Long, MongoClient, UUID } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
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
  program = await buildCli('datafolder');
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

describe('a server with a data folder', SLOW, () => {
  test('has everything that it acknowledged after it was killed and started again', async () => {
    const data = join(folder, 'killed');
    const first = await start('--port', '0', '--data', data);
    const rows = connect(first.uri).db('runcash').collection<Row>('numbers');
    await rows.createIndex({ numero: 1 }, { name: 'by_numero' });
    await rows.insertMany(
      Array.from({ length: 500 }, (_, i) => ({ _id: i, numero: i % 37 })),
      { writeConcern: { w: 'majority' } },
    );
    await rows.updateOne({ _id: 3 }, { $set: { numero: 36 } });
    await rows.deleteOne({ _id: 4 });
    await rows.insertOne({ _id: 1000, numero: 0 }, { writeConcern: { w: 'majority' } });
    await first.end('SIGKILL');

    const second = await start('--port', String(first.port), '--data', data);
    const again = connect(second.uri).db('runcash').collection<Row>('numbers');
    expect(await again.countDocuments()).toBe(500);
    expect(await again.findOne({ _id: 3 })).toEqual({ _id: 3, numero: 36 });
    expect(await again.findOne({ _id: 4 })).toBeNull();
    expect((await again.indexes()).map(({ name }) => name)).toEqual(['_id_', 'by_numero']);
  });

  test('resumes a change stream across the restart, from a token of before', async () => {
    const data = join(folder, 'resumed');
    const first = await start('--port', '0', '--data', data);
    const db = connect(first.uri).db('runcash');
    const stream = db.collection<Row>('numbers').watch();
    const opened = once(stream, 'resumeTokenChanged');
    const seen: Promise<unknown[]> = once(stream, 'change');
    await opened;
    await db.collection<Row>('numbers').insertOne({ _id: 1, numero: 1 });
    const [event] = await seen;
    await db.collection<Row>('numbers').insertOne({ _id: 2, numero: 2 }, { writeConcern: { w: 1, j: true } });
    await stream.close();
    await first.end('SIGKILL');

    const second = await start('--port', String(first.port), '--data', data);
    const resumeAfter = (event as ChangeStreamInsertDocument<Row>)._id;
    const resumed = connect(second.uri).db('runcash').collection<Row>('numbers').watch([], { resumeAfter });
    const next = await resumed.next();
    expect(next).toMatchObject({ operationType: 'insert', fullDocument: { _id: 2, numero: 2 } });
    await resumed.close();
  });

  test('elects itself in a later term after a restart', async () => {
    const data = join(folder, 'term');
    const first = await start('--port', '0', '--data', data);
    await first.end('SIGTERM');
    const second = await start('--port', '0', '--data', data);
    const hello = await connect(second.uri).db('admin').command({ hello: 1 });
    expect(hello['lastWrite'].opTime.t).toEqual(2);
  });

  test('answers a retryable write sent again after the restart with its first answer, and does nothing twice', async () => {
    const data = join(folder, 'retried');
    const first = await startEmbeddedMongo({ dataDir: data });
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

    const second = await startEmbeddedMongo({ dataDir: data });
    const again = await connectWire(second.port);
    expect((await again.command(write))['upserted']).toEqual(answer['upserted']);
    const found = await again.command({ find: 'c', $db: 'd' });
    expect(found['cursor'].firstBatch[0].v.value).toBe(1);
    again.close();
    await second.stop();
  });

  test('forgets only what a kill tore off in the middle of a record', async () => {
    const data = join(folder, 'torn');
    const first = await startEmbeddedMongo({ dataDir: data });
    const client = connect(first.uri);
    await client.db('d').collection<Row>('c').insertOne({ _id: 1, numero: 1 });
    await client.close();
    await first.stop();
    const log = readFileSync(join(data, 'log-000001'));
    const last = log.lastIndexOf('RLf2');
    Buffer.from('RLf2\x80\0\0\0', 'latin1').copy(log, last + 20 + log.readUInt32LE(last + 4));
    writeFileSync(join(data, 'log-000001'), log);

    const second = await startEmbeddedMongo({ dataDir: data });
    const rows = connect(second.uri).db('d').collection<Row>('c');
    await rows.insertOne({ _id: 2, numero: 2 });
    await clients.pop()?.close();
    await second.stop();

    const third = await startEmbeddedMongo({ dataDir: data });
    expect(await connect(third.uri).db('d').collection<Row>('c').countDocuments()).toBe(2);
    await clients.pop()?.close();
    await third.stop();
  });

  test('keeps a transaction whole across the restart', async () => {
    const data = join(folder, 'transaction');
    const first = await startEmbeddedMongo({ dataDir: data });
    const client = connect(first.uri);
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await client.db('d').collection<Row>('a').insertOne({ _id: 1, numero: 1 }, { session });
        await client.db('d').collection<Row>('b').insertOne({ _id: 1, numero: 1 }, { session });
      }),
    );
    await client.close();
    await first.stop();
    const second = await startEmbeddedMongo({ dataDir: data });
    const db = connect(second.uri).db('d');
    expect([await db.collection('a').countDocuments(), await db.collection('b').countDocuments()]).toEqual([1, 1]);
    await clients.pop()?.close();
    await second.stop();
  });

  test('remembers what capped collections let go, also when inserts are grouped', async () => {
    const data = join(folder, 'capped');
    const first = await startEmbeddedMongo({ dataDir: data, compat: '8.0' });
    const wire = await connectWire(first.port);
    await wire.command({ create: 'c', capped: true, size: 100_000, max: 2, $db: 'd' });
    await wire.command({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }, { _id: 3 }, { _id: 4 }], $db: 'd' });
    wire.close();
    await first.stop();
    const second = await startEmbeddedMongo({ dataDir: data, compat: '8.0' });
    const found = await connect(second.uri).db('d').collection<Row>('c').find().toArray();
    expect(found.map(({ _id }) => _id)).toEqual([3, 4]);
    await clients.pop()?.close();
    await second.stop();
  });

  test('does not touch files that are not its own', async () => {
    const data = join(folder, 'notes');
    writeFileSync(data, 'thirteen lucky numbers, kept by hand');
    await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(/cannot be made|not a folder/);
    expect(readFileSync(data, 'utf8')).toBe('thirteen lucky numbers, kept by hand');

    const other = join(folder, 'others');
    mkdirSync(other);
    writeFileSync(join(other, 'log-000001'), 'rain at noon');
    await expect(startEmbeddedMongo({ dataDir: other })).rejects.toThrow(/not a file of this server/);
    expect(readFileSync(join(other, 'log-000001'), 'utf8')).toBe('rain at noon');
  });

  test('is refused to a second server', async () => {
    const data = join(folder, 'shared');
    const first = await startEmbeddedMongo({ dataDir: data });
    await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(/in use by another server/);
    await first.stop();
    await (await startEmbeddedMongo({ dataDir: data })).stop();
  });

  test('is refused to a second process, and taken over from one that was killed', async () => {
    const data = join(folder, 'taken');
    const first = await start('--port', '0', '--data', data);
    await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(`process ${first.child.pid}`);
    await first.end('SIGKILL');
    await (await startEmbeddedMongo({ dataDir: data })).stop();
    expect(readdirSync(data)).toEqual(['log-000001']);
  });

  test('refuses a log that is damaged before its end, in words, and leaves it as it is', async () => {
    const data = join(folder, 'damaged');
    const first = await startEmbeddedMongo({ dataDir: data });
    const wire = await connectWire(first.port);
    for (let n = 0; n < 3; n += 1)
      await wire.command({ insert: 'c', documents: [{ n }], writeConcern: { w: 'majority' }, $db: 'd' });
    wire.close();
    await first.stop();
    const log = join(data, 'log-000001');
    const bytes = readFileSync(log);
    const middle = bytes.indexOf('RLf2', 100) + 60;
    bytes[middle] = (bytes[middle] ?? 0) ^ 255;
    writeFileSync(log, bytes);
    await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(/damaged at byte \d+.*nothing was changed$/);
    expect(readFileSync(log).equals(bytes)).toBe(true);
  });

  test('drops a last write of which only a part reached the disk, wherever it was cut', async () => {
    const data = join(folder, 'cut');
    const first = await startEmbeddedMongo({ dataDir: data });
    const wire = await connectWire(first.port);
    await wire.command({ insert: 'c', documents: [{ _id: 1 }], writeConcern: { w: 'majority' }, $db: 'd' });
    await wire.command({ insert: 'c', documents: [{ _id: 2 }], writeConcern: { w: 'majority' }, $db: 'd' });
    wire.close();
    await first.stop();
    const log = join(data, 'log-000001');
    const whole = readFileSync(log);
    const last = whole.lastIndexOf('RLf2');
    const length = 20 + whole.readUInt32LE(last + 4);
    for (const keep of [1, 4, 19, 20, 21, length - 12]) {
      // Pages that did not arrive read as zeros.
      const torn = Buffer.alloc(whole.length);
      whole.copy(torn, 0, 0, last + keep);
      writeFileSync(log, torn);
      const server = await startEmbeddedMongo({ dataDir: data });
      const again = await connectWire(server.port);
      const found = await again.command({ find: 'c', $db: 'd' });
      expect(found['cursor'].firstBatch.map(({ _id }: Document) => _id.value)).toEqual([1]);
      again.close();
      await server.stop();
    }
  });

  test('refuses a log that somebody cut, emptied or added to, in words, and leaves it as it is', async () => {
    const data = join(folder, 'shorter');
    const first = await startEmbeddedMongo({ dataDir: data });
    const wire = await connectWire(first.port);
    for (let n = 0; n < 3; n += 1) {
      const documents = [{ n, text: 'x'.repeat(600_000) }];
      await wire.command({ insert: 'c', documents, writeConcern: { w: 'majority' }, $db: 'd' });
    }
    wire.close();
    await first.stop();
    const log = join(data, 'log-000001');
    const whole = readFileSync(log);
    const end = whole.lastIndexOf('x') + 1;
    for (const bytes of [
      Buffer.alloc(0),
      whole.subarray(0, 7),
      whole.subarray(0, whole.length - 7),
      whole.subarray(0, end),
      whole.subarray(0, end - 100_000),
      whole.subarray(0, 1024 * 1024),
      Buffer.concat([whole, Buffer.from('more')]),
    ]) {
      writeFileSync(log, bytes);
      await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(/(nothing was changed|left as it is)$/);
      expect(readFileSync(log).equals(bytes)).toBe(true);
    }
    writeFileSync(log, whole);
    const server = await startEmbeddedMongo({ dataDir: data });
    await server.stop();
    rmSync(log);
    writeFileSync(join(data, 'base-000001'), 'foreign');
    await expect(startEmbeddedMongo({ dataDir: data })).rejects.toThrow(/not whole|not a file of this server/);
  });

  test('is nobody else’s to read', async () => {
    const data = join(folder, 'private');
    const server = await startEmbeddedMongo({ dataDir: data });
    const modes = readdirSync(data).map((name) => statSync(join(data, name)).mode & 0o777);
    expect([statSync(data).mode & 0o777, ...modes]).toEqual([0o700, ...modes.map(() => 0o600)]);
    await server.stop();
  });

  test('that cannot be written is refused in words', async () => {
    const file = join(folder, 'a file');
    writeFileSync(file, '');
    for (const dataDir of [file, join(file, 'below')]) {
      await expect(startEmbeddedMongo({ dataDir })).rejects.toThrow(
        /data folder .* cannot be made or written|is not a folder/,
      );
    }
  });
});

describe('the command line', SLOW, () => {
  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    const [code]: unknown[] = await once(child, 'close');
    return { code, output };
  };

  test('explains itself and says what it is not', async () => {
    const { code, output } = await run('--help');
    expect(code).toBe(0);
    for (const name of ['port', 'host', 'data', 'oplog-size-mb', 'compat', 'standalone', 'log-level', 'ready-file'])
      expect(output).toContain(`--${name} `);
    expect(output).toContain('not a database for production');
  });

  test.each([
    [['--port', '70000'], /--port must be/],
    [['--port', ''], /--port must be/],
    [['--compat', '3.6'], /--compat must be/],
    [['--oplog-size-mb', '0'], /--oplog-size-mb must be/],
    [['--log-level', 'loud'], /--log-level must be/],
    [['--data', ''], /--data must name a folder/],
    [['--data-file', 'x'], /data-file/],
  ])('%j is an error with exit code 2', async (args, words) => {
    const { code, output } = await run(...args);
    expect(code).toBe(2);
    expect(output).toMatch(words);
  });

  test('a port that is taken is an error with exit code 1', async () => {
    const first = await start('--port', '0');
    expect((await run('--port', String(first.port))).code).toBe(1);
  });

  test('a data folder that is in use is an error with exit code 1, in one sentence', async () => {
    const data = join(folder, 'held');
    await start('--port', '0', '--data', data);
    const { code, output } = await run('--port', '0', '--data', data);
    expect(code).toBe(1);
    expect(output.trim()).toMatch(/^the data folder .* is in use by another server \(process \d+\)$/);
  });

  test('SIGTERM ends it with exit code 0; the ready file is there for as long as it serves', async () => {
    const ready = join(folder, 'ready');
    writeFileSync(ready, 'of an earlier run');
    const server = await start('--port', '0', '--ready-file', ready, '--log-level', 'error');
    await vi.waitUntil(() => existsSync(ready));
    expect(readFileSync(ready, 'utf8')).toBe(`${server.uri}\n`);
    await server.end('SIGTERM');
    expect(server.child.exitCode).toBe(0);
    expect(existsSync(ready)).toBe(false);
  });

  test('SIGTERM makes durable what was acknowledged without being so', async () => {
    const data = join(folder, 'ended');
    const server = await start('--port', '0', '--data', data);
    const wire = await connectWire(server.port);
    await wire.command({ insert: 'c', documents: [{ _id: 1 }], writeConcern: { w: 1 }, $db: 'd' });
    await server.end('SIGTERM');
    const again = await startEmbeddedMongo({ dataDir: data });
    const wire2 = await connectWire(again.port);
    expect((await wire2.command({ count: 'c', $db: 'd' }))['n'].value).toBe(1);
    wire2.close();
    await again.stop();
  });
});
