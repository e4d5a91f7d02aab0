import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StatusHistory, StatusSample } from '../../src/gateway/http/schemas.ts';
import { keepHistory, mergeHistories, SAMPLE_MS } from '../../src/metrics/history.ts';

const NOON = '2026-11-30T12:00:00.000Z';

describe('the last hour of a process', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse(NOON) + 3_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const keep = () => {
    const seen = { published: 0, connections: 1 };
    const history = keepHistory({
      feed: () => ({ lagMs: 7, recoverySeconds: 600, published: { new_number: seen.published, strategy_update: 0 } }),
      connections: () => seen.connections,
      memory: () => 1_000,
      date: Date.now,
    });
    return { history, seen };
  };

  it('has a sample for each ten seconds of the clock', () => {
    const { history, seen } = keep();
    expect(history.samples(60)).toEqual([]);
    vi.advanceTimersByTime(7_050);
    seen.published = 20;
    seen.connections = 5;
    vi.advanceTimersByTime(SAMPLE_MS);
    expect(history.samples(60).map(({ at }) => at)).toEqual(['2026-11-30T12:00:10.000Z', '2026-11-30T12:00:20.000Z']);
    expect(history.samples(60).at(-1)).toEqual({
      at: '2026-11-30T12:00:20.000Z',
      lag_ms: 7,
      events_per_second: 2,
      connections: 5,
      recovery_seconds: 600,
      memory_bytes: 1_000,
    });
    history.stop();
    vi.advanceTimersByTime(SAMPLE_MS);
    expect(history.samples(60)).toHaveLength(2);
  });

  it('has one for each also when timers fire 2 ms early', () => {
    let aheadMs = 0;
    const history = keepHistory({
      feed: () => ({ lagMs: 7, recoverySeconds: 600, published: { new_number: 0, strategy_update: 0 } }),
      connections: () => 1,
      memory: () => 1_000,
      date: () => Date.now() - aheadMs,
    });
    for (let slot = 0; slot < 3; slot++) {
      aheadMs = 2;
      vi.advanceTimersToNextTimer();
      aheadMs = 0;
    }
    expect(history.samples(60).map(({ at }) => at)).toEqual([
      '2026-11-30T12:00:10.000Z',
      '2026-11-30T12:00:20.000Z',
      '2026-11-30T12:00:30.000Z',
    ]);
    history.stop();
  });

  it('holds an hour and no more, and hands out as much as is asked for', () => {
    const { history } = keep();
    vi.advanceTimersByTime(2 * 3_600_000);
    expect(history.samples(60)).toHaveLength(360);
    expect(history.samples(1)).toHaveLength(6);
    expect(history.samples(1).at(-1)?.at).toBe('2026-11-30T14:00:00.000Z');
    history.stop();
  });

  it('counts no events backwards when the feed begins anew', () => {
    const { history, seen } = keep();
    seen.published = 100;
    vi.advanceTimersByTime(SAMPLE_MS);
    seen.published = 3;
    vi.advanceTimersByTime(SAMPLE_MS);
    expect(history.samples(60).map(({ events_per_second: rate }) => rate > 0)).toEqual([true, false]);
    history.stop();
  });
});

describe('the histories of several workers', () => {
  const sample = (at: string, lag: number | null, connections: number): StatusSample => ({
    at,
    lag_ms: lag,
    events_per_second: connections,
    connections,
    recovery_seconds: lag,
    memory_bytes: 10,
  });
  const alert = (since: string, until: string | null, key = 'feed_down'): StatusHistory['alerts'][number] => ({
    key,
    alert: key,
    severity: 'critical',
    since,
    until,
    summary: 'The change stream is degraded.',
    remedy: 'Look at MongoDB.',
  });

  it('are one: connections and memory are summed, the worst lag and the shortest window count', () => {
    const { samples } = mergeHistories([
      { samples: [sample('b', 5, 2), sample('c', null, 1)], alerts: [] },
      { samples: [sample('a', 1, 1), sample('b', 9, 3)], alerts: [] },
    ]);
    expect(samples).toEqual([
      sample('a', 1, 1),
      { at: 'b', lag_ms: 9, events_per_second: 3, connections: 5, recovery_seconds: 5, memory_bytes: 20 },
      sample('c', null, 1),
    ]);
  });

  it('tell an alert once that several had at the same time, newest first', () => {
    const { alerts } = mergeHistories([
      { samples: [], alerts: [alert('7', null), alert('1', '3')] },
      { samples: [], alerts: [alert('2', '4'), alert('2', '3', 'limits_hit')] },
    ]);
    expect(alerts).toEqual([alert('7', null), alert('2', '3', 'limits_hit'), alert('1', '4')]);
  });
});
