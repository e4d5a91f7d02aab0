import type { Log } from '../../log/log.ts';
import type { BuiltinStatus, FeedStatus, LogPortion } from '../../protocol/delivery.ts';
import type { ProtocolError } from '../../protocol/errors.ts';
import type { NumberItem, StrategyItem } from '../../protocol/messages.ts';
import type { Position } from '../../protocol/position.ts';
import type { StatsQuery, StrategyRow, TableHistory } from '../../roulette/history.ts';
import type { InsertResult, NumberToStore, StrategyToStore } from '../../roulette/ingest.ts';
import type { TableStats } from '../../roulette/stats.ts';
import type { TableId } from '../../roulette/table.ts';
import type { Respond } from './route.ts';
import type { StatusHistory } from './schemas.ts';

export type IngestKind = 'number' | 'strategy';

/** How one posted item ended: stored, already there, not stored and why, or refused at the door. */
export type IngestOutcome = 'created' | 'duplicate' | 'confirmed' | ProtocolError['code'];

/** What is measured here. Every argument is of a closed set (patterns, statuses, names of configured keys). */
export interface HttpObserver {
  request(route: string, method: string, status: number, elapsedMs: number): void;
  /** `key` is the name of an ingest key, `local` or `open`. */
  ingest(kind: IngestKind, key: string, outcome: IngestOutcome): void;
  /** Time that the database took for one call, milliseconds. */
  inserted(kind: IngestKind, items: number, elapsedMs: number): void;
  /** An attempt to post without, or with wrong, credentials. */
  unauthorized(route: string): void;
}

/** One table, without its history. */
export interface TableOverview {
  readonly roleta_id: TableId;
  readonly roleta_nome: string;
  readonly uuid: string;
  readonly ultimo: NumberItem | null;
  readonly estrategia: StrategyItem | null;
  /** The wheel has a double zero, and 38 numbers. */
  readonly duplo_zero?: true;
}

/** One table with its last numbers, newest first, and the position that they are of. */
export interface TableDetail extends TableOverview {
  readonly epoch: string;
  readonly position: string;
  readonly stale: boolean;
  readonly numeros: readonly NumberItem[];
}

/** A file of the page or the client library, whole in memory. */
export interface StaticFile {
  /** Media type with charset. */
  readonly type: string;
  readonly body: string | Uint8Array;
  /** True when the address changes with the content, so that browsers may keep it for ever. */
  readonly immutable: boolean;
}

/**
 * What the HTTP routes are handed. Promises reject with ProtocolError (`database_unavailable`, `write_unknown`,
 * `invalid` for a cursor of another shape); anything else that is thrown is answered as `internal` and logged.
 */
export interface HttpDeps {
  readonly log: Log;
  readonly observe: HttpObserver;

  /** Stores items with majority; one result each, in order. Rejects when nothing is known of any of them. */
  insertNumbers(items: readonly NumberToStore[]): Promise<readonly InsertResult[]>;
  insertStrategies(items: readonly StrategyToStore[]): Promise<readonly InsertResult[]>;

  /** The tables that a reference means: any spelling of an id (also of one never seen), a UUID, or a name. */
  resolve(reference: string): readonly TableId[];
  /** The name that a table is known by; null when unknown. */
  nameOf(table: TableId): string | null;
  isKnown(table: TableId): boolean;
  /** Every known table, ascending by id. */
  tables(): readonly TableOverview[];
  table(table: TableId): TableDetail | null;
  /** What is stored in the database, also beyond what is kept in memory. */
  readonly numbers: TableHistory<NumberItem>;
  readonly strategies: TableHistory<StrategyRow>;
  tableStats(table: TableId, query: StatsQuery): Promise<TableStats>;

  /** What is remembered of some tables, or of all (null), after a position (null: all of it); null while not ready. */
  readLog(tables: ReadonlySet<TableId> | null, after: Position | null): LogPortion | null;
  /** Resolves when something is published to a topic, or when the time is over. */
  changed(topic: string, waitMs: number): Promise<void>;
  /** Answers what needs MongoDB at rest, on an instance without one. */
  readonly passOn?: Respond;

  feedStatus(): FeedStatus;
  /** Whether MongoDB answers now. */
  databaseOk(): boolean;
  /** What the built-in MongoDB reports of its memory and disk; null of a real one. */
  builtinMongo(): BuiltinStatus | null;
  /** True while the process is stopping. */
  draining(): boolean;
  /** What else `/status` shows to an administrator: connections, limits, memory. */
  detail(): Readonly<Record<string, unknown>>;
  /** Samples of the last so many minutes, 60 at most, and the last alerts: of this process and its siblings on the port. */
  statusHistory(minutes: number): Promise<StatusHistory>;
  /** The text of `/metrics`, in the Prometheus exposition format. */
  metrics(): Promise<string>;
  /** By path; `/` is the page. */
  readonly files: ReadonlyMap<string, StaticFile>;
}
