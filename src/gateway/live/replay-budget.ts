import { type Bucket, fullBucket, type Rate, refill } from '../door/limits.ts';

/**
 * What snapshots and replays of all connections together may send per second: a client that asks again and again for
 * old positions slows down replays, its own among them, and never the live events.
 */
export interface ReplayBudget {
  /** Books a frame of so many bytes, sent now; false asks the sender to pause until `wait` calls back. */
  take(bytes: number): boolean;
  isLeft(): boolean;
  /** Calls back once when there is budget again; in order of asking. Returns how to stop waiting. */
  wait(resume: () => void): () => void;
  stop(): void;
}

const REFILL_MS = 20;

/** A frame costs the processor something however short it is: about what half a kilobyte more would. */
const FRAME_OVERHEAD_BYTES = 512;

/** The budget of one refill is at least one connection's portion. */
const MIN_BURST_BYTES = 64 * 1024;

/** `now` is monotonic milliseconds. */
export function createReplayBudget(bytesPerSecond: number, now: () => number): ReplayBudget {
  // A burst of no more than one refill: a second's worth at once would delay live events for its length.
  const burst = Math.max(MIN_BURST_BYTES, (bytesPerSecond * REFILL_MS) / 1000);
  const rate: Rate = { perSecond: bytesPerSecond, burst };
  const bucket: Bucket = fullBucket(rate, now());
  const waiting = new Set<() => void>();
  let timer: NodeJS.Timeout | null = null;

  function goOn(): void {
    timer = null;
    refill(bucket, rate, now());
    for (const resume of waiting) {
      if (bucket.tokens <= 0) break;
      waiting.delete(resume);
      resume();
    }
    arm();
  }

  function arm(): void {
    if (timer === null && waiting.size > 0) timer = setTimeout(goOn, REFILL_MS);
  }

  return {
    take(bytes) {
      const cost = bytes + FRAME_OVERHEAD_BYTES;
      // Only an empty bucket needs the clock.
      if (bucket.tokens < cost) refill(bucket, rate, now());
      bucket.tokens -= cost;
      return bucket.tokens > 0;
    },
    isLeft() {
      if (bucket.tokens <= 0) refill(bucket, rate, now());
      return bucket.tokens > 0;
    },
    wait(resume) {
      waiting.add(resume);
      arm();
      return () => waiting.delete(resume);
    },
    stop() {
      waiting.clear();
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
