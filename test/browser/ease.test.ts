import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it, vi } from 'vitest';
import { startFakeHttp } from '../client/fake-http.ts';
import { eveningTheatre, hasChromium } from './theatre.ts';

const SPEED = '2010165';
/** As patient as the browser's own waits: a machine may be busy. */
const LOADED = { timeout: 30_000 } as const;
const LONG =
  'Roleta de Nome Muito Comprido que Nenhum Cartão Mostra Inteira Sem Quebrar a Página Toda 12345678901234567890';

describe.runIf(hasChromium)('in a real browser, the page', () => {
  const theatre = eveningTheatre();

  const live = (page: Page): Promise<unknown> => page.waitForSelector('.pill[data-state=live]');
  const names = (page: Page): Promise<string[]> =>
    page.$$eval('.card h2', (titles) => titles.map((title) => title.textContent ?? ''));

  it('sorts names as people count, and keeps search, filter and density in the address', async () => {
    for (const [id, nome] of [
      ['2900010', 'Zeta 10'],
      ['2900002', 'Zeta 2'],
    ] as const) {
      theatre.feed.number(id, 1);
      const table = theatre.feed.tables.get(id);
      if (table) table.nome = nome;
    }
    const { page, context } = await theatre.open({ path: '/#/?q=zeta' });
    await page.waitForSelector('.card >> nth=1');
    expect(await names(page)).toEqual(['Zeta 2', 'Zeta 10']);
    await page.fill('#search', 'turkce');
    await page.selectOption('#density', 'linhas');
    await page.waitForSelector('.rows .card');
    expect(decodeURIComponent(page.url())).toMatch(/#\/\?q=turkce&ver=linhas$/);
    await page.reload();
    await page.waitForSelector('.rows .card');
    expect(await names(page)).toEqual(['Türkçe Lightning Rulet', 'Türkçe Rulet']);
    await context.close();
    for (const id of ['2900010', '2900002']) theatre.feed.tables.delete(id);
  });

  /** How many rows lie wholly above the fold, and the heights that rows have. */
  async function rowsOn({ page }: { readonly page: Page }, height: number) {
    await page.waitForSelector('.rows .card >> nth=38');
    const boxes = await page.$$eval('.rows .card', (rows) =>
      rows.map((row) => row.getBoundingClientRect()).map(({ height, bottom }) => ({ height, bottom })),
    );
    return {
      heights: [...new Set(boxes.map((box) => Math.round(box.height)))],
      visible: boxes.filter(({ bottom }) => bottom <= height).length,
    };
  }

  it('shows 30 tables and more as rows of 28 pixels, and 24 on a phone, which gets rows by itself', async () => {
    for (const [width, height] of [
      [1440, 900],
      [2560, 1440],
    ] as const) {
      const { page, context } = await theatre.open({ path: '/#/?ver=linhas', width, height });
      const onWide = await rowsOn({ page }, height);
      expect(onWide.heights).toEqual([28]);
      expect(onWide.visible).toBeGreaterThanOrEqual(30);
      await context.close();
    }
    const phone = await theatre.open({ width: 390, height: 844 });
    const onPhone = await rowsOn(phone, 844);
    expect(onPhone.heights).toEqual([28]);
    expect(onPhone.visible).toBeGreaterThanOrEqual(24);
    // The board of signals is there as well, in one line.
    expect(await phone.page.locator('[data-signal]').count()).toBeGreaterThan(3);
    await theatre.picture(phone.page, 'rows-phone');
    await phone.context.close();
  });

  it('keeps order, density and filter behind a button on phones', async () => {
    const { page, context } = await theatre.open({ width: 390, height: 844 });
    await page.waitForSelector('.rows .card >> nth=38');
    expect(await page.isVisible('#sort')).toBe(false);
    await page.click('.more');
    await page.check('#signals');
    await page.selectOption('#density', 'cartoes');
    await page.waitForSelector('.cards .card');
    expect(await page.isVisible('.calls summary')).toBe(true);
    await page.click('.more');
    expect(await page.isVisible('#sort')).toBe(false);
    await context.close();
  });

  it('opens tables by id, prefixed id and name, and asks which one where several have a name', async () => {
    const { page, context } = await theatre.open({ path: '/#/mesa/2_2010165' });
    await page.waitForSelector('h1:text-is("Roulette")');
    await page.goto(`${theatre.server.url}/#/mesa/${encodeURIComponent('Türkçe Rulet')}`);
    await page.waitForSelector('h1:text-is("Türkçe Rulet")');
    await page.goto(`${theatre.server.url}/#/mesa/VIP%20Roulette`);
    await page.waitForSelector('h1:has-text("Várias mesas")');
    expect(await page.locator('.several a').count()).toBe(2);
    await page.click('.several a >> nth=1');
    await page.waitForSelector('h1:text-is("VIP Roulette")');
    await context.close();
  });

  it('is never blank, whatever stands in its address', async () => {
    const { page, context } = await theatre.open({ path: '/#/mesa/%' });
    await page.waitForSelector('h1:text-is("Esta mesa não existe neste servidor.")');
    await page.click('.back a');
    await page.waitForSelector('.card');
    await page.goto(`${theatre.server.url}/?server=ftp://x`);
    await page.waitForSelector('.bar:has-text("“ftp://x” não é o endereço de um servidor")');
    await page.waitForSelector('.card >> nth=38');
    await context.close();
  });

  it('names a foreign server, understands an address without a scheme, and forgets ?server= after a choice', async () => {
    const remote = await startFakeHttp(theatre.feed);
    const host = new URL(remote.url).host;
    const { page, context } = await theatre.open({ path: `/?server=${remote.url}` });
    await page.waitForSelector(`.bar.foreign:has-text("${host}")`);
    await page.click('.pill');
    await page.fill('#server', '');
    await page.click('.server-form button');
    await page.waitForSelector('.bar.foreign', { state: 'detached' });
    await live(page);
    expect(page.url()).not.toContain('server=');
    await page.fill('#server', host);
    await page.click('.server-form button');
    await page.waitForSelector(`.bar.foreign:has-text("${host}")`);
    expect(await page.getAttribute('#recent-servers option', 'value')).toBe(remote.url);
    await page.reload();
    await page.waitForSelector(`.bar.foreign:has-text("${host}")`);
    await live(page);
    expect(remote.opened.websocket).toBe(3);
    await context.close();
    await remote.stop();
  });

  it('comes back to where one was, with the focus on what one had opened', async () => {
    const { page, context } = await theatre.open({ path: '/#/?ver=cartoes' });
    await page.waitForSelector('.card >> nth=38');
    await page.locator(`article[data-table="${SPEED}"] a`).scrollIntoViewIfNeeded();
    const before = await page.evaluate<number>('scrollY');
    await page.click(`article[data-table="${SPEED}"] a`);
    await page.waitForSelector('.table-view h1');
    expect(await page.evaluate('scrollY')).toBe(0);
    await page.goBack();
    await page.waitForSelector('.card >> nth=38');
    expect(Math.abs((await page.evaluate<number>('scrollY')) - before)).toBeLessThan(60);
    expect(await page.evaluate('document.activeElement.getAttribute("href")')).toBe(`#/mesa/${SPEED}`);
    await context.close();
  });

  it('fits from 320 to 2560 pixels, also with a long name', { timeout: 180_000 }, async () => {
    const table = theatre.feed.tables.get(SPEED);
    const name = table?.nome ?? '';
    if (table) table.nome = LONG;
    for (const path of ['/#/?ver=cartoes', '/#/?ver=linhas', `/#/mesa/${SPEED}`, '/#/eventos', '/#/operacao']) {
      for (const width of [320, 390, 768, 1440, 2560]) {
        const { page, context } = await theatre.open({ path, width, dark: width % 100 === 0 });
        await live(page);
        const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
        expect(await page.evaluate(overflow), `${path} at ${width}`).toBe(0);
        await context.close();
      }
    }
    if (table) table.nome = name;
  });

  it('draws a wheel and a cloth with a double zero', async () => {
    theatre.feed.number('2010012', 37);
    const { page, context } = await theatre.open({ path: '/#/mesa/2010012' });
    await page.waitForSelector('.felt .here[data-numero="37"] b:text-is("00")');
    expect(await page.locator('.wheel .pocket').count()).toBe(38);
    expect(await page.textContent('.in-figures')).toContain('5,3%');
    await theatre.picture(page, 'double-zero');
    await context.close();
  });

  it('counts over a window that one chooses, and hands out what is seen as CSV and PNG', async () => {
    const { page, context } = await theatre.open({ path: `/#/mesa/${SPEED}?n=50` });
    await page.waitForSelector('.as-history .chip >> nth=49');
    expect(await page.locator('.as-history .chip').count()).toBe(50);
    expect(await page.getAttribute('.as-history .chip', 'title')).toMatch(/\d{2}:\d{2}:\d{2}/);
    const saved = async (name: string): Promise<Buffer> => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.click(`.table-head button:text-is("${name}")`),
      ]);
      return await readFile(await download.path());
    };
    const seen = await page.$$eval('.as-history .chip', (chips) => chips.map((chip) => chip.firstChild?.textContent));
    const [head, ...lines] = (await saved('CSV')).toString().trimEnd().split('\r\n');
    expect(head).toBe('timestamp,numero,rotulo,cor,suspeito');
    expect(lines.map((line) => line.split(',')[1])).toEqual(seen);
    const picture = `data:image/png;base64,${(await saved('PNG')).toString('base64')}`;
    const [width, height, ...corner] = await page.evaluate<number[]>(`(async () => {
      const image = new Image();
      image.src = ${JSON.stringify(picture)};
      await image.decode();
      const context = Object.assign(document.createElement('canvas'), image).getContext('2d');
      context.drawImage(image, 0, 0);
      return [image.width, image.height, ...context.getImageData(22, 60, 1, 1).data];
    })()`);
    // Two rows of 25 cells, below a title; the first cell has the colour of the newest number.
    expect([width, height]).toEqual([936, 146]);
    const [, colour] = /chip (\w+)/.exec((await page.getAttribute('.as-history .chip', 'class')) ?? '') ?? [];
    const colours = { verde: [10, 122, 69], vermelho: [193, 28, 43], preto: [28, 35, 32] };
    expect(corner.slice(0, 3)).toEqual(Object.entries(colours).find(([name]) => name === colour)?.[1]);
    await page.selectOption('#window', '100');
    await page.waitForSelector('.as-history .chip >> nth=99');
    await page.click('.felt [data-numero="0"] button');
    await page.waitForSelector('.neighbours h3:text-is("Vizinhos do 0")');
    await context.close();
  });

  const signalAt = (numero: number): void => {
    theatre.feed.number('2010031', numero);
    theatre.feed.strategy('2010031', {
      estado: 'TRIGGER',
      numero_gatilho: numero,
      terminais_gatilho: [numero],
      vitorias: 1,
      derrotas: 0,
      sugestao_display: `APOSTAR EM: ${numero}`,
      timestamp: new Date().toISOString(),
    });
  };

  it('tells of new signals in the ways that one asked for', async () => {
    const { page, context } = await theatre.open({ path: '/#/?ver=cartoes' });
    await context.grantPermissions(['notifications'], { origin: theatre.server.url });
    await page.evaluate(`{
      window.told = [];
      window.Notification = class { static permission = 'granted'; static requestPermission = async () => 'granted';
        constructor(title, { body }) { told.push(title + ': ' + body); } };
      const { prototype } = AudioContext;
      const { createOscillator } = prototype;
      prototype.createOscillator = function () { told.push('tone'); return createOscillator.call(this); };
    }`);
    await live(page);
    await page.click('.calls summary');
    expect(await page.locator('.calls :checked').count()).toBe(0);
    for (const name of ['sound', 'notify', 'badge']) await page.check(`.calls input[name=${name}]`);
    await vi.waitUntil(async () => /^\(\d+\) Mesas/.test(await page.title()), LOADED);
    expect(await page.evaluate('told')).toEqual([]);
    signalAt(4);
    await vi.waitUntil(() => page.evaluate('told.length > 1'), LOADED);
    expect((await page.evaluate<string[]>('told')).sort()).toEqual(['Jawhara Roulette: Gatilho: 4 14 24 34', 'tone']);
    // Where the browser lets nothing but a service worker notify, the page goes on, and promises it no longer.
    await page.evaluate(
      "window.Notification = class { static permission = 'granted'; constructor() { throw new TypeError(); } }",
    );
    signalAt(5);
    await page.waitForSelector('.calls input[name=notify]:not(:checked)');
    await vi.waitUntil(() => page.evaluate('told.length > 2'), LOADED);
    expect((await page.evaluate<string[]>('told')).at(-1)).toBe('tone');
    await live(page);
    await context.close();
  });

  it('ranks the numbers of all tables together when asked', async () => {
    const { page, context } = await theatre.open({ path: '/#/?ver=cartoes' });
    await live(page);
    await page.click('summary:has-text("todas as mesas")');
    await page.waitForSelector('.board .ranked li >> nth=15');
    await context.close();
  });
});
