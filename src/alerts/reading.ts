import type { Totals } from '../metrics/totals.ts';
import type { BuiltinStatus, FeedStatus } from '../protocol/delivery.ts';

/** One table's last sign of life. Milliseconds. */
export interface TableReading {
  readonly id: string;
  readonly name: string;
  /** Since its last number. */
  readonly silentMs: number;
  /** The longest pause that is usual for it; null while too little is known. */
  readonly usualMs: number | null;
}

/** Everything that the rules look at, at one moment. Counts are since the start of the process. */
export interface AlertReading extends Totals {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** Milliseconds since the process started to read the database. */
  readonly uptimeMs: number;
  readonly feed: Pick<
    FeedStatus,
    'phase' | 'ready' | 'reason' | 'lagMs' | 'majorityStalled' | 'skipped' | 'fresh' | 'late' | 'partial'
  >;
  readonly databaseUp: boolean;
  readonly builtinMongo: BuiltinStatus | null;
  readonly draining: boolean;
  readonly tables: readonly TableReading[];
}

/** Numbers from which a table's rhythm can be told. */
const MIN_NUMBERS = 6;
/** Of the gaps, newest first, that count. */
const MAX_GAPS = 50;
/** Imports and tables that play too fast never make a pause shorter than this suspicious. */
const SHORTEST_MS = 30_000;

/**
 * The longest pause that is usual for a table: of its last gaps, the one that nine in ten do not exceed. `timesMs` are
 * the times of its numbers, newest first. Null for fewer than six numbers.
 */
export function usualPauseMs(timesMs: readonly number[]): number | null {
  if (timesMs.length < MIN_NUMBERS) return null;
  const gaps = timesMs
    .slice(0, MAX_GAPS + 1)
    .flatMap((time, index) => {
      const before = timesMs[index + 1];
      return before === undefined ? [] : [Math.max(0, time - before)];
    })
    .sort((a, b) => a - b);
  return Math.max(SHORTEST_MS, gaps[Math.floor((gaps.length - 1) * 0.9)] ?? 0);
}
