/** Every interval and patience of the feed, in ms. Tests shorten them; the rules do not change with them. */
export interface FeedTimings {
  /** Subscribers hear `sync` at the latest after this. */
  readonly syncMs: number;
  /** How often the set is asked for its majority time. */
  readonly majorityPollMs: number;
  /** How often a replica asks over its line, which also tells it that the other side lives. */
  readonly lineAskMs: number;
  /** How often debts, who waits, and whether D moves are looked at while any of that is under way. */
  readonly tickMs: number;
  /** The same while nothing is: being woken costs more than looking. */
  readonly restMs: number;
  /** D does not move for this long while the set commits: the stream is opened anew, then after twice as long, and again. */
  readonly stallMs: number;
  /** A client ahead of this instance waits this long for it to catch up. */
  readonly catchUpMs: number;
  /** Where a client that waited in vain is sent again, after this. */
  readonly behindRetryMs: number;
  /** An import is over after this much silence, and shown at the latest after this much noise. */
  readonly backfillQuietMs: number;
  readonly backfillLatestMs: number;
  /** The same for drops and renames, which often come in a row: one reset, one snapshot. */
  readonly resetQuietMs: number;
  readonly resetLatestMs: number;
  /** A stream that is not back after this is told to subscribers as `down`. */
  readonly downAfterMs: number;
  /** D behind a known majority time for this long is told as `stale`. */
  readonly staleAfterMs: number;
  /** Added to the await of a `getMore`: when nothing was answered for so long, the server is taken for dead. */
  readonly watchdogMarginMs: number;
  readonly connectMs: number;
  readonly selectionMs: number;
  /** With the driver's default of 10 s it stood still that long after one error, waiting for its monitor. */
  readonly heartbeatMs: number;
  /** Re-opening waits at random up to the first, doubled by each failure, at most the second. */
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** A server that is set up wrongly is asked again after this, up to three times as long. */
  readonly configurationRetryMs: number;
  /** The past may take so long to be read; else a quarter of it half as long, else none of it is. */
  readonly rewindBudgetMs: number;
  /** A table that could not be read as far as it should is tried again after this. */
  readonly mendApartMs: number;
  /** Fresh states that follow each other sooner than this wait like failures do. */
  readonly freshApartMs: number;
}

export const FEED_TIMINGS: FeedTimings = Object.freeze<FeedTimings>({
  syncMs: 300_000,
  majorityPollMs: 2_000,
  lineAskMs: 1_000,
  tickMs: 100,
  restMs: 500,
  stallMs: 30_000,
  catchUpMs: 5_000,
  behindRetryMs: 1_000,
  backfillQuietMs: 1_000,
  backfillLatestMs: 5_000,
  resetQuietMs: 200,
  resetLatestMs: 2_000,
  downAfterMs: 1_000,
  staleAfterMs: 5_000,
  watchdogMarginMs: 3_000,
  connectMs: 2_000,
  selectionMs: 3_000,
  heartbeatMs: 1_000,
  backoffBaseMs: 100,
  backoffCapMs: 5_000,
  configurationRetryMs: 10_000,
  rewindBudgetMs: 15_000,
  mendApartMs: 60_000,
  freshApartMs: 10_000,
});

/** Yields the turn of the event loop when it was kept for long enough: others are served while the past is played. */
export interface Pace {
  readonly isDue: boolean;
  rest(): Promise<void>;
}

const TURN_MS = 10;

export function createPace(nowMs: () => number): Pace {
  let beganMs = nowMs();
  return {
    get isDue() {
      return nowMs() - beganMs > TURN_MS;
    },
    async rest() {
      await new Promise((resolve) => setImmediate(resolve));
      beganMs = nowMs();
    },
  };
}
