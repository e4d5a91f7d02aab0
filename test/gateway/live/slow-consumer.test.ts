import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { connectWebsocket } from '../../support/inbox.ts';
import { subscribe } from '../../support/subscribers.ts';

const A = '2010165';

describe('a subscriber that does not read', () => {
  let running: TestGateway;
  let sockets: Socket[];

  beforeEach(async () => {
    sockets = [];
    running = await startTestGateway();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await running.gateway.stop();
  });

  /** Publishes until the gateway closed someone as slow; a turn of the event loop between bursts. */
  async function pourUntilClosed(): Promise<number> {
    let numero = 0;
    while ((running.gateway.counters().closes[4100] ?? 0) === 0) {
      for (let burst = 0; burst < 200; burst += 1) running.feed.spin(A, numero++);
      await new Promise(setImmediate);
    }
    return numero;
  }

  it('INVARIANT never-touch-a-dead-socket: is closed over WebSocket, deferred as uWebSockets needs it, and others miss nothing', async () => {
    const slow = await connectWebsocket(running.url);
    const fast = await subscribe('websocket', running.url, { topics: [`roulette:${A}`] });
    slow.send({ type: 'subscribe', id: 1, topics: [`roulette:${A}`] });
    await Promise.all([slow.next('subscribed'), fast.next('subscribed')]);
    slow.socket.pause();
    const poured = await pourUntilClosed();
    await fast.next((message) => message['numero'] === poured - 1);
    const got = fast.all.filter((message) => message['type'] === 'new_number').map((message) => message['numero']);
    expect(got).toEqual(Array.from({ length: poured }, (_, at) => at));
    await expect.poll(() => running.feed.subscribers()).toBe(1);
    slow.socket.resume();
    expect((await slow.closed).code).toBe(1006);
    const numbers = slow.all.filter((message) => message['type'] === 'new_number').map((message) => message['numero']);
    expect(numbers, 'what it got has no hole').toEqual(Array.from({ length: numbers.length }, (_, at) => at));
    fast.stop();
  });

  it('is closed over SSE, at about the cap and not at what uWebSockets would buffer', async () => {
    const socket = connect(running.port, '127.0.0.1');
    sockets.push(socket);
    socket.write(`GET /events?topics=roulette:${A} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    await pourUntilClosed();
    await expect.poll(() => running.feed.subscribers()).toBe(0);
    expect(running.gateway.counters().open.sse).toBe(0);
  });

  it('is closed over SSE when it stalls with something left for half a minute', async () => {
    for (let numero = 0; numero < 40_000; numero += 1) running.feed.spin(A, numero);
    const socket = connect(running.port, '127.0.0.1');
    sockets.push(socket);
    const after = '67449f0a00000000ffffff';
    socket.write(`GET /events?topics=roulette:${A}&after=e1.${after} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    await expect.poll(() => running.gateway.counters().pausedForSocket, { timeout: 5_000 }).toBeGreaterThan(0);
    await expect
      .poll(
        () => {
          running.passSeconds(10);
          return running.gateway.counters().closes[4100] ?? 0;
        },
        { timeout: 10_000 },
      )
      .toBe(1);
  });

  it('costs the process no more than the cap while its replay is paused', async () => {
    for (let numero = 0; numero < 40_000; numero += 1) running.feed.spin(A, numero);
    const slow = await connectWebsocket(running.url);
    await slow.next('hello');
    slow.socket.pause();
    slow.send({ type: 'subscribe', id: 1, topics: [`roulette:${A}`], epoch: 'e1', after: '67449f0a00000000ffffff' });
    const { counters } = running.gateway;
    await expect.poll(() => counters().pausedForSocket, { timeout: 5_000 }).toBeGreaterThan(0);
    const sent = counters().directBytes;
    // What the kernel holds for both ends, plus the soft backlog; the whole replay has about 10 MB.
    expect(sent).toBeLessThan(8_000_000);
    slow.socket.resume();
    await slow.next('subscribed');
    expect(slow.all.filter((message) => message['type'] === 'new_number')).toHaveLength(40_000);
    slow.socket.terminate();
  });
});

describe('the budget that all replays share', () => {
  it('slows replays down and never live events', async () => {
    const running = await startTestGateway({ replayBytesPerSecond: 50_000 });
    for (let numero = 0; numero < 500; numero += 1) running.feed.spin(A, numero);
    const live = await subscribe('websocket', running.url, { topics: ['roulette:2010097'] });
    await live.next('subscribed');
    const replaying = await subscribe('websocket', running.url, {
      topics: [`roulette:${A}`],
      after: 'e1.67449f0a00000000ffffff',
    });
    await expect.poll(() => running.gateway.counters().pausedForBudget).toBeGreaterThan(0);
    running.feed.spin('2010097', 9);
    await live.next('new_number');
    expect(replaying.all.some((message) => message['type'] === 'subscribed')).toBe(false);
    running.passSeconds(10);
    await expect
      .poll(() => {
        running.passSeconds(1);
        return replaying.all.at(-1)?.['type'];
      })
      .toBe('subscribed');
    expect(replaying.all.filter((message) => message['type'] === 'new_number')).toHaveLength(500);
    live.stop();
    replaying.stop();
    await running.gateway.stop();
  });
});
