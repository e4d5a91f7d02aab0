import {
  type ClusterTime,
  compareTimes,
  endOf,
  later,
  ORIGIN,
  type Position,
  startOf,
  timeOf,
} from '../protocol/position.ts';
import type { TokenPlace } from './change.ts';

/** What a reply says of how far the stream was looked at, beside the changes that it brought. */
export interface Mark {
  /** Where its post-batch token stands; null where it says nothing. */
  readonly place: TokenPlace | null;
  /** Whether it brought no change at all. */
  readonly empty: boolean;
  /** The majority time, asked before the `getMore` was sent; null when it was not known. */
  readonly majority: ClusterTime | null;
}

/** How far the stream was read. */
export interface Progress {
  /** Everything at or below is delivered: the later of the last applied event and the high-water mark. */
  readonly delivered: Position;
  /** Position of the last applied event; whatever comes at or below it was applied before. */
  readonly last: Position;
  applied(position: Position): void;
  /** All of `time` was read in another way; the stream goes on after it. */
  passed(time: ClusterTime): void;
  /** A cursor was opened at `startAt`; `majority` was asked before. */
  opened(startAt: ClusterTime, majority: ClusterTime | null): void;
  /**
   * Moves the mark by a reply to `getMore`, after its changes were applied. Never by the first reply: the token of an
   * empty `aggregate` is the start's own mark, whose events are still to come.
   */
  replied(mark: Mark): void;
  /** Where to open a cursor to go on without a gap: inclusive, so that what was applied comes again and is skipped. */
  resumeAt(): ClusterTime;
}

/** Progress from a start; events at or below `skip` are not to be applied. */
export function createProgress(start: ClusterTime, skip: Position): Progress {
  let last = skip;
  let mark = ORIGIN;
  /** The start of the open cursor while it lies beyond what the set had committed when it was opened. */
  let unreached: ClusterTime | null = null;
  let passed: ClusterTime | null = null;

  return {
    get delivered() {
      return later(last, mark);
    },
    get last() {
      return last;
    },
    applied(position) {
      last = later(last, position);
      unreached = null;
    },
    passed(time) {
      passed = time;
      last = later(last, endOf(time));
    },
    opened(startAt, majority) {
      unreached = majority === null || compareTimes(startAt, majority) > 0 ? startAt : null;
    },
    replied({ place, empty, majority }) {
      // An event's token does not complete its clusterTime, unless nothing more came after it (4.4 repeats it there).
      if (place === null || (place.kind === 'event' && !empty)) return;
      if (unreached !== null) {
        if (majority !== null && compareTimes(unreached, majority) <= 0) unreached = null;
        else if (compareTimes(place.time, unreached) <= 0) return;
      }
      mark = later(mark, endOf(place.time));
    },
    resumeAt() {
      const delivered = later(last, mark);
      if (passed !== null && delivered === endOf(passed)) return { t: passed.t, i: passed.i + 1 };
      return delivered > startOf(start) ? timeOf(delivered) : start;
    },
  };
}
