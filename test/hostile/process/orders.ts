import type { GatewayCounters } from '../../../src/gateway/door/counters.ts';

/** What the tests ask of the server's process. */
export type ServerOrder =
  | { readonly order: 'counters' }
  /** Numbers per millisecond on the table that only victims of a flood follow; 0 stops. */
  | { readonly order: 'pour'; readonly perMs: number };

export type ServerReport =
  | { readonly report: 'ready'; readonly port: number }
  | { readonly report: 'counters'; readonly counters: GatewayCounters; readonly rssBytes: number }
  | { readonly report: 'poured' };

/** What the tests ask of the witnesses' process. */
export type WitnessOrder = { readonly order: 'window' } | { readonly order: 'report' };

/** What 200 well-behaved clients saw since the window began. */
export interface WitnessReport {
  readonly report: 'seen';
  readonly events: number;
  readonly holes: number;
  readonly repeats: number;
  readonly closed: number;
  /** Round trips of pings, milliseconds. */
  readonly p99Ms: number;
  readonly pings: number;
}

export type WitnessMessage = { readonly report: 'ready' } | WitnessReport;

/** Tables with a steady trickle, which the witnesses follow, and the one that is poured into. */
export const STEADY = ['2010165', '2010097'] as const;
export const POURED = '2010033';
