import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';
import { hasChromium, openTheatre, type Theatre } from './theatre.ts';

const isBuilt = existsSync(fileURLToPath(new URL('../../dist/page/page.js', import.meta.url)));

/** A free port that no outgoing connection is ever given, so that it is still free when the server comes back to it. */
async function lastingPort(): Promise<number> {
  for (let port = 21_000; port < 32_000; port += 7) {
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
  throw new Error('no free port');
}

describe.runIf(hasChromium && isBuilt)('the page of the real service', () => {
  let mongo: TestMongo;
  let client: MongoClient;
  let theatre: Theatre;

  beforeAll(async () => {
    mongo = await startMongo();
    client = new MongoClient(mongo.uri);
    theatre = await openTheatre();
  });

  afterAll(async () => {
    await theatre.stop();
    await client.close();
    await mongo.stop();
  });

  it('shows what a scraper inserts, and survives a restart of the service without losing a number', async () => {
    const database = freshDatabase();
    const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
    const insert = (numero: number) =>
      numbers.insertOne({ roleta_id: '2010165', roleta_nome: 'Roulette', numero, timestamp: new Date() });
    const PORT = String(await lastingPort());
    const live = await startRuncashProcess(mongo.uri, database, { PORT });
    const { page, context, problems } = await theatre.open({ url: live.url });
    await page.waitForSelector('.pill[data-state=live]');
    await insert(0);
    await page.waitForSelector('.card .last .chip.verde');
    await live.end();
    await page.waitForSelector('.pill:not([data-state=live])');
    await insert(11);
    await insert(12);
    const again = await startRuncashProcess(mongo.uri, database, { PORT });
    await page.waitForSelector('.card .last .chip:text-matches("^12 ")', { timeout: 45_000 });
    const strip = await page.locator('.card .strip .chip').allTextContents();
    expect(strip.map((text) => Number.parseInt(text, 10))).toEqual([11, 0]);
    // The browser itself reports refused connections while the service is away; the page has none of its own.
    expect(problems.filter((problem) => !/WebSocket|Failed to load|ERR_/.test(problem))).toEqual([]);
    await context.close();
    await again.end();
  });
});
