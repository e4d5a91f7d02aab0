import { type Frame, frameOf } from '../protocol/messages.ts';
import { type ClusterTime, compareTimes, ORIGIN, type Position, startOf, timeOf } from '../protocol/position.ts';
import type { SetTimes } from './connection.ts';
import type { Ring } from './ring.ts';
import type { Phase } from './step.ts';
import type { FeedTimings } from './timings.ts';

/** What subscribers are told about the feed. */
type Condition = 'live' | 'stale' | 'down';

/** The majority time as last asked. Times are of a monotonic clock, in ms. */
interface Majority {
  readonly time: ClusterTime;
  readonly askedMs: number;
}

/** Measures D against what the set has committed. */
export interface Gauge {
  readonly majority: Majority | null;
  /** Whether the set takes writes that it cannot commit. */
  readonly majorityStalled: boolean;
  /** An answer of the primary to a question put at `askedMs`; null when it could not be asked. */
  asked(times: SetTimes | null, askedMs: number): void;
  /** How far D is behind, in ms of the set's clock; absent when unknown. */
  lagMs(delivered: Position | null): number | undefined;
  /** For how long something committed has not been delivered, in ms; 0 when D has reached all that is known of. */
  behindMs(delivered: Position | null, nowMs: number): number;
}

/** So many answers in a row show the same majority time below a last write that goes on. */
const STALLED_ANSWERS = 3;
/** Answers lie further apart; the time of one and the same differs by the delay of the line that it comes over. */
const SAME_ANSWER_MS = 500;

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
    asked(times, askedMs) {
      if (times === null || times.majority === null) {
        majority = null;
        return;
      }
      const before = majority;
      majority = { time: times.majority, askedMs };
      last = times.last;
      const isUnmoved = before !== null && compareTimes(before.time, majority.time) === 0;
      const isStalled = isUnmoved && last !== null && compareTimes(last, majority.time) > 0;
      if (!isStalled) stalled = 0;
      else if (askedMs - before.askedMs >= SAME_ANSWER_MS) stalled += 1;
      // A replica is told one answer of the primary more than once.
      else majority = before;
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

/** The phase of the stream, and what subscribers are told of it. */
export interface Health {
  readonly phase: Phase;
  /** Why it is not live, in words. */
  readonly reason: string | null;
  /** Since when this phase lasts, ISO-8601 UTC. */
  readonly since: string;
  /** Whether what subscribers see may not be the present. */
  readonly stale: boolean;
  /** What everybody was told last, for those who come later; null while all is well. */
  readonly told: Frame | null;
  /** False when nothing changed. */
  enter(phase: Phase, reason: string | null): boolean;
  /** What is to be told now, when it is something else than before. */
  look(delivered: Position | null): { readonly condition: Condition; readonly frame: Frame } | null;
}

export function createHealth(
  gauge: Gauge,
  nowMs: () => number,
  timings: Pick<FeedTimings, 'downAfterMs' | 'staleAfterMs'>,
): Health {
  let phase: Phase = 'connecting';
  let reason: string | null = null;
  let since = new Date().toISOString();
  let leftLiveMs: number | null = null;
  let condition: Condition = 'live';
  let told: Frame | null = null;

  const conditionNow = (delivered: Position | null): Condition => {
    if (leftLiveMs !== null) return nowMs() - leftLiveMs >= timings.downAfterMs ? 'down' : condition;
    return gauge.behindMs(delivered, nowMs()) >= timings.staleAfterMs ? 'stale' : 'live';
  };

  return {
    get phase() {
      return phase;
    },
    get reason() {
      return reason;
    },
    get since() {
      return since;
    },
    get stale() {
      return condition !== 'live' || leftLiveMs !== null;
    },
    get told() {
      return told;
    },
    enter(next, words) {
      if (next === phase && words === reason) return false;
      if (next !== phase) since = new Date().toISOString();
      phase = next;
      reason = words;
      if (next === 'live') leftLiveMs = null;
      else leftLiveMs ??= nowMs();
      return true;
    },
    look(delivered) {
      const next = conditionNow(delivered);
      if (next === condition) return null;
      condition = next;
      const lag = next === 'stale' ? gauge.lagMs(delivered) : undefined;
      const message = { type: 'status', feed: next, since: new Date().toISOString() } as const;
      const frame = frameOf(lag === undefined ? message : { ...message, lag_ms: lag });
      told = next === 'live' ? null : frame;
      return { condition, frame };
    },
  };
}

/**
 * Whether the stream has stood still for too long while the set commits: its connection may be dead although another
 * one is answered. A scan of the oplog that takes its time looks alike, so each time that it stood at one place is
 * waited for twice as long as the one before.
 */
export function createStall(nowMs: () => number, stallMs: number) {
  let at: Position = ORIGIN;
  let sinceMs = nowMs();
  let patienceMs = stallMs;
  return (delivered: Position, majority: Majority | null): boolean => {
    if (majority === null || startOf(majority.time) <= delivered || delivered !== at) {
      if (delivered !== at) patienceMs = stallMs;
      at = delivered;
      sinceMs = nowMs();
      return false;
    }
    if (nowMs() - sinceMs <= patienceMs) return false;
    patienceMs *= 2;
    sinceMs = nowMs();
    return true;
  };
}

/** Of positions in whole seconds none is younger. */
const YOUNGEST_SECONDS = 1;

/**
 * Tells when subscribers must hear how far everything was sent. A subscriber of quiet tables has the position that it
 * was told last: before half of what can be replayed has passed since, however short that is for so many events, and at the
 * latest after `syncMs`.
 */
export function createSyncPace(nowMs: () => number, syncMs: number) {
  let told: Position | null = null;
  let toldMs = nowMs();
  return {
    /** Everybody is told of this position, or was; gives it back. */
    told(position: Position): Position {
      told = position;
      toldMs = nowMs();
      return position;
    },
    isDue({ renewAfterSeconds }: Pick<Ring, 'renewAfterSeconds'>, delivered: Position): boolean {
      if (told === null || nowMs() - toldMs >= syncMs) return true;
      return timeOf(delivered).t - timeOf(told).t >= Math.max(YOUNGEST_SECONDS, renewAfterSeconds);
    },
  };
}
