import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import { delayBefore } from '../../src/client/reconnect.ts';
import { CLOSES } from '../../src/protocol/errors.ts';
import { createFakeFeed } from './fake-feed.ts';
import { createFakeNetwork } from './fake-network.ts';
import { createStage, SPEED } from './stage.ts';
import { createVirtualClock } from './virtual-clock.ts';

const topic = `roulette:${SPEED.id}`;

describe('a close code', () => {
  for (const [text, { retry }] of Object.entries(CLOSES)) {
    const code = Number(text);
    it(`${code} is followed as the table of codes says: ${retry}`, async () => {
      const { clock, client, network } = createStage();
      client.subscribe(topic);
      await clock.advance(50);
      if (code >= 4200) network.latest().send({ type: 'bye', code, reason: 'moved', retry_ms: 7000 });
      network.latest().cut(code, { flush: true });
      await clock.advance(10);
      const lost = clock.now();
      if (retry === 'never') {
        expect(client.state).toMatchObject({ name: 'failed', code });
        await clock.advance(120_000);
        expect(network.connections).toHaveLength(1);
        return;
      }
      expect(client.state).toMatchObject({ name: 'recovering', code });
      await clock.advance(15_000);
      expect(network.connections).toHaveLength(2);
      const waited = network.latest().openedAt - lost;
      if (retry === 'after') expect(waited).toBeGreaterThan(6900);
      else expect(waited).toBeLessThan(1000);
      expect(client.state.name).toBe('live');
    });
  }

  for (const code of [1000, 1001, 1006, 1008, 1011, 1012, 1013, 1015, 4321]) {
    it(`${code} means to come back`, async () => {
      const { clock, client, network } = createStage();
      client.subscribe(topic);
      await clock.advance(50);
      network.latest().cut(code);
      await clock.advance(3000);
      expect(client.state.name).toBe('live');
      expect(network.connections).toHaveLength(2);
    });
  }

  it('1009 makes the next frames smaller', async () => {
    const { clock, client, network } = createStage();
    for (let table = 0; table < 50; table++) client.subscribe(`roulette:${2_000_000 + table}`);
    await clock.advance(2000);
    network.latest().cut(1009);
    await clock.advance(5000);
    const sizes = network.latest().received.map((frame) => JSON.stringify(frame).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2048);
    expect(network.latest().held.size).toBe(50);
  });

  it('of `bye` counts when the connection breaks without one', async () => {
    const { clock, client, network } = createStage();
    client.subscribe(topic);
    await clock.advance(50);
    network.latest().send({ type: 'bye', code: 4200, reason: 'draining', retry_ms: 3000 });
    await clock.advance(2010);
    expect(client.state).toMatchObject({ name: 'recovering', code: 4200 });
    await clock.advance(2900);
    expect(network.connections).toHaveLength(1);
    await clock.advance(200);
    expect(network.connections).toHaveLength(2);
  });
});

describe('the wait before a reconnect', () => {
  it('is uniform in a second at first, then grows to a quarter and up to fifteen seconds', () => {
    expect(delayBefore(0, null, () => 0)).toBe(0);
    expect(delayBefore(0, null, () => 0.999)).toBeLessThan(1000);
    expect(delayBefore(1, null, () => 0)).toBe(250);
    expect(delayBefore(1, null, () => 1)).toBe(1250);
    expect(delayBefore(9, null, () => 1)).toBe(15_250);
  });

  it('is what the server asks for, but never a hot loop', () => {
    expect(delayBefore(0, 40, () => 0.5)).toBe(40);
    expect(delayBefore(3, 0, () => 0)).toBe(250);
    expect(delayBefore(3, 60_000, () => 0)).toBe(60_000);
  });

  it('starts over only after ten seconds of stability', async () => {
    const { clock, client, network } = createStage({ random: () => 0.999 });
    client.subscribe(topic);
    await clock.advance(50);
    const waits: number[] = [];
    for (const stableMs of [100, 100, 100, 11_000]) {
      await clock.advance(stableMs);
      const cutAt = clock.now();
      network.latest().cut(1006);
      await clock.advance(20_000 - 16_000);
      waits.push(network.latest().openedAt - cutAt);
      if (client.state.name !== 'live') await clock.advance(6000);
    }
    const [first = 0, second = 0, third = 0, last = 0] = waits;
    expect(first).toBeLessThan(1000);
    expect(second).toBeGreaterThan(1000);
    expect(third).toBeGreaterThan(second);
    expect(last).toBeLessThan(1000);
  });
});

