import { describe, expect, it } from 'vitest';
import { eveningTheatre, fillWithEvening, hasChromium, openTheatre } from './theatre.ts';

const SPEED = '2010165';

describe.runIf(hasChromium)('the view of a table', () => {
  const theatre = eveningTheatre();

  it('offers windows of 50 to 1,000 numbers', async () => {
    const { page, context } = await theatre.open({ path: `/#/mesa/${SPEED}` });
    await page.waitForSelector('#window');
    const windows = await page.evaluate("[...document.querySelectorAll('#window option')].map(({ value }) => value)");
    expect(windows).toEqual(['50', '100', '200', '500', '1000']);
    await context.close();
  });

  it('shows the share of every bet and sector before the band of an honest wheel', async () => {
    const { page, context } = await theatre.open({ path: `/#/mesa/${SPEED}` });
    await page.waitForSelector('.as-history .chip >> nth=199');
    const shares = await page.$$eval('.in-figures > .figures > .shares > .share', (all) =>
      all.map((share) => ({
        name: share.querySelector('dt')?.textContent ?? '',
        title: share.getAttribute('title') ?? '',
        band: share.querySelector('.band')?.getBoundingClientRect().width ?? 0,
      })),
    );
    for (const name of ['vermelho', 'Par', '1–18', '1ª dúzia', '3ª coluna', 'Vizinhos do zero', 'Terço', 'Órfãos']) {
      const share = shares.find((each) => each.name === name);
      expect(share?.title, name).toMatch(/^esperado \d+(,\d)?%, normalmente de \d+(,\d)?% a \d+(,\d)?%$/);
      expect(share?.band, name).toBeGreaterThan(1);
    }
    // 17 of 37 pockets.
    expect(shares.find(({ name }) => name === 'Vizinhos do zero')?.title).toContain('esperado 45,9%');
    await context.close();
  });

  it('counts streaks and gaps of colour, parity, dozen and column, and ranks hot and cold numbers', async () => {
    for (const numero of [1, 3, 5]) theatre.feed.number(SPEED, numero);
    const { page, context } = await theatre.open({ path: `/#/mesa/${SPEED}?n=50` });
    await page.waitForSelector('.runs tbody tr');
    const runs = new Map(
      await page.$$eval('.runs tbody tr', (rows) =>
        rows.map((row) => [...row.children].map((cell) => cell.textContent ?? '')).map(([name, ...of]) => [name, of]),
      ),
    );
    expect(runs.get('vermelho')?.[0]).toMatch(/^([3-9]|\d\d) \(\d+\)$/);
    expect(runs.get('preto')?.[1]).toMatch(/^([3-9]|\d\d) \(\d+\)$/);
    for (const name of ['Ímpar', '1ª dúzia', '2ª coluna']) expect(runs.has(name), name).toBe(true);
    expect(await page.locator('.ranks .ranked').count()).toBe(2);
    expect(await page.textContent('.ranks')).toMatch(/Quentes.*\d×.*Frios.*há \d+ rodadas/s);
    await context.close();
  });
});

