import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { isFields } from '../../src/client/read.ts';
import { buildPage } from '../../src/dashboard/build.mjs';
import type { StatusHistory } from '../../src/gateway/http/schemas.ts';
import { createFakeFeed, type FakeFeed } from '../client/fake-feed.ts';
import { type FakeHttpServer, type ServedFile, startFakeHttp } from '../client/fake-http.ts';

/** The system's Chromium; other places can be named in CHROMIUM_PATH. */
export const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Whether there is a page for the real service to serve. */
export const isBuilt = existsSync(root('dist/page/page.js'));

/** Screenshots are kept here, for people to look at. */
const ARTIFACTS = root('artifacts/page');

export interface RealTable {
  readonly id: string;
  readonly nome: string;
}

export interface RecordedNumber {
  readonly roleta_id: string;
  readonly numero: number;
}

/** One JSON document per line, in an array, as the recorded data files are. */
async function recorded(name: string): Promise<readonly Record<string, unknown>[]> {
  const list: unknown = JSON.parse(await readFile(root(`test/data/${name}`), 'utf8'));
  if (!Array.isArray(list)) throw new TypeError(`${name} is no list`);
  return list.filter(isFields);
}

export async function realTables(): Promise<readonly RealTable[]> {
  const tables = await recorded('tables.json');
  return tables.map((each) => ({ id: String(each['roleta_id']), nome: String(each['roleta_nome']) }));
}

export async function realNumbers(): Promise<readonly RecordedNumber[]> {
  const numbers = await recorded('numbers-2025-04-11.json');
  return numbers.map((each) => ({ roleta_id: String(each['roleta_id']), numero: Number(each['numero']) }));
}

export interface Theatre {
  readonly feed: FakeFeed;
  readonly server: FakeHttpServer;
  readonly files: ReadonlyMap<string, ServedFile>;
  open(options?: OpenOptions): Promise<{ page: Page; context: BrowserContext; problems: string[] }>;
  /** Keeps a picture of the page as it is. */
  picture(page: Page, name: string): Promise<void>;
  stop(): Promise<void>;
}

export interface OpenOptions {
  /** Another server than the theatre's own. */
  readonly url?: string;
  readonly path?: string;
  readonly locale?: string;
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly reducedMotion?: boolean;
  readonly forcedColors?: boolean;
  /** Run before the page's own scripts. */
  readonly script?: string;
}

