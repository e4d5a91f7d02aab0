import { type Bucket, fullBucket, type Rate, refill } from './bucket.ts';

/**
 * What snapshots and replays of all connections together may send per second: a client that asks again and again for
 * old positions slows down replays, its own among them, and never the live events.
 */
export interface ReplayBudget {
  /** Books bytes that are sent now; false asks the sender to pause until `wait` calls back. */
  take(bytes: number): boolean;
  /** Calls back once when there is budget again; in order of asking. Returns how to stop waiting. */
  wait(resume: () => void): () => void;
  stop(): void;
}

const REFILL_MS = 20;

/** `now` is monotonic milliseconds. */
export function createReplayBudget(bytesPerSecond: number, now: () => number): ReplayBudget {
  const rate: Rate = { perSecond: bytesPerSecond, burst: bytesPerSecond };
  const bucket: Bucket = fullBucket(rate, now());
  const waiting = new Set<() => void>();
  let timer: NodeJS.Timeout | null = null;

  function wake(): void {
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
    if (timer === null && waiting.size > 0) timer = setTimeout(wake, REFILL_MS);
  }

  return {
    take(bytes) {
      // Only an empty bucket needs the clock; it is read once per frame at most.
      if (bucket.tokens < bytes) refill(bucket, rate, now());
      bucket.tokens -= bytes;
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
