import type { Reading, TableReading } from '../../src/alerts/reading.ts';
import { newCounters } from '../../src/gateway/door/counters.ts';
import { limitHits } from '../../src/metrics/limit-hits.ts';

/** Everything well. */
export const WELL: Reading = {
  atMs: 0,
  uptimeMs: 3_600_000,
  feed: { phase: 'live', ready: true, reason: null, lagMs: 0, majorityStalled: false },
  databaseUp: true,
  draining: false,
  connections: 1_000,
  stored: 0,
  rejected: {},
  unauthorized: 0,
  slowConsumers: 0,
  limits: limitHits(newCounters(), { outcomes: new Map(), unauthorized: 0 }),
  tables: [],
};

export const tableReading = (silentMs: number, usualMs: number | null, id = '2010165'): TableReading => ({
  id,
  name: `Table ${id}`,
  silentMs,
  usualMs,
});