/** Starts the system's browser with a profile of its own. */
export async function launchChromium(): Promise<{ browser: Browser; close(): Promise<void> }> {
  const profile = await mkdtemp(join(tmpdir(), 'runcash-browser-'));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
  return {
    browser,
    async close() {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** What a server remembers of its last hour: samples of ten seconds, one alert that ended and one that holds. */
function pastHour(now: number): StatusHistory {
  const at = (minutesAgo: number): string => new Date(now - minutesAgo * 60_000).toISOString();
  const silent = { alert: 'table_silent', severity: 'warning', remedy: 'Check the scraper.' } as const;
  return {
    samples: Array.from({ length: 360 }, (_, step) => ({
      at: at((359 - step) / 6),
      lag_ms: 5 + (step % 40),
      events_per_second: 1 + Math.sin(step / 30),
      connections: 100 + step,
      recovery_seconds: 600,
      memory_bytes: 90 * 1_048_576,
    })),
    alerts: [
      { ...silent, key: 'table_silent 2010165', since: at(2), until: null, summary: 'Table 2010165 is silent.' },
      { ...silent, key: 'table_silent 9999', since: at(50), until: at(40), summary: 'Table 9999 was silent.' },
    ],
  };
}

/** Builds the page, serves it with a fake feed of the 39 recorded tables, and opens it in the system's browser. */
export async function openTheatre(): Promise<Theatre> {
  const folder = await mkdtemp(join(tmpdir(), 'runcash-page-'));
  await buildPage(folder);
  const file = async (name: string, type: string): Promise<ServedFile> => [type, await readFile(join(folder, name))];
  const files = new Map<string, ServedFile>([
    ['/', await file('index.html', 'text/html; charset=utf-8')],
    ['/page.js', await file('page.js', 'text/javascript; charset=utf-8')],
    ['/page.css', await file('page.css', 'text/css; charset=utf-8')],
    ['/client.js', await file('client.js', 'text/javascript; charset=utf-8')],
    // What the store knows of the past of the table that is looked at.
    ['/api/v1/tables/2010165/strategies', ['application/json', JSON.stringify({ estrategias: [] })]],
    ['/api/v1/clients', ['application/json', JSON.stringify({ clients: [], next: null })]],
    ['/api/v1/denials', ['application/json', JSON.stringify({ denials: [] })]],
    ['/api/v1/status/history', ['application/json', JSON.stringify(pastHour(Date.now()))]],
  ]);
  const feed = createFakeFeed(Date.now, await realTables());
  const server = await startFakeHttp(feed, files, () => ({
    service: 'runcash-live',
    version: '0.1.0',
    state: 'live',
    ready: true,
    reasons: [],
    database: 'ok',
    tables: feed.tables.size,
    timestamp: new Date().toISOString(),
    feed: {
      phase: 'live',
      lagMs: 7,
      epoch: feed.epoch,
      position: feed.delivered,
      ring: { events: feed.ring.length, bytes: feed.ring.length * 300, seconds: 600 },
      published: { new_number: feed.ring.length, strategy_update: 12 },
      skipped: { bad_number: 2 },
      lastSkipped: [
        { reason: 'bad_number', id: '67449f0a', ns: 'runcash.roleta_numeros', at: new Date().toISOString() },
      ],
      late: [{ roleta_id: '2010165', offset_ms: 10_800_000 }],
    },
    open: server.opened,
  }));
  const { browser, close } = await launchChromium();
  await mkdir(ARTIFACTS, { recursive: true });

  return {
    feed,
    server,
    files,
    async open({
      url = server.url,
      path = '/',
      locale = 'pt-BR',
      width = 1280,
      height = 800,
      dark = true,
      reducedMotion = false,
      forcedColors = false,
      script = '',
    } = {}) {
      const context = await browser.newContext({
        locale,
        viewport: { width, height },
        colorScheme: dark ? 'dark' : 'light',
        reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
        forcedColors: forcedColors ? 'active' : 'none',
        timezoneId: 'America/Sao_Paulo',
      });
      if (script !== '') await context.addInitScript(script);
      const page = await context.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await page.goto(url + path);
      return { page, context, problems };
    },
    async picture(page, name) {
      await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
    },
    async stop() {
      await close();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A theatre with a plausible evening for the tests of a group: opened before the first, stopped after the last. */
export function eveningTheatre(): Theatre {
  let opened: Theatre | null = null;
  const now = (): Theatre => {
    if (opened === null) throw new Error('the theatre is closed');
    return opened;
  };
  beforeAll(async () => {
    opened = await openTheatre();
    await fillWithEvening(opened.feed);
  });
  afterAll(async () => {
    await opened?.stop();
  });
  return {
    get feed() {
      return now().feed;
    },
    get server() {
      return now().server;
    },
    get files() {
      return now().files;
    },
    open: (options) => now().open(options),
    picture: (page, name) => now().picture(page, name),
    stop: () => now().stop(),
  };
}

/** Fills every table with a plausible evening: recorded numbers, some strategies, one suspect repetition. */
export async function fillWithEvening(feed: FakeFeed): Promise<void> {
  const numbers = await realNumbers();
  const now = Date.now();
  let turn = 0;
  for (const id of feed.tables.keys()) {
    turn += 1;
    const length = turn % 5 === 0 ? 9 : 200;
    const list = Array.from({ length }, (_, at) => numbers[(at * 7 + turn * 13) % numbers.length]?.numero ?? 0);
    feed.past(id, list);
  }
  [...feed.tables.keys()].forEach((id, at) => {
    const table = feed.tables.get(id);
    const shift = 40_000 - ((at * 7919) % 75_000) - (at === 11 ? 420_000 : at === 23 ? 150_000 : 0);
    if (table) {
      table.numeros = table.numeros.map((item) => ({
        ...item,
        timestamp: new Date(Math.min(now - 1000, Date.parse(item.timestamp) + shift)).toISOString(),
      }));
    }
    if (at % 6 === 5) return;
    const estado = at % 7 === 0 ? 'TRIGGER' : at % 7 === 3 ? 'POST_GALE_NEUTRAL' : at % 13 === 8 ? 'MORTO' : 'NEUTRAL';
    feed.strategy(id, {
      estado,
      numero_gatilho: estado === 'NEUTRAL' ? -1 : at % 37,
      terminais_gatilho: estado === 'NEUTRAL' ? [] : [at % 10, (at + 3) % 10, (at + 6) % 10],
      vitorias: (at * 5) % 23,
      derrotas: (at * 3) % 11,
      sugestao_display: estado === 'TRIGGER' ? `APOSTAR EM: ${at % 10}, ${(at + 3) % 10}, ${(at + 6) % 10}` : '',
      timestamp: new Date(now - 30_000).toISOString(),
    });
  });
}
