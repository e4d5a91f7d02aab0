import type { Page } from 'playwright-core';
import { describe, expect, it, vi } from 'vitest';
import { eveningTheatre, hasChromium } from './theatre.ts';

const SPEED = '2010165';
const HOUR_MS = 3_600_000;

/** A name as its writer should not have chosen it: emoji, right to left, and as long as no column is. */
const ODD_NAME = `🎰🔥 رولیت ${'Mesa sem fim '.repeat(80)}${'x'.repeat(900)}`;

/** What a browser does that blocks, lacks or has filled the storage of a page. */
const STORAGE_FAULTS: Readonly<Record<string, string>> = {
  'is blocked':
    "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } });",
  'is absent': "Object.defineProperty(window, 'localStorage', { get: () => null });",
  'is full': "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };",
  'cannot be read': "Storage.prototype.getItem = () => { throw new DOMException('', 'SecurityError'); };",
};

/** A browser whose clock is so many hours ahead. */
const aheadBy = (hours: number): string => `{
  const { now } = Date;
  const Real = Date;
  const ahead = () => now() + ${hours * HOUR_MS};
  window.Date = class extends Real {
    constructor(...given) { super(...(given.length === 0 ? [ahead()] : given)); }
    static now() { return ahead(); }
  };
}`;

describe.runIf(hasChromium)('whatever it meets, the page', () => {
  const theatre = eveningTheatre();

  const live = (page: Page): Promise<unknown> => page.waitForSelector('.pill[data-state=live]');
  const overflowOf = (page: Page): Promise<number> =>
    page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');

  it('says that there is no such table, in its width, for what no table can be called', async () => {
    const { page, context, problems } = await theatre.open();
    await live(page);
    for (const reference of ['%', '%E0%A4%A', '%00', '%20', 'a/b/c', '__proto__', 'x'.repeat(3000)]) {
      await page.goto(`${theatre.server.url}/#/mesa/${reference}`);
      await page.waitForSelector('h1:text-is("Esta mesa não existe neste servidor.")');
      expect(await overflowOf(page), reference).toBe(0);
    }
    for (const path of ['/#/mesa/', '/#/../..', '/#/?ver=__proto__&ordem=toString&q=', '/#nothing']) {
      await page.goto(theatre.server.url + path);
      await page.waitForSelector('.card >> nth=38');
    }
    await page.goto(`${theatre.server.url}/#/?q=nothing`);
    await page.waitForSelector('.empty:text-is("Nenhuma mesa com este filtro.")');
    expect(problems).toEqual([]);
    await context.close();
  });

  it('shows its own server and says so for what is no address of a server', async () => {
    for (const server of [
      'javascript:alert(1)',
      'data:text/html,x',
      'file:///etc/passwd',
      'http://user:secret@127.0.0.1',
      'http://',
      '127.0.0.1:99999',
      '%E2%80%AE127.0.0.1',
      'y'.repeat(1500),
    ]) {
      const { page, context, problems } = await theatre.open({ path: `/?server=${server}` });
      if (!server.startsWith('y'))
        await page.waitForSelector('.bar.failed:has-text("não é o endereço de um servidor")');
      else await page.waitForSelector('.bar.foreign');
      expect(await overflowOf(page), server).toBe(0);
      expect(problems.filter((problem) => !/ERR_|WebSocket/.test(problem))).toEqual([]);
      await context.close();
    }
  });

  it.each(Object.entries(STORAGE_FAULTS))(
    'keeps what one chooses while it is open where storage %s',
    async (_, script) => {
      const { page, context, problems } = await theatre.open({ path: '/#/?ver=cartoes', script });
      await live(page);
      await page.click('[title="English"]');
      await page.click('[title="Theme: automatic"]');
      expect(await page.getAttribute('html', 'data-theme')).toBe('dark');
      await page.click('.calls summary');
      await page.check('.calls input[name=badge]');
      await vi.waitUntil(async () => /^\(\d+\) Tables/.test(await page.title()), { timeout: 30_000 });
      await page.click(`article[data-table="${SPEED}"] .pin`);
      await page.waitForSelector('.card:first-child.pinned');
      await page.click('nav a:text-is("Events")');
      await page.click('nav a:text-is("Tables")');
      await page.waitForSelector('.card:first-child.pinned');
      expect(problems).toEqual([]);
      await context.close();
    },
  );

  it('is not led astray by what something else left in its storage', async () => {
    const script = `for (const key of ['server', 'servers', 'pins', 'theme', 'language', 'density', 'order', 'calls', 'board', 'details'])
      localStorage.setItem('runcash-live.' + key, '{"broken": [1, 2, '.repeat(20000));`;
    const { page, context, problems } = await theatre.open({ script });
    await page.waitForSelector('.card >> nth=38');
    await page.click('.pill');
    await page.waitForSelector('#server');
    expect(problems).toEqual([]);
    await context.close();
  });

  it('tells ages by the clocks of the tables where that of this device is hours wrong, and says so', async () => {
    for (const hours of [5.5, -5.5]) {
      const { page, context } = await theatre.open({ path: '/#/?ver=cartoes', script: aheadBy(hours) });
      await live(page);
      await page.waitForSelector('.card >> nth=38');
      theatre.feed.number(SPEED, 5);
      await page.waitForSelector('.bar.clock:has-text("está errado em 5 h")');
      await page.waitForSelector(`article[data-table="${SPEED}"] .age[data-fresh=fresh]:text-matches("^há \\\\d+ s$")`);
      expect(await page.locator('.signal:not(.doubt)').count()).toBeGreaterThan(0);
      await context.close();
    }
  });

  it('fits, and names the table, whatever a writer called it', async () => {
    const table = theatre.feed.tables.get(SPEED);
    const name = table?.nome ?? '';
    if (table) table.nome = ODD_NAME;
    for (const path of ['/#/?ver=cartoes', '/#/?ver=linhas', `/#/mesa/${SPEED}`, '/#/eventos', '/#/operacao']) {
      for (const width of [320, 1440]) {
        const { page, context, problems } = await theatre.open({ path, width });
        await live(page);
        await page.waitForSelector('h1', { state: 'attached' });
        expect(await overflowOf(page), `${path} at ${width}`).toBe(0);
        expect(problems).toEqual([]);
        await context.close();
      }
    }
    if (table) table.nome = name;
  });

  it('goes on after the browser froze its tab, and misses nothing', async () => {
    const { page, context } = await theatre.open({ path: '/#/?ver=cartoes' });
    await live(page);
    const session = await context.newCDPSession(page);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    theatre.server.cutAll();
    for (const numero of [31, 32, 33]) theatre.feed.number(SPEED, numero);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await page.waitForSelector(`article[data-table="${SPEED}"] .last .chip:text-matches("^33 ")`);
    await live(page);
    const strip = await page.locator(`article[data-table="${SPEED}"] .strip .chip`).allTextContents();
    expect(strip.slice(0, 2).map((text) => Number.parseInt(text, 10))).toEqual([32, 31]);
    await context.close();
  });

  it('is used by keyboard alone: to a table, its window and numbers, and back', async () => {
    const { page, context } = await theatre.open({ path: '/#/?ver=linhas' });
    await page.waitForSelector('.rows .card >> nth=38');
    await page.keyboard.press('/');
    await page.keyboard.type('turkce rulet');
    await page.waitForSelector('.rows .card >> nth=1', { state: 'detached' });
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate("document.activeElement.matches('.card h2 a')")) break;
    }
    await page.keyboard.press('Enter');
    await page.waitForSelector('h1:text-is("Türkçe Rulet")');
    await page.locator('.felt [data-numero="7"] button').focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('.neighbours h3:text-is("Vizinhos do 7")');
    await page.locator('.pill').focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('#connection');
    await page.keyboard.press('Escape');
    await page.waitForSelector('#connection', { state: 'detached' });
    expect(await page.evaluate("document.activeElement.matches('.pill')")).toBe(true);
    await context.close();
  });
});
