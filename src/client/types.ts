import type { ErrorCode } from '../protocol/errors.ts';
import type {
  EventMessage,
  NewNumber,
  NotRecovered,
  NumberCorrected,
  NumberRemoved,
  Reset,
  ResetReason,
  ServerMessage,
  Snapshot,
  Status,
  StrategyUpdate,
  TableAdded,
} from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import type { Clock } from './clock.ts';
import type { Table } from './table.ts';
import type { FetchLike, Transport, TransportName, WebSocketConstructor } from './transport.ts';

/** Why the connection was lost or is doubted. */
export type LossReason =
  | 'closed'
  | 'refused'
  | 'silence'
  | 'wake'
  | 'no_answer'
  | 'malformed'
  | 'interrupted'
  | 'planned'
  | 'token';

/** What the connection does now. Times are milliseconds since 1970 by the client's clock. */
export type ClientState =
  | { readonly name: 'idle'; readonly reason: 'unused' | 'disconnected' | 'closed' }
  | {
      readonly name: 'connecting';
      readonly transport: TransportName;
      readonly attempt: number;
      /** When the next attempt starts; null while one runs. */
      readonly retryAt: number | null;
    }
  | { readonly name: 'live'; readonly transport: TransportName; readonly since: number }
  | {
      readonly name: 'recovering';
      readonly reason: LossReason;
      /** WebSocket close code or HTTP status, where there was one. */
      readonly code: number | null;
      readonly attempt: number;
      readonly transport: TransportName;
      /** When the next attempt starts; null while one runs. */
      readonly retryAt: number | null;
    }
  | { readonly name: 'stale'; readonly reason: 'silence' | 'wake' | 'feed_stale' | 'feed_down'; readonly since: number }
  | { readonly name: 'offline'; readonly since: number }
  | { readonly name: 'failed'; readonly code: number | null; readonly reason: string };

/** A mistake that waiting does not mend, or that the caller should know of. `code` never changes its meaning. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  declare readonly code:
    | ErrorCode
    | 'bad_topic'
    | 'bad_url'
    | 'overflow'
    | 'malformed'
    | 'token'
    | 'failed'
    | 'listener';
  /** The topic that the error is about, as it was subscribed. */
  declare readonly topic: string | null;

  constructor(code: ClientError['code'], message: string, topic: string | null = null, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.topic = topic;
  }
}

/** Thrown by a token function when there is no use in asking again, as after a logout: the client fails at once. */
export class UnauthorizedError extends Error {
  override readonly name = 'UnauthorizedError';
}

/** A hole in a topic: `prev` named an event that never came. It is asked for again at once. */
export interface Gap {
  readonly type: 'gap';
  readonly topic: string;
  readonly after: Position;
  readonly before: Position;
}

/** After a break: everything missed of a topic was replayed. */
export interface Recovered {
  readonly type: 'recovered';
  readonly topic: string;
  /** How many events were replayed; they came as any other. */
  readonly replayed: number;
}

/** After a break: what was missed of a topic cannot be replayed; a snapshot replaces it. */
export interface Lost {
  readonly type: 'lost';
  readonly topic: string;
  readonly reason: Exclude<NotRecovered, 'new'>;
}

/** `Table.stale` changed, and nothing else. */
export interface StaleChange {
  readonly type: 'stale';
  readonly topic: string;
  readonly stale: boolean;
}

/** What a subscription hands on, in order. */
export type SubscriptionMessage = EventMessage | Snapshot | Reset | Gap | Recovered | Lost | StaleChange;

/**
 * Why a snapshot came: the table is `new` to this client, it was `known` already when this subscription began, a `gap`
 * is being healed, a longer `history` is wanted, what was missed was `lost`, or a reset with its reason came before.
 */
export type SnapshotReason = 'new' | 'known' | 'gap' | 'history' | 'lost' | ResetReason;

/** Listeners of one subscription. A table comes as it is after the event. */
export interface Handlers {
  onNumber?(event: NewNumber, table: Table): void;
  onCorrected?(event: NumberCorrected, table: Table): void;
  onRemoved?(event: NumberRemoved, table: Table): void;
  onStrategy?(event: StrategyUpdate, table: Table): void;
  /** The table as a whole: at first, and whenever what was missed could not be replayed. Never a live event. */
  onSnapshot?(table: Table, why: { readonly reason: SnapshotReason }): void;
  /** What is known of the table is no longer true; a snapshot follows. */
  onReset?(reset: Reset, table: Table | null): void;
  onGap?(gap: Gap): void;
  /** After a break, once per topic and before `ready`: nothing is missing. */
  onRecovered?(recovered: Recovered): void;
  /** After a break, once per topic: events are missing, a snapshot replaced them. */
  onLost?(lost: Lost): void;
  /** After every change of a table, `stale` included, and after the listeners above: all that a view needs. */
  onTable?(table: Table): void;
  /** The subscription ended: its topic is unknown or not allowed. Without it the error goes to the client's listeners. */
  onError?(error: ClientError): void;
}