describe('a connection that says nothing', () => {
  it('is asked after the ping interval, given up ten seconds later, and resumed', async () => {
    const { clock, client, network, states } = createStage();
    client.subscribe(topic);
    await clock.advance(1000);
    network.script.halfOpen = true;
    await clock.advance(33_000);
    expect(client.state.name).toBe('live');
    network.script.halfOpen = false;
    await clock.advance(5000);
    expect(states.map(({ name }) => name)).toEqual(['connecting', 'live', 'stale', 'recovering', 'recovering', 'live']);
  });

  it('is kept when it only has nothing to say', async () => {
    const { clock, client, network } = createStage();
    client.subscribe(topic);
    await clock.advance(300_000);
    expect(network.connections).toHaveLength(1);
    expect(client.state.name).toBe('live');
    expect(client.stats.roundTripMs).toBe(10);
  });

  it('at its opening is given up after ten seconds', async () => {
    const { clock, client, network } = createStage();
    network.script.halfOpen = true;
    client.subscribe(topic);
    await clock.advance(10_200);
    network.script.halfOpen = false;
    await clock.advance(2000);
    expect(network.connections.length).toBe(2);
    expect(client.state.name).toBe('live');
  });

  it('to a subscribe is left after a minute, though it answers pings', async () => {
    const { clock, client, network } = createStage();
    network.script.answer = (frame) => frame['type'] === 'subscribe';
    client.subscribe(topic);
    await clock.advance(59_000);
    expect(network.connections).toHaveLength(1);
    network.script.answer = () => false;
    await clock.advance(5000);
    expect(client.state.name).toBe('live');
  });

  it('after the computer slept is doubted at once and replaced within seconds', async () => {
    const { clock, client, network, states } = createStage();
    client.subscribe(topic);
    await clock.advance(1000);
    network.script.halfOpen = true;
    clock.sleep(3_600_000);
    await clock.advance(2000);
    network.script.halfOpen = false;
    await clock.advance(4000);
    expect(states.map(({ name }) => name).slice(1)).toEqual(['live', 'stale', 'recovering', 'recovering', 'live']);
  });

  it('after a sleep that it outlived is kept', async () => {
    const { clock, client, network, states } = createStage();
    client.subscribe(topic);
    await clock.advance(1000);
    clock.sleep(120_000);
    await clock.advance(6000);
    expect(network.connections).toHaveLength(1);
    expect(states.map(({ name }) => name)).toEqual(['connecting', 'live', 'stale', 'live']);
  });
});

