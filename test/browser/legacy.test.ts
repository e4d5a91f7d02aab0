import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';
import { CHROMIUM, hasChromium } from './theatre.ts';

const KEY = '0123456789abcdef';
const isBuilt = existsSync(fileURLToPath(new URL('../../dist/page/legacy.js', import.meta.url)));

describe.runIf(hasChromium && isBuilt)('the test page of the first system’s clients', () => {
  let mongo: TestMongo;
  let browser: Browser;
  const running: Awaited<ReturnType<typeof startRuncashProcess>>[] = [];

  beforeAll(async () => {
    mongo = await startMongo();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    const settings = { SOCKETIO: 'true', INGEST_KEYS: `page:${KEY}` };
    const other = await startRuncashProcess(mongo.uri, freshDatabase(), settings);
    running.push(other);
    // Its page may go to the other one, since that is named.
    running.unshift(await startRuncashProcess(mongo.uri, freshDatabase(), { ...settings, PAGE_SERVERS: other.url }));
  });
  afterAll(async () => {
    await browser.close();
    for (const each of running) await each.end();
    await mongo.stop();
  });

  it.each([
    ['its own server', 'polling', 0],
    ['its own server', 'websocket', 0],
    ['a remote server', '', 1],
  ])('connects to %s over "%s", subscribes, posts a number and shows it', async (_, transport, at) => {
    const [own, other] = running;
    const asked = running[at];
    if (own === undefined || other === undefined || asked === undefined) throw new Error('not started');
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(`${own.url}/legacy.html`);
    if (at !== 0) await page.fill('#server', asked.url);
    await page.selectOption('#transport', transport);
    await page.click('#connect');
    await page.waitForSelector('#state[data-state=on]');
    await page.waitForSelector('#mongodb:text-is("conectado")');
    await page.fill('#table', '2010165');
    await page.fill('#key', KEY);
    await page.click('#post');
    await page.waitForSelector('#log li:has-text("POST /emit-event: 200")');
    await page.waitForSelector('#log li:has-text("global_update")');
    await page.click('#subscribe');
    await page.waitForSelector('#log li:has-text("recent_history")');
    const shown = await page.locator('#numbers li').count();
    await page.click('#post');
    await page.waitForSelector(`#numbers li >> nth=${shown}`);
    await page.click('#history');
    await page.waitForSelector('#log li:has-text("history_data")');
    await page.click('#unsubscribe');
    await page.click('#disconnect');
    await page.waitForSelector('#state:text-is("desconectado")');
    expect(problems).toEqual([]);
    await page.close();
  });
});
