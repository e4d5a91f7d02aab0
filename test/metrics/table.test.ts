import { describe, expect, it } from 'vitest';
import { newCounters } from '../../src/gateway/door/counters.ts';
import type { MetricsSources } from '../../src/metrics/collect.ts';
import { createMeter } from '../../src/metrics/meter.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { type Definition, METRICS } from '../../src/metrics/table.ts';
import { LIVE, tableId } from '../support/http-deps.ts';
import { readExposition, seriesValue } from './exposition.ts';

const build = { version: '0.1.0', instance: 'test' };
const clock = { now: () => 0, date: () => Date.parse('2026-11-24T13:02:30.000Z') };
const table = tableId('2010165');

const sources: MetricsSources = {
  feed: () => LIVE,
  gateway: () => newCounters(),
  tables: () => [
    {
      roleta_id: table,
      roleta_nome: 'Roulette',
      ultimo: { id: 'n1', numero: 0, cor: 'verde', timestamp: '2026-11-24T13:02:00.000Z' },
    },
    { roleta_id: tableId('2010097'), roleta_nome: 'VIP Roulette', ultimo: null },
  ],
  databaseOk: () => true,
  builtinMongo: () => ({ heldBytes: 1, limitBytes: 2, oplogBytes: 1, diskFailure: null }),
  hearing: () => 0,
  subscriptions: () => ({ table: 0, all: 0 }),
};

async function exposed(overrides: Partial<MetricsSources> = {}) {
  const metrics = createMetrics(build, { ...sources, ...overrides }, clock);
  try {
    return readExposition(await metrics.text());
  } finally {
    metrics.stop();
  }
}

const definitions = Object.entries<Definition>(METRICS);

describe('the table of metrics', () => {
  it('and what is exposed have the same names, types and explanations', async () => {
    const { types, help } = await exposed();
    expect(Object.fromEntries(types)).toEqual(Object.fromEntries(definitions.map(([name, { type }]) => [name, type])));
    expect(Object.fromEntries(help)).toEqual(Object.fromEntries(definitions.map(([name, one]) => [name, one.help])));
  });

  it('names the labels of every series, and closed labels have no other values', async () => {
    for (const { name, labels } of (await exposed()).samples) {
      const [, definition] =
        definitions.find(([known]) => known === name) ??
        definitions.find(([known]) => new RegExp(`^${known}_(bucket|sum|count)$`).test(name)) ??
        [];
      const { le: _le, ...own } = labels;
      expect([name, Object.keys(own).sort()]).toEqual([name, Object.keys(definition?.labels ?? {}).sort()]);
      for (const [label, value] of Object.entries(own)) {
        const values = definition?.labels[label];
        if (typeof values === 'object') expect([name, label, values.includes(value)]).toEqual([name, label, true]);
      }
    }
  });

  it('follows the naming of Prometheus: base units, and _total for counters alone', () => {
    for (const [name, { type, help }] of definitions) {
      expect(name).toMatch(/^(runcash|process)_[a-z_]+$/);
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      expect(name).not.toMatch(/_(ms|milliseconds|kb|percent)(_|$)/);
      expect(help).toMatch(/[A-Za-z0-9]\.$/);
    }
  });
});

describe('what is not known', () => {
  it('is absent, not zero: the lag of a feed that cannot ask, a table without numbers', async () => {
    const { lagMs: _unknown, ...unknown } = LIVE;
    const nothing = await exposed({ feed: () => ({ ...unknown, phase: 'connecting', ready: false }) });
    for (const name of ['runcash_feed_lag_seconds', 'runcash_majority_stalled', 'runcash_feed_position_seconds']) {
      expect([name, seriesValue(nothing, name)]).toEqual([name, undefined]);
    }
    expect(seriesValue(nothing, 'runcash_table_silence_seconds', { table: '2010097' })).toBeUndefined();
    expect(seriesValue(nothing, 'runcash_table_silence_seconds', { table })).toBe(30);
    expect(seriesValue(nothing, 'runcash_feed_ready')).toBe(0);
  });

  it('comes back when it is known, and a stalled majority is told without a lag', async () => {
    expect(seriesValue(await exposed(), 'runcash_feed_lag_seconds')).toBe(0.003);
    expect(seriesValue(await exposed(), 'runcash_majority_stalled')).toBe(0);
    const { lagMs: _unknown, ...unknown } = LIVE;
    const stalled = await exposed({ feed: () => ({ ...unknown, majorityStalled: true }) });
    expect(seriesValue(stalled, 'runcash_majority_stalled')).toBe(1);
  });

  it('is absent for the gateway before it listens', async () => {
    const early = await exposed({ gateway: () => null });
    expect(seriesValue(early, 'runcash_connections', { transport: 'websocket' })).toBeUndefined();
  });

  it('is zero for counters that never counted, so that their first increase is seen', async () => {
    const first = await exposed();
    expect(seriesValue(first, 'runcash_connections_refused_total', { reason: 'capacity' })).toBe(0);
    expect(seriesValue(first, 'runcash_resets_total', { reason: 'history_lost' })).toBe(0);
    expect(seriesValue(first, 'runcash_recoveries_total', { result: 'recovered' })).toBe(0);
  });
});

describe('labels', () => {
  it('count together what is on no list, whatever others call it', async () => {
    const feed = {
      ...LIVE,
      reopens: { CursorKilled: 2, code_99999: 3, 'evil"} 1\n': 4 },
      resets: { backfill: 7, drop: 1 },
    };
    const text = await exposed({ feed: () => feed });
    expect(seriesValue(text, 'runcash_feed_reopens_total', { reason: 'CursorKilled' })).toBe(2);
    expect(seriesValue(text, 'runcash_feed_reopens_total', { reason: 'other' })).toBe(7);
    expect(seriesValue(text, 'runcash_backfilled_numbers_total')).toBe(7);
    expect(seriesValue(text, 'runcash_resets_total', { reason: 'drop' })).toBe(1);
    expect(seriesValue(text, 'runcash_resets_total', { reason: 'backfill' })).toBeUndefined();
  });

  it('stay bounded where no list closes them', async () => {
    const meter = createMeter();
    for (let name = 0; name < 2_000; name++) {
      meter.add('runcash_ingest_total', { kind: 'number', key: `key${name}`, outcome: 'created' });
    }
    const { samples } = readExposition(await meter.text());
    const keys = samples.filter(({ name }) => name === 'runcash_ingest_total');
    expect(keys).toHaveLength(501);
    expect(keys.reduce((sum, { value }) => sum + value, 0)).toBe(2_000);
  });

  it('name known tables alone, at most 500 of them', async () => {
    const many = Array.from({ length: 700 }, (_, index) => ({
      roleta_id: tableId(String(3_000_000 + index)),
      roleta_nome: 'x',
      ultimo: { id: 'n', numero: 1, cor: 'vermelho', timestamp: '2026-11-24T13:02:00.000Z' } as const,
    }));
    const { samples } = await exposed({ tables: () => many });
    expect(samples.filter(({ name }) => name === 'runcash_table_silence_seconds')).toHaveLength(500);
  });
});
