import type { CloseCode } from './errors.ts';
import type { Frame, RequestId, TopicResult } from './messages.ts';
import type { Position } from './position.ts';
import type { SubscribeFrame } from './requests.ts';

/**
 * The contract between whoever knows what to deliver (the feed) and whoever carries it (WebSocket, SSE, long-poll).
 * Neither side imports the other; both import this file.
 */

/** The internal topic of what every subscribed connection gets: `sync` and `status`. No client can name it. */
export const EVERYONE = '';

/** One connection, as the feed sees it. Every call is synchronous; none may throw. */
export interface SubscriberLink {
  /**
   * Queues a frame. False asks for a pause: the feed then sends no more of a replay until `Subscriber.drained()`.
   * What `publish` brings to a joined topic comes all the same; a link that backs up is closed by its transport.
   */
  send(frame: Frame): boolean;
  /** From now on `publish` to this topic reaches the connection, after everything already sent. */
  join(topic: string): void;
  /** Called for every topic that was joined, also after the end of the connection. */
  leave(topic: string): void;
  /** Ends the connection; `Subscriber.closed()` follows. `retryMs` tells the client when to come back. */
  close(code: CloseCode, retryMs?: number): void;
}

/** The feed's side of one connection. */
export interface Subscriber {
  /**
   * Takes up topics: snapshots or replays, then `subscribed`, possibly later (a client ahead of this instance waits).
   * Requests of one connection are served in their order. What cannot be served answers with an `error` frame.
   */
  subscribe(request: SubscribeFrame): void;
  /** Answers `unsubscribed` with the topics that were left. */
  unsubscribe(id: RequestId, topics: readonly string[]): void;
  /** The link has room again. */
  drained(): void;
  /** The link is gone; nothing may be sent to it any more. Safe to call twice. */
  closed(): void;
  /** The topics that it hears now, those that are pending as they were asked for. */
  heardTopics(): readonly string[];
  /** The topics that mean another number of tables than one, as they were asked for, with that number. */
  uneven(): ReadonlyMap<string, number>;
}

export interface SubscriberOptions {
  /** Canonical ids of the tables that this connection may see; null is all of them. */
  readonly allowed: ReadonlySet<string> | null;
  /** Topics that one connection may hear. */
  readonly maxTopics: number;
}

/** Where the feed is. */
export interface FeedPosition {
  readonly epoch: string;
  /** Everything up to here is delivered. */
  readonly position: Position;
  /** How far back a client that was away is served. */
  readonly recoverySeconds: number;
}

/** What the gateway needs from the feed to serve subscribers. */
export interface Delivery {
  /** Registers a connection. Before the feed is ready its subscribes wait. */
  open(link: SubscriberLink, options: SubscriberOptions): Subscriber;
  /** For `hello`, `pong`; null before the feed is first ready. */
  reached(): FeedPosition | null;
  /** How many connections hear a topic. */
  hearing(topic: string): number;
  /** Topics that connections hear: single tables, each as often as it is heard, and all tables at once. */
  subscriptions(): { readonly table: number; readonly all: number };
}

/** A stretch of what is remembered of some tables. */
export interface LogPortion {
  readonly epoch: string;
  /** Below it something may be missing. */
  readonly floor: Position;
  /** Of the newest event that is remembered; the floor where none is. */
  readonly tail: Position;
  /** Events after the position that was asked for, the oldest first. */
  readonly frames: readonly Frame[];
  /** Of the last event that was looked at, also of another table; null when there was none. */
  readonly last: Position | null;
  /** The portion is full, and there are more. */
  readonly more: boolean;
}

/** Told what happens while it happens, for those who count. Every call is synchronous; none may throw. */
export interface DeliveryObserver {
  /**
   * An event is about to be published; `committedMs` is when MongoDB committed it, ms since 1970. Servers before 6.0 do
   * not tell: the seconds of its position are taken then.
   */
  publishing(frame: Frame, committedMs: number): void;
  /** A connection has taken up topics. */
  subscribed(results: readonly TopicResult[]): void;
  /** One connection was sent a snapshot. */
  snapshot(): void;
}

/** What the feed needs from the gateway: one call per topic that a frame goes to, fanned out by the transport. */
export type Publish = (topic: string, frame: Frame) => void;

/** Why a document or change in MongoDB is no event. Counted by reason; the set is closed, so that it can label a metric. */
export const SKIP_REASONS = [
  'no_table',
  'unknown_table',
  'no_number',
  'bad_number',
  'no_timestamp',
  'bad_timestamp',
  'bad_id',
  'no_state',
  'bad_state',
  'bad_strategy',
  'wrong_source',
  'unreadable',
  'oversized',
] as const;

export type SkipReason = (typeof SKIP_REASONS)[number];

/** A document that says nothing. */
export interface SkippedDocument {
  readonly reason: SkipReason;
  /** Its `_id` as text. */
  readonly id: string;
  /** Database and collection. */
  readonly ns: string;
  /** ISO-8601 UTC. */
  readonly at: string;
}

/** The state of the feed, for health, status and metrics. Absent means unknown. */
export interface FeedStatus {
  readonly phase: 'connecting' | 'rewinding' | 'live' | 'degraded' | 'stopped';
  /** True once caught up for the first time and since then not in a fresh rewind. */
  readonly ready: boolean;
  /** Why it is not ready or not live, in words for an operator. */
  readonly reason: string | null;
  readonly since: string;
  readonly epoch: string | null;
  readonly position: Position | null;
  readonly floor: Position | null;
  readonly lagMs?: number;
  readonly majorityStalled: boolean;
  /** How far back a client that was away is served, in seconds; null while not ready. */
  readonly recoverySeconds: number | null;
  /** Tables that are served as far as they could be read, not as far as subscribers may ask. */
  readonly partial: readonly string[];
  readonly server: string | null;
  readonly ring: { readonly events: number; readonly bytes: number; readonly seconds: number };
  readonly tables: number;
  readonly reopens: Readonly<Record<string, number>>;
  readonly resets: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, number>>;
  /** The last document that was skipped for each reason. */
  readonly lastSkipped: readonly SkippedDocument[];
  /** How often the whole state was read anew, by reason. */
  readonly fresh: Readonly<Record<string, number>>;
  readonly published: Readonly<Record<string, number>>;
  /** Tables whose numbers come live and are dated long before: not published, since they count as history. */
  readonly late: readonly LateTable[];
}

/** What the built-in MongoDB reports of its memory and its disk; a real MongoDB reports nothing of the kind. */
export interface BuiltinStatus {
  /** Data, indexes and oplog together. */
  readonly heldBytes: number;
  /** Above it inserts are refused. */
  readonly limitBytes: number;
  readonly oplogBytes: number;
  /** Why the disk takes nothing; null while it does. */
  readonly diskFailure: string | null;
}

/** Why the built-in MongoDB refuses inserts, in words; null while it takes them. */
export function builtinTrouble(status: BuiltinStatus | null): string | null {
  if (status === null) return null;
  const { diskFailure, heldBytes, limitBytes } = status;
  if (diskFailure !== null) return `The built-in MongoDB takes no writes: ${diskFailure}`;
  if (heldBytes <= limitBytes) return null;
  return `The built-in MongoDB refuses inserts: it holds all ${Math.round(limitBytes / 2 ** 20)} MB that it may (EMBEDDED_MAX_MB).`;
}

/** A table whose scraper writes local time without a zone, or has a wrong clock. */
export interface LateTable {
  readonly roleta_id: string;
  /** How long before they are stored its numbers are dated, ms. */
  readonly offset_ms: number;
}
