import { z } from 'zod';
import { CLOSE, ERRORS, type ErrorCode } from './errors.ts';
import { type NumberItem, PROTOCOL_VERSION, RESET_REASONS, type ServerMessage, type StrategyItem } from './messages.ts';
import { POSITION_PATTERN, type Position } from './position.ts';
import { requestId } from './requests.ts';

/**
 * The messages of a server as zod schemas, from which JSON Schema and AsyncAPI are made. The service itself does not
 * parse what it sends: the compiler and tests compare these with `messages.ts` and with PROTOCOL.md.
 */

export const cor = z.enum(['verde', 'vermelho', 'preto']);
export const tableId = z.string().min(1).max(64).describe('1 to 64 printable characters without spaces, always text.');
export const time = z.iso.datetime().describe('ISO-8601 in UTC.');
export const wheelNumber = z
  .number()
  .int()
  .min(0)
  .max(37)
  .describe('0 to 36; 37 is the double zero of an American wheel.');
export const wheelLabel = z.literal('00').exactOptional().describe('What stands on the wheel, for the double zero.');
export const doubleZero = z.literal(true).exactOptional().describe('The wheel has a double zero, and 38 numbers.');
export const count = z.number().int().min(0);
export const stale = z.boolean().describe('True while MongoDB cannot be reached: the truth may have moved on.');
export const tableNames = { roleta_id: tableId, roleta_nome: z.string() };

export const numberItem = z.object({
  id: z.string(),
  numero: wheelNumber,
  rotulo: wheelLabel,
  cor,
  timestamp: time,
  suspeito: z
    .literal(true)
    .exactOptional()
    .describe('Looks like a repetition by a restarted scraper; nothing is dropped.'),
}) satisfies z.ZodType<NumberItem>;

export const strategyItem = z.object({
  estado: z.enum(['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO']),
  numero_gatilho: z.number().int().min(-1).max(36).describe('-1 means none.'),
  terminais_gatilho: z.array(wheelNumber),
  vitorias: count,
  derrotas: count,
  sugestao_display: z.string(),
  timestamp: time.nullable(),
}) satisfies z.ZodType<StrategyItem>;

export const errorCode = z.enum(Object.keys(ERRORS).filter((code): code is ErrorCode => Object.hasOwn(ERRORS, code)));
export const retry = z.enum(['never', 'backoff', 'after']);
export const problem = z.object({ path: z.string(), message: z.string() });

const position = z.string().regex(POSITION_PATTERN).describe('Opaque; text order is event order.');
const topic = z.string();
const epoch = z.string();
const pending = z.literal(true).exactOptional().describe('Nothing is known by it yet; it begins by itself.');
/** What an event says beside what it tells of and its type. */
export const eventFields = {
  topic,
  position,
  prev: position.nullable().describe('The position of the table’s previous event; null if unknown.'),
  ...tableNames,
};

/** A message as it is on the wire: positions are texts. */
type Wire<T> = T extends Position ? string : T extends object ? { readonly [K in keyof T]: Wire<T[K]> } : T;
type Schemas = { readonly [Type in ServerMessage['type']]: z.ZodType<Wire<Extract<ServerMessage, { type: Type }>>> };

/** Every message that a server sends, by its type. */
export const SERVER_MESSAGES = {
  hello: z.object({
    type: z.literal('hello'),
    protocol: z.literal(PROTOCOL_VERSION),
    server: z.string(),
    instance: z.string(),
    epoch,
    position,
    ping_s: count,
    recovery_s: count,
    auth: z.enum(['none', 'jwt']),
    limits: z.object({ topics: count, frame_bytes: count }),
  }),
  snapshot: z.object({
    type: z.literal('snapshot'),
    topic,
    epoch,
    position,
    ...tableNames,
    numeros: z.array(numberItem).describe('Newest first.'),
    estrategia: strategyItem.nullable(),
    duplo_zero: doubleZero,
    stale,
  }),
  new_number: z.object({ type: z.literal('new_number'), ...eventFields, ...numberItem.shape }),
  number_corrected: z.object({ type: z.literal('number_corrected'), ...eventFields, ...numberItem.shape }),
  number_removed: z.object({ type: z.literal('number_removed'), ...eventFields, id: z.string() }),
  strategy_update: z.object({ type: z.literal('strategy_update'), ...eventFields, ...strategyItem.shape }),
  subscribed: z.object({
    type: z.literal('subscribed'),
    id: requestId,
    epoch,
    position,
    topics: z.array(
      z.union([
        z.object({ topic, recovered: z.literal(true), replayed: count, pending }),
        z.object({
          topic,
          recovered: z.literal(false),
          reason: z.enum(['new', 'too_old', 'future', 'epoch', 'malformed']),
          pending,
        }),
      ]),
    ),
  }),
  unsubscribed: z.object({ type: z.literal('unsubscribed'), id: requestId, topics: z.array(topic) }),
  pong: z.object({ type: z.literal('pong'), id: requestId.nullable(), position }),
  authenticated: z.object({ type: z.literal('authenticated'), expires: time.nullable() }),
  table_added: z.object({ type: z.literal('table_added'), topic, ...tableNames }),
  resolved: z.object({
    type: z.literal('resolved'),
    topic,
    ...tableNames,
    asked: topic.describe('The topic as it was asked for.'),
  }),
  reset: z.object({
    type: z.literal('reset'),
    topic,
    reason: z.enum(RESET_REASONS),
    epoch,
  }),
  sync: z.object({ type: z.literal('sync'), position }),
  status: z.object({
    type: z.literal('status'),
    feed: z.enum(['live', 'stale', 'down']),
    since: time,
    lag_ms: count.exactOptional(),
  }),
  error: z.object({
    type: z.literal('error'),
    id: requestId.exactOptional(),
    code: errorCode,
    message: z.string(),
    retry,
    retry_ms: count.exactOptional(),
    problems: z.array(problem).exactOptional(),
  }),
  bye: z.object({
    type: z.literal('bye'),
    code: z.literal(Object.values(CLOSE)),
    reason: z.string(),
    retry_ms: count,
  }),
} satisfies Schemas;
