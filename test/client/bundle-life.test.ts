import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { buildPage } from '../../src/dashboard/build.mjs';
import { type Stage, startStage } from '../docs/stage.ts';

type Built = typeof import('../../src/client/connect.ts');

let folder: string;
let built: Built;
let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runcash-life-'));
  await buildPage(folder);
  built = await import(pathToFileURL(join(folder, 'client.js')).href);
  stage = await startStage();
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What a page's client is told by the service, in order, with waits for what has not come yet. */
function openPage(topic: string) {
  const client = built.connect(stage.url, { WebSocket, transports: ['websocket'], random: () => 0 });
  const frames: string[] = [];
  const numbers: number[] = [];
  const told: string[] = [];
  client.listen('message', ({ type }) => frames.push(type));
  const subscription = client.subscribe(topic, {
    onNumber: ({ numero }) => numbers.push(numero),
    onSnapshot: (_table, { reason }) => told.push(`snapshot: ${reason}`),
    onReset: ({ reason }) => told.push(`reset: ${reason}`),
    onRecovered: ({ replayed }) => told.push(`recovered: ${replayed}`),
    onLost: ({ reason }) => told.push(`lost: ${reason}`),
  });
  return { client, subscription, frames, numbers, told };
}

// The minifier once shortened `asked`, a field of `resolved`: a name that came to mean a table never began in a page.
it('the client as pages load it lives a whole life with the service', async () => {
  const [id, name] = [`wheel-${randomUUID().slice(0, 8)}`, `Mesa ${randomUUID().slice(0, 8)}`];
  const post = (numero: number) => stage.post('/api/v1/numbers', { roleta_id: id, roleta_nome: name, numero });
  const { client, subscription, frames, numbers, told } = openPage(`roulette:${name}`);
  const list = () => subscription.tables.get(id)?.numeros.map(({ numero }) => numero);

  // A name that nobody knows yet is accepted, and begins with the first number of a table of that name.
  await subscription.ready();
  expect(subscription.tables.size).toBe(0);
  await post(17);
  await expect.poll(() => numbers).toEqual([17]);
  expect(frames).toContain('resolved');
  expect(told).toEqual(['snapshot: new']);
  expect(list()).toEqual([17]);

  // What came while the connection was closed is replayed.
  client.disconnect();
  await post(0);
  await post(36);
  client.connect();
  await expect.poll(() => numbers).toEqual([17, 0, 36]);
  expect(told.slice(0, 2)).toEqual(['snapshot: new', 'recovered: 2']);
  await expect.poll(() => client.state.name).toBe('live');

  // A connection that breaks comes back by itself.
  client.interrupt();
  expect(client.state.name).toBe('recovering');
  await expect.poll(() => client.state.name).toBe('live');
  await post(5);
  await expect.poll(() => numbers).toEqual([17, 0, 36, 5]);
  expect(client.stats).toMatchObject({ reconnects: 2, gaps: 0, duplicates: 0, malformed: 0 });

  // A dropped collection resets the table, and a snapshot says what is left.
  await mongo.db(stage.database).collection('roleta_numeros').drop();
  await expect.poll(() => told.slice(-2)).toEqual(['reset: drop', 'snapshot: drop']);
  expect(list()).toEqual([]);
  await post(9);
  await expect.poll(list).toEqual([9]);

  // Who leaves a table is sent no more of it; what else is subscribed goes on.
  const other = client.subscribe('roulette:2010165');
  await other.ready();
  subscription.unsubscribe();
  expect(subscription.ended).toBe(true);
  await expect.poll(() => frames).toContain('unsubscribed');
  const before = client.stats.events;
  await post(11);
  await stage.post('/api/v1/numbers', { roleta_id: '2010165', numero: 4 });
  await expect.poll(() => other.tables.get('2010165')?.numeros[0]?.numero).toBe(4);
  expect(client.stats.events).toBe(before + 1);
  client.close();
  expect(client.state).toEqual({ name: 'idle', reason: 'closed' });
});
