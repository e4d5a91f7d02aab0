import { ProtocolError } from '../../protocol/errors.ts';
import { type Bucket, fullBucket, type Rate, spend } from './bucket.ts';

/** Runs calls, at most so many units of them at one time. */
export interface Gate {
  /** Throws `overloaded` or `rate_limited` at once when there is no room. */
  run<T>(units: number, call: () => Promise<T>): Promise<T>;
}

export function gate(maxUnits: number, code: 'overloaded' | 'rate_limited'): Gate {
  let used = 0;
  return {
    async run(units, call) {
      if (used + units > maxUnits) throw new ProtocolError(code, { retryMs: 1000 });
      used += units;
      try {
        return await call();
      } finally {
        used -= units;
      }
    },
  };
}

/** Keys that one limiter tells apart; beyond, the one that was longest quiet is forgotten. */
const MAX_KEYS = 10_000;

/** Takes of a key's share; 0 when it was there, else the milliseconds after which it will be. */
export type Shares = (key: string, cost: number) => number;

/** Shares that refill per second, for each key. What costs more than the burst never fits. */
export function shares(rate: Rate, now: () => number = () => performance.now()): Shares {
  const buckets = new Map<string, Bucket>();
  return (key, cost) => {
    const at = now();
    const bucket = buckets.get(key) ?? fullBucket(rate, at);
    buckets.delete(key);
    buckets.set(key, bucket);
    const [oldest] = buckets.keys();
    if (buckets.size > MAX_KEYS && oldest !== undefined) buckets.delete(oldest);
    if (spend(bucket, rate, cost, at)) return 0;
    return Math.max(1, Math.ceil(((Math.min(cost, rate.burst) - bucket.tokens) / rate.perSecond) * 1000));
  };
}

/** Takes items of a key's share; throws `rate_limited` with the time after which they would fit. */
export type Limiter = (key: string, items: number) => void;

/** A limit of items per second for each key. 0 per second is no limit. */
export function limiter(perSecond: number, burst: number): Limiter {
  if (perSecond === 0) return () => undefined;
  const take = shares({ perSecond, burst });
  return (key, items) => {
    const retryMs = take(key, items);
    if (retryMs > 0) throw new ProtocolError('rate_limited', { retryMs });
  };
}
