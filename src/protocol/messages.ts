import type { CloseCode, ErrorCode, Problem, Retry } from './errors.ts';
import type { Position } from './position.ts';

export const PROTOCOL_VERSION = 1;

export type Cor = 'verde' | 'vermelho' | 'preto';
export type Estado = 'NEUTRAL' | 'TRIGGER' | 'POST_GALE_NEUTRAL' | 'MORTO';

/** One result as snapshots and history list it. `timestamp` is ISO-8601 UTC with `Z`. */
export interface NumberItem {
  readonly id: string;
  /** 0 to 36; 37 is the double zero of an American wheel. */
  readonly numero: number;
  /** What is written on the wheel, where that is not the number itself. */
  readonly rotulo?: '00';
  readonly cor: Cor;
  readonly timestamp: string;
  readonly suspeito?: true;
}

/** The strategy state of one table. `numero_gatilho` -1 means none; `timestamp` null when the writer gave none. */
export interface StrategyItem {
  readonly estado: Estado;
  readonly numero_gatilho: number;
  readonly terminais_gatilho: readonly number[];
  readonly vitorias: number;
  readonly derrotas: number;
  readonly sugestao_display: string;
  readonly timestamp: string | null;
}

/** What every positioned event carries: `prev` is the position of the table's previous event, null if unknown. */
interface Positioned {
  readonly topic: string;
  readonly position: Position;
  readonly prev: Position | null;
  readonly roleta_id: string;
  readonly roleta_nome: string;
}

export type NewNumber = { readonly type: 'new_number' } & Positioned & NumberItem;
export type NumberCorrected = { readonly type: 'number_corrected' } & Positioned & NumberItem;
export type NumberRemoved = { readonly type: 'number_removed'; readonly id: string } & Positioned;
export type StrategyUpdate = { readonly type: 'strategy_update' } & Positioned & StrategyItem;

/** Positioned, exactly one frame per change, byte-identical for all subscribers. */
export type EventMessage = NewNumber | NumberCorrected | NumberRemoved | StrategyUpdate;

export interface Hello {
  readonly type: 'hello';
  readonly protocol: typeof PROTOCOL_VERSION;
  readonly server: string;
  readonly instance: string;
  readonly epoch: string;
  readonly position: Position;
  readonly ping_s: number;
  /** How far back this instance can recover a client now, in seconds. */
  readonly recovery_s: number;
  readonly auth: 'none' | 'jwt';
  readonly limits: { readonly topics: number; readonly frame_bytes: number };
}

export interface Snapshot {
  readonly type: 'snapshot';
  readonly topic: string;
  readonly epoch: string;
  readonly position: Position;
  readonly roleta_id: string;
  readonly roleta_nome: string;
  /** Newest first. */
  readonly numeros: readonly NumberItem[];
  readonly estrategia: StrategyItem | null;
  /** The wheel has a double zero, and 38 numbers. */
  readonly duplo_zero?: true;
  /** The database cannot be reached, so that the truth may have moved on; or the table could not be read to the end. */
  readonly stale: boolean;
}

export type NotRecovered = 'new' | 'too_old' | 'future' | 'epoch' | 'malformed';

/**
 * How one topic was taken up: replayed from the given position, or a snapshot and why. `pending`: nothing is known by it
 * yet, so that it is named as it was asked for, and begins by itself.
 */
export type TopicResult =
  | { readonly topic: string; readonly recovered: true; readonly replayed: number; readonly pending?: true }
  | { readonly topic: string; readonly recovered: false; readonly reason: NotRecovered; readonly pending?: true };

export interface Subscribed {
  readonly type: 'subscribed';
  readonly id: RequestId;
  readonly epoch: string;
  readonly position: Position;
  readonly topics: readonly TopicResult[];
}

export const RESET_REASONS = [
  'drop',
  'rename',
  'drop_database',
  'history_lost',
  'restored',
  'backfill',
  'unknown',
] as const;
export type ResetReason = (typeof RESET_REASONS)[number];

export interface Reset {
  readonly type: 'reset';
  readonly topic: string;
  readonly reason: ResetReason;
  readonly epoch: string;
}

