import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { type BuiltinMongo, BuiltinStartError, startBuiltin } from '../../src/mongo/builtin.ts';
import { createTestDisk } from '../embedded/support/disk.ts';
import { type Lines, lineLog } from '../support/line-log.ts';
import { startProcess } from '../support/process.ts';

const PROGRAM = 'dist/src/embedded/main.js';
const folder = mkdtempSync(join(tmpdir(), 'runcash-builtin-'));
const started: BuiltinMongo[] = [];
afterEach(async () => {
  for (const mongo of started.splice(0)) await mongo.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(
  dataDir: string | null,
  { port = 0, program = PROGRAM, lines }: { port?: number; program?: string; lines?: Lines } = {},
): Promise<{ mongo: BuiltinMongo; lines: Lines }> {
  lines ??= lineLog();
  const mongo = await startBuiltin({ program, port, dataDir, maxMb: 0, log: lines.log });
  started.push(mongo);
  expect(await lines.next('mongo_started')).toMatchObject({ uri: mongo.uri, mongoPid: mongo.pid() });
  return { mongo, lines };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    // ESRCH: there is no such process any more.
    return false;
  }
};

async function numbersIn(uri: string): Promise<number> {
  const client = new MongoClient(uri);
  try {
    return await client.db('runcash').collection('roleta_numeros').countDocuments();
  } finally {
    await client.close();
  }
}

async function insert(uri: string, count: number): Promise<void> {
  const client = new MongoClient(uri, { writeConcern: { w: 'majority' } });
  try {
    const documents = Array.from({ length: count }, (_, numero) => ({ numero }));
    await client.db('runcash').collection('roleta_numeros').insertMany(documents);
  } finally {
    await client.close();
  }
}

describe('the built-in MongoDB', () => {
  it('runs as a process of its own, and ends with stop', async () => {
    const { mongo } = await start(null);
    const pid = mongo.pid() ?? 0;
    expect(pid).not.toBe(process.pid);
    await insert(mongo.uri, 3);
    expect(await numbersIn(mongo.uri)).toBe(3);
    await mongo.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('is started again on the same port and data when it is killed, and has everything acknowledged', async () => {
    const { mongo, lines } = await start(join(folder, 'killed'));
    const first = mongo.pid() ?? 0;
    await insert(mongo.uri, 100);
    process.kill(first, 'SIGKILL');
    expect(await lines.next('mongo_ended')).toMatchObject({ words: expect.stringContaining('was ended by SIGKILL') });
    expect(await lines.next('mongo_started')).toMatchObject({ uri: mongo.uri });
    expect(mongo.pid()).not.toBe(first);
    expect(await numbersIn(mongo.uri)).toBe(100);
  });

  it('says that data in memory is gone when it is killed', async () => {
    const { mongo, lines } = await start(null);
    process.kill(mongo.pid() ?? 0, 'SIGKILL');
    expect(await lines.next('mongo_ended')).toMatchObject({
      words: expect.stringContaining('in memory only and is gone'),
    });
    await lines.next('mongo_started');
    expect(await numbersIn(mongo.uri)).toBe(0);
  });

  it('is not started again by a stop that comes while it is down', async () => {
    const { mongo, lines } = await start(null);
    process.kill(mongo.pid() ?? 0, 'SIGKILL');
    await lines.next('mongo_ended');
    await mongo.stop();
    expect(isAlive(mongo.pid() ?? 0)).toBe(false);
  });

  it('rejects with the reason of the system when its port is taken', async () => {
    const { mongo } = await start(null);
    const port = Number(new URL(mongo.uri).port);
    await expect(start(null, { port })).rejects.toMatchObject({ name: 'BuiltinStartError', code: 'EADDRINUSE' });
  });

  it('rejects in words when its program cannot be run', async () => {
    await expect(start(null, { program: '/nowhere/main.js' })).rejects.toThrow(BuiltinStartError);
    await expect(start(null, { program: '/nowhere/main.js' })).rejects.toThrow(/Cannot find module/);
  });

  it('waits for a folder whose server is about to end', async () => {
    const data = join(folder, 'handed-on');
    const first = await start(data);
    await insert(first.mongo.uri, 5);
    const lines = lineLog();
    const second = start(data, { lines });
    expect(await lines.next('mongo_report')).toMatchObject({ words: expect.stringContaining('in use by another') });
    await first.mongo.stop();
    expect(await numbersIn((await second).mongo.uri)).toBe(5);
  });
});

describe('the service on the built-in MongoDB', () => {
  it('takes its MongoDB with it when it is killed, and the next one goes on with the data', async () => {
    const env = {
      PORT: '0',
      MONGODB_URI: '',
      MONGO: 'builtin',
      EMBEDDED_PORT: '0',
      EMBEDDED_DATA_DIR: join(folder, 'service'),
    };
    const first = startProcess('src/main.js', [], { ...env, DRAIN_SECONDS: '0' });
    const url = (await first.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
    await first.line(/"event":"ready"/);
    const uri = (await first.line(/mongosh \\"(mongodb:[^"\\]+)/))[1] ?? '';
    const posted = await fetch(`${url}/api/v1/numbers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ roleta_id: '2010165', numero: 7 }),
    });
    expect(posted.status).toBe(201);
    await first.end('SIGKILL');
    await expect.poll(() => numbersIn(`${uri}&serverSelectionTimeoutMS=100`).catch(() => 'gone')).toBe('gone');
    const second = startProcess('src/main.js', [], { ...env, DRAIN_SECONDS: '0' });
    const again = (await second.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
    await second.line(/"event":"ready"/);
    const numbers = await (await fetch(`${again}/api/v1/tables/2010165/numbers`)).json();
    expect(JSON.stringify(numbers)).toContain('"numero":7');
    expect(await second.end()).toBe(0);
  });

  it('refuses posts in words when its MongoDB holds what it may, and says so wherever an operator looks', async () => {
    const live = startProcess('src/main.js', [], {
      PORT: '0',
      MONGODB_URI: '',
      MONGO: 'builtin',
      EMBEDDED_PORT: '0',
      EMBEDDED_DATA_DIR: '',
      EMBEDDED_MAX_MB: '4',
      INGEST_PER_SECOND: '0',
      DRAIN_SECONDS: '0',
    });
    const url = (await live.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
    await live.line(/"event":"mongo_memory".*"limitMb":4/);
    await live.line(/"event":"ready"/);
    const number = { roleta_id: '2010165', roleta_nome: 'N'.repeat(190), numero: 7 };
    const post = (body: unknown): Promise<Response> =>
      fetch(`${url}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    let answer = await post(number);
    for (; answer.status === 201; answer = await post(number)) await post(Array.from({ length: 500 }, () => number));
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'database_unavailable' });
    const text = async (path: string): Promise<string> => await (await fetch(`${url}${path}`)).text();
    const words = 'The built-in MongoDB refuses inserts: it holds all 4 MB that it may (EMBEDDED_MAX_MB).';
    await live.line(/"event":"alert_firing","alert":"database_full"/);
    expect(JSON.parse(await text('/readyz'))).toEqual({ status: 'ready', reasons: [words] });
    expect(JSON.parse(await text('/status'))).toMatchObject({
      state: 'degraded',
      reasons: [words],
      builtin_mongo: { limitBytes: 4 * 2 ** 20, heldBytes: expect.any(Number), diskFailure: null },
    });
    expect(await text('/metrics')).toMatch(/^runcash_builtin_mongo_refusing 1$/m);
    expect((await fetch(`${url}/api/v1/tables/2010165/numbers`)).status).toBe(200);
    expect(await live.end()).toBe(0);
  });

  it('answers 504 to the post that meets a full disk and 503 to the next, and stores neither twice when repeated', async () => {
    const files = createTestDisk();
    const mongo = await startEmbeddedMongo({ dataDir: join(folder, 'full'), files, report: () => undefined });
    const live = startProcess('src/main.js', [], { PORT: '0', MONGODB_URI: mongo.uri, DRAIN_SECONDS: '0' });
    const url = (await live.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
    await live.line(/"event":"ready"/);
    const post = async (key: string, numero: number) => {
      const answer = await fetch(`${url}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ roleta_id: '2010165', numero }),
      });
      return { status: answer.status, body: await answer.json() };
    };
    expect(await post('before', 1)).toMatchObject({ status: 201 });
    files.failWrites('ENOSPC');
    expect(await post('meets', 2)).toMatchObject({ status: 504, body: { code: 'write_unknown' } });
    expect(await post('next', 3)).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
    expect((await fetch(`${url}/api/v1/tables/2010165/numbers`)).status).toBe(200);
    files.failWrites(undefined);
    await expect.poll(async () => (await post('next', 3)).status, { timeout: 20_000, interval: 100 }).toBe(201);
    for (const [key, numero] of [
      ['before', 1],
      ['meets', 2],
      ['next', 3],
    ] as const) {
      expect(await post(key, numero)).toMatchObject({ status: 200, body: { status: 'duplicate' } });
    }
    expect(await numbersIn(mongo.uri)).toBe(3);
    expect(await live.end()).toBe(0);
    await mongo.stop();
  });

  it('serves on when its MongoDB is killed, and loses nothing that was acknowledged', async () => {
    const live = startProcess('src/main.js', [], {
      PORT: '0',
      MONGODB_URI: '',
      MONGO: 'builtin',
      EMBEDDED_PORT: '0',
      EMBEDDED_DATA_DIR: join(folder, 'crash'),
      DRAIN_SECONDS: '0',
    });
    const url = (await live.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
    await live.line(/"event":"ready"/);
    const pid = Number((await live.line(/"mongoPid":(\d+)/))[1]);
    const post = async (numero: number): Promise<boolean> => {
      const answer = await fetch(`${url}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': `n-${numero}` },
        body: JSON.stringify({ roleta_id: '2010165', numero: numero % 37 }),
      });
      return answer.ok;
    };
    for (let numero = 0; numero < 20; numero++) expect(await post(numero)).toBe(true);
    process.kill(pid, 'SIGKILL');
    await live.line(new RegExp(`"mongoPid":(?!${pid})`));
    await expect.poll(() => post(20), { timeout: 20_000, interval: 100 }).toBe(true);
    const answer = await (await fetch(`${url}/api/v1/tables/2010165/numbers?limit=100`)).text();
    expect(answer.match(/"numero":/g)).toHaveLength(21);
    expect(await live.end()).toBe(0);
  });
});
