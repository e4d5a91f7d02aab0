import type { AlertReading, TableReading } from '../../src/alerts/reading.ts';
import { newCounters } from '../../src/gateway/door/counters.ts';
import { totalsOf } from '../../src/metrics/totals.ts';

/** Everything well. */
export const WELL: AlertReading = {
  atMs: 0,
  uptimeMs: 3_600_000,
  feed: {
    phase: 'live',
    ready: true,
    reason: null,
    lagMs: 0,
    majorityStalled: false,
    skipped: {},
    fresh: {},
    late: [],
    partial: [],
  },
  databaseUp: true,
  builtinMongo: null,
  draining: false,
  ...totalsOf(newCounters(), { outcomes: new Map(), unauthorized: 0 }),
  connections: 1_000,
  tables: [],
};

export const tableReading = (silentMs: number, usualMs: number | null, id = '2010165'): TableReading => ({
  id,
  name: `Table ${id}`,
  silentMs,
  usualMs,
});
