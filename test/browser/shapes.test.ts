import { readFile } from 'node:fs/promises';
import { MongoClient } from 'mongodb';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stage, startStage } from '../docs/stage.ts';
import { SHAPES, writeShape } from '../support/shapes.ts';
import { hasChromium, openTheatre, type Theatre } from './theatre.ts';

let stage: Stage;
let mongo: MongoClient;
let theatre: Theatre;

beforeAll(async () => {
  stage = await startStage();
  mongo = new MongoClient(stage.mongoUri);
  theatre = await openTheatre();
});
afterAll(async () => {
  await theatre.stop();
  await mongo.close();
  await stage.stop();
});

async function savedCsv(page: Page): Promise<string[]> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('button:text("CSV")')]);
  return (await readFile(await download.path(), 'utf8')).trimEnd().split('\r\n');
}

describe.runIf(hasChromium).each(Object.entries(SHAPES))('the page and what scrapers write: %s', (_, shape) => {
  const { id, wire } = shape;
  const [first, second] = wire;
  const shown = ({ rotulo, numero }: (typeof wire)[number]): string => String(rotulo ?? numero);
  const card = `.card[data-table="${id}"]`;

  it('shows a table as its numbers come, finds it, and opens it by its link, its address and its name', async () => {
    const { page, context, problems } = await theatre.open({ url: stage.url });
    await page.waitForSelector('.pill[data-state=live]');
    await writeShape(stage, mongo, shape, () =>
      page.waitForSelector(`${card} .last .chip.${first['cor']}:text-matches("^${shown(first)}\\\\b")`),
    );
    await page.waitForSelector(`${card} .last .chip.${second['cor']}:text-matches("^${shown(second)}\\\\b")`);
    await page.waitForSelector(`${card} .strip .chip.${first['cor']}:text-matches("^${shown(first)}\\\\b")`);
    await page.fill('#search', id);
    await page.waitForSelector(card);
    await page.click(`${card} h2 a`);
    for (const reference of [null, id, second['roleta_nome']]) {
      if (reference === undefined) continue;
      if (reference !== null) {
        await page.goto(`${stage.url}/#/mesa/${reference}`);
        await page.reload();
      }
      await page.waitForSelector(`.table-head .age:text("${id} ·")`);
      await page.waitForSelector('.as-history .chip >> nth=1');
      const [newest, before] = await page.locator('.as-history .chip').allTextContents();
      expect([newest, before].map((text) => /^\d+/.exec(text ?? '')?.[0])).toEqual([shown(second), shown(first)]);
    }
    const pockets = second['rotulo'] === '00' ? 38 : 37;
    expect(await page.locator('.wheel .pocket').count()).toBe(pockets);
    expect(await page.locator('.wheel .pocket text:text-is("00")').count()).toBe(pockets - 37);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('exports its numbers from the page', async () => {
    const { page, context } = await theatre.open({ url: stage.url, path: `/#/mesa/${encodeURIComponent(id)}` });
    await page.waitForSelector('.as-history .chip >> nth=1');
    const [head, ...rows] = await savedCsv(page);
    expect(head).toBe('timestamp,numero,rotulo,cor,suspeito');
    expect(rows.map((row) => row.split(',').slice(1, 4))).toEqual(
      [second, first].map(({ numero, rotulo = '', cor }) => [String(numero), rotulo, cor]),
    );
    await context.close();
  });
});
