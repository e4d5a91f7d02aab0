import { type GatewayCounters, newCounters } from '../gateway/door/counters.ts';
import { CLOSE } from '../protocol/errors.ts';
import type { IngestTotals } from './http-observer.ts';
import type { Limit } from './labels.ts';

/**
 * How often each limit was run into since the start, also in a dry run, which refuses nothing. `counters` is null before
 * the gateway listens.
 */
export function limitHits(
  counters: Readonly<GatewayCounters> | null,
  { outcomes }: IngestTotals,
): Record<Limit, number> {
  const { refused, passed, closes, errors } = counters ?? newCounters();
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
