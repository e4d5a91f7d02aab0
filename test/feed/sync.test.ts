import { describe, expect, it } from 'vitest';
import { createChance } from '../../bench/chaos/chance.ts';
import { createSyncPace } from '../../src/feed/condition.ts';
import { createRing, type Ring } from '../../src/feed/ring.ts';
import { frameOf } from '../../src/protocol/messages.ts';
import { type Position, startOf } from '../../src/protocol/position.ts';
import { canonicalId } from '../../src/roulette/table.ts';

const SYNC_MS = 300_000;

const at = (second: number, ordinal = 0): Position => startOf({ t: 1_000_000 + second, i: ordinal });

/** Puts an event of another table into the ring, and lets go of what is too old or too much. */
function push(ring: Ring, second: number, ordinal: number): void {
  const table = canonicalId('2010011');
  if (table === null) throw new TypeError('no id of a table');
  const position = at(second, ordinal);
  ring.push({ table, position, frame: frameOf({ type: 'sync', position }) });
  ring.evict(1_000_000 + second);
}

/** Plays seconds, each with some events; tells the positions that silent subscribers were told, by second. */
function play(ring: Ring, seconds: number, eventsIn: (second: number) => number, syncMs = SYNC_MS) {
  let nowMs = 0;
  let delivered = at(0);
  const pace = createSyncPace(() => nowMs, syncMs);
  let held = pace.told(delivered);
  const told: number[] = [];
  const beyond: number[] = [];
  for (let second = 1; second <= seconds; second++) {
    for (let event = 0; event < eventsIn(second); event++) push(ring, second, event);
    delivered = at(second, 1_000);
    ring.evict(1_000_000 + second);
    nowMs = second * 1000;
    if (held < ring.floor) beyond.push(second);
    if (!pace.isDue(ring, delivered)) continue;
    held = pace.told(delivered);
    told.push(second);
  }
  return { told, beyond };
}

const apart = (seconds: readonly number[]): number[] =>
  seconds.slice(1).map((second, index) => second - (seconds[index] ?? 0));

describe('a subscriber of quiet tables', () => {
  it('is written to every five minutes, and can be recovered at any time', () => {
    const ring = createRing(at(0), { seconds: 600, bytes: 64e6 });
    const { told, beyond } = play(ring, 3_600, () => 1);
    expect(told).toEqual([300, 600, 900, 1200, 1500, 1800, 2100, 2400, 2700, 3000, 3300, 3600]);
    expect(beyond).toEqual([]);
  });

  it('is told sooner where the ring is short of bytes', () => {
    const ring = createRing(at(0), { seconds: 600, bytes: 20_000 });
    const { told, beyond } = play(ring, 600, () => 3);
    expect(Math.max(...apart(told))).toBeLessThan(15);
    expect(beyond).toEqual([]);
  });

  it('can be recovered whatever others do, as long as the ring holds some seconds', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const chance = createChance(seed);
      const ring = createRing(at(0), { seconds: 5 + Math.floor(chance.next() * 600), bytes: 100_000 });
      const { beyond } = play(ring, 1_500, () => Math.floor(chance.next() * 12));
      expect(beyond, `seed ${seed}`).toEqual([]);
    }
  });

  it('is told as often as is configured, where that is more often', () => {
    const ring = createRing(at(0), { seconds: 600, bytes: 64e6 });
    const { told } = play(ring, 1_200, () => 1, 60_000);
    expect(new Set(apart(told))).toEqual(new Set([60]));
  });
});
