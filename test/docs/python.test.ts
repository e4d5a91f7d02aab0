import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectWebsocket } from '../support/inbox.ts';
import { blocksOf } from './blocks.ts';
import { type Stage, startStage } from './stage.ts';

/** The Python to run the documents' examples with; they are run where there is one. */
const PYTHON = process.env['TEST_PYTHON'] ?? 'python3';
const runs = (code: string): boolean => spawnSync(PYTHON, ['-c', code]).status === 0;
const hasPython = runs('');
const hasPymongo = hasPython && runs('import pymongo');

const folder = mkdtempSync(join(tmpdir(), 'runcash-python-'));
/** Each block begins with the name of its file. */
const files = blocksOf(readFileSync('src/protocol/INGEST.md', 'utf8'))
  .filter(({ language }) => language === 'python')
  .map(({ text }) => ({ name: /^# (\S+\.py)\n/.exec(text)?.[1] ?? '', text }));

const KEY = 'scraper:0123456789abcdef0123';
let stage: Stage;
beforeAll(async () => {
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
  stage = await startStage({ INGEST_KEYS: KEY });
});
afterAll(async () => {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function python(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(PYTHON, args, {
    cwd: folder,
    env: {
      ...process.env,
      RUNCASH_URL: stage.url,
      RUNCASH_KEY: KEY,
      MONGODB_URI: stage.mongoUri,
      MONGODB_DB_NAME: stage.database,
      ...environment,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const [code]: unknown[] = await once(child, 'close');
  return { code, output };
}

/** A service before the real one that spoils the first requests, as a network or a restart does. */
async function startSpoiler(): Promise<{ server: Server; url: string; keys: string[] }> {
  const keys: string[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(Buffer.from(part));
    keys.push(String(request.headers['idempotency-key']));
    if (keys.length === 1) {
      response.writeHead(503, { 'retry-after': '0' }).end('{}');
      return;
    }
    const answer = await fetch(`${stage.url}${request.url}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: String(request.headers.authorization),
        'idempotency-key': String(request.headers['idempotency-key']),
      },
      body: Buffer.concat(parts),
    });
    const text = await answer.text();
    // Stored, but the answer is lost.
    if (keys.length === 2) request.socket.destroy();
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, url: `http://127.0.0.1:${address.port}`, keys };
}

const numbersOf = async (table: string): Promise<readonly Record<string, unknown>[]> => {
  const page = await stage.get(`/api/v1/tables/${table}/numbers?limit=100`);
  const data: unknown = Reflect.get(Object(page), 'numeros') ?? Reflect.get(Object(page), 'data');
  if (!Array.isArray(data)) throw new Error(`no page of numbers: ${JSON.stringify(page)}`);
  return data;
};

describe("the guide's Python", () => {
  it('is three files, each named in its first line', () => {
    expect(files.map(({ name }) => name)).toEqual(['insert.py', 'post.py', 'simulate.py']);
  });
});

describe.runIf(hasPython)("the guide's Python, run against a real service", () => {
  it('posts a number that is read back over HTTP, zero included', async () => {
    const { code, output } = await python(['post.py']);
    expect([code, output]).toEqual([0, expect.stringContaining("'status': 'created'")]);
    expect(await numbersOf('2010165')).toMatchObject([{ numero: 0, cor: 'verde' }]);
  });

  it('repeats with the same key until it is stored, and stores it once', async () => {
    const spoiler = await startSpoiler();
    const body = '{"roleta_id": "2010097", "roleta_nome": "VIP Roulette", "numero": 36}';
    const script = `from post import post; print(post("/api/v1/numbers", ${body}))`;
    const { code, output } = await python(['-c', script], { RUNCASH_URL: spoiler.url });
    spoiler.server.close();
    expect([code, output]).toEqual([0, expect.stringContaining("'status': 'duplicate'")]);
    expect(spoiler.keys).toHaveLength(3);
    expect(new Set(spoiler.keys).size).toBe(1);
    expect(await numbersOf('2010097')).toMatchObject([{ numero: 36 }]);
  });

  it('gives up at once where repeating does not help', async () => {
    const { code, output } = await python(['post.py'], { RUNCASH_KEY: 'wrong' });
    expect([code, output]).toEqual([1, expect.stringContaining('401')]);
    const never = `from post import post; post("/api/v1/numbers", {}, give_up_after=0)`;
    const away = await python(['-c', never], { RUNCASH_URL: 'http://127.0.0.1:1' });
    expect([away.code, away.output]).toEqual([1, expect.stringContaining('refused')]);
  });

  it('plays a croupier whose numbers and strategies are delivered', async () => {
    const socket = await connectWebsocket(`127.0.0.1:${stage.port}`);
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await socket.next('subscribed');
    const { code, output } = await python(['simulate.py', '6', '0']);
    expect([code, output.trim().split('\n')]).toEqual([0, expect.objectContaining({ length: 6 })]);
    for (let spin = 0; spin < 6; spin += 1) {
      const number = await socket.next('new_number');
      const strategy = await socket.next('strategy_update');
      expect(strategy).toMatchObject({
        estado: 'TRIGGER',
        roleta_id: number['roleta_id'],
        numero_gatilho: number['numero'],
      });
    }
    socket.socket.terminate();
  });
});

describe.runIf(hasPymongo)("the guide's pymongo, run against a real service", () => {
  it('inserts a number that is delivered', async () => {
    const socket = await connectWebsocket(`127.0.0.1:${stage.port}`);
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165'] });
    await socket.next('subscribed');
    const { code, output } = await python(['insert.py']);
    expect([code, output]).toEqual([0, expect.stringMatching(/^[0-9a-f]{24}\n$/)]);
    expect(await socket.next('new_number')).toMatchObject({ id: output.trim(), numero: 0, cor: 'verde' });
    socket.socket.terminate();
  });
});