export interface TableAdded {
  readonly type: 'table_added';
  readonly topic: string;
  readonly roleta_id: string;
  readonly roleta_nome: string;
}

/** A topic that was asked for came to mean this table, or this one too; its snapshot follows. */
export interface Resolved {
  readonly type: 'resolved';
  readonly topic: string;
  readonly roleta_id: string;
  readonly roleta_nome: string;
  /** The topic as it was asked for. */
  readonly asked: string;
}

export interface Sync {
  readonly type: 'sync';
  readonly position: Position;
}

export interface Status {
  readonly type: 'status';
  readonly feed: 'live' | 'stale' | 'down';
  /** ISO-8601 UTC. */
  readonly since: string;
  readonly lag_ms?: number;
}

export interface ErrorMessage {
  readonly type: 'error';
  readonly id?: RequestId;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retry: Retry;
  readonly retry_ms?: number;
  readonly problems?: readonly Problem[];
}

export interface Bye {
  readonly type: 'bye';
  readonly code: CloseCode;
  readonly reason: string;
  readonly retry_ms: number;
}

/** Chosen by the client, echoed in the answer. */
export type RequestId = number | string;

export type ServerReply =
  | Subscribed
  | { readonly type: 'unsubscribed'; readonly id: RequestId; readonly topics: readonly string[] }
  | { readonly type: 'pong'; readonly id: RequestId | null; readonly position: Position }
  | { readonly type: 'authenticated'; readonly expires: string | null };

export type NoticeMessage = Reset | TableAdded | Resolved | Sync | Status | ErrorMessage | Bye;

/** Everything a server sends. */
export type ServerMessage = Hello | Snapshot | EventMessage | NoticeMessage | ServerReply;

/** The topic of all tables, also those that appear later. */
export const ALL_TABLES = 'roulette:*';

const PREFIX = 'roulette:';

/** The topic of one table, from its canonical id. */
export const topicOf = (tableId: string): string => PREFIX + tableId;

/**
 * What a subscriber wrote after `roulette:`: an id, prefixed id, UUID or name, not resolved yet, or `*`.
 * Null when the text is no roulette topic or names nothing.
 */
export function tableReference(topic: string): string | null {
  if (!topic.startsWith(PREFIX)) return null;
  const reference = topic.slice(PREFIX.length).trim();
  return reference === '' ? null : reference;
}

/** The text of a message. */
export const encode = (message: ServerMessage): string => JSON.stringify(message);

/** An encoded message with the few fields that a transport needs without parsing it again. */
export interface Frame {
  readonly type: ServerMessage['type'];
  /** The JSON text, byte-identical for every subscriber that gets it. */
  readonly text: string;
  readonly topic: string | null;
  /** The position of the client after this frame; null for frames that are not positioned. */
  readonly position: Position | null;
  readonly epoch: string | null;
  /** It tells of a number that is probably the one before it, inserted again. */
  readonly suspect?: true;
}

/** Encodes a message once. */
export function frameOf(message: ServerMessage): Frame {
  return {
    type: message.type,
    text: encode(message),
    topic: 'topic' in message ? message.topic : null,
    position: 'position' in message ? message.position : null,
    epoch: 'epoch' in message ? message.epoch : null,
    ...(message.type === 'new_number' && message.suspeito === true ? { suspect: true } : {}),
  };
}

/** What a snapshot says of its table, apart from its position. */
export type SnapshotContent = Pick<Snapshot, 'roleta_id' | 'roleta_nome' | 'numeros' | 'estrategia' | 'duplo_zero'>;

/** Encodes it once for many snapshots: the feed's position changes more often than the table does. */
export const encodeContent = (content: SnapshotContent): string => JSON.stringify(content).slice(1, -1);

/** A snapshot around its encoded content; the same text as `frameOf` gives for the whole message. */
export function snapshotFrame(place: Omit<Snapshot, 'type' | keyof SnapshotContent>, content: string): Frame {
  const { topic, epoch, position, stale } = place;
  const head = JSON.stringify({ type: 'snapshot', topic, epoch, position }).slice(0, -1);
  return { type: 'snapshot', text: `${head},${content},"stale":${stale}}`, topic, position, epoch };
}
