import { afterEach, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../../src/gateway/options.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { connectWebsocket, type WebsocketClient } from '../../support/inbox.ts';
import { subscribe } from '../../support/subscribers.ts';

const A = '2010165';

describe('a limit', () => {
  let running: TestGateway;
  let open: WebsocketClient[] = [];

  const start = async (options: Partial<GatewayOptions>): Promise<void> => {
    running = await startTestGateway(options);
  };
  const connect = async (options?: Parameters<typeof connectWebsocket>[1]): Promise<WebsocketClient> => {
    const client = await connectWebsocket(running.url, options);
    open.push(client);
    return client;
  };
  const forwarded = (address: string) => ({ headers: { 'x-forwarded-for': address } });

  afterEach(async () => {
    for (const { socket } of open) socket.terminate();
    open = [];
    await running.gateway.stop();
  });

  it('of connections in all answers 503 with Retry-After before the upgrade', async () => {
    await start({ maxConnections: 2 });
    await connect();
    await connect();
    await expect(connect()).rejects.toThrow('503');
    const answer = await fetch(`http://${running.url}/poll?topics=roulette:${A}`);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.json()).toMatchObject({ code: 'over_capacity', retry_ms: expect.any(Number) });
    expect(running.gateway.counters().refused).toEqual({ capacity: 2 });
  });

  it('frees a place when a connection ends', async () => {
    await start({ maxConnections: 1 });
    const first = await connect();
    first.socket.close();
    await first.closed;
    await connect();
  });

  it('of connections per address counts IPv6 by its /64, and others go on', async () => {
    await start({ maxConnectionsPerAddress: 1, trustedProxies: ['127.0.0.1'] });
    await connect(forwarded('2001:db8:1:1::1'));
    await expect(connect(forwarded('2001:db8:1:1:ffff::2'))).rejects.toThrow('429');
    await connect(forwarded('2001:db8:1:2::1'));
    await connect(forwarded('203.0.113.1'));
    expect(running.gateway.counters().refused).toEqual({ address_capacity: 1 });
  });

  it('cannot be dodged by a forwarding header of a peer that is no trusted proxy', async () => {
    await start({ maxConnectionsPerAddress: 1 });
    await connect(forwarded('203.0.113.1'));
    await expect(connect(forwarded('203.0.113.2'))).rejects.toThrow('429');
    expect(running.gateway.counters().untrustedForwards).toBe(2);
    expect(running.lines.filter((line) => line.includes('untrusted_peer'))).toHaveLength(1);
  });

  it('of the accept rate answers 503 per address and refills with time', async () => {
    await start({ acceptsPerSecondPerAddress: 1, acceptBurstPerAddress: 2 });
    await connect();
    await connect();
    await expect(connect()).rejects.toThrow('503');
    running.passSeconds(1.1);
    await connect();
    expect(running.gateway.counters().refused).toEqual({ address_rate: 1 });
  });

  it('of the accept rate in all spares nobody', async () => {
    await start({ acceptsPerSecond: 1, acceptBurst: 1, trustedProxies: ['127.0.0.0/8'] });
    await connect(forwarded('203.0.113.1'));
    await expect(connect(forwarded('203.0.113.2'))).rejects.toThrow('503');
    expect(running.gateway.counters().refused).toEqual({ accept_rate: 1 });
  });

  it('of streams and polls leaves WebSockets alone', async () => {
    await start({ maxStreams: 1, maxPolls: 0 });
    const stream = await subscribe('sse', running.url, { topics: [`roulette:${A}`] });
    await stream.next('subscribed');
    expect((await fetch(`http://${running.url}/events?topics=roulette:${A}`)).status).toBe(503);
    expect((await fetch(`http://${running.url}/poll?topics=roulette:${A}`)).status).toBe(503);
    await connect();
    stream.stop();
  });

  it('of polls per address stops one visitor from parking many', async () => {
    await start({ maxPollsPerAddress: 2 });
    const polls = await Promise.all([1, 2].map(() => subscribe('poll', running.url, { topics: [`roulette:${A}`] })));
    await Promise.all(polls.map((poll) => poll.next('subscribed')));
    while (running.feed.subscribers() < 2) await new Promise(setImmediate);
    expect((await fetch(`http://${running.url}/poll?topics=roulette:${A}`)).status).toBe(429);
    for (const poll of polls) poll.stop();
  });

  it('of frames per second lets a burst through and closes a flood 4103', async () => {
    await start({ framesPerSecond: 20, frameBurst: 40 });
    const client = await connect();
    for (let id = 0; id < 40; id += 1) client.send({ type: 'ping', id });
    await client.next((message) => message['id'] === 39);
    running.passSeconds(1);
    for (let id = 40; id < 60; id += 1) client.send({ type: 'ping', id });
    await client.next((message) => message['id'] === 59);
    for (let id = 60; id < 300; id += 1) client.send({ type: 'ping', id });
    expect(await client.next('bye')).toMatchObject({ code: 4103 });
    expect((await client.closed).code).toBe(4103);
  });

  it('of frames lets the address of a flood come back ten times more slowly', async () => {
    const accepts = { acceptsPerSecondPerAddress: 1, acceptBurstPerAddress: 20 };
    await start({ framesPerSecond: 20, frameBurst: 40, ...accepts });
    const client = await connect();
    for (let id = 0; id < 300; id += 1) client.send({ type: 'ping', id });
    expect((await client.closed).code).toBe(4103);
    const isIn = (): Promise<boolean> =>
      connect().then(
        () => true,
        () => false,
      );
    let came = 0;
    while (came < 19 && (await isIn())) came += 1;
    // Nine, and those that a slow machine gives back meanwhile; without a flood all 19.
    expect(came).toBeGreaterThanOrEqual(9);
    expect(came).toBeLessThan(15);
    running.passSeconds(1.1);
    await connect();
  });

  it('of frames weighs snapshots: 39 single subscribes pass, subscribing in circles does not', async () => {
    await start({ framesPerSecond: 20, frameBurst: 40 });
    const page = await connect();
    for (let id = 0; id < 39; id += 1) page.send({ type: 'subscribe', id, topics: [`roulette:20100${10 + id}`] });
    await page.next((message) => message['type'] === 'subscribed' && message['id'] === 38);
    const circle = await connect();
    for (let id = 0; id < 60; id += 1) {
      circle.send({ type: 'subscribe', id, topics: ['roulette:*'], history: 20 });
      circle.send({ type: 'unsubscribe', id, topics: ['roulette:*'] });
    }
    expect((await circle.closed).code).toBe(4103);
  });

  it('of frames counts protocol-level pings too', async () => {
    await start({ framesPerSecond: 20, frameBurst: 40 });
    const client = await connect();
    for (let sent = 0; sent < 300; sent += 1) client.socket.ping();
    expect((await client.closed).code).toBe(4103);
  });

  it('of topics answers with an error and changes nothing', async () => {
    await start({ maxTopics: 2 });
    const client = await connect();
    client.send({ type: 'subscribe', id: 1, topics: [`roulette:${A}`, 'roulette:2010097', 'roulette:2010033'] });
    expect(await client.next('error')).toMatchObject({ id: 1, code: 'too_many_topics' });
    client.send({ type: 'subscribe', id: 2, topics: [`roulette:${A}`] });
    await client.next('subscribed');
  });

  it('of a frame closes the connection before the rest of it is read', async () => {
    await start({ maxFrameBytes: 4096 });
    const client = await connect();
    client.send(JSON.stringify({ type: 'ping', id: 'x'.repeat(5000) }));
    expect([1006, 1009]).toContain((await client.closed).code);
  });

  it('of silence closes who never says anything 4104, and not who does', async () => {
    await start({ firstFrameMs: 12_000 });
    const silent = await connect();
    const alive = await connect();
    alive.send({ type: 'ping', id: 1 });
    await alive.next('pong');
    running.passSeconds(12.5);
    expect((await silent.closed).code).toBe(4104);
    alive.send({ type: 'ping', id: 2 });
    await alive.next('pong');
  });

  it('of lifetime ends connections 4201 at different times, streams too', async () => {
    await start({ maxLifetimeSeconds: 1000, firstFrameMs: 3_600_000 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect()));
    for (const client of clients) client.send({ type: 'ping', id: 1 });
    await Promise.all(clients.map((client) => client.next('pong')));
    const stream = await subscribe('sse', running.url, { topics: [`roulette:${A}`] });
    await stream.next('subscribed');
    running.passSeconds(899);
    for (const client of clients) client.send({ type: 'ping', id: 2 });
    await Promise.all(clients.map((client) => client.next('pong')));
    running.passSeconds(51);
    await expect.poll(() => running.gateway.counters().closes[4201] ?? 0).toBeGreaterThan(0);
    expect(running.gateway.counters().open.websocket).toBeGreaterThan(0);
    running.passSeconds(51);
    const codes = await Promise.all(clients.map((client) => client.closed.then(({ code }) => code)));
    expect(new Set(codes)).toEqual(new Set([4201]));
    expect(await stream.next('bye')).toMatchObject({ code: 4201 });
  });

  it('only counts in a dry run', async () => {
    await start({ dryRun: true, maxConnections: 1, framesPerSecond: 1, frameBurst: 1 });
    await connect();
    const client = await connect();
    for (let id = 0; id < 5; id += 1) client.send({ type: 'ping', id });
    await client.next((message) => message['id'] === 4);
    expect(running.gateway.counters().passed).toMatchObject({ capacity: 1, flood: 4 });
    expect(running.gateway.counters().refused).toEqual({});
  });
});