describe.runIf(hasChromium)('the wheel', () => {
  it('has a band behind its bars, its sectors as a ring, and lights the neighbours that one asks for', async () => {
    const theatre = await openTheatre();
    await fillWithEvening(theatre.feed);
    const { page, context } = await theatre.open({ path: `/#/mesa/${SPEED}` });
    await page.waitForSelector('.as-history .chip >> nth=199');
    const [inner, outer] = await page.$eval('.wheel .band', (band) => {
      const [radius, width] = ['r', 'stroke-width'].map((name) => Number(band.getAttribute(name)));
      return [(radius ?? 0) - (width ?? 0) / 2, (radius ?? 0) + (width ?? 0) / 2];
    });
    // 200 of 37 pockets are 5.4 of each: from 1.6 to 9.2. The bars begin at 108.
    expect(inner).toBeGreaterThan(108);
    expect(outer).toBeGreaterThan((inner ?? 0) + 10);
    const ring = await page.$$eval('.wheel .sector', (parts) => parts.map((part) => part.getAttribute('class')));
    const count = (word: string): number => ring.filter((kinds) => kinds === `sector ${word}`).length;
    expect([count('voisins'), count('tiers'), count('orphelins')]).toEqual([17, 12, 8]);
    expect(await page.textContent('.wheel .pocket title')).toMatch(/^0: \d+×, esperado 2,7%.* · Vizinhos do zero$/);
    expect(await page.locator('.wheel .near').count()).toBe(0);
    await page.click('.felt [data-numero="0"] button');
    await page.waitForSelector('.wheel .near >> nth=4');
    const near = await page.$$eval('.wheel .near text', (texts) => texts.map((text) => text.textContent));
    expect(near.sort()).toEqual(['0', '15', '26', '3', '32']);
    await context.close();
    await theatre.stop();
  });
});

describe.runIf(hasChromium)('the board of signals', () => {
  it('has the newest signal first, with its age and every number that it covers', async () => {
    const theatre = await openTheatre();
    const ages = [
      ['2010011', 50],
      ['2010016', 5],
      ['2010017', 20],
    ] as const;
    for (const [id, seconds] of ages) {
      const at = Date.now() - seconds * 1000;
      theatre.feed.number(id, 1, { at: at - 1000 });
      theatre.feed.strategy(id, {
        estado: 'TRIGGER',
        numero_gatilho: 1,
        terminais_gatilho: [7],
        vitorias: 1,
        derrotas: 0,
        sugestao_display: 'APOSTAR EM: 7',
        timestamp: new Date(at).toISOString(),
      });
    }
    const neutral = { estado: 'NEUTRAL', numero_gatilho: -1, terminais_gatilho: [], vitorias: 2, derrotas: 1 } as const;
    const filler = { sugestao_display: 'AGUARDANDO GATILHO', timestamp: new Date().toISOString() };
    theatre.feed.number('2010031', 4);
    theatre.feed.strategy('2010031', { ...neutral, ...filler });
    const { page, context } = await theatre.open({ path: '/#/?ver=cartoes' });
    await page.waitForSelector('[data-signal] >> nth=2');
    const signals = await page.$$eval('[data-signal]', (all) =>
      all.map((signal) => [signal.getAttribute('data-signal'), signal.querySelector('.age')?.textContent ?? '']),
    );
    expect(signals.map(([id]) => id)).toEqual(['2010016', '2010017', '2010011']);
    for (const [, age] of signals) expect(age).toMatch(/^há \d+ s$/);
    const covered = await page.$$eval('[data-signal="2010016"] .covered .chip', (chips) =>
      chips.map((chip) => chip.firstChild?.textContent),
    );
    expect(covered).toEqual(['7', '17', '27']);
    // A table without a bet says so, and nothing else.
    const card = (await page.textContent('article[data-table="2010031"]')) ?? '';
    expect(card).toContain('Neutro');
    expect(card).not.toContain('AGUARDANDO');
    await context.close();
    await theatre.stop();
  });
});

describe.runIf(hasChromium)('a part of the page that cannot be drawn', () => {
  it('says so in its place, and leaves the rest of the page to its reader', async () => {
    const theatre = await openTheatre();
    await fillWithEvening(theatre.feed);
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await page.waitForSelector('.log li');
    await page.evaluate("Intl.Collator = class { constructor() { throw new Error('no names here'); } }");
    await page.click('nav a:text-is("Mesas")');
    await page.waitForSelector('.refused h1:text-is("Esta parte da página não pôde ser mostrada.")');
    expect(await page.textContent('.refused')).toContain('no names here');
    await page.click('nav a:text-is("Eventos")');
    await page.waitForSelector('.log li');
    await context.close();
    await theatre.stop();
  });
});
