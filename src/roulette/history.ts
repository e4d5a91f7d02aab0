import type { Cor, StrategyItem } from '../protocol/messages.ts';
import type { TableId } from './table.ts';

/** Which part of a history. Instants are epoch milliseconds; null is no limit. */
export interface HistoryRange {
  /** Included. */
  readonly sinceMs: number | null;
  /** Not included. */
  readonly untilMs: number | null;
  /** Only what is older than this cursor, the `next` of a page. */
  readonly before: string | null;
}

/** Which numbers are summed up: of a range the last `last`. */
export interface StatsQuery extends HistoryRange {
  readonly last: number;
  /** The wheel is known to have 38 pockets. */
  readonly doubleZero: boolean;
}

/** A page of a history, newest first. */
export interface HistoryPage<Item> {
  readonly items: readonly Item[];
  /** Opaque, for `before`; null at the end of the range. */
  readonly next: string | null;
}

/** One kind of history of every table. What rejects, and what a generator throws, is a ProtocolError. */
export interface TableHistory<Item> {
  /** The newest `limit` of a range. Rejects with `invalid` for a cursor that this service did not make. */
  page(table: TableId, limit: number, range: HistoryRange): Promise<HistoryPage<Item>>;
  /** All of a range, newest first, in portions of a few dozen that are read as they are taken. */
  stream(table: TableId, range: HistoryRange): AsyncGenerator<readonly Item[], void, undefined>;
}

/** A strategy state of the past, with the id of its row. */
export interface StrategyRow extends StrategyItem {
  readonly id: string;
}

/** Which numbers the legacy routes ask for; null does not restrict. */
export interface LegacyQuery {
  readonly tables: readonly TableId[] | null;
  readonly numero: number | null;
  readonly cor: Cor | null;
  readonly limit: number;
  readonly skip: number;
}

/** A number document as the legacy routes show it; times are ISO-8601. */
export interface LegacyNumber {
  readonly _id: string;
  readonly roleta_id: string;
  readonly roleta_nome: string;
  readonly numero: number;
  readonly cor: Cor;
  readonly timestamp: string;
  readonly criado_em: string | null;
}
