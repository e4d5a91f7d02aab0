import { describe, expect, it } from 'vitest';
import { createLedger } from '../../bench/soak/ledger.ts';
import { growthOf, lowsOf, type Sample } from '../../bench/soak/memory.ts';
import type { Tally } from '../../bench/soak/orders.ts';

const NOTHING: Tally = {
  open: 0,
  opened: 0,
  refused: 0,
  lost: 0,
  events: 0,
  gaps: 0,
  repeated: 0,
  resumed: 0,
  unrecovered: 0,
};

/** A ledger that was acknowledged at position `p10`. */
function followed() {
  const total = { ...NOTHING };
  const ledger = createLedger(total);
  const take = (message: object) => ledger.take(JSON.stringify(message));
  ledger.begin(null);
  take({ type: 'snapshot', topic: 'roulette:1', position: 'p10' });
  take({ type: 'subscribed', epoch: 'e1', position: 'p10', topics: [{ recovered: false }] });
  const event = (position: string, prev: string | null) =>
    take({ type: 'new_number', topic: 'roulette:1', position, prev });
  return { total, ledger, take, event };
}

describe("the soak's clients", () => {
  it('find nothing wrong with events in order, each after the one it names', () => {
    const { total, event } = followed();
    event('p11', 'p08');
    event('p12', 'p11');
    event('p13', null);
    expect(total).toMatchObject({ events: 3, gaps: 0, repeated: 0 });
  });

  it('see an event that is missing, one that comes twice, and one that comes late', () => {
    const { total, event } = followed();
    event('p11', 'p10');
    event('p13', 'p12');
    expect(total).toMatchObject({ gaps: 1, repeated: 0 });
    event('p13', 'p12');
    event('p12', 'p11');
    expect(total).toMatchObject({ gaps: 1, repeated: 2 });
  });

  it('go on from what they had, and count what could not be replayed', () => {
    const { total, ledger, take, event } = followed();
    event('p11', 'p10');
    take({ type: 'sync', position: 'p20' });
    expect(ledger.stand()).toEqual({ epoch: 'e1', position: 'p20' });
    ledger.begin(ledger.stand());
    event('p21', 'p11');
    // Not acknowledged yet: a connection that breaks here starts over from before.
    expect(ledger.stand()).toEqual({ epoch: 'e1', position: 'p20' });
    take({ type: 'subscribed', epoch: 'e1', position: 'p21', topics: [{ recovered: true }, { recovered: false }] });
    expect(total).toMatchObject({ gaps: 0, repeated: 0, resumed: 2, unrecovered: 1 });
    ledger.begin(ledger.stand());
    event('p21', 'p11');
    expect(total.repeated).toBe(1);
  });

  it('forget a table that is reset', () => {
    const { total, take, event } = followed();
    event('p11', 'p10');
    take({ type: 'reset', topic: 'roulette:1' });
    event('p30', 'p29');
    expect(total.gaps).toBe(0);
  });
});

describe('the memory of a soak', () => {
  const run = (seconds: number, kb: (second: number) => number): Sample[] =>
    Array.from({ length: seconds }, (_, index) => ({ seconds: index + 1, kb: kb(index + 1) }));

  it('is compared between the end of the first minute and the end, whatever it did before', () => {
    const growth = growthOf(run(600, (second) => (second < 45 ? second * 1_000 : second < 300 ? 100_000 : 109_000)));
    expect(growth).toEqual({ beforeKb: 100_000, afterKb: 109_000, share: expect.closeTo(0.09) });
  });

  it('is not judged by single peaks, and a steady leak is seen', () => {
    expect(growthOf(run(600, (second) => (second % 5 === 0 ? 200_000 : 100_000))).share).toBe(0);
    expect(lowsOf(run(600, (second) => (second % 10) * 1_000 + second))).toEqual([40, 280, 580]);
    expect(growthOf(run(600, (second) => 100_000 + 25 * second)).share).toBeGreaterThan(0.1);
  });
});
