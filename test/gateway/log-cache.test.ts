import { type ChildProcess, spawn } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { blocksOf } from '../docs/blocks.ts';
import { programNamed } from '../docs/programs.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';

const TABLE = '2010165';
/** More than the 1,024 up to which nginx counts them. */
const READERS = 1_100;
const nginx = programNamed('TEST_NGINX', 'nginx');
const site = blocksOf(readFileSync('src/ops/README.md', 'utf8')).find(({ text }) => text.includes('proxy_cache_lock'));
const eventsShape = z.array(z.looseObject({ id: z.string() }));
const stateShape = z.looseObject({ epoch: z.string(), position: z.string() });

const folder = mkdtempSync(join(tmpdir(), 'runcash-log-cache-'));
const database = freshDatabase();
let mongo: TestMongo;
let client: MongoClient;
let runcash: Awaited<ReturnType<typeof startRuncashProcess>>;
let runcashPort = 0;
let cachePort = 0;
let cache: ChildProcess | null = null;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const startRuncash = () =>
  startRuncashProcess(mongo.uri, database, {
    PORT: String(runcashPort),
    TRUSTED_PROXIES: '127.0.0.1',
    READS_PER_SECOND_PER_ADDRESS: '0',
  });

/** nginx with the guide's block, without TLS; resolves when it answers. */
async function startCache(program: string): Promise<void> {
  const own = (site?.text ?? '')
    .replace('127.0.0.1:5000', `127.0.0.1:${runcashPort}`)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${cachePort} backlog=4096;`)
    .replace('/var/cache/nginx/runcash', join(folder, 'cache'))
    .replace(/^ *ssl_.*\n/gm, '');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const file = join(folder, 'nginx.conf');
  const main = `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr; worker_rlimit_nofile 8192; events { worker_connections 4096; }`;
  writeFileSync(file, `${main}\nhttp {\naccess_log off; ${paths.join(' ')}\n${own}\n}\n`);
  cache = spawn(program, ['-c', file, '-p', folder, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'inherit'] });
  await expect
    .poll(
      () =>
        fetch(`http://127.0.0.1:${cachePort}/api/v1/log/none`).then(
          ({ status }) => status,
          () => 0,
        ),
      {
        timeout: 15_000,
      },
    )
    .toBe(404);
}

async function killCache(): Promise<void> {
  if (cache === null) return;
  const ended = once(cache, 'exit');
  cache.kill('SIGKILL');
  await ended;
}

beforeAll(async () => {
  mongo = await startMongo();
  client = await new MongoClient(mongo.uri).connect();
  runcashPort = await freePort();
  cachePort = await freePort();
});
afterAll(async () => {
  await killCache();
  await runcash.end();
  await client.close();
  await mongo.stop();
  rmSync(folder, { recursive: true, force: true });
});

const written: string[] = [];
async function insert(count: number): Promise<void> {
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  for (let n = 0; n < count; n++) {
    const document = { roleta_id: TABLE, roleta_nome: 'Roulette', numero: n % 37, timestamp: new Date() };
    written.push((await numbers.insertOne(document)).insertedId.toHexString());
  }
}

/** Reads the log by long-polling until it is told to end; goes on after every error from where it was. */
async function follow(offset: string, received: string[], ending: AbortSignal): Promise<void> {
  let [at, cursor] = [offset, ''];
  while (!ending.aborted) {
    try {
      const query = new URLSearchParams({ offset: at, live: 'long-poll', ...(cursor === '' ? {} : { cursor }) });
      const address = `http://127.0.0.1:${cachePort}/api/v1/log/roulette:${TABLE}?${query}`;
      const response = await fetch(address, { signal: ending });
      if (response.status !== 200 && response.status !== 204) throw new Error(`answered ${response.status}`);
      const events = response.status === 204 ? [] : eventsShape.parse(await response.json());
      received.push(...events.map(({ id }) => id));
      at = response.headers.get('stream-next-offset') ?? at;
      cursor = response.headers.get('stream-cursor') ?? '';
    } catch {
      // Killed, cut or not back yet: a reader comes back a little later, each at its own time.
      await sleep(100 + Math.random() * 400);
    }
  }
}

/** Requests of the log that reached the service in this life. */
async function asked(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${runcashPort}/metrics`)).text();
  const counts = [
    ...text.matchAll(/^runcash_http_requests_total\{[^}]*route="\/api\/v1\/log\/:topic"[^}]*\} (\d+)$/gm),
  ];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

describe.skipIf(nginx === null)('the log behind a cache', () => {
  it('costs the service one request for each event, and reaches every reader exactly once through kills', async () => {
    await (async () => {
      runcash = await startRuncash();
      await insert(1);
      await expect
        .poll(async () => (await fetch(`${runcash.url}/api/v1/tables/${TABLE}`)).status, { timeout: 15_000 })
        .toBe(200);
      await startCache(nginx ?? '');
    })();
    const state = stateShape.parse(await (await fetch(`${runcash.url}/api/v1/tables/${TABLE}`)).json());
    written.length = 0;
    const ending = new AbortController();
    setMaxListeners(0, ending.signal);
    const lists = Array.from({ length: READERS }, (): string[] => []);
    const readers = lists.map((list) => follow(`${state.epoch}.${state.position}`, list, ending.signal));
    const isRead = (): boolean => lists.every((list) => list.length >= written.length);
    await expect.poll(asked, { timeout: 20_000 }).toBeGreaterThan(0);
    const before = await asked();
    const calm = 20;
    for (let n = 0; n < calm; n++) {
      const at = await asked();
      await insert(1);
      // The next event only once all have this one, and it is waited for.
      await expect.poll(isRead, { timeout: 20_000 }).toBe(true);
      await expect.poll(asked, { timeout: 20_000 }).toBeGreaterThan(at);
    }
    expect((await asked()) - before).toBeLessThanOrEqual(calm * 1.05);
    await runcash.end('SIGKILL');
    await insert(5);
    runcash = await startRuncash();
    await insert(5);
    await killCache();
    await insert(5);
    await startCache(nginx ?? '');
    await insert(5);
    await expect.poll(isRead, { timeout: 60_000 }).toBe(true);
    ending.abort();
    await Promise.all(readers);
    for (const list of lists) expect(list).toEqual(written);
  }, 180_000);
});
