import { afterEach, describe, expect, it, vi } from 'vitest';
import { UnauthorizedError } from '../../src/client/connect.ts';
import { createStage, SPEED, VIP, VIP_TOO } from './stage.ts';

const topic = `roulette:${SPEED.id}`;

describe('Table.stale', () => {
  it('is true from the loss of the connection until the client is live again, and views are told', async () => {
    const { clock, feed, client, network } = createStage();
    const told: boolean[] = [];
    const subscription = client.subscribe(topic, { onTable: ({ stale }) => told.push(stale) });
    await clock.advance(50);
    const stale = (): boolean | undefined => subscription.tables.get(SPEED.id)?.stale;
    expect([stale(), told]).toEqual([false, [false]]);
    network.latest().cut(1006);
    expect([stale(), told]).toEqual([true, [false, true]]);
    await clock.advance(3000);
    expect([stale(), told]).toEqual([false, [false, true, false]]);
    feed.number(SPEED.id, 4);
    await clock.advance(50);
    expect(told).toEqual([false, true, false, false]);
  });

  // It stayed false while the service itself had lost MongoDB.
  it("follows the state of the server's own source", async () => {
    const { clock, feed, client } = createStage();
    const subscription = client.subscribe(topic);
    await clock.advance(50);
    const status = (state: 'live' | 'stale' | 'down') =>
      feed.publish({ type: 'status', feed: state, since: new Date(clock.now()).toISOString() }, null);
    status('down');
    await clock.advance(50);
    expect(client.state.name).toBe('stale');
    expect(subscription.tables.get(SPEED.id)?.stale).toBe(true);
    status('live');
    await clock.advance(50);
    expect(subscription.tables.get(SPEED.id)?.stale).toBe(false);
  });

  it('stays true for a table that was reset, until its snapshot', async () => {
    const { clock, feed, client } = createStage();
    const subscription = client.subscribe(topic);
    await clock.advance(50);
    feed.drop(SPEED.id);
    feed.sync();
    await clock.advance(50);
    expect(subscription.tables.get(SPEED.id)?.stale).toBe(true);
    feed.settle(SPEED.id);
    await clock.advance(50);
    expect(subscription.tables.get(SPEED.id)?.stale).toBe(false);
  });
});

describe('a subscription', () => {
  it('says why a snapshot came', async () => {
    const { clock, feed, client, network } = createStage();
    const why: string[] = [];
    client.subscribe(topic, { onSnapshot: (_table, { reason }) => why.push(reason) });
    await clock.advance(50);
    client.subscribe(topic, { onSnapshot: (_table, { reason }) => why.push(`second ${reason}`) });
    await clock.advance(50);
    feed.drop(SPEED.id);
    feed.settle(SPEED.id);
    await clock.advance(50);
    network.latest().cut(1006);
    feed.number(SPEED.id, 1);
    feed.forgetRing();
    await clock.advance(3000);
    expect(why).toEqual(['new', 'second known', 'drop', 'second drop', 'lost', 'second lost']);
  });

  it('hears whether a break was recovered or lost', async () => {
    const { clock, feed, client, network } = createStage();
    const heard: unknown[] = [];
    client.subscribe(topic, {
      onRecovered: (message) => heard.push(message),
      onLost: (message) => heard.push(message),
    });
    await clock.advance(50);
    network.latest().cut(1006);
    feed.number(SPEED.id, 1);
    await clock.advance(3000);
    network.latest().cut(1006);
    feed.forgetRing();
    await clock.advance(3000);
    expect(heard).toMatchObject([
      { type: 'recovered', topic },
      { type: 'lost', topic, reason: 'too_old' },
    ]);
  });

  // The deepest list of all subscriptions was handed to every one of them.
  it('keeps as many numbers as it asked for, whatever others ask for', async () => {
    const { clock, feed, client } = createStage();
    feed.past(
      SPEED.id,
      Array.from({ length: 40 }, (_, index) => index % 37),
    );
    const few = client.subscribe(topic, { history: 3 });
    const many = client.subscribe(topic, { history: 30 });
    await clock.advance(100);
    expect(few.tables.get(SPEED.id)?.numeros).toHaveLength(3);
    expect(many.tables.get(SPEED.id)?.numeros).toHaveLength(30);
    expect(few.tables.get(SPEED.id)).toBe(few.tables.get(SPEED.id));
    feed.number(SPEED.id, 36);
    await clock.advance(50);
    expect(few.tables.get(SPEED.id)?.numeros.map(({ numero }) => numero)[0]).toBe(36);
    expect(few.tables.get(SPEED.id)?.numeros).toHaveLength(3);
  });
});

