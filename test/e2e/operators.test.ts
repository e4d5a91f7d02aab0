import { SignJWT } from 'jose';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { connectWebsocket } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { freePort, startRuncashProcess } from '../support/process.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const ADMIN_KEY = 'admin-key-0123456789';
const ENVIRONMENT = { AUTH: 'jwt', JWT_SECRET: SECRET, ADMIN_KEY, SOCKETIO: 'true' };

type Instance = Awaited<ReturnType<typeof startRuncashProcess>>;

let mongo: TestMongo;
let database: string;
let first: Instance;
let second: Instance;

beforeAll(async () => {
  mongo = await startMongo();
  database = freshDatabase();
  first = await startRuncashProcess(mongo.uri, database, ENVIRONMENT);
  second = await startRuncashProcess(mongo.uri, database, ENVIRONMENT);
});
afterAll(async () => {
  await first.end();
  await second.end();
  await mongo.stop();
});

const jwt = (claims: Record<string, unknown>): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1 hour')
    .sign(new TextEncoder().encode(SECRET));

async function admin(instance: Instance, method: string, path: string, body?: unknown, key = ADMIN_KEY) {
  const response = await fetch(instance.url + path, {
    method,
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, answer: JSON.parse(await response.text()) };
}

async function connected(instance: Instance, claims: Record<string, unknown>) {
  const client = await connectWebsocket(new URL(instance.url).host, { path: `/ws?token=${await jwt(claims)}` });
  client.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165'] });
  await client.next('subscribed');
  return client;
}

const reads = async (instance: Instance, claims: Record<string, unknown>): Promise<number> =>
  (await fetch(`${instance.url}/api/v1/tables`, { headers: { authorization: `Bearer ${await jwt(claims)}` } })).status;

describe('who is connected', () => {
  it('is shown to operators: subject, address, transport, topics, since, what was sent and is not taken yet', async () => {
    const ana = await connected(first, { sub: 'ana', jti: 't-1', tables: ['2010165'] });
    const stop = new AbortController();
    const path = `/events?topics=roulette:2010165,roulette:2010033&token=${await jwt({ sub: 'bia' })}`;
    const stream = await fetch(first.url + path, { signal: stop.signal });
    expect(stream.status).toBe(200);
    const { status, answer } = await admin(first, 'GET', '/api/v1/clients');
    expect(status).toBe(200);
    expect(answer.clients).toMatchObject([
      { subject: 'ana', token_id: 't-1', transport: 'websocket', topics: ['roulette:2010165'], lag_bytes: 0 },
      { subject: 'bia', token_id: null, transport: 'sse', address: '127.0.0.1' },
    ]);
    // hello, authenticated, snapshot, subscribed
    expect(answer.clients[0].sent).toBeGreaterThanOrEqual(4);
    expect(Date.parse(answer.clients[0].since)).toBeLessThanOrEqual(Date.now());
    expect((await admin(first, 'GET', '/api/v1/clients?sub=bia')).answer.clients).toHaveLength(1);
    const page = await admin(first, 'GET', '/api/v1/clients?limit=1');
    expect(page.answer.clients).toHaveLength(1);
    const rest = await admin(first, 'GET', `/api/v1/clients?limit=1&after=${page.answer.next}`);
    expect(rest.answer).toMatchObject({ clients: [{ subject: 'bia' }], next: null });
    stop.abort();
    ana.socket.close();
    await ana.closed;
  });

  it.each([
    ['GET', '/api/v1/clients'],
    ['DELETE', '/api/v1/clients?sub=ana'],
    ['GET', '/api/v1/denials'],
    ['POST', '/api/v1/denials'],
    ['DELETE', '/api/v1/denials?sub=ana'],
  ])('is nobody else’s business: %s %s', async (method, path) => {
    const body = method === 'POST' ? { sub: 'ana' } : undefined;
    expect((await admin(first, method, path, body, 'wrong')).status).toBe(401);
    expect((await admin(first, method, path, body, await jwt({ sub: 'ana' }))).status).toBe(401);
  });
});

describe('an operator', () => {
  it('closes the connections of a subject on every instance, with a code that says so, and no others', async () => {
    const here = await connected(first, { sub: 'caio' });
    const there = await connected(second, { sub: 'caio' });
    const other = await connected(second, { sub: 'duda' });
    expect(await admin(first, 'DELETE', '/api/v1/clients?sub=caio')).toEqual({ status: 200, answer: { closed: 1 } });
    expect((await here.closed).code).toBe(4006);
    expect((await there.closed).code).toBe(4006);
    // It was an order of that moment: the token is as good as before.
    const again = await connected(second, { sub: 'caio' });
    for (const client of [other, again]) {
      client.send({ type: 'ping', id: 9 });
      await client.next('pong');
      client.socket.close();
    }
    expect(first.lines.join('\n')).toMatch(/admin_action.*remove_clients/);
    expect((await admin(first, 'DELETE', '/api/v1/clients')).status).toBe(400);
  });

  it('closes no connection by an order that could not be stored', async () => {
    const client = await connected(first, { sub: 'ines' });
    const mongoClient = new MongoClient(mongo.uri);
    onTestFinished(() => mongoClient.close());
    const failWrites = (mode: 'alwaysOn' | 'off') =>
      mongoClient.db('admin').command({
        configureFailPoint: 'failCommand',
        mode,
        data: { failCommands: ['update'], errorCode: 11600 },
      });
    await failWrites('alwaysOn');
    const { status } = await admin(first, 'DELETE', '/api/v1/clients?sub=ines');
    await failWrites('off');
    expect(status).toBe(503);
    client.send({ type: 'ping', id: 9 });
    await client.next('pong');
    client.socket.close();
  });

  describe('of an instance with two workers', () => {
    let workers: Instance;
    beforeAll(async () => {
      const port = String(await freePort());
      workers = await startRuncashProcess(mongo.uri, database, { ...ENVIRONMENT, WORKERS: '2', PORT: port });
    });
    afterAll(() => workers.end());

    /** Connects until both have one: the kernel spreads connections, and a worker that is not ready yet refuses them. */
    async function connectedToBoth(claims: Record<string, unknown>) {
      const clients: Awaited<ReturnType<typeof connected>>[] = [];
      const connect = async (): Promise<number> => {
        const client = await connected(workers, claims).catch(() => null);
        if (client !== null) clients.push(client);
        return new Set(clients.map(({ all }) => all[0]?.['instance'])).size;
      };
      await expect.poll(connect, { timeout: 50_000, interval: 20 }).toBe(2);
      return clients;
    }

    it('closes the connections to both, and says how many they were', async () => {
      const clients = await connectedToBoth({ sub: 'kai' });
      const elsewhere = await connected(first, { sub: 'kai' });
      const { answer } = await admin(workers, 'DELETE', '/api/v1/clients?sub=kai');
      expect(answer).toEqual({ closed: clients.length });
      for (const { closed } of [...clients, elsewhere]) expect((await closed).code).toBe(4006);
      expect((await admin(workers, 'DELETE', '/api/v1/clients?sub=kai')).answer).toEqual({ closed: 0 });
    });

    it('does not say how many they were while one of them is frozen, and closes them all the same', async () => {
      const clients = await connectedToBoth({ sub: 'lou' });
      const frozen = Number(/"workerPid":(\d+)/.exec(workers.lines.join('\n'))?.[1]);
      expect(frozen).toBeGreaterThan(1);
      process.kill(frozen, 'SIGSTOP');
      // Those that the kernel hands to the frozen one are answered later.
      const orders = Array.from({ length: 12 }, () => admin(workers, 'DELETE', '/api/v1/clients?sub=lou'));
      expect(await Promise.any(orders)).toEqual({ status: 200, answer: { closed: null } });
      process.kill(frozen, 'SIGCONT');
      for (const { closed } of clients) expect((await closed).code).toBe(4006);
      await Promise.all(orders);
    });
  });

  it('revokes a subject on every instance within a second: open connections, new ones, and reads', async () => {
    const here = await connected(first, { sub: 'eva' });
    const there = await connected(second, { sub: 'eva' });
    const startedAt = performance.now();
    expect((await admin(first, 'POST', '/api/v1/denials', { sub: 'eva', reason: 'contract ended' })).status).toBe(201);
    expect((await here.closed).code).toBe(4005);
    expect((await there.closed).code).toBe(4005);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    for (const instance of [first, second]) {
      expect(await reads(instance, { sub: 'eva' })).toBe(401);
      expect(await reads(instance, { sub: 'fred' })).toBe(200);
      const { answer } = await admin(instance, 'GET', '/api/v1/denials');
      expect(answer.denials).toMatchObject([{ sub: 'eva', reason: 'contract ended', until: null }]);
      const refused = await connectWebsocket(new URL(instance.url).host, {
        path: `/ws?token=${await jwt({ sub: 'eva' })}`,
      });
      expect(await refused.next('error')).toMatchObject({ code: 'unauthorized', message: 'The token was revoked.' });
      expect((await refused.closed).code).toBe(4004);
    }
    expect((await admin(second, 'DELETE', '/api/v1/denials?sub=eva')).status).toBe(200);
    await expect.poll(() => reads(first, { sub: 'eva' })).toBe(200);
    expect((await admin(second, 'DELETE', '/api/v1/denials?sub=eva')).status).toBe(404);
  });

  it('shows a revoked subject nothing more, in whichever way it waits for the next number', async () => {
    // Of characters that mean something in MongoDB, in URLs and in terminals.
    const sub = '$wáit.er/"\\\u202e%2e';
    const bearer = { authorization: `Bearer ${await jwt({ sub })}` };
    const log = '/api/v1/log/roulette:*?offset=now&live=';
    const ask = (path: string) => fetch(second.url + path, { headers: bearer });
    const { next } = z.object({ next: z.string() }).parse(await (await ask('/poll?topics=roulette:*&wait=0')).json());
    const textOf = (answer: Promise<Response>) => answer.then((response) => response.text().catch(() => ''));
    const websocket = await connected(second, { sub });
    const legacy = new WebSocket(`${second.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    const heard: string[] = [];
    legacy.onmessage = ({ data }) => heard.push(String(data));
    const legacyClosed = new Promise((resolve) => legacy.addEventListener('close', resolve));
    await new Promise((resolve) => legacy.addEventListener('open', resolve));
    legacy.send(`40${JSON.stringify({ token: await jwt({ sub }) })}`);
    await expect.poll(() => heard.join()).toContain('connection_success');
    const streams = await Promise.all(['/events?topics=roulette:*', `${log}sse`].map(ask));
    const polls = [`/poll?topics=roulette:*&wait=20&after=${next}`, `${log}long-poll`].map(ask);
    const seen = [...streams.map((stream) => Promise.resolve(stream)), ...polls].map(textOf);
    const shown = async (): Promise<number> =>
      (await admin(second, 'GET', `/api/v1/clients?sub=${encodeURIComponent(sub)}`)).answer.clients.length;
    await expect.poll(shown).toBe(4);

    expect((await admin(first, 'POST', '/api/v1/denials', { sub })).status).toBe(201);
    expect((await websocket.closed).code).toBe(4005);
    await legacyClosed;
    await expect.poll(shown).toBe(0);
    await admin(first, 'POST', '/api/v1/numbers', { roleta_id: '2010165', numero: 17 });
    expect((await Promise.all(seen)).filter((text) => text.includes('"numero":17'))).toEqual([]);
    expect(heard.join()).not.toContain('"numero":17');
    expect((await polls[1])?.status).toBe(401);
    expect((await admin(second, 'DELETE', `/api/v1/denials?sub=${encodeURIComponent(sub)}`)).status).toBe(200);
  });

  it('revokes a subject on leaves too, whose own key gives no order at their core', async () => {
    const leaf = await startRuncashProcess('', database, {
      ...ENVIRONMENT,
      ADMIN_KEY: 'admin-key-of-the-leaf',
      UPSTREAM: first.url.replace('http', 'ws'),
      UPSTREAM_KEY: ADMIN_KEY,
    });
    const path = '/api/v1/clients?sub=lia';
    const there = await connected(leaf, { sub: 'lia' });
    expect((await admin(leaf, 'GET', path, undefined, 'admin-key-of-the-leaf')).answer.clients).toHaveLength(1);
    expect((await admin(leaf, 'DELETE', path, undefined, 'admin-key-of-the-leaf')).status).toBe(401);
    // It passes the order on, and the core counts what it closed itself.
    expect(await admin(leaf, 'DELETE', path)).toEqual({ status: 200, answer: { closed: 0 } });
    expect((await there.closed).code).toBe(4006);
    const again = await connected(leaf, { sub: 'lia' });
    await admin(first, 'POST', '/api/v1/denials', { sub: 'lia' });
    expect((await again.closed).code).toBe(4005);
    await expect.poll(() => reads(leaf, { sub: 'lia' })).toBe(401);
    expect(await reads(leaf, { sub: 'max' })).toBe(200);
    await leaf.end();
  });

  it('revokes one token and leaves the others of its subject', async () => {
    const lost = await connected(second, { sub: 'gil', jti: 'lost' });
    const kept = await connected(second, { sub: 'gil', jti: 'kept' });
    await admin(first, 'POST', '/api/v1/denials', { jti: 'lost' });
    expect((await lost.closed).code).toBe(4005);
    expect(await reads(second, { sub: 'gil', jti: 'lost' })).toBe(401);
    expect(await reads(second, { sub: 'gil', jti: 'kept' })).toBe(200);
    kept.socket.close();
  });

  it('revokes for a time, and is told what is wrong with an order', async () => {
    const until = new Date(Date.now() - 1000).toISOString();
    expect((await admin(first, 'POST', '/api/v1/denials', { sub: 'hugo', until })).status).toBe(201);
    expect(await reads(first, { sub: 'hugo' })).toBe(200);
    for (const wrong of [{}, { sub: 'a', jti: 'b' }, { sub: '' }, { sub: 5 }, { sub: 'a', until: 'tomorrow' }]) {
      expect((await admin(first, 'POST', '/api/v1/denials', wrong)).status).toBe(400);
    }
  });

  it('finds what was revoked still in force after a restart', async () => {
    await admin(first, 'POST', '/api/v1/denials', { sub: 'iris' });
    await expect.poll(() => reads(second, { sub: 'iris' })).toBe(401);
    const third = await startRuncashProcess(mongo.uri, database, ENVIRONMENT);
    await expect.poll(() => reads(third, { sub: 'jo' })).toBe(200);
    expect(await reads(third, { sub: 'iris' })).toBe(401);
    await third.end();
  });
});
