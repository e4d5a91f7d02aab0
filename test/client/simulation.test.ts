import { describe, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/connect.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';
import { createFakeFeed } from './fake-feed.ts';
import { createFakeNetwork } from './fake-network.ts';
import { createVirtualClock } from './virtual-clock.ts';

/** A small generator with a seed, so that a failure can be run again (mulberry32, public domain). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const TABLES = [
  { id: '2010165', nome: 'Roulette' },
  { id: '2010097', nome: 'VIP Roulette' },
  { id: '2380117', nome: 'VIP Roulette' },
];
const WISHES = ['*', 'roulette:2010165', 'roulette:2010097', 'roulette:VIP Roulette', 'roulette:2380117'];
const DEPTH = 8;

async function run(seed: number): Promise<void> {
  const random = seeded(seed);
  const pick = <T>(of: readonly T[]): T => {
    const found = of[Math.floor(random() * of.length)];
    if (found === undefined) throw new RangeError('nothing to pick from');
    return found;
  };
  const clock = createVirtualClock();
  const feed = createFakeFeed(clock.now, TABLES);
  const network = createFakeNetwork(feed, clock, { latencyMs: () => random() * 30 });
  const client: Client = connect('http://127.0.0.1:1', {
    clock,
    random,
    history: DEPTH,
    transports: [network.transport],
  });
  /** Ids that no snapshot may hide: written while nothing but replays lies between the client and them. */
  const told = new Map<string, number>();
  const subscriptions = new Map<string, () => void>();
  const wish = (topic: string): void => {
    if (subscriptions.has(topic)) return;
    const seen = new Set<string>();
    const subscription = client.subscribe(topic, {
      onNumber(event) {
        if (seen.has(event.id)) throw new Error(`seed ${seed}: ${event.id} twice for ${topic}`);
        seen.add(event.id);
        told.set(event.id, (told.get(event.id) ?? 0) + 1);
      },
    });
    subscriptions.set(topic, subscription.unsubscribe);
  };
  const errors: Error[] = [];
  client.listen('error', (error) => errors.push(error));
  wish(pick(WISHES));

  for (let step = 0; step < 150; step++) {
    const dice = random();
    // Now and then a table that nobody heard of before.
    const { id } = random() < 0.05 ? { id: pick(['2999998', '2999999']) } : pick(TABLES);
    if (dice < 0.45) feed.number(id, Math.floor(random() * 37));
    else if (dice < 0.5) feed.correct(id, pickItem(feed.tables.get(id)?.numeros ?? [], random), 0);
    else if (dice < 0.55) feed.remove(id, pickItem(feed.tables.get(id)?.numeros ?? [], random));
    else if (dice < 0.62) feed.sync();
    else if (dice < 0.7) network.connections.at(-1)?.cut(1006);
    else if (dice < 0.73) wish(pick(WISHES));
    else if (dice < 0.75 && subscriptions.size > 1) {
      const topic = pick([...subscriptions.keys()]);
      subscriptions.get(topic)?.();
      subscriptions.delete(topic);
    } else if (dice < 0.77) {
      feed.drop(id);
      if (random() < 0.5) await clock.advance(random() * 40);
      feed.settle(id);
    } else if (dice < 0.775) feed.forgetRing();
    else if (dice < 0.785) feed.restore(`e${step + 2}`);
    else if (dice < 0.79) client.interrupt();
    await clock.advance(random() * (random() < 0.1 ? 3000 : 60));
  }

  await clock.advance(30_000);
  expect(errors, `seed ${seed}`).toEqual([]);
  expect(client.state.name, `seed ${seed}`).toBe('live');
  for (const table of client.tables.values()) {
    const truth = [...(feed.tables.get(table.id)?.numeros ?? [])]
      .sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp) || (a.id < b.id ? 1 : -1))
      .slice(0, DEPTH);
    expect(
      table.numeros.map(({ id, numero }) => [id, numero]),
      `seed ${seed}, table ${table.id}`,
    ).toEqual(truth.map(({ id, numero }) => [id, numero]));
    expect(table.stale, `seed ${seed}`).toBe(false);
  }
  client.close();
  // What was on the wires arrives, and nothing comes after it.
  await clock.advance(1000);
  expect(clock.waiting, `seed ${seed}: timers after close`).toBe(0);
}

function pickItem(items: readonly NumberItem[], random: () => number): string {
  return items[Math.floor(random() * items.length)]?.id ?? 'none';
}

describe('under cuts, resets, restores and changing subscriptions', () => {
  it('INVARIANT exactly-once: every table ends as the source has it, and no event is told twice', async () => {
    for (let seed = 1; seed <= 100; seed++) await run(seed);
  }, 120_000);
});