describe('an error', () => {
  afterEach(() => vi.restoreAllMocks());

  it('that somebody waits for does not reach the console', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const { clock, client } = createStage({ listenForErrors: false });
    const failed = expect(client.subscribe('roulette:Nowhere').ready()).rejects.toMatchObject({
      code: 'unknown_topic',
    });
    await clock.advance(100);
    await failed;
    expect(log).not.toHaveBeenCalled();
  });

  it('that nobody waits for does', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const { clock, client } = createStage({ listenForErrors: false });
    client.subscribe('roulette:Nowhere');
    await clock.advance(100);
    expect(log).toHaveBeenCalledTimes(1);
  });

  it('UnauthorizedError from the token function ends the attempts', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    let asked = 0;
    const { clock, client } = createStage({
      listenForErrors: false,
      token() {
        asked += 1;
        throw new UnauthorizedError('logged out');
      },
    });
    const failed = expect(client.subscribe(topic).ready()).rejects.toMatchObject({ code: 'failed' });
    await clock.advance(120_000);
    await failed;
    expect(client.state).toEqual({ name: 'failed', code: null, reason: 'logged out' });
    expect([asked, log.mock.calls.length]).toEqual([1, 0]);
  });

  it('any other of the token function is tried again', async () => {
    let asked = 0;
    const { clock, client } = createStage({
      token() {
        asked += 1;
        if (asked < 3) throw new Error('offline');
        return 'token';
      },
    });
    client.subscribe(topic);
    await clock.advance(10_000);
    expect([asked, client.state.name]).toEqual([3, 'live']);
  });
});

describe('disconnect and connect', () => {
  it('leave and come back to where every topic was', async () => {
    const { clock, feed, client, network } = createStage();
    const numbers: number[] = [];
    client.subscribe(topic, { onNumber: ({ numero }) => numbers.push(numero) });
    await clock.advance(50);
    client.disconnect();
    expect(client.state).toEqual({ name: 'idle', reason: 'disconnected' });
    expect(client.tables.get(SPEED.id)?.stale).toBe(true);
    feed.number(SPEED.id, 1);
    client.subscribe(`roulette:${VIP.id}`);
    await clock.advance(60_000);
    expect([numbers, network.connections.length]).toEqual([[], 1]);
    client.connect();
    await clock.advance(50);
    expect([numbers, client.state.name]).toEqual([[1], 'live']);
    expect(client.tables.get(VIP.id)).toBeDefined();
  });
});

describe('more topics than a connection may hold', () => {
  it('are followed over all tables, and nothing else is handed on', async () => {
    const { clock, feed, client, network, errors } = createStage({ network: { topics: 2 } });
    const heard: string[] = [];
    const follow = (id: string) =>
      client.subscribe(`roulette:${id}`, { onNumber: (event) => heard.push(event.roleta_id) });
    const third = '2999999';
    const subscriptions = [SPEED.id, VIP.id, third].map(follow);
    await clock.advance(100);
    await Promise.all(subscriptions.map((each) => each.ready()));
    expect([...network.latest().held]).toEqual(['roulette:*']);
    expect([...client.tables.keys()].sort()).toEqual([VIP.id, SPEED.id, third].sort());
    for (const id of [SPEED.id, VIP.id, third, VIP_TOO.id]) feed.number(id, 7);
    await clock.advance(50);
    expect(heard).toEqual([SPEED.id, VIP.id, third]);

    network.latest().cut(1006);
    for (const id of [VIP_TOO.id, third]) feed.number(id, 8);
    await clock.advance(3000);
    expect(heard).toEqual([SPEED.id, VIP.id, third, third]);

    subscriptions[0]?.unsubscribe();
    await clock.advance(500);
    expect([...network.latest().held].sort()).toEqual([`roulette:${VIP.id}`, `roulette:${third}`].sort());
    feed.number(VIP.id, 9);
    await clock.advance(50);
    expect(heard.at(-1)).toBe(VIP.id);
    expect(errors).toEqual([]);
  });
});
