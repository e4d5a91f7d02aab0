import type { ServerMessage } from '../protocol/messages.ts';
import { isPosition } from '../protocol/position.ts';

/** A frame that does not follow the protocol; `path` names the field. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame';
  readonly path: string;

  constructor(path: string) {
    super(`malformed frame: ${path}`);
    this.path = path;
  }
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;
type Shape = Readonly<Record<string, Check>>;

/** Whether a value is a JSON object. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const text: Check = (value) => typeof value === 'string';
const whole: Check = (value) => Number.isSafeInteger(value);
const flag: Check = (value) => typeof value === 'boolean';
const maybe =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const absentOr =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const oneOf =
  (words: string): Check =>
  (value) =>
    typeof value === 'string' && words.split(' ').includes(value);
const between =
  (low: number, high: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= low && Number(value) <= high;

/** The first field that is not as agreed; null when all are. Fields beside the agreed ones are nobody's business. */
function wrongField(value: unknown, shape: Shape): string | null {
  if (!isFields(value)) return '';
  return Object.keys(shape).find((key) => !shape[key]?.(value[key])) ?? null;
}

const object =
  (shape: Shape): Check =>
  (value) =>
    wrongField(value, shape) === null;
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const id: Check = (value) => text(value) || whole(value);
const count = between(0, Number.MAX_SAFE_INTEGER);
const spin = between(0, 36);
const table: Shape = { topic: text, roleta_id: text, roleta_nome: text };
const positioned: Shape = { ...table, position: isPosition, prev: maybe(isPosition) };
const numberItem: Shape = { id: text, numero: spin, cor: oneOf('verde vermelho preto'), timestamp: text };
const numberEvent: Shape = { ...positioned, ...numberItem };
const strategyItem: Shape = {
  estado: oneOf('NEUTRAL TRIGGER POST_GALE_NEUTRAL MORTO'),
  numero_gatilho: between(-1, 36),
  terminais_gatilho: listOf(spin),
  vitorias: count,
  derrotas: count,
  sugestao_display: text,
  timestamp: maybe(text),
};
const topicResult: Check = (value) =>
  object({ topic: text, recovered: flag })(value) &&
  (object({ replayed: count })(value) || object({ reason: text })(value));

/** Codes and reasons may grow with the server: any text passes, so that an older client can go on. */
const SHAPES: Readonly<Record<ServerMessage['type'], Shape>> = {
  hello: {
    protocol: between(1, 1),
    server: text,
    instance: text,
    epoch: text,
    position: isPosition,
    ping_s: count,
    auth: oneOf('none jwt'),
    limits: object({ topics: count, frame_bytes: count }),
  },
  new_number: numberEvent,
  number_corrected: numberEvent,
  number_removed: { ...positioned, id: text },
  strategy_update: { ...positioned, ...strategyItem },
  snapshot: {
    ...table,
    epoch: text,
    position: isPosition,
    numeros: listOf(object(numberItem)),
    estrategia: maybe(object(strategyItem)),
    stale: flag,
  },
  subscribed: { id: absentOr(maybe(id)), epoch: text, position: isPosition, topics: listOf(topicResult) },
  unsubscribed: { id, topics: listOf(text) },
  pong: { position: isPosition },
  authenticated: { expires: maybe(text) },
  reset: { topic: text, reason: text, epoch: text },
  table_added: table,
  sync: { position: isPosition },
  status: { feed: oneOf('live stale down'), since: text, lag_ms: absentOr(whole) },
  error: {
    id: absentOr(id),
    code: text,
    message: text,
    retry: oneOf('never backoff after'),
    retry_ms: absentOr(count),
    problems: absentOr(listOf(object({ path: text, message: text }))),
  },
  bye: { code: between(1000, 4999), reason: text, retry_ms: count },
};

const isKnown = (type: unknown): type is ServerMessage['type'] =>
  typeof type === 'string' && Object.hasOwn(SHAPES, type);

function isMessage(value: Fields): value is Fields & ServerMessage {
  const type = value['type'];
  const wrong = isKnown(type) ? wrongField(value, SHAPES[type]) : 'type';
  if (wrong !== null) throw new MalformedFrame(wrong);
  return true;
}

/**
 * Checks one frame of protocol 1. Null for a type that this client does not know yet, which is to be ignored. Throws
 * MalformedFrame that names the first field which is not as agreed.
 */
export function readMessage(value: unknown): ServerMessage | null {
  if (!isFields(value)) throw new MalformedFrame('');
  if (typeof value['type'] === 'string' && !isKnown(value['type'])) return null;
  return isMessage(value) ? value : null;
}
