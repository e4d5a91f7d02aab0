import { once } from 'node:events';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { type Running, startProcess, startRuncashProcess } from '../support/process.ts';

const INGEST = { authorization: 'Bearer scraper-secret-0123456789' };
const database = freshDatabase();
type Core = Awaited<ReturnType<typeof startRuncashProcess>>;
let mongo: TestMongo;
let client: MongoClient;
let cores: Core[];
let leaf: Running & { readonly url: string };

const SETTINGS = { ADMIN_KEY: 'key-of-operators-and-leaves', INGEST_KEYS: 'scraper:scraper-secret-0123456789' };

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  cores = await Promise.all([1, 2].map(() => startRuncashProcess(mongo.uri, database, SETTINGS)));
  const started = startProcess('src/main.js', [], {
    PORT: '0',
    DRAIN_SECONDS: '0',
    UPSTREAM: cores.map(({ url }) => url.replace('http', 'ws')).join(','),
    UPSTREAM_KEY: SETTINGS.ADMIN_KEY,
  });
  const [, url = ''] = await started.line(/"url":"(https?:\/\/[^"]+)"/);
  await started.line(/"event":"ready"/);
  leaf = Object.assign(started, { url });
});

afterAll(async () => {
  await leaf.end();
  await Promise.all(cores.map((core) => core.end()));
  await client.close();
  await mongo.stop();
});

const hostOf = ({ url }: { readonly url: string }): string => url.replace('http://', '');

async function subscribed(at: { readonly url: string }, after?: string): Promise<WebsocketClient> {
  const socket = await connectWebsocket(hostOf(at));
  const from = after === undefined ? {} : { after };
  socket.send({ type: 'subscribe', id: 1, topics: [{ topic: 'roulette:2010165', ...from }] });
  return socket;
}

const post = (numero: number) =>
  fetch(`${leaf.url}/api/v1/numbers`, {
    method: 'POST',
    headers: { ...INGEST, 'content-type': 'application/json' },
    body: JSON.stringify({ roleta_id: '2010165', roleta_nome: 'Roulette', numero, timestamp: new Date() }),
  });

describe('a leaf', () => {
  it('passes posts on, and delivers the same frames as a core at the same positions', async () => {
    const sockets = await Promise.all([leaf, ...cores].map((at) => subscribed(at)));
    for (const socket of sockets) await socket.next('subscribed');
    expect((await post(7)).status).toBe(201);
    const events = await Promise.all(sockets.map((socket) => socket.next('new_number')));
    expect(events[0]).toMatchObject({ numero: 7 });
    expect(events[1]).toEqual(events[0]);
    expect(events[2]).toEqual(events[0]);
    for (const { socket } of sockets) socket.close();
  });

  it('passes reads at rest on, with the answer and the rights of a core', async () => {
    const at = (base: string) => fetch(`${base}/api/v1/tables/2010165/numbers?limit=5`).then((answer) => answer.json());
    expect(await at(leaf.url)).toEqual(await at(cores[0]?.url ?? ''));
    const refused = await fetch(`${leaf.url}/api/v1/numbers`, { method: 'POST', body: '{}' });
    expect(refused.status).toBe(401);
    expect((await fetch(`${leaf.url}/api/v1/denials`)).status).toBe(401);
  });

  it('is not followed without the key', async () => {
    const socket = new WebSocket(`ws://${hostOf(cores[0] ?? leaf)}/api/v1/replica`, {
      headers: { authorization: 'Bearer a key that nobody has' },
    });
    const [, response] = await once(socket, 'unexpected-response');
    expect(response).toMatchObject({ statusCode: 401 });
    response.destroy();
  });

  it('recovers a client of a core from its position, and keeps its clients while a core dies', async () => {
    const core = await subscribed(cores[1] ?? leaf);
    const { position } = await core.next('subscribed');
    core.socket.close();
    const moved = await subscribed(leaf, String(position));
    expect((await moved.next('subscribed'))['topics']).toMatchObject([{ recovered: true, replayed: 0 }]);
    await cores[0]?.end('SIGKILL');
    for (const numero of [1, 2, 3]) expect((await post(numero)).status).toBe(201);
    for (const numero of [1, 2, 3]) expect(await moved.next('new_number')).toMatchObject({ numero });
    expect(moved.all.filter(({ type }) => type === 'reset')).toEqual([]);
    moved.socket.close();
  });
});
