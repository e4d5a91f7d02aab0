import { connect as connectTcp, type Socket as TcpSocket } from 'node:net';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { secretKey } from '../../src/gateway/door/jwt-keys.ts';
import type { GatewayOptions } from '../../src/gateway/options.ts';
import { type Heard, type LegacyStage, OTHER, startLegacyStage, TABLE } from './stage.ts';

let stage: LegacyStage;
afterEach(() => stage.stop());

const SECRET = 'a secret of more than thirty-two bytes';
const JWT: Partial<GatewayOptions> = {
  auth: { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null },
};
const jwt = (claims: Record<string, unknown> = {}, seconds = 60): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));

async function arrive(options: Parameters<LegacyStage['connect']>[0] = { transports: ['websocket'] }): Promise<Heard> {
  const client = stage.connect(options);
  await client.heard('connection_success');
  return client;
}

const open = (): number => stage.gateway.counters().open.socketio;
const numbersOf = (client: Heard): unknown[] =>
  client
    .payloads('new_number')
    .map((payload) => (payload instanceof Object && 'numero' in payload ? payload.numero : null));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const disconnected = (client: Heard): Promise<string> =>
  new Promise((resolve) => client.socket.once('disconnect', (reason) => resolve(reason)));
const refused = (client: Heard): Promise<Error> =>
  new Promise((resolve) => client.socket.once('connect_error', resolve));

const HANDSHAKE = '/socket.io/?EIO=4&transport=polling';
const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`http://${stage.url}${path}`, init);

/** A session of polls, made by hand, joined to the main namespace. */
async function pollSession(): Promise<string> {
  const text = await (await ask(HANDSHAKE)).text();
  const sid = /"sid":"([^"]+)"/.exec(text)?.[1] ?? '';
  await ask(`${HANDSHAKE}&sid=${sid}`, { method: 'POST', body: '40' });
  await (await ask(`${HANDSHAKE}&sid=${sid}`)).text();
  return `${HANDSHAKE}&sid=${sid}`;
}

/** A WebSocket of Engine.IO, made by hand, joined to the main namespace. */
async function rawSession(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${stage.url}/socket.io/?EIO=4&transport=websocket`);
  await new Promise((resolve) => socket.once('open', resolve));
  const greeted = new Promise<void>((resolve) =>
    socket.on('message', (data) => String(data).includes('connection_success') && resolve()),
  );
  socket.send('40');
  await greeted;
  return socket;
}

describe('a connection', () => {
  it.each([[['websocket']], [['polling']], [['polling', 'websocket']]])(
    'over %j gets every number once and in order, also from before and during an upgrade',
    async (transports) => {
      stage = await startLegacyStage();
      const client = await arrive({ transports });
      await client.socket.emitWithAck('subscribe', TABLE);
      const ticker = setInterval(() => stage.feed.spin(TABLE, numero++), 1);
      let numero = 0;
      await client.heard('new_number', 200);
      clearInterval(ticker);
      await client.heard('new_number', numero);
      expect(numbersOf(client)).toEqual(upTo(numero));
      expect(client.socket.io.engine.transport.name).toBe(transports.at(-1));
      expect(open()).toBe(1);
      client.close();
      await expect.poll(open).toBe(0);
      expect(stage.feed.subscribers()).toBe(0);
      expect(stage.gateway.counters().failures).toBe(0);
    },
  );

  it('comes back by itself when it breaks', async () => {
    stage = await startLegacyStage();
    const client = await arrive();
    client.socket.io.engine.close();
    await client.heard('connection_success', 2);
    await expect.poll(open).toBe(1);
  });

  it('is counted once over an upgrade, and given back however it ends', async () => {
    stage = await startLegacyStage();
    const client = await arrive({ transports: ['polling', 'websocket'] });
    await expect.poll(() => client.socket.io.engine.transport.name).toBe('websocket');
    expect(stage.gateway.counters().opened.socketio).toBe(1);
    const raw = await rawSession();
    expect(open()).toBe(2);
    raw.terminate();
    client.socket.disconnect();
    await expect.poll(open).toBe(0);
  });

  it.each([
    ['an older protocol', '/socket.io/?EIO=3&transport=polling', 400],
    ['no protocol', '/socket.io/', 400],
    ['an unknown transport', '/socket.io/?EIO=4&transport=webtransport', 400],
    ['an unknown session', `${HANDSHAKE}&sid=nobody`, 400],
    ['a session that is a property of objects', `${HANDSHAKE}&sid=__proto__`, 400],
    ['a WebSocket that is none', '/socket.io/?EIO=4&transport=websocket', 400],
  ])('is not made of %s, and takes no place', async (_, path, status) => {
    stage = await startLegacyStage();
    expect((await ask(path)).status).toBe(status);
    expect(open()).toBe(0);
  });

  it('is not made by POST', async () => {
    stage = await startLegacyStage();
    expect((await ask(HANDSHAKE, { method: 'POST', body: '40' })).status).toBe(400);
    expect(open()).toBe(0);
  });

  it('that joins nothing is closed', async () => {
    stage = await startLegacyStage({ firstFrameMs: 150 });
    const socket = new WebSocket(`ws://${stage.url}/socket.io/?EIO=4&transport=websocket`);
    await new Promise((resolve) => socket.once('close', resolve));
    await expect.poll(open).toBe(0);
  });

  it('ends when its lifetime does, and comes back', async () => {
    stage = await startLegacyStage({ maxLifetimeSeconds: 3600 });
    const client = await arrive();
    stage.passSeconds(3600);
    await client.heard('connection_success', 2);
    expect(stage.gateway.counters().closes[4201]).toBe(1);
  });
});

