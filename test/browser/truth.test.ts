import { MongoClient } from 'mongodb';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase } from '../support/mongo.ts';
import { startMongoProcess, startRuncashProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { findingsOn } from './axe.ts';
import { hasChromium, isBuilt, openTheatre, type Theatre } from './theatre.ts';

const TABLE = '2010165';
const CARD = `article[data-table="${TABLE}"]`;

/** Colours of the chips on the page: one colour for all when nothing is certain. */
const coloursOn = (page: Page): Promise<readonly string[]> =>
  page.evaluate(
    "[...new Set([...document.querySelectorAll('.card .chip:not(.empty)')].map((chip) => getComputedStyle(chip).backgroundColor))]",
  );

const barOf = async (page: Page): Promise<string> => (await page.textContent('.bar:not(.foreign)')) ?? '';

describe.runIf(hasChromium && isBuilt)('while what it shows may not be the truth, the page', () => {
  let theatre: Theatre;
  let mongo: Awaited<ReturnType<typeof startMongoProcess>>;
  let client: MongoClient;

  beforeAll(async () => {
    theatre = await openTheatre();
    mongo = await startMongoProcess();
    client = new MongoClient(mongo.uri);
  });

  afterAll(async () => {
    await theatre.stop();
    await client.close();
    mongo.child.kill('SIGCONT');
    await mongo.end();
  });

  /** A service with one table that has a signal, seen through a network that can be cut. */
  async function openLive(settings: Readonly<Record<string, string>> = {}, of = { uri: mongo.uri, client }) {
    const database = freshDatabase();
    const live = await startRuncashProcess(of.uri, database, settings);
    const network = await startProxy(live.port);
    const { page, context } = await theatre.open({ url: `http://127.0.0.1:${network.port}` });
    await page.waitForSelector('.pill[data-state=live]');
    const numbers = of.client.db(database).collection('roleta_numeros');
    const names = { roleta_id: TABLE, roleta_nome: 'Roulette' };
    for (const numero of [0, 7, 8]) await numbers.insertOne({ ...names, numero, timestamp: new Date() });
    await of.client
      .db(database)
      .collection('estrategia_historico_novo')
      .insertOne({
        ...names,
        estado: 'TRIGGER',
        numero_gatilho: 8,
        terminais_gatilho: [7],
        vitorias: 3,
        derrotas: 1,
        sugestao_display: 'APOSTAR EM: 7',
        timestamp: new Date(),
      });
    await page.waitForSelector(`${CARD} .badge.trigger`);
    return {
      page,
      live,
      network,
      async stop(): Promise<void> {
        await context.close();
        await network.close();
        await live.end();
      },
    };
  }

  const untilDoubted = async (page: Page): Promise<void> => {
    await page.waitForSelector(`${CARD}.doubt`);
    await page.waitForSelector('.bar');
    expect(await page.$eval('.bar', (bar) => bar.getBoundingClientRect().width)).toBe(page.viewportSize()?.width);
    expect(await coloursOn(page)).toHaveLength(1);
    expect(await page.textContent(`${CARD} s`)).toBe('APOSTAR EM: 7');
    expect(await page.textContent('.board h2')).toBe('Sinais ativos: 0 · não confirmados: 1');
    expect(await page.textContent(`${CARD} .age`)).toMatch(/^há \d+ s/);
    expect(await page.textContent(`${CARD} .unconfirmed`)).toMatch(/^sinal de há \d+ (s|min), não confirmado$/);
  };
  const untilLive = async (page: Page): Promise<void> => {
    await page.waitForSelector(`${CARD}:not(.doubt)`, { timeout: 60_000 });
    expect(await page.locator('.bar').count()).toBe(0);
    expect((await coloursOn(page)).length).toBeGreaterThan(1);
    expect(await page.locator(`${CARD} s`).count()).toBe(0);
    expect(await page.textContent('.board h2')).toBe('Sinais ativos: 1');
  };

  it('has colours and signals while all is well, and a covered 7 means 7, 17 and 27', async () => {
    const { page, stop } = await openLive();
    await untilLive(page);
    const covered = await page.$$eval(`[data-signal="${TABLE}"] .covered .chip`, (chips) =>
      chips.map((chip) => chip.firstChild?.textContent),
    );
    expect(covered).toEqual(['7', '17', '27']);
    await page.click(`${CARD} a`);
    await page.waitForSelector('.felt .covered');
    const lit = await page.$$eval('.felt .covered', (fields) =>
      fields.map((field) => field.getAttribute('data-numero')),
    );
    expect(lit).toEqual(['7', '17', '27']);
    expect(await page.locator('.wheel .covered').count()).toBe(3);
    await stop();
  });

  it('says so when MongoDB is frozen, and takes it back', async () => {
    const { page, stop } = await openLive();
    mongo.child.kill('SIGSTOP');
    await untilDoubted(page);
    expect(await barOf(page)).toMatch(/banco de dados\..*podem ter mudado.*Sem notícias há \d+ s/);
    await theatre.picture(page, 'truth-frozen');
    mongo.child.kill('SIGCONT');
    await untilLive(page);
    await stop();
  });

  it('says so when MongoDB is killed', async () => {
    const own = await startMongoProcess();
    const of = { uri: own.uri, client: new MongoClient(own.uri) };
    const { page, stop } = await openLive({}, of);
    await own.end('SIGKILL');
    await untilDoubted(page);
    await page.waitForSelector('.bar:has-text("O servidor perdeu o banco de dados.")');
    await of.client.close();
    await stop();
  });

  it('says so when the network is silent, and when it is cut', async () => {
    const { page, network, stop } = await openLive();
    network.blackHole(true);
    network.cut();
    await untilDoubted(page);
    expect(await barOf(page)).toMatch(/(encerrou a conexão|não responde|parou de responder)\./);
    network.blackHole(false);
    await untilLive(page);
    await stop();
  });

  it('says so when the server is killed, with the time of the next attempt', async () => {
    const { page, live, stop } = await openLive();
    await live.end('SIGKILL');
    await untilDoubted(page);
    await page.waitForSelector('.bar:has-text("Nova tentativa em")');
    await page.waitForSelector('.bar button:text-is("Tentar agora")');
    await theatre.picture(page, 'truth-killed');
    await stop();
  });

  it('says so when this machine has no network', async () => {
    const { page, stop } = await openLive();
    await page.context().setOffline(true);
    await untilDoubted(page);
    await page.waitForSelector('.bar.offline:has-text("Este aparelho está sem rede.")');
    await page.context().setOffline(false);
    await untilLive(page);
    await stop();
  });

  it('says so when the server sends it away to restart', async () => {
    const { page, live, stop } = await openLive({ DRAIN_SECONDS: '1' });
    await live.end();
    await untilDoubted(page);
    await page.click('nav a:text-is("Eventos")');
    await page.waitForSelector('.log .line:has-text("O servidor está reiniciando.")');
    await stop();
  });

  it('strikes a signal that the analyser did not renew after newer numbers', async () => {
    const { feed } = theatre;
    const before = Date.now() - 11 * 60_000;
    feed.number(TABLE, 5, { at: before - 1000 });
    feed.strategy(TABLE, {
      estado: 'TRIGGER',
      numero_gatilho: 5,
      terminais_gatilho: [1],
      vitorias: 0,
      derrotas: 0,
      sugestao_display: 'APOSTAR EM: 1',
      timestamp: new Date(before).toISOString(),
    });
    feed.number(TABLE, 9, { at: Date.now() - 60_000 });
    const { page, context } = await theatre.open();
    await page.waitForSelector('.pill[data-state=live]');
    expect(await page.textContent(`${CARD} .unconfirmed`)).toBe('sinal de há 11 min, não confirmado');
    // The numbers are the truth, and keep their colours.
    expect(await page.locator(`${CARD}.doubt`).count()).toBe(0);
    await context.close();
  });

  it('says so when the server refuses it from now on', async () => {
    const { page, context } = await theatre.open();
    theatre.feed.number(TABLE, 7);
    await page.waitForSelector(`${CARD}:not(.doubt)`);
    theatre.server.refusal = 'auth failed';
    theatre.server.cutAll();
    await page.waitForSelector('.bar.failed:has-text("O servidor pede um token válido.")');
    await page.waitForSelector('.pill[data-state=failed]');
    expect(await coloursOn(page)).toHaveLength(1);
    theatre.server.refusal = null;
    await page.click('.bar button:text-is("Tentar agora")');
    await page.waitForSelector(`${CARD}:not(.doubt)`);
    await context.close();
  });
});

describe.runIf(hasChromium)('without tables, the page', () => {
  it('shows connecting, refused and empty as three different things', async () => {
    const theatre = await openTheatre();
    theatre.feed.tables.clear();
    const empty = await theatre.open();
    await empty.page.waitForSelector('.nothing');
    expect(await empty.page.textContent('.nothing')).toContain('Nenhuma mesa ainda');

    theatre.server.refusal = 'auth failed';
    const refused = await theatre.open();
    await refused.page.waitForSelector('.refused h2:text-is("Conexão recusada")');
    expect(await refused.page.textContent('.refused')).toContain('token válido');
    await refused.page.waitForSelector('.refused button:text-is("Tentar agora")');

    theatre.server.refusal = null;
    theatre.server.blockWebSocket = true;
    theatre.server.sseStatus = 503;
    const connecting = await theatre.open();
    await connecting.page.waitForSelector('.waiting h2:text-is("Conectando")');
    await theatre.picture(connecting.page, 'connecting-dark');
    for (const { page, context } of [empty, refused, connecting]) {
      expect(await findingsOn(page)).toEqual([]);
      await context.close();
    }
    await theatre.stop();
  });
});
