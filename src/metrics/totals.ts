import { type GatewayCounters, newCounters } from '../gateway/door/counters.ts';
import type { IngestOutcome } from '../gateway/http/deps.ts';
import { CLOSE } from '../protocol/errors.ts';
import { isStored, type Limit } from './labels.ts';

/** What was posted since the start. */
export interface IngestTotals {
  readonly outcomes: ReadonlyMap<IngestOutcome, number>;
  readonly unauthorized: number;
}

/** What a process did since its start, as plain numbers: for the alerts, and for metrics that are sums of others. */
export interface Totals {
  /** Open connections of all transports. */
  readonly connections: number;
  /** Posted items that are in the database, also those that were there before. */
  readonly stored: number;
  /** Posted items that were not stored, by outcome. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Attempts to post without, or with wrong, credentials. */
  readonly unauthorized: number;
  /** Connections closed because what they did not read piled up. */
  readonly slowConsumers: number;
  /** How often each limit was run into, also in a dry run, which refuses nothing. */
  readonly limits: Readonly<Record<Limit, number>>;
}

/** `counters` is null before the gateway listens. */
export function totalsOf(counters: Readonly<GatewayCounters> | null, ingest: IngestTotals): Totals {
  const { open, closes } = counters ?? newCounters();
  const posted = [...ingest.outcomes];
  return {
    connections: Object.values(open).reduce((sum, count) => sum + count, 0),
    stored: posted.reduce((sum, [outcome, count]) => sum + (isStored(outcome) ? count : 0), 0),
    rejected: Object.fromEntries(posted.filter(([outcome]) => !isStored(outcome))),
    unauthorized: ingest.unauthorized,
    slowConsumers: closes[CLOSE.slowConsumer] ?? 0,
    limits: limitHits(counters ?? newCounters(), ingest),
  };
}

function limitHits(counters: Readonly<GatewayCounters>, { outcomes }: IngestTotals): Record<Limit, number> {
  const { refused, passed, closes, errors } = counters;
  const atDoor = (reason: Exclude<keyof typeof passed, 'flood'>): number =>
    (refused[reason] ?? 0) + (passed[reason] ?? 0);
  return {
    capacity: atDoor('capacity'),
    transport_capacity: atDoor('transport_capacity'),
    address_capacity: atDoor('address_capacity'),
    accept_rate: atDoor('accept_rate'),
    address_rate: atDoor('address_rate'),
    flood: (closes[CLOSE.flood] ?? 0) + (passed.flood ?? 0),
    errors: closes[CLOSE.tooManyErrors] ?? 0,
    topics: errors.too_many_topics ?? 0,
    ingest_rate: outcomes.get('rate_limited') ?? 0,
    pending_writes: outcomes.get('overloaded') ?? 0,
  };
}
