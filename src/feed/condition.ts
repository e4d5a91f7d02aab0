import { type ClusterTime, compareTimes, type Position, startOf, timeOf } from '../protocol/position.ts';
import type { ServerStanding } from './majority.ts';
import type { FeedTimings } from './timings.ts';

/** What subscribers are told about the feed. */
export type Condition = 'live' | 'stale' | 'down';

/** The majority time as last asked. Times are of a monotonic clock, in ms. */
export interface Majority {
  readonly time: ClusterTime;
  readonly askedMs: number;
}

/** Measures D against what the set has committed. */
export interface Gauge {
  readonly majority: Majority | null;
  /** Whether the set takes writes that it cannot commit. */
  readonly majorityStalled: boolean;
  /** An answer of the primary to a question put at `askedMs`; null when it could not be asked. */
  asked(standing: ServerStanding | null, askedMs: number): void;
  /** How far D is behind, in ms of the set's clock; absent when unknown. */
  lagMs(delivered: Position | null): number | undefined;
  /** For how long something committed has not been delivered, in ms; 0 when D has reached all that is known of. */
  behindMs(delivered: Position | null, nowMs: number): number;
}

/** So many answers in a row show the same majority time below a last write that goes on. */
const STALLED_ANSWERS = 3;

export function createGauge(): Gauge {
  let majority: Majority | null = null;
  let last: ClusterTime | null = null;
  let stalled = 0;
  /** A majority time that D has not reached, and since when it is known. */
  let target: Majority | null = null;

  return {
    get majority() {
      return majority;
    },
    get majorityStalled() {
      return stalled >= STALLED_ANSWERS;
    },
    asked(standing, askedMs) {
      if (standing === null || standing.majority === null) {
        majority = null;
        return;
      }
      const before = majority?.time ?? null;
      majority = { time: standing.majority, askedMs };
      last = standing.last;
      const stands = before !== null && compareTimes(before, majority.time) === 0;
      stalled = stands && last !== null && compareTimes(last, majority.time) > 0 ? stalled + 1 : 0;
    },
    lagMs(delivered) {
      if (majority === null || delivered === null) return undefined;
      if (startOf(majority.time) <= delivered) return 0;
      return Math.max(0, majority.time.t - timeOf(delivered).t) * 1000;
    },
    behindMs(delivered, nowMs) {
      if (delivered === null) return 0;
      if (target !== null && startOf(target.time) <= delivered) target = null;
      if (target === null && majority !== null && startOf(majority.time) > delivered) target = majority;
      return target === null ? 0 : nowMs - target.askedMs;
    },
  };
}

/** What is to be told: `sinceLiveMs` is how long the stream has not been followed, null while it is. */
export function conditionOf(
  before: Condition,
  sinceLiveMs: number | null,
  behindMs: number,
  timings: Pick<FeedTimings, 'downAfterMs' | 'staleAfterMs'>,
): Condition {
  if (sinceLiveMs !== null) return sinceLiveMs >= timings.downAfterMs ? 'down' : before;
  return behindMs >= timings.staleAfterMs ? 'stale' : 'live';
}
