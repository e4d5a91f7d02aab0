import { createServer } from 'node:net';
import { SignJWT } from 'jose';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOSE } from '../../src/protocol/errors.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';
import { findingsOn } from './axe.ts';
import { hasChromium, isBuilt, openTheatre, type Theatre } from './theatre.ts';

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

  it('reads the long past of a table, and the timeline of its strategy from the store', async () => {
    const database = freshDatabase();
    const of = (name: string) => client.db(database).collection(name);
    const names = { roleta_id: '2010165', roleta_nome: 'Roulette' };
    const start = Date.now() - 3 * 86_400_000;
    await of('roleta_numeros').insertMany(
      Array.from({ length: 620 }, (_, at) => ({ ...names, numero: at % 37, timestamp: new Date(start + at * 40_000) })),
    );
    for (const [at, estado] of ['TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO'].entries()) {
      await of('estrategia_historico_novo').insertOne({
        ...names,
        estado,
        numero_gatilho: 7,
        terminais_gatilho: [7, 8],
        vitorias: 3 + at,
        derrotas: 2 + Math.floor(at / 2),
        timestamp: new Date(start + (600 + at) * 40_000),
      });
    }
    const live = await startRuncashProcess(mongo.uri, database);
    const { page, context, problems } = await theatre.open({ url: live.url, path: '/#/mesa/2010165?n=500' });
    await page.waitForSelector('.as-history .chip >> nth=499');
    expect(await page.locator('.as-history .chip').count()).toBe(500);
    await page.waitForSelector('.changes li >> nth=2');
    const states = await page.$$eval('.changes .badge', (badges) => badges.map((badge) => badge.textContent));
    expect(states).toEqual(['Morto', 'Pós-gale', 'Gatilho']);
    const strategy = await page.textContent('.of-strategy');
    // Over the window the counts grew by two wins and one loss.
    expect(strategy).toContain('Acertos na janela: 2 de 3');
    // Six numbers, twice: 1 - (31/37)^2.
    expect(strategy).toContain('O acaso, com 6 números em média e 2 tentativas, acertaria 29,8%.');
    expect(strategy).toContain('a casa fica com 2,7% em média');
    expect(problems).toEqual([]);
    await context.close();
    await live.end();
  });

  it('shows operators who is connected, closes and revokes them, and takes that back', async () => {
    const secret = 'a secret of more than thirty-two bytes';
    const tokenOf = (sub: string): Promise<string> =>
      new SignJWT({ sub }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1 hour').sign(Buffer.from(secret));
    const ADMIN_KEY = 'admin-key-0123456789';
    const live = await startRuncashProcess(mongo.uri, freshDatabase(), { AUTH: 'jwt', JWT_SECRET: secret, ADMIN_KEY });
    const anaToken = await tokenOf('ana');
    const ana = async (): Promise<WebsocketClient> => {
      const guest = await connectWebsocket(new URL(live.url).host, { path: `/ws?token=${anaToken}` });
      guest.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
      await guest.next('subscribed');
      return guest;
    };
    let guest = await ana();
    const { page, context } = await theatre.open({ url: live.url, path: '/#/operacao' });
    await page.waitForSelector('.bar.failed:has-text("token válido")');
    await page.click('.pill');
    await page.fill('#token', await tokenOf('operator'));
    await page.click('.server-form button');
    await page.waitForSelector('.pill[data-state=live]');
    await page.waitForSelector('.plots .note:text-is("Só com a chave de administração.")');
    await page.fill('#admin-key', ADMIN_KEY);
    await page.locator('#admin-key').blur();
    await page.waitForSelector('.plots .spark-line[d^="M"]', { state: 'attached' });
    await page.waitForSelector('.panel .note:text-is("Nenhum alerta.")');
    const row = '.clients tr:has(th:text-is("ana"))';
    await page.waitForSelector(row);
    await page.click(`${row} button:text-is("Encerrar")`);
    expect((await guest.closed).code).toBe(CLOSE.removed);
    guest = await ana();
    await page.waitForSelector(row);
    page.on('dialog', (dialog) => dialog.accept());
    await page.click(`${row} button:text-is("Revogar")`);
    expect((await guest.closed).code).toBe(CLOSE.revoked);
    await page.waitForSelector('.denials code:text-is("sub ana")');
    await theatre.picture(page, 'operator-clients');
    await page.click('.denials button:text-is("Permitir de novo")');
    await page.waitForSelector('.clients .note:text-is("Ninguém.")');
    await context.close();
    await live.end();
  });

  it('serves documents of its routes without a serious accessibility finding', async () => {
    const live = await startRuncashProcess(mongo.uri, freshDatabase());
    for (const dark of [true, false]) {
      const { page, context } = await theatre.open({ url: live.url, path: '/docs', dark });
      expect(await findingsOn(page)).toEqual([]);
      await context.close();
    }
    await live.end();
  });

  it('says why it may not show a server that PAGE_SERVERS does not name', async () => {
    const live = await startRuncashProcess(mongo.uri, freshDatabase());
    const { page, context } = await theatre.open({ url: live.url, path: '/?server=http://other.example' });
    await page.waitForSelector('.bar.failed:has-text("não pode se conectar a other.example: falta em PAGE_SERVERS")');
    // At once, and not as a connection that may still come.
    await page.waitForSelector('.pill[data-state=failed]');
    expect(await page.locator('.waiting').count()).toBe(0);
    await page.click('.bar.foreign button:text-is("Voltar ao servidor desta página")');
    await page.waitForSelector('.pill[data-state=live]');
    expect(await page.locator('.bar').count()).toBe(0);
    expect(page.url()).not.toContain('server=');
    await context.close();
    await live.end();
  });
});
