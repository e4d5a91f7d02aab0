import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createGauge } from '../../src/feed/condition.ts';
import { startTestFeed } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

describe('the gauge of a set', () => {
  const committed = { t: 1_000, i: 1 };
  const written = { t: 1_002, i: 1 };

  it('says that a set cannot commit after three answers with one majority time below a last write', () => {
    const gauge = createGauge();
    for (const askedMs of [0, 2_000, 4_000]) gauge.asked({ majority: committed, last: written }, askedMs);
    expect(gauge.majorityStalled).toBe(false);
    gauge.asked({ majority: committed, last: written }, 6_000);
    expect(gauge.majorityStalled).toBe(true);
    gauge.asked({ majority: written, last: written }, 8_000);
    expect(gauge.majorityStalled).toBe(false);
  });

  // A replica asks each second for an answer that its source has anew every two: a slow one made three of one.
  it('counts an answer once that a replica is told again and again', () => {
    const gauge = createGauge();
    for (const delayMs of [0, 3, 1, 7, 2, 40]) gauge.asked({ majority: committed, last: written }, 10_000 + delayMs);
    expect(gauge.majorityStalled).toBe(false);
  });
});

// A step that came after the stop set the clock anew, and nothing could stop it any more.
it('a feed that was stopped while it rested ticks no more', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const timings = { tickMs: 23, restMs: 29 };
  const feed = startTestFeed(mongo.uri, freshDatabase(), { timings });
  const timers = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => timers.mockRestore());
  const ticks = (): unknown[] => timers.mock.calls.map(([, ms]) => ms).filter((ms) => ms === 23 || ms === 29);
  await vi.waitUntil(() => ticks().includes(29), { timeout: 20_000, interval: 5 });
  timers.mockClear();
  await feed.stop();
  expect(ticks()).toEqual([]);
});