describe('the state', () => {
  it('is idle without subscriptions, and again some seconds after the last one', async () => {
    const { clock, client, network } = createStage();
    await clock.advance(1000);
    expect(client.state).toEqual({ name: 'idle', reason: 'unused' });
    expect(network.connections).toHaveLength(0);
    const subscription = client.subscribe(topic);
    await clock.advance(100);
    subscription.unsubscribe();
    await clock.advance(1000);
    client.subscribe(topic);
    await clock.advance(10_000);
    expect(network.connections).toHaveLength(1);
    expect(client.state.name).toBe('live');
  });

  it('is stale while the server says that its source is, and live after', async () => {
    const { clock, client, feed, states } = createStage();
    client.subscribe(topic);
    await clock.advance(100);
    const since = new Date(clock.now()).toISOString();
    feed.publish({ type: 'status', feed: 'down', since }, null);
    await clock.advance(100);
    expect(client.state).toMatchObject({ name: 'stale', reason: 'feed_down' });
    feed.publish({ type: 'status', feed: 'live', since, lag_ms: 3 }, null);
    await clock.advance(100);
    expect(states.at(-1)?.name).toBe('live');
  });

  it('is stale from the first snapshot that says so', async () => {
    const { clock, client, feed, network } = createStage();
    network.script.bend = (message) => [message.type === 'snapshot' ? { ...message, stale: true } : message];
    client.subscribe(topic);
    await clock.advance(100);
    expect(client.state).toMatchObject({ name: 'stale', reason: 'feed_stale' });
    expect(client.tables.get(SPEED.id)?.stale).toBe(true);
    feed.publish({ type: 'status', feed: 'live', since: new Date(clock.now()).toISOString() }, null);
    await clock.advance(100);
    expect(client.state.name).toBe('live');
    expect(client.tables.get(SPEED.id)?.stale).toBe(false);
  });

  it('failed rejects who waits, and can be retried', async () => {
    const { clock, client, network, errors } = createStage();
    network.script.refuse = { code: 4003, reason: 'origin' };
    const subscription = client.subscribe(topic);
    const ready = expect(subscription.ready()).rejects.toMatchObject({ code: 'failed' });
    await clock.advance(100);
    await ready;
    expect(errors).toHaveLength(1);
    network.script.refuse = null;
    client.retry();
    await clock.advance(100);
    await subscription.ready();
    expect(client.state.name).toBe('live');
  });

  it('ends with close, and nothing runs after it', async () => {
    const abort = new AbortController();
    const { clock, client, network } = createStage({ signal: abort.signal });
    client.subscribe(topic);
    await clock.advance(100);
    abort.abort();
    await clock.advance(1000);
    expect(client.state).toEqual({ name: 'idle', reason: 'closed' });
    expect(network.latest().open).toBe(false);
    expect(clock.waiting).toBe(0);
    expect(() => client.subscribe(topic)).toThrow(/closed/);
  });
});

describe('a token', () => {
  it('is sent first, asked for again at every connection and before it expires', async () => {
    let issued = 0;
    const token = async () => {
      issued += 1;
      return `t${issued}`;
    };
    const { clock, client, network } = createStage({ token, network: { auth: 'jwt' } });
    network.script.answer = (frame, connection) => {
      if (frame['type'] !== 'auth') return false;
      connection.send({ type: 'authenticated', expires: new Date(clock.now() + 120_000).toISOString() });
      return true;
    };
    client.subscribe(topic);
    await clock.advance(100);
    expect(network.latest().received[0]).toMatchObject({ type: 'auth', token: 't1' });
    await clock.advance(91_000);
    expect(network.latest().received.filter((frame) => frame['type'] === 'auth')).toHaveLength(2);
    network.latest().cut(4105);
    await clock.advance(2000);
    expect(network.latest().received[0]).toMatchObject({ type: 'auth', token: 't3' });
  });

  it('that is refused is renewed once, and then the client gives up', async () => {
    let issued = 0;
    const token = () => {
      issued += 1;
      return `t${issued}`;
    };
    const { clock, client, network } = createStage({ token, network: { auth: 'jwt' } });
    network.script.answer = (frame, connection) => {
      if (frame['type'] === 'auth') connection.cut(4004);
      return true;
    };
    client.subscribe(topic);
    await clock.advance(10_000);
    expect(issued).toBe(2);
    expect(client.state).toMatchObject({ name: 'failed', code: 4004 });
  });

  it('that cannot be had is tried for again', async () => {
    let asked = 0;
    const token = () => {
      asked += 1;
      if (asked < 3) throw new Error('login is down');
      return 't';
    };
    const { clock, client, errors } = createStage({ token });
    client.subscribe(topic);
    await clock.advance(10_000);
    expect(errors).toHaveLength(2);
    expect(client.state.name).toBe('live');
  });
});

