import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startFakeHttp } from '../client/fake-http.ts';
import { eveningTheatre, hasChromium } from './theatre.ts';

const SPEED = '2010165';

describe.runIf(hasChromium)('the list of events', () => {
  const theatre = eveningTheatre();

  const has = (page: Page, line: string): Promise<unknown> => page.waitForSelector(`.log .line:has-text("${line}")`);

  it('tells how the connection was opened, lost and recovered, and with which snapshots it began', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await has(page, 'conectado por websocket');
    await has(page, 'estado completo de roulette:* (primeira leitura)');
    theatre.server.cutAll();
    await has(page, 'conexão perdida: 1006 O servidor encerrou a conexão.');
    await has(page, 'espera de');
    for (const numero of [1, 2]) theatre.feed.number(SPEED, numero);
    await has(page, 'recuperados');
    const colourOf = (name: string) =>
      page.evaluate(`getComputedStyle(document.querySelector('.log [data-name=${name}]')).color`);
    expect(await colourOf('opened')).toBe('rgb(88, 211, 148)');
    expect(await colourOf('lost')).toBe('rgb(255, 128, 136)');
    // Newest first: it was opened, lost, waited for, tried again and opened again.
    const notes = await page.$$eval('.log [data-type=connection] + .line', (lines) =>
      lines.map((line) => (line.textContent ?? '').split(' ')[0]?.replace(':', '')),
    );
    expect(notes.reverse().filter((word) => word !== 'recuperados')).toEqual([
      'conectando',
      'conectado',
      'conexão',
      'tentativa',
      'conectando',
      'conectado',
    ]);
    await context.close();
  });

  it('goes to another server, and remembers it among those that were chosen', async () => {
    const remote = await startFakeHttp(theatre.feed);
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await has(page, 'conectado');
    await page.click('.connection-tools summary');
    await page.fill('#events-server', new URL(remote.url).host);
    await page.click('.connection-tools .primary');
    await page.waitForSelector('.bar.foreign');
    await has(page, 'conectado');
    expect(await page.getAttribute('#events-recent-servers option', 'value')).toBe(remote.url);
    await context.close();
    await remote.stop();
  });

  it('says when the browser keeps it from copying', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await has(page, 'conectado');
    // As over plain http of another machine.
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
    await page.click('text=Copiar JSON');
    await page.waitForSelector('.log-view .note:has-text("O navegador não deixou copiar.")');
    await context.close();
  });

  it('hides pings, and stands still while somebody reads a row', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await has(page, 'conectado');
    await page.click('.pill');
    await page.check('#log-pings');
    await page.waitForSelector('.log [data-type=pong]');
    await page.uncheck('#log-pings');
    expect(await page.locator('.log [data-type=pong]').count()).toBe(0);
    const first = await page.getAttribute('.log li', 'data-serial');
    await page.click('.log li summary');
    await page.waitForSelector('.log li pre:has-text("type")');
    theatre.feed.number(SPEED, 3);
    await page.waitForSelector('.log-view .note:has-text("chegaram")');
    expect(await page.getAttribute('.log li', 'data-serial')).toBe(first);
    await page.click('.log li summary');
    await has(page, 'Roulette 3 vermelho');
    await context.close();
  });

  it('shows only what is asked for', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await has(page, 'conectado');
    await page.fill('#log-text', 'primeira leitura');
    await page.waitForSelector('.log li >> nth=1', { state: 'detached' });
    expect(await page.textContent('.log li .type')).toBe('subscribed');
    await context.close();
  });

  it('leaves and comes back, and copies what does the same in a terminal', async () => {
    const { page, context } = await theatre.open({ path: '/#/eventos' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await has(page, 'conectado');
    await page.click('.connection-tools summary');
    await page.click('text=Copiar como curl');
    await page.waitForSelector('.log-view .note:has-text("Copiado: curl")');
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
      `curl -N '${theatre.server.url}/events?topics=roulette:*'`,
    );
    await page.click('text=Copiar como wscat');
    await page.waitForSelector('.log-view .note:has-text("Copiado: wscat")');
    await page.fill('#events-token', 'secret');
    await page.click('.connection-tools .primary');
    await page.waitForSelector('.pill[data-state=live]');
    await page.click('text=Copiar como curl');
    await page.waitForSelector('.log-view .note:has-text("Copiado: curl")');
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
      `curl -N -H "Authorization: Bearer $TOKEN" '${theatre.server.url}/events?topics=roulette:*'`,
    );
    await page.click('button:text-is("Desconectar")');
    await page.waitForSelector('.bar:has-text("Você se desconectou.")');
    await page.click('button:text-is("Conectar de novo")');
    await page.waitForSelector('.pill[data-state=live]');
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('button:text-is("Baixar")')]);
    expect(file.suggestedFilename()).toBe('events.json');
    const saved = z
      .array(z.object({ at: z.iso.datetime(), message: z.object({ type: z.string() }) }))
      .parse(JSON.parse(await readFile(await file.path(), 'utf8')));
    const types = new Set(saved.map(({ message }) => message.type));
    for (const type of ['connection', 'hello', 'subscribed', 'snapshot']) expect(types, type).toContain(type);
    await context.close();
  });
});
