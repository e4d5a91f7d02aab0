import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildPage } from '../../src/dashboard/build.mjs';
import { blocksOf } from '../docs/blocks.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-migration-'));
/** Each block begins with the name of its file. */
const programs = new Map(
  blocksOf(readFileSync('src/legacy/MIGRATION.md', 'utf8'))
    .filter(({ language }) => language === 'js')
    .map(({ text }) => [/^\/\/ (\S+\.js)\n/.exec(text)?.[1] ?? '', text]),
);

let mongo: TestMongo;
let live: Awaited<ReturnType<typeof startRuncashProcess>>;
let child: ChildProcess | null = null;

beforeAll(async () => {
  await buildPage(folder);
  mongo = await startMongo();
  live = await startRuncashProcess(mongo.uri, freshDatabase(), { SOCKETIO: 'true' });
  await post('numbers', { numero: 32 });
});
afterEach(() => {
  child?.kill('SIGKILL');
  child = null;
});
afterAll(async () => {
  await live.end();
  await mongo.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function post(what: 'numbers' | 'strategies', fields: Record<string, unknown>): Promise<void> {
  const answer = await fetch(`${live.url}/api/v1/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ roleta_id: '2010165', roleta_nome: 'Roulette', ...fields }),
  });
  expect(answer.status).toBe(201);
}

/** Runs a program of the document with the project's packages, the built client library and this service. */
function run(name: string): { readonly output: () => string } {
  const text = (programs.get(name) ?? '')
    .replaceAll('http://127.0.0.1:5000/client.js', pathToFileURL(join(folder, 'client.js')).href)
    .replaceAll('http://127.0.0.1:5000', live.url);
  const started = spawn(process.execPath, ['--experimental-eventsource', '--input-type=module', '--eval', text], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = started;
  let output = '';
  for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  return { output: () => output };
}

const WAIT = { timeout: 15_000 };

describe('MIGRATION.md', () => {
  it('has a program before and after for each way', () => {
    const ways = ['socketio', 'sse', 'rest'].flatMap((way) => [`before-${way}.js`, `after-${way}.js`]);
    expect([...programs.keys()]).toEqual([...ways, 'positions.js']);
  });

  it.each([...programs])('%s can be read', (name, text) => {
    const file = join(folder, name.replace('.js', '.mjs'));
    writeFileSync(file, text);
    expect(spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' }).stderr).toBe('');
  });

  it.each([['before-socketio.js'], ['after-socketio.js']])('%s shows history, numbers and strategies', async (name) => {
    const { output } = run(name);
    await expect.poll(output, WAIT).toMatch(/^last \[.*32/m);
    await post('numbers', { numero: 0 });
    await expect.poll(output, WAIT).toMatch(/^new Roulette 0 verde$/m);
    const wins = name.length;
    await post('strategies', {
      estado: 'TRIGGER',
      numero_gatilho: 7,
      vitorias: wins,
      sugestao_display: 'APOSTAR EM: 7',
    });
    await expect.poll(output, WAIT).toMatch(/^strategy TRIGGER APOSTAR EM: 7$/m);
  });

  it.each([
    ['before-sse.js', 31],
    ['after-sse.js', 36],
  ])('%s draws each table, and again what changes', async (name, numero) => {
    const { output } = run(name);
    await expect.poll(output, WAIT).toMatch(/^card Roulette \d+$/m);
    await post('numbers', { numero });
    await expect.poll(output, WAIT).toMatch(new RegExp(`^card Roulette ${numero}$`, 'm'));
  });

  it.each([
    ['before-rest.js', 35],
    ['after-rest.js', 34],
  ])('%s shows a number that comes', async (name, numero) => {
    const { output } = run(name);
    if (name.startsWith('before')) await expect.poll(output, WAIT).toMatch(/^new Roulette /m);
    // Until the subscription stands, a number is part of what was there before.
    const ticker = setInterval(() => void post('numbers', { numero }), 250);
    await expect
      .poll(output, WAIT)
      .toMatch(new RegExp(`^new Roulette ${numero} `, 'm'))
      .finally(() => clearInterval(ticker));
  });

  it('positions.js shows numbers', async () => {
    const { output } = run('positions.js');
    const ticker = setInterval(() => void post('numbers', { numero: 33 }), 250);
    await expect
      .poll(output, WAIT)
      .toMatch(/^new Roulette 33 preto$/m)
      .finally(() => clearInterval(ticker));
  });
});