export interface SubscribeOptions extends Handlers {
  /** How many last numbers the tables of this subscription keep: 0 to 200, 20 unless said otherwise. */
  readonly history?: number;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal;
}

export interface Subscription extends AsyncIterable<SubscriptionMessage> {
  /** As it was asked for. */
  readonly topic: string;
  /** The tables of this topic, by canonical id: one, several of one name, or all. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Settles when the server took the topic up, or with the ClientError for which it did not. */
  ready(): Promise<void>;
  /** Whether it was unsubscribed or refused. */
  readonly ended: boolean;
  unsubscribe(): void;
}

/** Counters since `connect`. */
export interface Stats {
  readonly received: number;
  readonly events: number;
  readonly duplicates: number;
  readonly gaps: number;
  readonly healed: number;
  readonly snapshots: number;
  readonly resets: number;
  readonly malformed: number;
  readonly reconnects: number;
  /** Milliseconds from the last ping to its pong; null before the first, and on transports without pings. */
  readonly roundTripMs: number | null;
  /** The highest position received. */
  readonly position: Position | null;
  readonly epoch: string | null;
}

/** What `Client.listen` offers, and what its listeners are called with. */
export interface ClientEvents {
  state: [state: ClientState, before: ClientState];
  status: [status: Status];
  tableAdded: [notice: TableAdded];
  error: [error: ClientError];
  /** Every frame as it was read, before anything is dropped: for logs and panels. */
  message: [message: ServerMessage];
}

export type Listener<K extends keyof ClientEvents> = (...args: ClientEvents[K]) => void;

/** The part of a browser's Storage that is used. */
export interface PositionStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface ConnectOptions {
  /**
   * A token, or a function that brings a fresh one: asked before every connection and before a token expires. When it
   * throws an UnauthorizedError, the client fails instead of trying again.
   */
  readonly token?: string | (() => string | Promise<string>);
  /** In the order of preference; WebSocket, SSE, long-poll unless said otherwise. */
  readonly transports?: readonly (TransportName | Transport)[];
  /** Numbers per table for subscriptions that do not say; 20. */
  readonly history?: number;
  readonly signal?: AbortSignal;
  /**
   * Keeps positions and tables over a reload of the page: `sessionStorage`, or a store of your own. After the reload
   * the client goes on from there, and gets what it missed.
   */
  readonly persist?: PositionStore;
  /** All tabs of a browser share one connection; where tabs cannot speak to each other, each has its own. */
  readonly share?: boolean;
  /** For Node 20, which has none: the class of the `ws` package. Without one the client falls back to SSE. */
  readonly WebSocket?: WebSocketConstructor;
  readonly fetch?: FetchLike;
  readonly clock?: Clock;
  /** Uniform in [0, 1); spreads reconnects. */
  readonly random?: () => number;
}

export interface Client {
  readonly state: ClientState;
  readonly stats: Stats;
  /** Every table known, by canonical id. */
  readonly tables: ReadonlyMap<string, Table>;
  /**
   * Follows `roulette:<id, name or UUID>`, `roulette:*`, or `*` for all tables. Throws ClientError `bad_topic`.
   */
  subscribe(topic: string, options?: SubscribeOptions): Subscription;
  listen<K extends keyof ClientEvents>(name: K, listener: Listener<K>): () => void;
  /** Uses this transport alone from now on, or the usual order again; what was subscribed is resumed, not reset. */
  prefer(transport: TransportName | null): void;
  /** Loses the connection as a broken network would, and recovers. */
  interrupt(): void;
  /** Tries again at once: out of `failed`, or before the wait is over. */
  retry(): void;
  /** Asks for a round trip now; the answer is in `stats.roundTripMs`. Without effect on SSE and long-poll. */
  ping(): void;
  /** Closes the connection and stays away; subscriptions and positions are kept for `connect`. */
  disconnect(): void;
  /** Connects again after `disconnect`, and resumes every topic where it was. */
  connect(): void;
  /** Ends everything; the client cannot be used again. */
  close(): void;
}
