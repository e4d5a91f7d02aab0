import { describe, expect, it } from 'vitest';
import { type AlertReading, usualPauseMs } from '../../src/alerts/reading.ts';
import { conditionsOf, spoken } from '../../src/alerts/rules.ts';
import recorded from '../data/numbers-2025-04-11.json' with { type: 'json' };
import { tableReading, WELL } from './readings.ts';

const MINUTE = 60_000;

const wrong = (now: Partial<AlertReading>, before: Partial<AlertReading> = {}) =>
  conditionsOf({ ...WELL, ...now }, { ...WELL, ...before });
const keys = (...readings: Parameters<typeof wrong>): string[] => wrong(...readings).map(({ key }) => key);

describe('nothing is wrong', () => {
  it('when all is well', () => expect(keys({})).toEqual([]));

  it('with a feed that is not live because the instance is stopping', () => {
    const feed = { ...WELL.feed, phase: 'stopped', ready: false } as const;
    expect(keys({ draining: true, databaseUp: false, feed })).toEqual([]);
  });
});

describe('the feed', () => {
  it('is down when it is not live, with the reason in words', () => {
    const feed = { ...WELL.feed, phase: 'degraded', reason: 'connection refused' } as const;
    expect(wrong({ feed })).toEqual([
      { alert: 'feed_down', key: 'feed_down', words: 'The change stream is degraded: connection refused.' },
    ]);
  });

  it('lags when it is five seconds behind, and an unknown lag is none', () => {
    expect(keys({ feed: { ...WELL.feed, lagMs: 5_000 } })).toEqual(['feed_lagging']);
    expect(keys({ feed: { ...WELL.feed, lagMs: 4_999 } })).toEqual([]);
    const { lagMs: _unknown, ...unknown } = WELL.feed;
    expect(keys({ feed: unknown })).toEqual([]);
  });

  it('is not blamed for a replica set that cannot commit', () => {
    expect(keys({ feed: { ...WELL.feed, majorityStalled: true } })).toEqual(['majority_stalled']);
  });
});

describe('a table', () => {
  it('is silent beyond its own rhythm, not beyond that of others', () => {
    const tables = [tableReading(4 * MINUTE, 40_000, '2010165'), tableReading(4 * MINUTE, 60_000, '2010097')];
    expect(wrong({ tables })).toEqual([
      {
        alert: 'table_silent',
        key: 'table_silent 2010165',
        words: 'Table 2010165 (Table 2010165) has been silent for 4 min; its usual pauses are up to 40 s.',
      },
    ]);
  });

  it('is never called silent within two minutes, nor while its rhythm is unknown', () => {
    expect(keys({ tables: [tableReading(2 * MINUTE, 1_000), tableReading(99 * MINUTE, null)] })).toEqual([]);
  });

  it('that was closed long before the start is no news, one that fell silent since is', () => {
    const tables = [tableReading(90 * MINUTE, 30_000)];
    expect(keys({ tables, uptimeMs: 10 * MINUTE })).toEqual([]);
    expect(keys({ tables, uptimeMs: 80 * MINUTE })).toEqual(['table_silent 2010165']);
  });

  it('is not called silent while the feed is down: nobody can know', () => {
    const feed = { ...WELL.feed, phase: 'degraded' } as const;
    expect(keys({ feed, tables: [tableReading(99 * MINUTE, 30_000)] })).toEqual(['feed_down']);
  });

  it('has as its usual pause what nine in ten of its gaps do not exceed', () => {
    const times = [0];
    for (let gap = 0; gap < 50; gap++) times.push((times.at(-1) ?? 0) - (gap % 10 === 0 ? 300_000 : 40_000));
    expect(usualPauseMs(times)).toBe(40_000);
    expect(usualPauseMs(times.slice(0, 5))).toBeNull();
    expect(usualPauseMs(times.map((time) => time / 1000))).toBe(30_000);
  });

  it('of the recorded day has a usual pause of about its median gap, whatever one restart did', () => {
    const times = new Map<string, number[]>();
    for (const { roleta_id: id, timestamp } of recorded) {
      times.set(id, [Date.parse(timestamp), ...(times.get(id) ?? [])]);
    }
    const usual = [...times.values()].map(usualPauseMs).filter((pause) => pause !== null);
    expect(usual.length).toBeGreaterThan(5);
    for (const pause of usual) expect(pause).toBeLessThan(2 * MINUTE);
  });
});

describe('ingest', () => {
  it('is refused in bulk when a fifth of a minute fails, and at least twenty items', () => {
    expect(
      wrong({ stored: 130, rejected: { invalid: 15, rate_limited: 25 } }, { stored: 100, rejected: { invalid: 5 } }),
    ).toEqual([
      {
        alert: 'ingest_rejected',
        key: 'ingest_rejected',
        words: '35 of 65 posted items were refused in a minute: rate_limited 25, invalid 10.',
      },
    ]);
    expect(keys({ stored: 1_000, rejected: { invalid: 30 } })).toEqual([]);
    expect(keys({ rejected: { invalid: 19 } })).toEqual([]);
  });

  it('without credentials is told from the fifth attempt of a minute on', () => {
    expect(keys({ unauthorized: 104 }, { unauthorized: 100 })).toEqual([]);
    expect(keys({ unauthorized: 105 }, { unauthorized: 100 })).toEqual(['ingest_unauthorized']);
  });

  it('cannot store while MongoDB takes no writes', () =>
    expect(keys({ databaseUp: false })).toEqual(['database_down']));
});

describe('the built-in MongoDB', () => {
  const status = { heldBytes: 500, limitBytes: 1_000, oplogBytes: 1, diskFailure: null };

  it('is full when its disk takes nothing, or nine tenths of its memory are in use', () => {
    expect(keys({ builtinMongo: status })).toEqual([]);
    expect(keys({ builtinMongo: { ...status, heldBytes: 899 } })).toEqual([]);
    expect(keys({ builtinMongo: { ...status, heldBytes: 900 } })).toEqual(['database_full']);
    expect(wrong({ builtinMongo: { ...status, diskFailure: 'ENOSPC' } })).toMatchObject([
      { alert: 'database_full', words: 'The built-in MongoDB takes no writes: ENOSPC' },
    ]);
  });
});

describe('clients', () => {
  it('make a storm when many cannot keep up, measured by how many there are', () => {
    expect(keys({ slowConsumers: 20 })).toEqual(['slow_consumers']);
    expect(keys({ slowConsumers: 19 })).toEqual([]);
    expect(keys({ slowConsumers: 10, connections: 3 })).toEqual(['slow_consumers']);
  });

  it('that are turned away for all are told at once, a single flooder is not', () => {
    expect(keys({ limits: { ...WELL.limits, capacity: 1 } })).toEqual(['limits_hit']);
    expect(keys({ limits: { ...WELL.limits, flood: 49 } })).toEqual([]);
    expect(wrong({ limits: { ...WELL.limits, flood: 50, capacity: 2 } })).toMatchObject([
      { words: 'Limits were run into in a minute: flood 50, capacity 2.' },
    ]);
  });
});

describe('a time in words', () => {
  it.each([
    [900, '1 s'],
    [59_400, '59 s'],
    [65_000, '1 min 5 s'],
    [120_000, '2 min'],
    [3_720_000, '1 h 2 min'],
    [7_200_000, '2 h'],
  ])('says %d ms as %s', (ms, words) => expect(spoken(ms)).toBe(words));
});