describe('the door', () => {
  it('refuses pages of other origins, over polling and WebSocket', async () => {
    stage = await startLegacyStage({ origins: ['https://good.example'] });
    const evil = { origin: 'https://evil.example' };
    expect((await ask(HANDSHAKE, { headers: evil })).status).toBe(403);
    const socket = new WebSocket(`ws://${stage.url}/socket.io/?EIO=4&transport=websocket`, { headers: evil });
    await expect(new Promise((_, reject) => socket.once('error', reject))).rejects.toThrow('403');
    expect(stage.gateway.counters().refused.bad_origin).toBe(2);
    expect(open()).toBe(0);
  });

  it('lets pages of allowed origins read, with credentials and the headers that frontends add', async () => {
    stage = await startLegacyStage({ origins: ['https://good.example'] });
    const origin = 'https://good.example';
    const headers = { 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'pragma', origin };
    const preflight = await ask(HANDSHAKE, { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(200);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('ngrok-skip-browser-warning');
    const answer = await ask(HANDSHAKE, { headers: { origin } });
    for (const { headers: given } of [preflight, answer]) {
      expect(given.get('access-control-allow-origin')).toBe(origin);
      expect(given.get('access-control-allow-credentials')).toBe('true');
    }
  });

  it('counts connections of one address', async () => {
    stage = await startLegacyStage({ maxConnectionsPerAddress: 2 });
    await Promise.all([arrive(), arrive({ transports: ['polling'] })]);
    expect((await ask(HANDSHAKE)).status).toBe(429);
    await expect(refused(stage.connect({ transports: ['websocket'], reconnection: false }))).resolves.toBeInstanceOf(
      Error,
    );
    expect(open()).toBe(2);
  });

  it('is closed while the feed has not caught up', async () => {
    stage = await startLegacyStage();
    stage.feed.unready();
    expect((await ask(HANDSHAKE)).status).toBe(503);
  });
});

describe('a token', () => {
  it.each([
    ['none', async () => undefined],
    ['nonsense', async () => 'abc'],
    ['an expired one', () => jwt({}, -60)],
    ['an object', async () => ({})],
  ])('is asked for: %s is refused', async (_, make) => {
    stage = await startLegacyStage(JWT);
    const client = stage.connect({ transports: ['websocket'], auth: { token: await make() } });
    expect(await refused(client)).toMatchObject({ message: 'unauthorized', data: { code: 'unauthorized' } });
    expect(client.events).toEqual([]);
    expect(stage.feed.subscribers()).toBe(0);
  });

  it.each([
    ['auth', (token: string) => ({ auth: { token } })],
    ['the query', (token: string) => ({ query: { token } })],
    ['a header', (token: string) => ({ extraHeaders: { authorization: `Bearer ${token}` } })],
  ])('is taken from %s', async (_, place) => {
    stage = await startLegacyStage(JWT);
    await arrive({ transports: ['websocket'], ...place(await jwt()) });
  });

  it('shows the tables that it names and no others', async () => {
    stage = await startLegacyStage(JWT);
    const client = await arrive({ transports: ['websocket'], auth: { token: await jwt({ tables: [TABLE] }) } });
    expect(await client.socket.emitWithAck('subscribe', OTHER)).toMatchObject({ ok: false });
    client.socket.emit('request_history', { roletaId: OTHER });
    await client.heard('history_error');
    await client.socket.emitWithAck('subscribe', TABLE);
    stage.feed.spin(OTHER, 1);
    stage.feed.spin(TABLE, 2);
    await client.heard('global_update');
    expect(client.payloads('global_update')).toMatchObject([{ roleta_id: TABLE, numero: 2 }]);
    expect(client.payloads('new_number')).toMatchObject([{ roleta_id: TABLE, numero: 2 }]);
  });

  it('ends the connection when it ends', async () => {
    stage = await startLegacyStage({ ...JWT, authGraceMs: 1_000 });
    const client = await arrive({ transports: ['websocket'], auth: { token: await jwt({}, 60) } });
    const over = disconnected(client);
    stage.passSeconds(62);
    expect(await over).toBe('transport close');
    expect(stage.gateway.counters().closes[4105]).toBe(1);
  });
});

describe('a client that does not read', () => {
  /** Publishes until somebody was closed as slow; a turn of the event loop between bursts. */
  async function pourUntilClosed(): Promise<number> {
    let numero = 0;
    while ((stage.gateway.counters().closes[4100] ?? 0) === 0) {
      for (let burst = 0; burst < 200; burst += 1) stage.feed.spin(TABLE, numero++);
      await new Promise(setImmediate);
    }
    return numero;
  }

  it.each([['websocket'], ['polling']])('over %s is closed, and others miss nothing', async (name) => {
    stage = await startLegacyStage({ maxBacklogBytes: 64 * 1024, softBacklogBytes: 16 * 1024 });
    const fast = await arrive();
    await fast.socket.emitWithAck('subscribe', TABLE);
    let raw: WebSocket | null = null;
    if (name === 'websocket') {
      raw = await rawSession();
      raw.pause();
    } else await pollSession();
    const poured = await pourUntilClosed();
    await fast.heard('new_number', poured);
    expect(numbersOf(fast)).toEqual(upTo(poured));
    await expect.poll(open).toBe(1);
    raw?.terminate();
    expect(stage.gateway.counters().failures).toBe(0);
  });
});

describe('a client that sends too much', () => {
  it('is closed for a flood', async () => {
    stage = await startLegacyStage({ framesPerSecond: 20, frameBurst: 40 });
    const raw = await rawSession();
    const closed = new Promise((resolve) => raw.once('close', resolve));
    for (let at = 0; at < 400; at += 1) raw.send('42["subscribe","2010165"]');
    await closed;
    expect(stage.gateway.counters().closes[4103]).toBe(1);
    await expect.poll(open).toBe(0);
  });

  it('is closed for a flood also while it is nobody yet', async () => {
    stage = await startLegacyStage({ framesPerSecond: 20, frameBurst: 40 });
    const session = await pollSession();
    const socket = new WebSocket(`ws://${stage.url}${session.replace('polling', 'websocket')}`);
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    for (let at = 0; at < 400; at += 1) socket.send('2probe');
    await closed;
    expect(stage.gateway.counters().closes[4103]).toBe(1);
  });

  it('is not answered without end when it asks on and on over one connection', async () => {
    stage = await startLegacyStage();
    const ways = [
      `GET ${HANDSHAKE}&sid=nobody HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      `OPTIONS ${HANDSHAKE} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ];
    for (const request of ways) {
      const tcp = connectTcp(stage.port, '127.0.0.1');
      const over = new Promise((resolve) => tcp.once('close', resolve));
      tcp.on('error', () => undefined);
      await new Promise((resolve) => tcp.once('connect', resolve));
      tcp.write(request.repeat(5_000));
      let bytes = 0;
      tcp.on('data', (chunk) => (bytes += chunk.length));
      await over;
      // What came in one read may be answered; all of it would be more than a megabyte.
      expect(bytes).toBeLessThan(200_000);
    }
  });

  it('is closed for a flood of polls', async () => {
    stage = await startLegacyStage({ framesPerSecond: 20, frameBurst: 40 });
    const session = await pollSession();
    await ask(session, { method: 'POST', body: new Array(400).fill('42["a"]').join('\u001e') });
    expect(stage.gateway.counters().closes[4103]).toBe(1);
    await expect.poll(open, { timeout: 10_000 }).toBe(0);
  });

  it('is not closed for subscribing 39 cards at once, each with a message for its strategy', async () => {
    stage = await startLegacyStage({ framesPerSecond: 20, frameBurst: 40 });
    const client = await arrive();
    for (let card = 0; card < 39; card += 1) {
      client.socket.emit('subscribe_to_roleta', { roleta_nome: String(2010001 + card) });
      client.socket.emit('message', { type: 'get_strategy', roleta_nome: 'Roulette' });
    }
    await client.heard('recent_history', 39);
    expect(client.payloads('error')).toEqual([]);
  });

  it('is closed for a frame above the limit', async () => {
    stage = await startLegacyStage();
    const raw = await rawSession();
    const closed = new Promise((resolve) => raw.once('close', resolve));
    raw.send(`42["subscribe","${'x'.repeat(5_000)}"]`);
    await closed;
    await expect.poll(open).toBe(0);
  });

  it('is refused a poll above the limit before it is read', async () => {
    stage = await startLegacyStage();
    const session = await pollSession();
    expect((await ask(session, { method: 'POST', body: 'x'.repeat(20_000) })).status).toBe(413);
    await expect.poll(open).toBe(0);
  });
});

describe('draining', () => {
  it('sends everybody away and leaves nothing open', async () => {
    stage = await startLegacyStage();
    const clients = await Promise.all([
      ...Array.from({ length: 4 }, () => arrive({ transports: ['websocket'], reconnection: false })),
      ...Array.from({ length: 4 }, () => arrive({ transports: ['polling'], reconnection: false })),
    ]);
    const over = clients.map(disconnected);
    const drained = stage.gateway.drain(0.3);
    // Who polls just then meets a closed port; both reasons make the library come back by itself.
    for (const reason of await Promise.all(over)) expect(reason).toMatch(/^transport (close|error)$/);
    await drained;
    expect(stage.gateway.counters().closes[4200]).toBe(8);
    expect(open()).toBe(0);
  });

  it('does not wait for those who do not poll', async () => {
    stage = await startLegacyStage();
    await pollSession();
    await stage.gateway.drain(0);
    expect(open()).toBe(0);
  });
});

describe('whatever is sent', () => {
  const event = fc.constantFrom(
    ...['subscribe', 'unsubscribe', 'subscribe_to_roleta', 'request_history', 'new_number'],
    ...['disconnect', 'disconnecting', 'connect', 'error', 'newListener', '__proto__', 'constructor', ''],
  );
  const packet = fc.oneof(
    fc.tuple(event, fc.jsonValue(), fc.jsonValue()).map((told) => `42${JSON.stringify(told)}`),
    fc.tuple(event, fc.jsonValue()).map((told) => `4213${JSON.stringify(told)}`),
    fc.jsonValue().map((value) => `42${JSON.stringify(value)}`),
    fc.jsonValue().map((value) => `40${JSON.stringify(value)}`),
    fc.tuple(fc.constantFrom('0', '1', '2', '3', '4', '5', '6', '7'), fc.string()).map((parts) => parts.join('')),
    fc.tuple(fc.integer({ min: 0, max: 9 }), fc.string()).map(([type, text]) => `4${type}${text}`),
    fc.constantFrom('451-["subscribe",{"_placeholder":true,"num":0}]', '459999999-["a"]', '40/other,', '41', '4', ''),
  );

  it('over WebSocket ends that connection at most', async () => {
    stage = await startLegacyStage({ frameBurst: 1_000_000, framesPerSecond: 1_000_000 });
    const crashes: unknown[] = [];
    const note = (error: unknown): void => void crashes.push(error);
    process.on('uncaughtException', note);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(packet, fc.uint8Array()), { maxLength: 8 }), async (packets) => {
        const raw = await rawSession();
        raw.on('error', () => undefined);
        const closed = new Promise((resolve) => raw.once('close', resolve));
        for (const sent of packets) raw.send(sent);
        raw.close();
        await closed;
      }),
      { numRuns: 150 },
    );
    await expect.poll(open).toBe(0);
    await arrive();
    process.off('uncaughtException', note);
    expect(crashes).toEqual([]);
    expect(stage.gateway.counters().failures).toBe(0);
    expect(stage.feed.subscribers()).toBe(0);
  }, 30_000);

  it('by POST ends that session at most', async () => {
    stage = await startLegacyStage({ frameBurst: 1_000_000, framesPerSecond: 1_000_000 });
    const crashes: unknown[] = [];
    const note = (error: unknown): void => void crashes.push(error);
    process.on('uncaughtException', note);
    await fc.assert(
      fc.asyncProperty(fc.array(packet, { minLength: 1, maxLength: 8 }), async (packets) => {
        const session = await pollSession();
        const answer = await ask(session, { method: 'POST', body: packets.join('\u001e') });
        await answer.text();
      }),
      { numRuns: 100 },
    );
    await arrive();
    process.off('uncaughtException', note);
    expect(crashes).toEqual([]);
    expect(stage.gateway.counters().failures).toBe(0);
  }, 30_000);

  it('in halves, and cut, leaves nothing behind', async () => {
    stage = await startLegacyStage({ firstFrameMs: 200 });
    const session = await pollSession();
    const head = 'Host: localhost\r\n';
    const requests = [
      `GET ${HANDSHAKE} HTTP/1.1\r\n${head}\r\n`,
      `GET ${session} HTTP/1.1\r\n${head}\r\nGET ${session} HTTP/1.1\r\n${head}\r\n`,
      `POST ${session} HTTP/1.1\r\n${head}Content-Length: 100\r\n\r\n42["sub`,
      `POST ${session} HTTP/1.1\r\n${head}\r\n`,
      `PUT ${session} HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\n4`,
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    ];
    for (const request of requests) {
      const tcp: TcpSocket = connectTcp(stage.port, '127.0.0.1');
      tcp.on('error', () => undefined);
      await new Promise((resolve) => tcp.once('connect', resolve));
      await new Promise((resolve) => tcp.write(request, resolve));
      tcp.destroy();
    }
    await arrive();
    await expect.poll(open, { timeout: 5_000 }).toBe(1);
    expect(stage.gateway.counters().failures).toBe(0);
  });
});
