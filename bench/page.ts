import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Collection, MongoClient } from 'mongodb';
import { type Browser, chromium, type Page } from 'playwright-core';
import { startRuncash } from '../src/app/start.ts';
import { loadConfig } from '../src/config/load.ts';
import { logTo } from '../src/log/log.ts';
import { freshDatabase, startMongo } from './harness/mongo.ts';
import type { Bench, Outcome, Sample, Settings } from './harness/outcome.ts';
import { rowsOf } from './harness/outcome.ts';

/** Whether the page keeps its frames while numbers come fast, how soon it shows many tables, and what its heap does. */

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
const VARIANT = 'runcash-live';
const FLOW = '39 tables, 50 events/s';
const MANY = '300 tables';
const PER_SECOND = 50;
/** A frame that takes longer is seen. */
const LATE_MS = 32;
const FIRST_ID = 2_500_000;

const WATCH_FRAMES = `{
  window.frameTimes = [];
  let before = performance.now();
  const next = (now) => {
    frameTimes.push(now - before);
    before = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}`;

interface Stage {
  readonly url: string;
  readonly numbers: Collection;
  stop(): Promise<void>;
}

const numberOf = (table: number, numero: number) => ({
  roleta_id: String(FIRST_ID + table),
  roleta_nome: `Mesa ${table}`,
  numero: numero % 37,
  timestamp: new Date(),
});

async function openStage(mongoUri: string | null, tables: number): Promise<Stage> {
  const mongo = await startMongo(mongoUri);
  const database = freshDatabase();
  const client = new MongoClient(mongo.uri);
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority' } });
  const past = Array.from({ length: 20 * tables }, (_, at) => ({
    ...numberOf(at % tables, at * 7),
    timestamp: new Date(Date.now() - (20 * tables - at) * 1000),
  }));
  await numbers.insertMany(past);
  const { config } = loadConfig({ PORT: '0', MONGODB_DB_NAME: database, DRAIN_SECONDS: '0' });
  const live = await startRuncash({
    config,
    mongoUri: mongo.uri,
    version: '0',
    log: { ...logTo(() => undefined) },
    pageFolder: 'dist/page',
    worker: null,
  });
  await live.ready;
  return {
    url: `http://127.0.0.1:${live.port}`,
    numbers,
    async stop() {
      await live.stop(0);
      await client.close();
      await mongo.stop();
    },
  };
}

/** Bytes of the page's heap after a collection, in MB. */
async function heapMb(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 1_048_576;
}

async function flow(browser: Browser, { url, numbers }: Stage, seconds: number): Promise<Record<string, number>> {
  const page = await browser.newPage();
  await page.goto(`${url}/#/?ver=cartoes`);
  await page.waitForSelector('.card >> nth=38');
  const before = await heapMb(page);
  await page.evaluate(WATCH_FRAMES);
  const writes: Promise<unknown>[] = [];
  for (let at = 0; at < seconds * PER_SECOND; at += 1) {
    writes.push(numbers.insertOne(numberOf(at % 39, at)));
    await sleep(1000 / PER_SECOND);
  }
  await Promise.all(writes);
  const frames = (await page.evaluate<number[]>('frameTimes')).sort((a, b) => a - b);
  const after = await heapMb(page);
  await page.close();
  const total = frames.reduce((sum, ms) => sum + ms, 0);
  return {
    frames_per_s: (1000 * frames.length) / total,
    frame_p99_ms: frames[Math.floor(frames.length * 0.99)] ?? Number.NaN,
    frame_max_ms: frames.at(-1) ?? Number.NaN,
    late_frames: frames.filter((ms) => ms > LATE_MS).length,
    heap_before_mb: before,
    heap_after_mb: after,
  };
}

async function manyTables(browser: Browser, { url }: Stage): Promise<Record<string, number>> {
  const page = await browser.newPage();
  const startMs = performance.now();
  await page.goto(`${url}/#/?ver=cartoes`);
  await page.waitForSelector('.card >> nth=299');
  const shown = performance.now() - startMs;
  await page.close();
  return { shown_ms: shown };
}

async function run({ smoke, rounds, mongoUri, say }: Settings): Promise<Outcome> {
  const seconds = smoke ? 2 : 20;
  const parameters = { seconds, rate: PER_SECOND };
  const none = { parameters, mongo: mongoUri ?? 'built-in', goals: [], charts: [] };
  if (!existsSync(CHROMIUM)) {
    const sample = { variant: VARIANT, setting: FLOW, round: 1, figures: {}, lost: 0, repeated: 0, disordered: 0 };
    return { ...none, samples: [sample], leftOut: ['all of it: no Chromium here; CHROMIUM_PATH names one'] };
  }
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  const samples: Sample[] = [];
  for (let round = 1; round <= (rounds ?? (smoke ? 1 : 3)); round += 1) {
    for (const [setting, tables] of [
      [FLOW, 39],
      [MANY, 300],
    ] as const) {
      say(`round ${round}: ${setting}`);
      const stage = await openStage(mongoUri, tables);
      const figures = setting === FLOW ? await flow(browser, stage, seconds) : await manyTables(browser, stage);
      samples.push({ variant: VARIANT, setting, round, figures, lost: 0, repeated: 0, disordered: 0 });
      await stage.stop();
    }
  }
  await browser.close();
  const medians = new Map(rowsOf(samples).flatMap(({ figures }) => Object.entries(figures)));
  const goal = (words: string, name: string, way: '<=' | '>=', limit: number) => ({
    words,
    value: medians.get(name)?.median ?? null,
    way,
    limit,
  });
  return {
    ...none,
    samples,
    goals: [
      goal('frames per second', 'frames_per_s', '>=', 50),
      goal('99 of 100 frames, ms', 'frame_p99_ms', '<=', LATE_MS),
      goal('300 tables shown, ms', 'shown_ms', '<=', 1500),
    ],
    leftOut: [],
  };
}

export const page: Bench = { name: 'page', question: 'Does the page keep its frames while numbers come fast?', run };
