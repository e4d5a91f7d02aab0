import { Agent, get } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetworkApp } from '../../../src/gateway/network/network.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { connectWebsocket } from '../../support/inbox.ts';
import { subscribe, TRANSPORTS } from '../../support/subscribers.ts';

const A = '2010165';

describe('draining', () => {
  let running: TestGateway;

  beforeEach(async () => {
    running = await startTestGateway({ minRetryMs: 0, maxRetryMs: 900 });
  });
  afterEach(() => running.gateway.stop());

  it('closes everybody 4200 with a bye, evenly over the time, and serves the last ones to the end', async () => {
    const clients = await Promise.all(Array.from({ length: 40 }, () => connectWebsocket(running.url)));
    for (const client of clients) client.send({ type: 'subscribe', id: 1, topics: [`roulette:${A}`] });
    await Promise.all(clients.map((client) => client.next('subscribed')));
    const closedAt: number[] = [];
    const started = performance.now();
    const closes = clients.map(async (client) => {
      const { code } = await client.closed;
      closedAt.push(performance.now());
      return code;
    });
    const drained = running.gateway.drain(1);
    expect(running.gateway.draining()).toBe(true);
    await Promise.race(closes);
    running.feed.spin(A, 7);
    expect(await Promise.all(closes)).toEqual(new Array(40).fill(4200));
    await drained;
    const half = closedAt.filter((at) => at - started < 500).length;
    expect(half).toBeGreaterThan(8);
    expect(half).toBeLessThan(32);
    const byes = clients.map((client) => client.all.at(-1));
    for (const bye of byes) expect(bye).toMatchObject({ type: 'bye', code: 4200, reason: 'draining or behind' });
    expect(new Set(byes.map((bye) => bye?.['retry_ms'])).size).toBeGreaterThan(20);
    const served = clients.filter((client) => client.all.some((message) => message['numero'] === 7));
    expect(served.length).toBeGreaterThan(20);
  });

  it('refuses new connections from its start', async () => {
    const client = await connectWebsocket(running.url);
    const drained = running.gateway.drain(1);
    await expect(connectWebsocket(running.url)).rejects.toThrow();
    await client.closed;
    await drained;
  });

  it('answers 503 to what comes over a connection that was open before', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get(`http://${running.url}${path}`, { agent }, (answer) =>
          answer.resume().on('end', () => resolve(answer.statusCode)),
        ).on('error', reject);
      });
    const holder = await connectWebsocket(running.url);
    expect(await ask(`/poll?topics=roulette:${A}`)).toBe(200);
    const drained = running.gateway.drain(1);
    expect(await ask(`/poll?topics=roulette:${A}`)).toBe(503);
    agent.destroy();
    await holder.closed;
    await drained;
  });

  it('waits for what the routes still have to answer', async () => {
    let answer = (): void => {};
    const route = (app: NetworkApp): void => {
      app.get('/slow', (res) => {
        res.onAborted(() => {});
        answer = () => void res.cork(() => void res.end('stored'));
        asked();
      });
    };
    let asked = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      asked = resolve;
    });
    let settle = (): void => {};
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const slow = await startTestGateway({}, { routes: [route], settled: () => settled });
    const posted = fetch(`http://${slow.url}/slow`);
    await waiting;
    const drained = slow.gateway.drain(10);
    answer();
    settle();
    expect(await (await posted).text()).toBe('stored');
    await drained;
  });

  it('is over at once when nobody is connected', async () => {
    const started = performance.now();
    await running.gateway.drain(30);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('is cut short by stop', async () => {
    const client = await connectWebsocket(running.url);
    const drained = running.gateway.drain(30);
    await running.gateway.stop();
    await drained;
    expect([1006, 4200]).toContain((await client.closed).code);
  });

  it.each(TRANSPORTS)('says goodbye over %s', async (transport) => {
    const client = await subscribe(transport, running.url, { topics: [`roulette:${A}`] });
    await client.next('subscribed');
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    const drained = running.gateway.drain(0);
    expect(await client.next('bye')).toMatchObject({ code: 4200, retry_ms: expect.any(Number) });
    await client.over;
    await drained;
  });

  it('ends in time although a client reads nothing and does not close', async () => {
    const client = await connectWebsocket(running.url);
    client.socket.pause();
    const started = performance.now();
    await running.gateway.drain(0);
    expect(performance.now() - started).toBeLessThan(2_000);
    client.socket.terminate();
  });
});

describe('stopping', () => {
  it('cuts everything', async () => {
    const running = await startTestGateway();
    const clients = await Promise.all(
      TRANSPORTS.map((transport) => subscribe(transport, running.url, { topics: [`roulette:${A}`] })),
    );
    await Promise.all(clients.map((client) => client.next('subscribed')));
    await running.gateway.stop();
    await running.gateway.stop();
    await Promise.all(clients.map((client) => client.over));
    expect(running.feed.subscribers()).toBe(0);
  });

  it('publishes into the void afterwards, without harm', async () => {
    const running = await startTestGateway();
    await running.gateway.stop();
    running.feed.spin(A, 1);
    expect(running.gateway.counters().failures).toBe(0);
  });
});
