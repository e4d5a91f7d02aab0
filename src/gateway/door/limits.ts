import { ProtocolError } from '../../protocol/errors.ts';

/** A token bucket as plain numbers, so that a connection pays two fields for it. */
export interface Bucket {
  tokens: number;
  /** Monotonic milliseconds of the last refill. */
  at: number;
}

/** What a bucket refills with per second and has at most. */
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

/** Runs calls, at most so many units of them at one time. */
interface Gate {
  /** Throws `overloaded` or `rate_limited` at once when there is no room. */
  run<T>(units: number, call: () => Promise<T>): Promise<T>;
}

/** Runs calls of several callers, at most so many units at one time in all, and so many of each. */
export interface SharedGate {
  /** Throws `overloaded` or `rate_limited` at once when there is no room. */
  run<T>(caller: string, units: number, call: () => Promise<T>): Promise<T>;
  /** The same for what comes bit by bit: its room is taken from the first `next` until its end. */
  stream<T>(caller: string, units: number, open: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined>;
}

type NoRoom = 'overloaded' | 'rate_limited';

export function sharedGate(maxUnits: number, maxUnitsEach: number, code: NoRoom): SharedGate {
  const used = new Map<string, number>();
  let usedInAll = 0;
  const enter = (caller: string, units: number): (() => void) => {
    const own = used.get(caller) ?? 0;
    if (own + units > maxUnitsEach || usedInAll + units > maxUnits) throw new ProtocolError(code, { retryMs: 1000 });
    usedInAll += units;
    used.set(caller, own + units);
    return () => {
      usedInAll -= units;
      const left = (used.get(caller) ?? 0) - units;
      if (left > 0) used.set(caller, left);
      else used.delete(caller);
    };
  };
  return {
    async run(caller, units, call) {
      const leave = enter(caller, units);
      try {
        return await call();
      } finally {
        leave();
      }
    },
    async *stream(caller, units, open) {
      const leave = enter(caller, units);
      try {
        yield* open();
      } finally {
        leave();
      }
    },
  };
}

/** Reads that wait for the database: one address has a quarter of them, so that it cannot keep all others waiting. */
export const readGate = (maxReads: number): SharedGate =>
  sharedGate(maxReads, Math.max(1, Math.ceil(maxReads / 4)), 'rate_limited');

export function gate(maxUnits: number, code: NoRoom): Gate {
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

/** Puts an entry behind all others, and forgets the one that was longest quiet when there are too many. */
function remember<T>(entries: Map<string, T>, key: string, entry: T): void {
  entries.delete(key);
  entries.set(key, entry);
  const [oldest] = entries.keys();
  if (entries.size > MAX_KEYS && oldest !== undefined) entries.delete(oldest);
}

/** Takes of a key's share; 0 when it was there, else the milliseconds after which it will be. */
export type Shares = (key: string, cost: number) => number;

/** Shares that refill per second, for each key. What costs more than the burst never fits. */
export function shares(rate: Rate, now: () => number = () => performance.now()): Shares {
  const buckets = new Map<string, Bucket>();
  return (key, cost) => {
    const at = now();
    const bucket = buckets.get(key) ?? fullBucket(rate, at);
    remember(buckets, key, bucket);
    if (spend(bucket, rate, cost, at)) return 0;
    return Math.max(1, Math.ceil(((Math.min(cost, rate.burst) - bucket.tokens) / rate.perSecond) * 1000));
  };
}

/** A limit of items per second for each key, in two steps: before a body is read, and once its items are counted. */
export interface Limiter {
  /** Throws `rate_limited` while the key owes for what came before: nothing of the request need be read. */
  enter(key: string): void;
  /**
   * Takes the items. Throws `rate_limited` for more at once than the burst, which never fit, and where others that
   * entered together with this one took what was left.
   */
  take(key: string, items: number): void;
  /** Takes what came to be known too late to refuse it. */
  owe(key: string, items: number): void;
}

/** `rateOf` is asked once per key; 0 per second is no limit. */
export function limiter(rateOf: (key: string) => Rate): Limiter {
  const buckets = new Map<string, { readonly rate: Rate; readonly bucket: Bucket }>();
  const entryOf = (key: string) => {
    const rate = rateOf(key);
    const entry = buckets.get(key) ?? { rate, bucket: fullBucket(rate, performance.now()) };
    remember(buckets, key, entry);
    refill(entry.bucket, entry.rate, performance.now());
    return entry;
  };
  const limited = (tokens: number, { perSecond }: Rate): ProtocolError =>
    new ProtocolError('rate_limited', { retryMs: Math.max(1, Math.ceil((tokens / perSecond) * 1000)) });
  return {
    enter(key) {
      const { rate, bucket } = entryOf(key);
      if (rate.perSecond > 0 && bucket.tokens < 1) throw limited(1 - bucket.tokens, rate);
    },
    take(key, items) {
      const { rate, bucket } = entryOf(key);
      if (rate.perSecond === 0) return;
      if (items > rate.burst) throw limited(rate.burst, rate);
      if (bucket.tokens < 1) throw limited(1 - bucket.tokens, rate);
      // Below zero it is a debt, which the next ones wait for.
      bucket.tokens -= items;
    },
    owe(key, items) {
      entryOf(key).bucket.tokens -= items;
    },
  };
}
