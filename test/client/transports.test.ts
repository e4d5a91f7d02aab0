import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, type ConnectOptions, connect } from '../../src/client/connect.ts';
import { createFakeFeed, type FakeFeed } from './fake-feed.ts';
import { type FakeHttpServer, startFakeHttp } from './fake-http.ts';
import { SPEED, VIP, VIP_TOO } from './stage.ts';

const topic = `roulette:${SPEED.id}`;
let feed: FakeFeed;
let server: FakeHttpServer;
let client: Client | null = null;

beforeEach(async () => {
  feed = createFakeFeed(Date.now, [SPEED, VIP, VIP_TOO]);
  server = await startFakeHttp(feed);
});

afterEach(async () => {
  client?.close();
  client = null;
  await server.stop();
});

const open = (options: ConnectOptions = {}): Client => {
  client = connect(server.url, { WebSocket, random: () => 0, ...options });
  return client;
};

/** Resolves when `holds` does; looked at whenever the client hears or changes anything. */
const until = (of: Client, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const stops: (() => void)[] = [];
    const look = (): void => {
      if (!holds()) return;
      for (const stop of stops) stop();
      resolve();
    };
    // After the frame was acted on, not while it is.
    const soon = (): void => queueMicrotask(look);
    stops.push(of.listen('message', soon), of.listen('state', soon));
    look();
  });

describe.each(['websocket', 'sse', 'poll'] as const)('over %s', (transport) => {
  it('a client gets a snapshot, live events, and after a cut exactly what it missed', async () => {
    const own = open({ transports: [transport] });
    const live: number[] = [];
    let snapshots = 0;
    feed.past(SPEED.id, [36]);
    const subscription = own.subscribe(topic, {
      onNumber: (event) => live.push(event.numero),
      onSnapshot: () => {
        snapshots += 1;
      },
    });
    await subscription.ready();
    feed.number(SPEED.id, 1);
    await until(own, () => live.length === 1);
    server.cutAll();
    await until(own, () => own.state.name !== 'live');
    feed.number(SPEED.id, 2);
    feed.number(SPEED.id, 0);
    await until(own, () => live.length === 3);
    expect(live).toEqual([1, 2, 0]);
    expect(snapshots).toBe(1);
    expect(own.tables.get(SPEED.id)?.numeros.map(({ numero }) => numero)).toEqual([0, 2, 1, 36]);
    expect(own.stats.gaps).toBe(0);
    await until(own, () => own.state.name === 'live');
    expect(own.state).toMatchObject({ transport });
  });

  it('names become tables, unknown ones an error, and further topics join', async () => {
    const own = open({ transports: [transport] });
    const seen: string[] = [];
    const named = own.subscribe('roulette:VIP Roulette', { onNumber: (event) => seen.push(event.roleta_id) });
    const wrong = own.subscribe('roulette:Nowhere, Neverland', { onError: (error) => seen.push(error.code) });
    await expect(wrong.ready()).rejects.toMatchObject({ code: 'unknown_topic' });
    await named.ready();
    const more = own.subscribe(topic, { onNumber: (event) => seen.push(event.roleta_id) });
    await more.ready();
    await until(own, () => own.state.name === 'live');
    feed.number(VIP.id, 1);
    feed.number(VIP_TOO.id, 2);
    feed.number(SPEED.id, 3);
    await until(own, () => seen.length === 4);
    expect(seen).toEqual(['unknown_topic', VIP.id, VIP_TOO.id, SPEED.id]);
  });

  it('one table can have a longer history than all of them', async () => {
    feed.past(
      SPEED.id,
      Array.from({ length: 120 }, (_, index) => index % 37),
    );
    const own = open({ transports: [transport] });
    await own.subscribe('*').ready();
    own.subscribe(topic, { history: 100 });
    await until(own, () => own.tables.get(SPEED.id)?.numeros.length === 100);
    expect(own.tables.get(VIP.id)?.numeros).toEqual([]);
    feed.number(SPEED.id, 17);
    await until(own, () => own.tables.get(SPEED.id)?.numeros[0]?.numero === 17);
    expect(own.tables.get(SPEED.id)?.numeros).toHaveLength(100);
  });
});

describe('a network', () => {
  it('without WebSockets is served by events, and by polls where those are refused, too', async () => {
    server.blockWebSocket = true;
    const own = open();
    await own.subscribe(topic).ready();
    await until(own, () => own.state.name === 'live');
    expect(own.state).toMatchObject({ transport: 'sse' });
    expect(server.opened).toMatchObject({ websocket: 0, sse: 1, poll: 0 });
  });

  it('that lets WebSockets through again gets them back', async () => {
    server.blockWebSocket = true;
    const own = open({ random: () => 0 });
    const live: number[] = [];
    await own.subscribe(topic, { onNumber: (event) => live.push(event.numero) }).ready();
    await until(own, () => own.state.name === 'live');
    feed.number(SPEED.id, 1);
    server.blockWebSocket = false;
    // Nothing is missed while the client changes over, about four seconds after it fell back.
    const numbers = setInterval(() => feed.number(SPEED.id, 2), 200);
    await until(own, () => own.state.name === 'live' && own.state.transport === 'websocket');
    clearInterval(numbers);
    const last = feed.number(SPEED.id, 3);
    await until(own, () => own.stats.position === last.position);
    expect(live).toEqual(feed.ring.map((event) => ('numero' in event ? event.numero : null)));
    expect(own.stats.gaps).toBe(0);
  });

  it('is told which way to use, and resumes there instead of starting anew', async () => {
    const own = open();
    let snapshots = 0;
    await own
      .subscribe(topic, {
        onSnapshot: () => {
          snapshots += 1;
        },
      })
      .ready();
    for (const transport of ['sse', 'poll', 'websocket'] as const) {
      own.prefer(transport);
      await until(own, () => own.state.name === 'live' && own.state.transport === transport);
    }
    expect(snapshots).toBe(1);
    expect(server.asked[0]?.searchParams.get('after')).toMatch(/^e1\.[0-9a-f]{22}$/);
  });

  it('that answers in the server’s place is not mistaken for it', async () => {
    const portal = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<h1>Sign in to this network</h1>');
    });
    await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
    const address = portal.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const own = connect(`http://127.0.0.1:${address.port}`, { WebSocket, random: () => 0 });
    own.subscribe(topic);
    await until(own, () => own.state.name === 'connecting' && own.state.attempt >= 5);
    expect(own.state.name).toBe('connecting');
    own.close();
    await new Promise((resolve) => portal.close(resolve));
  });

  it('whose server refuses for good is not asked again', async () => {
    const own = connect(`${server.url}/nowhere`, { transports: ['sse'] });
    const errors: string[] = [];
    own.listen('error', (error) => errors.push(error.message));
    own.subscribe(topic);
    await until(own, () => own.state.name === 'failed');
    expect(errors).toEqual(['404 not_found']);
    own.close();
  });
});

describe('Node without a WebSocket', () => {
  it('uses events', async () => {
    const own = connect(server.url, { random: () => 0 });
    await own.subscribe('*').ready();
    await until(own, () => own.state.name === 'live');
    expect(own.state).toMatchObject({ transport: Reflect.has(globalThis, 'WebSocket') ? 'websocket' : 'sse' });
    own.close();
  });
});
