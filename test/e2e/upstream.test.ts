import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createUpstream } from '../../src/app/upstream.ts';
import { STATUS_HISTORY } from '../../src/gateway/http/schemas.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { freePort, type Running, startProcess, startRuncashProcess } from '../support/process.ts';

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
  const started = startLeaf();
  const [, url = ''] = await started.line(/"url":"(https?:\/\/[^"]+)"/);
  await started.line(/"event":"ready"/);
  leaf = Object.assign(started, { url });
});

const startLeaf = (more: Readonly<Record<string, string>> = {}): Running =>
  startProcess('src/main.js', [], {
    PORT: '0',
    DRAIN_SECONDS: '0',
    UPSTREAM: cores.map(({ url }) => url.replace('http', 'ws')).join(','),
    UPSTREAM_KEY: SETTINGS.ADMIN_KEY,
    ...more,
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
    const lengthAt = async (base: string) =>
      (await fetch(`${base}/api/v1/tables/2010165/numbers?limit=5`, { method: 'HEAD' })).headers.get('content-length');
    expect(await lengthAt(leaf.url)).toBe(await lengthAt(cores[0]?.url ?? ''));
    expect(Number(await lengthAt(leaf.url))).toBeGreaterThan(0);
    const refused = await fetch(`${leaf.url}/api/v1/numbers`, { method: 'POST', body: '{}' });
    expect(refused.status).toBe(401);
    expect((await fetch(`${leaf.url}/api/v1/denials`)).status).toBe(401);
  });

  it('tells its own last hour, not that of a core', async () => {
    const socket = await subscribed(leaf);
    const newest = async () => {
      const headers = { authorization: `Bearer ${SETTINGS.ADMIN_KEY}` };
      const [own, core] = await Promise.all(
        [leaf, cores[0]].map((at) => fetch(`${at?.url}/api/v1/status/history`, { headers })),
      );
      expect(core?.status).toBe(200);
      return STATUS_HISTORY.parse(await own?.json()).samples.at(-1)?.connections;
    };
    await expect.poll(newest, { timeout: 25_000 }).toBe(1);
    socket.socket.close();
  });

  it('streams an export on, as a core names and marks it', async () => {
    const at = (base: string) => fetch(`${base}/api/v1/tables/2010165/numbers`, { headers: { accept: 'text/csv' } });
    const [own, core] = await Promise.all([at(leaf.url), at(cores[0]?.url ?? '')]);
    for (const name of ['content-type', 'content-disposition', 'vary', 'transfer-encoding']) {
      expect(own.headers.get(name), name).toBe(core.headers.get(name));
    }
    expect(own.headers.get('content-disposition')).toContain('.csv');
    expect(await own.text()).toBe(await core.text());
  });

  it('reports that all is well from each of its workers', async () => {
    const port = await freePort();
    const several = startLeaf({ PORT: String(port), WORKERS: '2' });
    await expect
      .poll(
        async () => {
          const metrics = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => null);
          return (await metrics?.text())?.match(/^runcash_database_up\S* \d$/gm)?.map((line) => line.at(-1));
        },
        { timeout: 50_000, interval: 50 },
      )
      .toEqual(['1', '1']);
    const status = await fetch(`http://127.0.0.1:${port}/status`);
    expect(await status.json()).toMatchObject({ state: 'live', database: 'ok', reasons: [] });
    await several.end();
  });

  it('that follows itself says so, and passes nothing around in a circle', async () => {
    const port = await freePort();
    const { ADMIN_KEY } = SETTINGS;
    const circle = startLeaf({ PORT: String(port), UPSTREAM: `ws://127.0.0.1:${port}`, ADMIN_KEY });
    await circle.line(/"event":"feed_reopen".*UPSTREAM leads back to this instance/);
    const options = { method: 'POST', headers: INGEST, body: '{}' };
    const posted = await fetch(`http://127.0.0.1:${port}/api/v1/numbers`, options);
    expect(posted.status).toBe(503);
    expect(await posted.json()).toMatchObject({ detail: expect.stringContaining('leads back to this instance') });
    await circle.end();
  });

  it('says why no core lets it follow', async () => {
    const wrong = startLeaf({ UPSTREAM_KEY: 'a-key-that-nobody-has' });
    await wrong.line(/"event":"feed_reopen".*the core does not accept UPSTREAM_KEY/);
    await wrong.end();
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

describe('what is passed on', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  /** A core that answers as a test wants, and opens lines for whoever follows it if it may be followed; its address. */
  async function fakeCore(listener: RequestListener, followed = false): Promise<string> {
    const port = await freePort();
    const server = createServer(listener).listen(port, '127.0.0.1');
    servers.push(server);
    if (followed) new WebSocketServer({ server });
    await once(server, 'listening');
    return `ws://127.0.0.1:${port}`;
  }
  const request = (method: string) => ({
    method,
    path: '/',
    query: new URLSearchParams(),
    headers: new Map(),
    visitor: { text: '127.0.0.1', key: '127.0.0.1' },
    body: async () => new Uint8Array(),
  });

  it('goes to the next core, however many requests find one dead at once', async () => {
    const dead = `ws://127.0.0.1:${await freePort()}`;
    const alive = await fakeCore((_request, response) => response.end('{"denials":[],"removals":[]}'));
    const upstream = createUpstream([dead, alive], 'key');
    const orders = await Promise.all([1, 2, 3, 4].map(() => upstream.readOrders()));
    expect(orders).toHaveLength(4);
  });

  it('goes to the core that is followed, also when that one fails to say what operators ordered', async () => {
    const asked: string[] = [];
    const named =
      (name: string): RequestListener =>
      ({ url }, response) => {
        asked.push(`${name} ${url}`);
        if (url === '/api/v1/orders') response.destroy();
        else response.end(name);
      };
    const first = await fakeCore(named('first'), true);
    const upstream = createUpstream([first, await fakeCore(named('second'))], 'key');
    const line = await upstream.connect();
    await expect.poll(() => asked).toContain('first /api/v1/orders');
    for (const _ of [1, 2, 3]) await upstream.passOn(request('GET'));
    expect(asked).toEqual(['first /api/v1/orders', 'first /', 'first /', 'first /']);
    line.close();
  });

  it('finds no core where the path of UPSTREAM is wrong, and says so', async () => {
    const core = await fakeCore((_request, response) => response.writeHead(404).end());
    await expect(createUpstream([`${core}/live`], 'key').connect()).rejects.toThrow(
      'no replica route there: the core has no ADMIN_KEY, or the path of UPSTREAM is wrong',
    );
  });

  it('comes as the core streams it, and is known to be cut when the core dies', async () => {
    let cut = (): void => undefined;
    const core = await fakeCore((_request, response) => {
      response.write('first');
      cut = () => void response.destroy();
    });
    const { body, rest } = await createUpstream([core], 'key').passOn(request('GET'));
    expect(body).toBe('first');
    cut();
    await expect(rest?.next()).rejects.toMatchObject({ code: 'database_unavailable' });
  });

  it('is not known to be stored when the answer to a post is cut', async () => {
    const core = await fakeCore((_request, response) => {
      response.writeHead(201, { 'content-length': 9 });
      response.write('part', () => response.destroy());
    });
    const posted = createUpstream([core], 'key').passOn(request('POST'));
    await expect(posted).rejects.toMatchObject({ code: 'write_unknown' });
  });

  it('is answered before a leaf that drains ends, when its core takes a second', async () => {
    let taken = (): void => undefined;
    const atCore = new Promise<void>((resolve) => {
      taken = resolve;
    });
    const core = await fakeCore(({ method }, response) => {
      if (method === 'POST') taken();
      setTimeout(() => response.writeHead(201).end('{}'), 1_000);
    });
    const draining = startLeaf({ UPSTREAM: core, DRAIN_SECONDS: '5' });
    const [, url = ''] = await draining.line(/"url":"(https?:\/\/[^"]+)"/);
    const posted = fetch(`${url}/api/v1/numbers`, { method: 'POST', headers: INGEST, body: '{}' });
    await atCore;
    const ended = draining.end();
    expect((await posted).status).toBe(201);
    expect(await ended).toBe(0);
  });
});
