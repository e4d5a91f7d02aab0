import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/connect.ts';
// Loaded by the client when it is used; here before, since the clock of these tests is not the one that loading takes.
import '../../src/client/extras.ts';
import { isFields } from '../../src/client/read.ts';
import { shareTransport } from '../../src/client/share.ts';
import type { Locks, TabChannel, TabTools } from '../../src/client/tab-tools.ts';
import type { FetchLike } from '../../src/client/transport.ts';
import type { PositionStore } from '../../src/client/types.ts';
import { createFakeFeed } from './fake-feed.ts';
import { createFakeNetwork } from './fake-network.ts';
import { createStage, SPEED, VIP, VIP_TOO } from './stage.ts';
import { createVirtualClock } from './virtual-clock.ts';

const topic = `roulette:${SPEED.id}`;

/** A store as a page has it, that outlives the page. */
function createMemory(): PositionStore & { readonly items: Map<string, string> } {
  const items = new Map<string, string>();
  return { items, getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

describe('persist', () => {
  it.each([topic, '*'])('goes on after a reload where the page was: %s', async (asked) => {
    const persist = createMemory();
    const clock = createVirtualClock();
    const feed = createFakeFeed(clock.now, [SPEED, VIP]);
    const network = createFakeNetwork(feed, clock);
    const page = () => {
      const live: number[] = [];
      const client = connect('http://127.0.0.1:1', {
        clock,
        random: () => 0,
        transports: [network.transport],
        persist,
      });
      const subscription = client.subscribe(asked, { onNumber: ({ numero }) => live.push(numero) });
      return { client, live, numbers: () => subscription.tables.get(SPEED.id)?.numeros.map(({ numero }) => numero) };
    };
    feed.past(SPEED.id, [1, 2]);
    const before = page();
    await clock.advance(100);
    feed.number(SPEED.id, 3);
    await clock.advance(1000);
    before.client.close();
    feed.number(SPEED.id, 4);

    const after = page();
    await clock.advance(0);
    await expect.poll(() => after.numbers()).toEqual([3, 2, 1]);
    expect(after.client.tables.get(SPEED.id)?.stale).toBe(true);
    await clock.advance(100);
    expect(after.live).toEqual([4]);
    expect(after.numbers()).toEqual([4, 3, 2, 1]);
    expect(after.client.tables.get(SPEED.id)?.stale).toBe(false);
    after.client.close();
  });

  it('begins anew in another epoch, and with a store that holds rubbish', async () => {
    for (const spoil of ['epoch', 'rubbish'] as const) {
      const persist = createMemory();
      const clock = createVirtualClock();
      const feed = createFakeFeed(clock.now, [SPEED]);
      const network = createFakeNetwork(feed, clock);
      const open = () =>
        connect('http://127.0.0.1:1', { clock, random: () => 0, transports: [network.transport], persist });
      const before = open();
      before.subscribe(topic);
      await clock.advance(100);
      feed.number(SPEED.id, 3);
      await clock.advance(1000);
      before.close();
      if (spoil === 'epoch') feed.restore('e2');
      else for (const key of persist.items.keys()) persist.items.set(key, '{"epoch":5,"tables":[{"type":"snapshot"}]}');
      const after = open();
      const snapshots: string[] = [];
      after.subscribe(topic, {
        onSnapshot: (table) => snapshots.push(table.numeros.map(({ numero }) => numero).join()),
      });
      await clock.advance(0);
      await expect.poll(() => network.connections.length).toBe(2);
      await clock.advance(100);
      expect(snapshots.at(-1), spoil).toBe('3');
      expect(after.state.name).toBe('live');
      after.close();
    }
  });
});

describe('older', () => {
  it('pages the numbers before those of the table', async () => {
    const asked: string[] = [];
    const item = (id: string, numero: number) => ({ id, numero, cor: 'preto', timestamp: '2026-11-24T13:00:00.000Z' });
    const answers: Record<string, unknown> = {
      '?limit=2': { numeros: [item('n000001', 1), item('a', 2)], next: 'x y' },
      '?limit=2&before=x%20y': { numeros: [item('b', 4)], next: null },
    };
    const fetch: FetchLike = async (url) => {
      asked.push(url);
      const body = answers[new URL(url).search];
      return {
        ok: body !== undefined,
        status: body === undefined ? 404 : 200,
        headers: { get: () => null },
        body: null,
        text: async () => JSON.stringify(body ?? { code: 'unknown_table' }),
      };
    };
    const { clock, feed, client } = createStage({ fetch });
    feed.past(SPEED.id, [1]);
    client.subscribe(topic);
    await clock.advance(50);
    const table = client.tables.get(SPEED.id);
    if (!table) throw new Error('no table');
    const pages: string[][] = [];
    for await (const page of table.older(2)) pages.push(page.map(({ id }) => id));
    expect(pages).toEqual([['a'], ['b']]);
    expect(asked[0]).toBe(`http://127.0.0.1:1/api/v1/tables/${SPEED.id}/numbers?limit=2`);
    const failing = { ...table, id: '2999999' }.older(3);
    await expect(failing[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'failed' });
  });
});

/** The tabs of one browser: locks and channels that end with their tab. */
function createBrowser() {
  const queues = new Map<string, { readonly tab: number; grant(): void }[]>();
  const channels = new Set<{ readonly tab: number; readonly name: string; readonly channel: TabChannel }>();
  const killed = new Set<number>();

  const release = (name: string, entry: object): void => {
    const queue = queues.get(name) ?? [];
    const isFirst = queue[0] === entry;
    queues.set(
      name,
      queue.filter((each) => each !== entry),
    );
    if (isFirst) queues.get(name)?.[0]?.grant();
  };

  const tab = (id: number): TabTools => {
    const locks: Locks = {
      request(name, callback) {
        const entry = {
          tab: id,
          grant: () =>
            void Promise.resolve()
              .then(() => callback())
              .then(() => release(name, entry)),
        };
        const queue = [...(queues.get(name) ?? []), entry];
        queues.set(name, queue);
        if (queue.length === 1) entry.grant();
        return Promise.resolve();
      },
    };
    return {
      locks,
      open(name) {
        const channel: TabChannel = {
          onmessage: null,
          postMessage(message) {
            if (killed.has(id)) return;
            const data: unknown = structuredClone(message);
            for (const other of channels) {
              if (other.channel === channel || other.name !== name) continue;
              queueMicrotask(() => {
                if (!killed.has(other.tab)) other.channel.onmessage?.({ data });
              });
            }
          },
          close: () => {
            for (const other of channels) if (other.channel === channel) channels.delete(other);
          },
        };
        channels.add({ tab: id, name, channel });
        return channel;
      },
    };
  };

  return {
    tab,
    /** The tab that holds the lock of a name, which is the one that leads. */
    leader: (name: string) => queues.get(name)?.[0]?.tab ?? null,
    kill(id: number): void {
      killed.add(id);
      for (const other of channels) if (other.tab === id) channels.delete(other);
      for (const [name, queue] of [...queues]) {
        for (const entry of queue.filter((each) => each.tab === id)) release(name, entry);
      }
    },
  };
}

describe('share', () => {
  const NAME = 'runcash-live http://127.0.0.1:1';

  function createTabs() {
    const clock = createVirtualClock();
    const feed = createFakeFeed(clock.now, [SPEED, VIP, VIP_TOO]);
    const network = createFakeNetwork(feed, clock);
    const browser = createBrowser();
    let tabs = 0;
    const open = (asked: readonly string[]) => {
      tabs += 1;
      const id = tabs;
      const numbers: string[] = [];
      const client = connect('http://127.0.0.1:1', {
        clock,
        random: () => 0,
        transports: [shareTransport(network.transport, false, browser.tab(id))],
      });
      const lost: string[] = [];
      for (const each of asked) {
        client.subscribe(each, {
          onNumber: (event) => numbers.push(`${event.roleta_id} ${event.id}`),
          onLost: ({ topic: of }) => lost.push(of),
        });
      }
      return { id, client, numbers, lost };
    };
    const openSockets = () => network.connections.filter((each) => each.open).length;
    return { clock, feed, network, browser, open, openSockets };
  }

  it('gives ten tabs one connection, and each what it follows', async () => {
    const { clock, feed, open, openSockets, network } = createTabs();
    const tabs = Array.from({ length: 10 }, (_, index) => open([index % 2 === 0 ? topic : `roulette:${VIP.id}`]));
    await clock.advance(500);
    expect(openSockets()).toBe(1);
    for (const { client } of tabs) expect(client.state.name).toBe('live');
    feed.number(SPEED.id, 1);
    feed.number(VIP.id, 2);
    await clock.advance(50);
    tabs.forEach(({ numbers, client }, index) => {
      expect(numbers).toHaveLength(1);
      expect(numbers[0]?.startsWith(index % 2 === 0 ? SPEED.id : VIP.id)).toBe(true);
      expect(client.stats.duplicates).toBe(0);
    });
    tabs[0]?.client.close();
    await clock.advance(100);
    expect([...network.latest().held].sort()).toEqual([`roulette:${VIP.id}`, topic].sort());
    feed.number(SPEED.id, 3);
    await clock.advance(50);
    expect(tabs[2]?.numbers).toHaveLength(2);
  });

  it('lets single tables go on when the tab that followed all is closed', async () => {
    const { clock, feed, open, network } = createTabs();
    const all = open(['*']);
    const one = open([topic]);
    await clock.advance(500);
    expect([...network.latest().held]).toEqual(['roulette:*']);
    all.client.close();
    feed.number(SPEED.id, 1);
    await clock.advance(3000);
    feed.number(SPEED.id, 2);
    await clock.advance(50);
    expect(one.numbers).toHaveLength(2);
    expect([...network.latest().held]).toEqual([topic]);
  });

  it('loses and repeats nothing while the leading tab is killed fifty times', async () => {
    const { clock, feed, network, open, openSockets, browser } = createTabs();
    const written: string[] = [];
    const spin = (numero: number): void => {
      const event = feed.number(SPEED.id, numero % 37);
      if (event.type === 'new_number') written.push(`${event.roleta_id} ${event.id}`);
    };
    const watcher = open([topic]);
    let others = Array.from({ length: 9 }, () => open([topic, `roulette:${VIP.id}`]));
    await clock.advance(500);
    // The first tab leads at first: it would be killed, and the one that is watched must live.
    const first = browser.leader(NAME);
    expect(first).toBe(watcher.id);
    const survivors: string[][] = [];
    for (let round = 0; round < 50; round += 1) {
      spin(round);
      const leader = browser.leader(NAME);
      const victim = others.find(({ id }) => id === leader);
      if (victim) {
        browser.kill(victim.id);
        victim.client.close();
        others = [...others.filter((each) => each !== victim), open([topic])];
      } else {
        browser.kill(leader ?? 0);
        if (leader === watcher.id) watcher.client.close();
      }
      // The connection of a page goes with it.
      network.latest().cut(1006);
      spin(round + 1);
      await clock.advance(3000);
      expect(openSockets()).toBe(1);
    }
    spin(7);
    await clock.advance(3000);
    for (const { numbers, lost, client } of others) {
      survivors.push(numbers);
      expect(lost).toEqual([]);
      expect(client.state.name).toBe('live');
      // Each has everything since it was opened, once and in order.
      expect(numbers.length).toBeGreaterThan(0);
      expect(numbers).toEqual(written.slice(-numbers.length));
    }
    expect(survivors).toHaveLength(9);
  });

  it('is each tab for itself where tabs cannot speak to each other', () => {
    const { network } = createTabs();
    expect(shareTransport(network.transport, true, null)).toBe(network.transport);
    expect(isFields(network.transport)).toBe(true);
  });
});
