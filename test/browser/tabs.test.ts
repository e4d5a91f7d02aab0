import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { buildPage } from '../../src/dashboard/build.mjs';
import { createFakeFeed } from '../client/fake-feed.ts';
import { type ServedFile, startFakeHttp } from '../client/fake-http.ts';
import { SPEED } from '../client/stage.ts';
import { hasChromium, launchChromium } from './theatre.ts';

const TABS = 10;
const KILLS = 50;

/** Keeps the ids of all numbers that it was told of; `name` is a lock by which the tab is known. */
const SCRIPT = `import { connect } from '/client.js';
const name = new URLSearchParams(location.search).get('name');
navigator.locks.request(name, () => new Promise(() => undefined));
const client = connect(location.origin, { share: true });
const ids = [];
let lost = 0;
const subscription = client.subscribe('roulette:${SPEED.id}', {
  onNumber: ({ id }) => ids.push(id),
  onLost: () => { lost += 1; },
  onTable: ({ numeros: [last] }) => { document.documentElement.dataset.last = last.id; },
});
window.seen = () => ({ ids, lost, state: client.state.name });
window.leader = async () => {
  const { held } = await navigator.locks.query();
  const leads = held.find((lock) => lock.name === 'runcash-live ' + location.origin)?.clientId;
  return held.find((lock) => lock.clientId === leads && lock.name.startsWith('tab-'))?.name ?? null;
};
await subscription.ready();
`;

const seenShape = z.object({ ids: z.array(z.string()), lost: z.number(), state: z.string() });

let folder = '';
let chromium: Awaited<ReturnType<typeof launchChromium>>;
beforeAll(async () => {
  if (!hasChromium) return;
  folder = await mkdtemp(join(tmpdir(), 'runcash-tabs-'));
  await buildPage(folder);
  chromium = await launchChromium();
});
afterAll(async () => {
  await chromium?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A feed, its server, and ten tabs of one browser that follow it. */
async function openTabs(names: readonly string[]) {
  const feed = createFakeFeed(Date.now, [SPEED]);
  feed.past(SPEED.id, [17]);
  const files = new Map<string, ServedFile>([
    ['/', ['text/html', '<!doctype html><script type="module" src="/tab.js"></script>']],
    ['/tab.js', ['text/javascript', SCRIPT]],
  ]);
  for (const name of names) files.set(`/${name}`, ['text/javascript', await readFile(join(folder, name))]);
  const server = await startFakeHttp(feed, files);
  const context = await chromium.browser.newContext();
  const tabs = new Map<string, Page>();
  let opened = 0;
  const open = async (): Promise<void> => {
    opened += 1;
    const name = `tab-${opened}`;
    const page = await context.newPage();
    await page.goto(`${server.url}/?name=${name}`);
    await page.waitForSelector('html[data-last]', { state: 'attached' });
    tabs.set(name, page);
  };
  const spin = (numero: number): string => {
    const event = feed.number(SPEED.id, numero % 37);
    return event.type === 'new_number' ? event.id : '';
  };
  return {
    server,
    tabs,
    open,
    spin,
    /** Resolves when a number is the last one in every tab. */
    async allHave(id: string): Promise<void> {
      const selector = `html[data-last="${id}"]`;
      await Promise.all([...tabs.values()].map((page) => page.waitForSelector(selector, { state: 'attached' })));
    },
    /** The tab that leads; null when that is none of them. */
    async leader(): Promise<string | null> {
      const [page] = tabs.values();
      return z
        .string()
        .nullable()
        .parse(await page?.evaluate(() => Reflect.get(globalThis, 'leader')()));
    },
    async stop() {
      await context.close();
      await server.stop();
    },
  };
}

/** Closes whichever tab `victim` names and opens another, fifty times, with numbers before and after. */
async function killFifty(stage: Awaited<ReturnType<typeof openTabs>>, victim: () => Promise<string>): Promise<void> {
  const { tabs, open, spin, allHave, server } = stage;
  for (let tab = 0; tab < TABS; tab += 1) await open();
  const written: string[] = [];
  for (let round = 0; round < KILLS; round += 1) {
    written.push(spin(round));
    const name = await victim();
    await tabs.get(name)?.close();
    tabs.delete(name);
    written.push(spin(round + 1));
    await allHave(written.at(-1) ?? '');
    // A page that was closed may live for a moment longer.
    await expect.poll(() => server.openSockets(), { timeout: 30_000 }).toBe(1);
    await open();
  }
  written.push(spin(5));
  await allHave(written.at(-1) ?? '');
  expect(tabs.size).toBe(TABS);
  for (const page of tabs.values()) {
    const { ids, ...rest } = seenShape.parse(await page.evaluate(() => Reflect.get(globalThis, 'seen')()));
    expect(rest).toEqual({ lost: 0, state: 'live' });
    // Each has everything since it was opened, once and in order.
    expect(ids).toEqual(written.slice(-ids.length));
  }
}

describe.runIf(hasChromium)('ten tabs that share a connection, in Chromium', () => {
  it('have one led by a SharedWorker, whichever tabs are closed', async () => {
    const stage = await openTabs(['client.js', 'client-extras.js', 'client-worker.js']);
    await killFifty(stage, async () => {
      expect(await stage.leader()).toBe(null);
      const [eldest = ''] = stage.tabs.keys();
      return eldest;
    });
    expect(stage.server.opened.websocket).toBe(1);
    await stage.stop();
  }, 180_000);

  it('lose and repeat nothing while the tab that leads is closed fifty times, where there is no worker', async () => {
    const stage = await openTabs(['client.js', 'client-extras.js']);
    await killFifty(stage, async () => (await stage.leader()) ?? '');
    expect(stage.server.opened.websocket).toBe(KILLS + 1);
    await stage.stop();
  }, 180_000);

  it('go on led by a tab when the worker is killed', async () => {
    const stage = await openTabs(['client.js', 'client-extras.js', 'client-worker.js']);
    const { open, spin, allHave, server } = stage;
    for (let tab = 0; tab < 3; tab += 1) await open();
    await allHave(spin(1));
    const control = await chromium.browser.newBrowserCDPSession();
    const { targetInfos } = await control.send('Target.getTargets');
    const worker = targetInfos.find(({ type, url }) => type === 'shared_worker' && url.startsWith(server.url));
    await control.send('Target.closeTarget', { targetId: worker?.targetId ?? '' });
    await allHave(spin(2));
    expect(await stage.leader()).not.toBe(null);
    expect(server.openSockets()).toBe(1);
    await stage.stop();
  }, 60_000);
});
