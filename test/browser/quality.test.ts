import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { findingsOn } from './axe.ts';
import { eveningTheatre, hasChromium } from './theatre.ts';

const VIEWS = [
  ['grid', '/#/'],
  ['table', '/#/mesa/2010165'],
  ['log', '/#/eventos'],
  ['operator', '/#/operacao'],
] as const;

const live = (page: Page): Promise<unknown> => page.waitForSelector('.pill[data-state=live]');

describe.runIf(hasChromium)('in a real browser, the page', () => {
  const theatre = eveningTheatre();

  it('keeps the colours of the wheel where all others are the reader’s own', async () => {
    const { page, context } = await theatre.open({ path: '/#/mesa/2010165', forcedColors: true });
    await page.waitForSelector('.as-history .chip.vermelho');
    for (const [part, colour] of [
      ['.as-history .chip.vermelho', 'rgb(210, 45, 59)'],
      ['.felt .field.vermelho', 'rgb(165, 23, 37)'],
      ['.share-bar.vermelho .part', 'rgb(210, 45, 59)'],
    ]) {
      const shown = `getComputedStyle(document.querySelector('${part}')).backgroundColor`;
      expect(await page.evaluate(shown), part).toBe(colour);
    }
    await context.close();
  });

  for (const [view, path] of VIEWS) {
    for (const [screen, width, height] of [
      ['phone', 360, 740],
      ['wall', 3840, 2160],
    ] as const) {
      it(`fits a ${screen}: ${view}`, async () => {
        const { page, context } = await theatre.open({ path, width, height });
        await live(page);
        const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
        expect(await page.evaluate(overflow)).toBe(0);
        if (screen === 'phone') expect(await findingsOn(page)).toEqual([]);
        await theatre.picture(page, `${view}-${screen}`);
        await context.close();
      });
    }

    for (const dark of [true, false]) {
      it(`has no serious accessibility finding in the ${dark ? 'dark' : 'light'}: ${view}`, async () => {
        const locale = dark ? 'pt-BR' : 'en-US';
        const { page, context, problems } = await theatre.open({ path, dark, locale });
        await live(page);
        if (view === 'operator') await page.waitForSelector('.tile.good');
        if (view === 'table') await page.waitForSelector('.as-history .chip');
        expect(await page.locator('h1').count()).toBe(1);
        expect(await findingsOn(page)).toEqual([]);
        await page.click('.pill');
        await page.waitForSelector('#connection');
        expect(await findingsOn(page)).toEqual([]);
        expect(problems).toEqual([]);
        await theatre.picture(page, `${view}-${dark ? 'dark' : 'light'}`);
        await context.close();
      });
    }
  }
});
