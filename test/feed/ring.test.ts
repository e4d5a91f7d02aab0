import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { createRing, type RingEntry } from '../../src/feed/ring.ts';
import { endOf, ORIGIN, timeOf } from '../../src/protocol/position.ts';
import { canonicalId, type TableId } from '../../src/roulette/table.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const BEGAN_SECONDS = 0x67449f0a;

const tableOf = (id: number): TableId => {
  const table = canonicalId(String(id));
  if (table === null) throw new Error(`no table: ${id}`);
  return table;
};
const ROULETTE = tableOf(2010165);
const LIGHTNING = tableOf(2010033);

/** The event of one second. */
function entry(second: number, table = ROULETTE): RingEntry {
  const position = endOf({ t: BEGAN_SECONDS + second, i: 1 });
  const text = `{"numero":${second % 37}}`;
  return { table, position, frame: { topic: `roulette:${table}`, type: 'new_number', text, position, epoch: null } };
}

const seconds = (entries: Iterable<RingEntry>): number[] =>
  [...entries].map(({ position }) => timeOf(position).t - BEGAN_SECONDS);

describe('the ring', () => {
  it('INVARIANT ring: gives every event above a position once and in order, of one table or of all', () => {
    const ring = createRing(ORIGIN, { seconds: 100, bytes: 1e6 });
    for (let second = 0; second < 6; second++) ring.push(entry(second, second % 2 === 0 ? ROULETTE : LIGHTNING));
    expect(seconds(ring.above(entry(1).position, null))).toEqual([2, 3, 4, 5]);
    expect(seconds(ring.above(entry(1).position, ROULETTE))).toEqual([2, 4]);
    expect(seconds(ring.above(entry(5).position, null))).toEqual([]);
  });

  it('remembers of each table the last event that it let go, so that a quiet one is known to be whole', () => {
    const ring = createRing(ORIGIN, { seconds: 2, bytes: 1e6 });
    ring.push(entry(0, LIGHTNING));
    for (let second = 1; second < 6; second++) ring.push(entry(second));
    ring.evict(BEGAN_SECONDS + 5);
    expect(ring.evictedOf(LIGHTNING)).toBe(entry(0).position);
    expect(ring.evictedOf(ROULETTE)).toBe(entry(2).position);
    expect(ring.floor).toBe(entry(2).position);
    expect(ring.newest).toBe(entry(5).position);
  });

  it('drops what is older than its seconds, and says from where on it is whole', () => {
    const ring = createRing(ORIGIN, { seconds: 10, bytes: 1e6 });
    for (let second = 0; second < 3_000; second++) {
      ring.push(entry(second));
      ring.evict(BEGAN_SECONDS + second);
    }
    expect(ring.events).toBe(11);
    expect(ring.floor).toBe(entry(2_988).position);
    expect(seconds(ring.above(ring.floor, ROULETTE))).toEqual(Array.from({ length: 11 }, (_, at) => 2_989 + at));
  });

  it('lets go of what it dropped, also of tables that stay quiet afterwards', async () => {
    const ring = createRing(ORIGIN, { seconds: 10, bytes: 1e6 });
    const frames: WeakRef<object>[] = [];
    for (let second = 0; second < 500; second++) {
      const pushed = entry(second, tableOf(2_010_000 + (second % 39)));
      frames.push(new WeakRef(pushed.frame));
      ring.push(pushed);
      ring.evict(BEGAN_SECONDS + second);
    }
    // What a WeakRef points to stays until the end of the turn that made it.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(frames.filter((frame) => frame.deref() !== undefined)).toHaveLength(ring.events);
  });
});