describe('requests that the server refuses', () => {
  it('for now are repeated after the time it names', async () => {
    const { clock, client, network } = createStage();
    let refused = 0;
    network.script.answer = (frame, connection) => {
      if (frame['type'] !== 'subscribe' || refused > 0) return false;
      refused += 1;
      connection.send({
        type: 'error',
        id: frame['id'],
        code: 'rate_limited',
        message: 'wait',
        retry: 'after',
        retry_ms: 4000,
      });
      return true;
    };
    client.subscribe(topic);
    await clock.advance(3900);
    expect(client.state.name).toBe('connecting');
    await clock.advance(200);
    expect(client.state.name).toBe('live');
  });

  it('for good end the guilty subscription only', async () => {
    const { clock, client, network } = createStage();
    network.script.answer = (frame, connection) => {
      if (frame['type'] !== 'subscribe' || !JSON.stringify(frame).includes('2010097')) return false;
      connection.send({ type: 'error', id: frame['id'], code: 'forbidden', message: 'not allowed', retry: 'never' });
      return true;
    };
    const failed: string[] = [];
    client.subscribe(topic);
    client.subscribe('roulette:2010097', { onError: (error) => failed.push(error.code) });
    await clock.advance(1000);
    expect(failed).toEqual(['forbidden']);
    expect([...network.latest().held]).toEqual([topic]);
    expect(client.state.name).toBe('live');
  });
});

describe('ten thousand clients that lose their server at once', () => {
  it('come back spread over the first second, and all resume', async () => {
    const clock = createVirtualClock();
    const feed = createFakeFeed(clock.now, [SPEED]);
    const network = createFakeNetwork(feed, clock);
    let received = 0;
    const clients = Array.from({ length: 10_000 }, () => {
      const client = connect('http://127.0.0.1:1', { clock, transports: [network.transport] });
      client.subscribe(topic, {
        onNumber: () => {
          received += 1;
        },
      });
      return client;
    });
    await clock.advance(100);
    const before = [...network.connections];
    const lostAt = clock.now();
    for (const connection of before) connection.cut(1006);
    feed.number(SPEED.id, 17);
    await clock.advance(2000);
    const arrivals = network.connections.slice(before.length).map(({ openedAt }) => openedAt - lostAt);
    const perSlot = new Map<number, number>();
    for (const at of arrivals) perSlot.set(Math.floor(at / 50), (perSlot.get(Math.floor(at / 50)) ?? 0) + 1);
    expect(arrivals).toHaveLength(10_000);
    // Uniform over twenty slots is 500 each; twice that would be a herd.
    expect(Math.max(...perSlot.values())).toBeLessThan(700);
    expect(Math.min(...[...Array(20).keys()].map((slot) => perSlot.get(slot) ?? 0))).toBeGreaterThan(350);
    expect(received).toBe(10_000);
    for (const client of clients) client.close();
  }, 60_000);

  it('that stays away are not a storm: attempts thin out', async () => {
    const clock = createVirtualClock();
    const feed = createFakeFeed(clock.now, [SPEED]);
    const network = createFakeNetwork(feed, clock);
    const clients = Array.from({ length: 2_000 }, () => {
      const client = connect('http://127.0.0.1:1', { clock, transports: [network.transport] });
      client.subscribe(topic);
      return client;
    });
    await clock.advance(100);
    network.script.refuse = { code: 1006, reason: '' };
    for (const connection of [...network.connections]) connection.cut(1006);
    await clock.advance(60_000);
    const attemptsBefore = network.connections.length;
    await clock.advance(30_000);
    const perClientSecond = (network.connections.length - attemptsBefore) / clients.length / 30;
    expect(perClientSecond).toBeLessThan(0.2);
    for (const client of clients) client.close();
  }, 60_000);
});
