import type { Cor, Estado } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';

/** A number that is to be sent, with what identifies it, so that a repeated attempt cannot store it twice. */
export interface Round {
  readonly kind: 'number';
  readonly table: TableId;
  readonly name: string;
  readonly numero: number;
  readonly cor: Cor;
  /** Epoch milliseconds; null for the time of sending. */
  readonly timestampMs: number | null;
  /** Unique for this result: the event id of a post. */
  readonly key: string;
  /** Bytes 4-8 of the ObjectId that a scraper process would use, 10 hex digits. */
  readonly maker: string;
  /** A whole ObjectId to insert under, where the recording is to be stored as it was. */
  readonly objectId: string | null;
}

/** A strategy state that is to be sent. */
export interface StrategyState {
  readonly kind: 'strategy';
  readonly table: TableId;
  readonly name: string;
  readonly estado: Estado;
  readonly numeroGatilho: number;
  readonly terminaisGatilho: readonly number[];
  readonly vitorias: number;
  readonly derrotas: number;
  readonly sugestaoDisplay: string;
  readonly key: string;
}

export type Sendable = Round | StrategyState;

/** Something to send, and when: milliseconds after the start, in recorded or played time. */
export interface Due {
  readonly atMs: number;
  readonly item: Round;
}

/** An item with the time that it is stored under, the same at every attempt. */
export type Stamped = Sendable & { readonly timestampMs: number };

/** What became of one attempt to send. `failed` may be repeated, with the same key; `refused` may not. */
export type SendOutcome =
  | { readonly kind: 'acknowledged' | 'duplicate'; readonly id: string | null }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly retryAfterMs?: number };

/** Where items go: the service's ingest, or MongoDB itself. */
export interface Sender {
  /** Never rejects. */
  send(item: Stamped): Promise<SendOutcome>;
  close(): Promise<void>;
}

/** A source of numbers from 0 to below 1. */
export type Random = () => number;

/** A repeatable sequence for a seed (mulberry32), so that a run can be played again. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An integer from 0 to below `limit`. */
export const below = (random: Random, limit: number): number => Math.floor(random() * limit);

/** The five bytes that one process puts into all its ObjectIds, as 10 hex digits. */
export const makerFrom = (random: Random): string =>
  Array.from({ length: 10 }, () => below(random, 16).toString(16)).join('');
