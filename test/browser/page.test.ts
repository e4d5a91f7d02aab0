import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { startFakeHttp } from '../client/fake-http.ts';
import { eveningTheatre, hasChromium } from './theatre.ts';

const SPEED = '2010165';
const card = (id: string): string => `article[data-table="${id}"]`;
const lastOf = (id: string): string => `${card(id)} .last .chip`;

if (!hasChromium) console.warn('No Chromium here: the page is not driven. Install it, or name it in CHROMIUM_PATH.');

describe.runIf(hasChromium)('in a real browser, the page', () => {
  const theatre = eveningTheatre();

  const live = (page: Page, transport = 'WebSocket'): Promise<unknown> =>
    page.waitForSelector(`.pill[data-state=live]:has(.detail:text-is("${transport}"))`);
  const shows = (page: Page, id: string, numero: number): Promise<unknown> =>
    page.waitForSelector(`${lastOf(id)}:text-matches("^${numero} ")`);

  it('shows all tables, and a live number the moment it comes', async () => {
    const { page, context, problems } = await theatre.open();
    await live(page);
    await page.waitForSelector('.card >> nth=38');
    theatre.feed.number(SPEED, 0);
    await shows(page, SPEED, 0);
    expect(await page.getAttribute(lastOf(SPEED), 'class')).toContain('verde');
    await theatre.picture(page, 'grid-dark');
    expect(problems).toEqual([]);
    await context.close();
  });

  it('animates live numbers only, and none for those who want no motion', async () => {
    const { page, context } = await theatre.open();
    await live(page);
    expect(await page.locator('.landed').count()).toBe(0);
    const landed = page.waitForSelector(`${lastOf(SPEED)}.landed`);
    theatre.feed.number(SPEED, 7);
    await landed;
    await shows(page, SPEED, 7);
    const still = await theatre.open({ reducedMotion: true });
    await live(still.page);
    const unmoved = still.page.waitForSelector(`${lastOf(SPEED)}.landed`);
    theatre.feed.number(SPEED, 8);
    await unmoved;
    const motion = await still.page.evaluate("getComputedStyle(document.querySelector('.landed')).animationName");
    expect(motion).toBe('none');
    await context.close();
    await still.context.close();
  });

  it('recovers from a dropped connection without losing a number', async () => {
    const { page, context } = await theatre.open();
    await live(page);
    await page.click('.pill');
    await page.focus('#server');
    theatre.server.cutAll();
    await page.waitForSelector('.pill[data-state=recovering]');
    for (const numero of [11, 12, 13]) theatre.feed.number(SPEED, numero);
    await live(page);
    await shows(page, SPEED, 13);
    const strip = await page.$$eval(`${card(SPEED)} .strip .chip`, (chips) =>
      chips.slice(0, 2).map((chip) => chip.firstChild?.textContent),
    );
    expect(strip).toEqual(['12', '11']);
    expect(await page.textContent('[data-row=gaps]')).toBe('0');
    expect(await page.evaluate('document.activeElement.id')).toBe('server');
    await page.click('button.danger');
    await page.waitForSelector('.pill[data-state=recovering]');
    await live(page);
    expect(Number(await page.textContent('[data-row=reconnects]'))).toBe(2);
    await theatre.picture(page, 'connection-dark');
    await context.close();
  });

  it('falls back to events when WebSockets are blocked, and uses the way that it is told', async () => {
    theatre.server.blockWebSocket = true;
    const { page, context } = await theatre.open();
    await live(page, 'SSE');
    theatre.feed.number(SPEED, 21);
    await shows(page, SPEED, 21);
    theatre.server.blockWebSocket = false;
    await page.click('.pill');
    await page.selectOption('#transport', 'poll');
    await live(page, 'Long-poll');
    theatre.feed.number(SPEED, 22);
    await shows(page, SPEED, 22);
    await page.selectOption('#transport', 'websocket');
    await live(page);
    await context.close();
  });

  it('goes to a remote server and says what is no server', async () => {
    const remote = await startFakeHttp(theatre.feed);
    const { page, context } = await theatre.open();
    await live(page);
    await page.click('.pill');
    await page.fill('#server', 'ftp://nowhere');
    await page.click('.server-form button');
    expect(await page.textContent('.problem')).toMatch(/endereço/);
    await page.fill('#server', remote.url);
    await page.click('.server-form button');
    // The state that is shown until then is that of the server before.
    await page.waitForSelector('.bar.foreign');
    await live(page);
    await page.waitForSelector(card(SPEED));
    expect(remote.opened.websocket).toBe(1);
    await context.close();
    await remote.stop();
  });

  it('speaks the language of the browser, and the other when asked', async () => {
    const english = await theatre.open({ locale: 'en-GB', dark: false });
    await live(english.page);
    expect(await english.page.textContent('nav')).toContain('Tables');
    expect(await english.page.getAttribute('html', 'lang')).toBe('en');
    await english.page.click('[title="Português"]');
    expect(await english.page.textContent('nav')).toContain('Mesas');
    await english.page.reload();
    expect(await english.page.textContent('nav')).toContain('Mesas');
    const other = await theatre.open({ locale: 'de-DE' });
    expect(await other.page.textContent('nav')).toContain('Tables');
    await english.context.close();
    await other.context.close();
  });

  it('finds, pins and sorts tables, by keyboard too', async () => {
    const { page, context } = await theatre.open();
    await live(page);
    await page.keyboard.press('/');
    await page.keyboard.type('turkce');
    const visible = (): Promise<string[]> =>
      page.$$eval('.card h2', (names) => names.map((name) => name.textContent ?? ''));
    expect(await visible()).toEqual(['Türkçe Lightning Rulet', 'Türkçe Rulet']);
    await page.fill('#search', '');
    await page.locator(`${card(SPEED)} .pin`).focus();
    await page.keyboard.press('Enter');
    expect((await visible())[0]).toBe('Roulette');
    expect(await page.evaluate("document.activeElement.getAttribute('aria-pressed')")).toBe('true');
    await page.check('#signals');
    const signals = await visible();
    expect(signals.length).toBeGreaterThan(2);
    expect(signals.length).toBeLessThan(20);
    await context.close();
  });

  it('shows one table with its long history, wheel and strategy, live', async () => {
    const { page, context, problems } = await theatre.open({ path: `/#/mesa/${SPEED}` });
    await page.waitForSelector('.as-history .chip >> nth=199');
    expect(await page.getAttribute('.wheel', 'aria-label')).toMatch(/roda/);
    theatre.feed.number(SPEED, 32, { suspeito: true });
    theatre.feed.strategy(SPEED, {
      estado: 'TRIGGER',
      numero_gatilho: 32,
      terminais_gatilho: [2, 5, 8],
      vitorias: 9,
      derrotas: 3,
      sugestao_display: 'APOSTAR EM: 2, 5, 8 <img src=x onerror=alert(1)>',
      timestamp: new Date().toISOString(),
    });
    await page.waitForSelector('.changes .badge.trigger');
    expect(await page.textContent('.of-strategy .suggestion')).toContain('<img');
    expect(await page.locator('.of-strategy img').count()).toBe(0);
    expect(await page.getAttribute('.table-view .last .chip', 'class')).toContain('suspect');
    await page.waitForSelector('[aria-live]:has-text("32 vermelho")', { state: 'attached' });
    expect(await page.title()).toBe('Roulette – RunCash Live');
    await theatre.picture(page, 'table-dark');
    expect(problems).toEqual([]);
    await context.close();
  });

  it('keeps a log that can be paused, filtered and copied', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await live(page);
    await page.selectOption('#log-type', 'new_number');
    theatre.feed.number(SPEED, 1);
    await page.waitForSelector('.log li >> nth=0');
    await page.click('text=Pausar');
    theatre.feed.number(SPEED, 2);
    await page.waitForSelector('.log-view .note:has-text("chegaram")');
    expect(await page.locator('.log li').count()).toBe(1);
    await page.click('text=Copiar JSON');
    await page.waitForSelector('.log-view .note:has-text("Copiado: 1")');
    const copied = await page.evaluate<string>('navigator.clipboard.readText()');
    expect(JSON.parse(copied)).toMatchObject([{ message: { type: 'new_number', numero: 1 } }]);
    await page.click('text=Continuar');
    await page.waitForSelector('.log li >> nth=1');
    await theatre.picture(page, 'log-dark');
    await context.close();
  });

  it('tells the operator how the service and each table do', async () => {
    const { page, context } = await theatre.open({ path: '/#/operacao', locale: 'en-US', dark: false });
    await page.waitForSelector('.tile.good');
    expect(await page.textContent('.tiles')).toContain('7 ms');
    await page.waitForSelector('.operator-view tbody tr >> nth=38');
    expect(await page.textContent('.operator-view tbody tr:first-child')).toContain('Speed Auto Roulette');
    expect(await page.textContent('.operator-view')).toContain('runcash.roleta_numeros _id 67449f0a');
    expect(await page.textContent('.operator-view')).toContain('arrive dated 3 h in the past');
    expect(await page.textContent('.operator-view')).toContain('not a number on the wheel');
    await page.click('.status-details summary');
    expect(await page.textContent('.status-details')).toContain('lagMs');
    await theatre.picture(page, 'operator-light');
    await context.close();
  });

  it('lists suspect numbers with their ids for the operator', async () => {
    const event = theatre.feed.number(SPEED, 9, { suspeito: true });
    const { page, context } = await theatre.open({ path: '/#/operacao' });
    await page.waitForSelector(
      `.flagged li:has(a:text-is("Roulette")) code:text-is("${'id' in event ? event.id : ''}")`,
    );
    await context.close();
  });

  it('plots the last hour at once, and lists alerts from their begin to their end', async () => {
    const { page, context, problems } = await theatre.open({ path: '/#/operacao' });
    await page.waitForSelector('.plots .spark-line[d^="M"] >> nth=4', { state: 'attached' });
    const [first, last] = await page.$eval('.plots figure:nth-child(3) .spark-line', (line) => {
      const points = (line.getAttribute('d') ?? '').slice(1).split('L');
      return [points[0] ?? '', points.at(-1) ?? ''].map((point) => Number.parseFloat(point));
    });
    // The whole width is what is known, newest right.
    expect([first, last]).toEqual([0, 240]);
    expect(await page.textContent('.plots figure:nth-child(3) .ends')).toBe('há 59 minagora');
    const connections = await page.textContent('.plots figure:nth-child(3) figcaption');
    expect(connections).toBe('Conexões 459 máximo 459');
    const alerts = await page.$$eval('.alerts li', (items) => items.map((item) => item.textContent ?? ''));
    expect(alerts).toHaveLength(2);
    expect(alerts[0]).toMatch(/^Mesa parada além do normal Roulette .* – agoraTable 2010165 is silent\.$/);
    expect(alerts[1]).toMatch(/^Mesa parada além do normal 9999 .*:\d\d – .*:\d\dTable 9999 was silent\.$/);
    expect(await page.locator('.alerts .firing').count()).toBe(1);
    expect(problems).toEqual([]);
    await context.close();
  });
});
