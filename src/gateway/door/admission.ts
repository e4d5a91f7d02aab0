import type { GatewayOptions } from '../options.ts';
import type { Address } from './address.ts';
import { count, type GatewayCounters, type RefusalReason, type TransportKind } from './counters.ts';
import { type Bucket, fullBucket, type Rate, refill, spend } from './limits.ts';

/** What is remembered of one address while it is connected or its bucket refills. */
interface AddressEntry {
  readonly key: string;
  connections: number;
  polls: number;
  readonly accepts: Bucket;
}

/** A place among the connections. A record: there is one per idle connection. */
export interface Ticket {
  readonly entry: AddressEntry;
  readonly kind: TransportKind;
  /** False once it was released. */
  counted: boolean;
}

interface Refusal {
  readonly reason: RefusalReason;
  readonly retryMs: number;
}

/** Counts connections in all and per address, and says who may come in. */
export interface Admission {
  admit(address: Address, kind: TransportKind, now: number): Ticket | Refusal;
  /** Gives a place back; once, however often it is called. */
  release(ticket: Ticket): void;
  /** Forgets addresses that have nothing open and a full bucket. */
  sweep(now: number): void;
  /** Addresses remembered now. */
  size(): number;
}

/** New connections that a flood on one of them counts as. */
const FLOOD_COST = 10;

/** A connection is closed for a flood: its address pays as for several new ones, and comes back more slowly. */
export function chargeFlood({ entry }: Ticket): void {
  entry.accepts.tokens -= FLOOD_COST;
}

/** Addresses without a connection that are remembered for their rate alone: about 10 MB at most. */
const MAX_IDLE_ADDRESSES = 50_000;

export const isRefusal = (result: Ticket | Refusal): result is Refusal => 'reason' in result;

/** A random delay between the bounds that clients are told to wait. */
export const retryDelay = (options: Pick<GatewayOptions, 'minRetryMs' | 'maxRetryMs'>): number =>
  Math.round(options.minRetryMs + Math.random() * (options.maxRetryMs - options.minRetryMs));

/** Which limit of connections has no room for one more. */
function whyFull(
  options: GatewayOptions,
  open: GatewayCounters['open'],
  entry: AddressEntry,
  kind: TransportKind,
): RefusalReason | null {
  if (open.websocket + open.sse + open.poll + open.socketio >= options.maxConnections) return 'capacity';
  const most = kind === 'sse' ? options.maxStreams : kind === 'poll' ? options.maxPolls : options.maxConnections;
  if (open[kind] >= most) return 'transport_capacity';
  const cap = options.maxConnectionsPerAddress;
  if (cap > 0 && entry.connections >= cap) return 'address_capacity';
  const pollCap = options.maxPollsPerAddress;
  return kind === 'poll' && pollCap > 0 && entry.polls >= pollCap ? 'address_capacity' : null;
}

export function createAdmission(options: GatewayOptions, counters: GatewayCounters, started: number): Admission {
  const all: Rate = { perSecond: options.acceptsPerSecond, burst: options.acceptBurst };
  const each: Rate = { perSecond: options.acceptsPerSecondPerAddress, burst: options.acceptBurstPerAddress };
  const accepts = fullBucket(all, started);
  const entries = new Map<string, AddressEntry>();
  let idle = 0;

  function entryOf(key: string, now: number): AddressEntry {
    const known = entries.get(key);
    if (known) return known;
    if (idle >= MAX_IDLE_ADDRESSES) evictOldestIdle();
    const entry = { key, connections: 0, polls: 0, accepts: fullBucket(each, now) };
    entries.set(key, entry);
    idle += 1;
    return entry;
  }

  /** Map order is insertion order, so the first idle entry is about the oldest. */
  function evictOldestIdle(): void {
    for (const entry of entries.values()) {
      if (entry.connections > 0) continue;
      entries.delete(entry.key);
      idle -= 1;
      return;
    }
  }

  function whyNot(entry: AddressEntry, kind: TransportKind, now: number): RefusalReason | null {
    const full = whyFull(options, counters.open, entry, kind);
    if (full !== null) return full;
    if (each.perSecond > 0 && !spend(entry.accepts, each, 1, now)) return 'address_rate';
    if (all.perSecond > 0 && !spend(accepts, all, 1, now)) return 'accept_rate';
    return null;
  }

  function take(entry: AddressEntry, kind: TransportKind): Ticket {
    if (entry.connections === 0) idle -= 1;
    entry.connections += 1;
    if (kind === 'poll') entry.polls += 1;
    counters.open[kind] += 1;
    counters.opened[kind] += 1;
    return { entry, kind, counted: true };
  }

  function release(ticket: Ticket): void {
    if (!ticket.counted) return;
    ticket.counted = false;
    const { entry, kind } = ticket;
    entry.connections -= 1;
    if (entry.connections === 0) idle += 1;
    if (kind === 'poll') entry.polls -= 1;
    counters.open[kind] -= 1;
    counters.closed[kind] += 1;
  }

  return {
    admit(address, kind, now) {
      const entry = entryOf(address.key, now);
      const reason = whyNot(entry, kind, now);
      if (reason === null) return take(entry, kind);
      count(options.dryRun ? counters.passed : counters.refused, reason);
      return options.dryRun ? take(entry, kind) : { reason, retryMs: retryDelay(options) };
    },
    release,
    sweep(now) {
      for (const entry of entries.values()) {
        if (entry.connections > 0) continue;
        refill(entry.accepts, each, now);
        if (each.perSecond > 0 && entry.accepts.tokens < each.burst) continue;
        entries.delete(entry.key);
        idle -= 1;
      }
    },
    size: () => entries.size,
  };
}
