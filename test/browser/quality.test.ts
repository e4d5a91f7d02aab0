import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFields } from '../../src/client/read.ts';
import { fillWithEvening, hasChromium, openTheatre, type Theatre } from './theatre.ts';

const VIEWS = [
  ['grid', '/#/'],
  ['table', '/#/mesa/2010165'],
  ['log', '/#/eventos'],
  ['operator', '/#/operacao'],
] as const;

const live = (page: Page): Promise<unknown> => page.waitForSelector('.pill[data-state=live]');

/** What axe-core has to say, one line for each kind of finding that is serious or critical. */
async function findingsOn(page: Page, axeSource: string): Promise<string[]> {
  await page.evaluate(axeSource);
  const result = await page.evaluate<unknown>('axe.run()');
  const violations = isFields(result) ? result['violations'] : null;
  if (!Array.isArray(violations)) throw new TypeError('axe said nothing');
  return violations
    .filter(isFields)
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes).slice(0, 300)}`);
}

describe.runIf(hasChromium)('in a real browser, the page', () => {
  let theatre: Theatre;
  let axeSource = '';

  beforeAll(async () => {
    theatre = await openTheatre();
    await fillWithEvening(theatre.feed);
    axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  });

  afterAll(async () => {
    await theatre.stop();
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
        expect(await findingsOn(page, axeSource)).toEqual([]);
        await page.click('.pill');
        await page.waitForSelector('#connection:not([hidden])');
        expect(await findingsOn(page, axeSource)).toEqual([]);
        expect(problems).toEqual([]);
        await theatre.picture(page, `${view}-${dark ? 'dark' : 'light'}`);
        await context.close();
      });
    }
  }
});
