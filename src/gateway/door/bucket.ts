/** A token bucket as plain numbers, so that a connection pays two fields for it. */
export interface Bucket {
  tokens: number;
  /** Monotonic milliseconds of the last refill. */
  at: number;
}

/** What a bucket refills with per second and holds at most. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export const fullBucket = (rate: Rate, now: number): Bucket => ({ tokens: rate.burst, at: now });

/** Brings the bucket up to `now` (monotonic milliseconds). */
export function refill(bucket: Bucket, rate: Rate, now: number): void {
  const gained = (Math.max(0, now - bucket.at) / 1000) * rate.perSecond;
  bucket.tokens = Math.min(rate.burst, bucket.tokens + gained);
  bucket.at = now;
}

/** Takes `cost` tokens if they are there; false, and nothing taken, when not. */
export function spend(bucket: Bucket, rate: Rate, cost: number, now: number): boolean {
  refill(bucket, rate, now);
  if (bucket.tokens < cost) return false;
  bucket.tokens -= cost;
  return true;
}
