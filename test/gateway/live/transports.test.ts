import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import type { Message } from '../../support/inbox.ts';
import { type SubscribeOptions, subscribe, type TestSubscriber, TRANSPORTS } from '../../support/subscribers.ts';

const A = '2010165';
const B = '2010097';

const numbersOf = (messages: readonly Message[]): unknown[] =>
  messages.filter((message) => message['type'] === 'new_number').map((message) => message['numero']);

describe.each(TRANSPORTS)('a subscriber over %s', (transport) => {
  let running: TestGateway;
  let clients: TestSubscriber[];

  const join = async (options: Partial<SubscribeOptions> = {}): Promise<TestSubscriber> => {
    const client = await subscribe(transport, running.url, { topics: [`roulette:${A}`], ...options });
    clients.push(client);
    return client;
  };

  /** Resolves when the client got this number. */
  const has = (client: TestSubscriber, numero: number): Promise<Message> =>
    client.next((message) => message['type'] === 'new_number' && message['numero'] === numero);

  /** Resolves when the feed holds a subscription: polls are between two of them right after an answer. */
  const listening = async (): Promise<void> => {
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
  };

  beforeEach(async () => {
    running = await startTestGateway();
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.stop();
    await running.gateway.stop();
  });

  it('gets the snapshot, then the acknowledgement, then events in order', async () => {
    running.feed.spin(A, 0);
    const client = await join();
    await client.next('subscribed');
    for (const numero of [1, 2, 3]) running.feed.spin(A, numero);
    running.feed.spin(B, 9);
    await has(client, 3);
    expect(client.all.find((message) => message['type'] === 'snapshot')).toMatchObject({ numeros: [{ numero: 0 }] });
    expect(numbersOf(client.all)).toEqual([1, 2, 3]);
    const types = client.all.map((message) => message['type']);
    expect(types.indexOf('snapshot')).toBeLessThan(types.indexOf('subscribed'));
    expect(types.indexOf('subscribed')).toBeLessThan(types.indexOf('new_number'));
  });

  it('gets the events of all tables once over roulette:*', async () => {
    const client = await join({ topics: ['roulette:*'] });
    await client.next('subscribed');
    running.feed.spin(A, 1);
    running.feed.spin(B, 2);
    running.feed.spin(A, 3);
    await has(client, 3);
    expect(numbersOf(client.all)).toEqual([1, 2, 3]);
  });

  it('resumes with exactly what it missed', async () => {
    const first = await join();
    await first.next('subscribed');
    running.feed.spin(A, 1);
    await has(first, 1);
    first.stop();
    await first.over;
    running.feed.spin(A, 2);
    running.feed.spin(B, 30);
    running.feed.spin(A, 3);
    const second = await join({ after: first.stand() });
    const ack = await second.next('subscribed');
    expect(ack['topics']).toEqual([{ topic: `roulette:${A}`, recovered: true, replayed: 2 }]);
    running.feed.spin(A, 4);
    await has(second, 4);
    expect(numbersOf(second.all)).toEqual([2, 3, 4]);
    expect(second.all.some((message) => message['type'] === 'snapshot')).toBe(false);
  });

  it('loses and repeats nothing while events pour in as it joins', async () => {
    let numero = 0;
    const pour = setInterval(() => running.feed.spin(A, numero++), 1);
    const joined = await Promise.all(Array.from({ length: 10 }, () => join({ history: 200 })));
    await Promise.all(joined.map((client) => client.next((message) => Number(message['numero']) >= 60)));
    clearInterval(pour);
    for (const client of joined) {
      const snapshot = client.all.find((message) => message['type'] === 'snapshot');
      const listed = snapshot?.['numeros'];
      const before = Array.isArray(listed) ? listed.length : 0;
      const got = numbersOf(client.all);
      expect(got).toEqual(Array.from({ length: got.length }, (_, at) => before + at));
    }
  });

  it('gets a replay far longer than the backlog that would close it', async () => {
    const first = await join();
    await first.next('subscribed');
    first.stop();
    await first.over;
    while (running.feed.subscribers() > 0) await new Promise(setImmediate);
    for (let numero = 0; numero < 8_000; numero += 1) running.feed.spin(A, numero);
    const second = await join({ after: first.stand() });
    await has(second, 7_999);
    expect(numbersOf(second.all)).toEqual(Array.from({ length: 8_000 }, (_, at) => at));
    expect(running.gateway.counters().closes).toEqual({});
  });

  it('is held while the instance is behind and then gets exactly the rest', async () => {
    const first = await join();
    await first.next('subscribed');
    running.feed.spin(A, 1);
    await has(first, 1);
    first.stop();
    await first.over;
    running.feed.hold();
    const second = await join({ after: first.stand() });
    running.feed.spin(A, 2);
    running.feed.release();
    running.feed.spin(A, 3);
    await has(second, 3);
    expect(numbersOf(second.all)).toEqual([2, 3]);
  });

  it('moves on with sync while its table is quiet', async () => {
    const client = await join();
    await client.next('subscribed');
    const before = client.stand();
    await listening();
    const position = running.feed.sync();
    running.feed.spin(A, 5);
    await has(client, 5);
    expect(client.all).toContainEqual({ type: 'sync', position });
    expect(client.stand()).not.toBe(before);
  });

  it.each([
    ['another epoch', 'e0.67449f0a00000000ffffff', 'epoch'],
    ['the future', 'e1.ffffffffffffffffffffff', 'future'],
    ['letters', 'e1.not-a-position', 'malformed'],
    ['nonsense without a dot', '%%%', 'malformed'],
  ])('gets a snapshot and the reason for a position of %s', async (_, after, reason) => {
    const client = await join({ after });
    const ack = await client.next('subscribed');
    expect(ack['topics']).toEqual([{ topic: `roulette:${A}`, recovered: false, reason }]);
    expect(client.all.filter((message) => message['type'] === 'snapshot')).toHaveLength(1);
    expect(client.stand()).toBe(`e1.${String(ack['position'])}`);
  });

  it('is told about an unknown topic', async () => {
    const client = await join({ topics: ['roulette:Nowhere'] });
    expect(await client.next('error')).toMatchObject({ code: 'unknown_topic' });
  });

  it('is told every problem of its request', async () => {
    const client = await join({ history: 999 });
    expect(await client.next('error')).toMatchObject({ code: 'invalid', problems: [{ path: 'history' }] });
  });

  it('gets a reset, and after coming back the snapshot that it was owed', async () => {
    const client = await join();
    await client.next('subscribed');
    running.feed.spin(A, 1);
    await has(client, 1);
    await listening();
    running.feed.reset(A);
    await client.next('reset');
    client.stop();
    await client.over;
    running.feed.heal(A);
    const stand = client.stand();
    const after = transport === 'websocket' ? `${stand}~` : stand;
    expect(after).toMatch(/~$/);
    const again = await join({ after });
    const ack = await again.next('subscribed');
    expect(ack['topics']).toEqual([{ topic: `roulette:${A}`, recovered: false, reason: 'too_old' }]);
    running.feed.spin(A, 2);
    await has(again, 2);
    expect(again.stand()).not.toMatch(/~$/);
  });

  it('is told when to come back when the feed closes it', async () => {
    const client = await join();
    await client.next('subscribed');
    await listening();
    running.feed.giveUp();
    const last = await client.next((message) => message['type'] === 'bye' || message['type'] === 'error');
    expect(last).toMatchObject({ retry_ms: 700 });
    await client.over;
  });

  it('leaves nothing behind in the feed or the counters', async () => {
    const client = await join();
    await client.next('subscribed');
    client.stop();
    await client.over;
    const { counters } = running.gateway;
    while (running.feed.subscribers() > 0) await new Promise(setImmediate);
    expect(counters().open).toEqual({ websocket: 0, sse: 0, poll: 0, socketio: 0 });
    expect(counters().failures).toBe(0);
  });
});
