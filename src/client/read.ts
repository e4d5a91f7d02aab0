import type { ServerMessage } from '../protocol/messages.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Patterns of a field's JSON text, by name. Codes and reasons may grow with the server: any text passes. */
const KINDS: Readonly<Record<string, RegExp>> = {
  text: /^"/,
  id: /^["\d]/,
  count: /^\d{1,15}$/,
  position: /^"[0-9a-f]{22}"$/,
  spin: /^([12]?\d|3[0-7])$/,
};

const TABLE = 'topic roleta_id roleta_nome';
const EVENT = `${TABLE} position:position prev:position?`;
const NUMBER = 'id numero:spin cor:"(verde|vermelho|preto)" timestamp';
const STRATEGY =
  'estado:"(NEUTRAL|TRIGGER|POST_GALE_NEUTRAL|MORTO)" numero_gatilho:-1|[12]?\\d|3[0-6] terminais_gatilho:spin* vitorias:count derrotas:count sugestao_display timestamp:text?';

/**
 * The fields of every message, and of what they are made of. Behind the name is a part, a kind or a pattern, or
 * nothing for a text; `?` may be absent or null, `*` is a list.
 */
const FIELDS = {
  hello:
    'protocol:count server instance epoch position:position ping_s:count recovery_s:count? auth:"(none|jwt)" limits:.limits',
  new_number: `${EVENT} ${NUMBER}`,
  number_corrected: `${EVENT} ${NUMBER}`,
  number_removed: `${EVENT} id`,
  strategy_update: `${EVENT} ${STRATEGY}`,
  snapshot: `${TABLE} epoch position:position numeros:.number* estrategia:.strategy? stale:true|false`,
  subscribed: 'id:id? epoch position:position topics:.result*',
  unsubscribed: 'id:id topics:text*',
  pong: 'position:position',
  authenticated: 'expires:text?',
  reset: 'topic reason epoch',
  table_added: TABLE,
  resolved: `${TABLE} asked`,
  sync: 'position:position',
  status: 'feed:"(live|stale|down)" since lag_ms:count?',
  error: 'id:id? code message retry:"(never|backoff|after)" retry_ms:count? problems:.problem*?',
  bye: 'code:count reason retry_ms:count',
  '.number': NUMBER,
  '.strategy': STRATEGY,
  '.limits': 'topics:count frame_bytes:count',
  '.result': 'topic recovered:true|false replayed:count? reason:text?',
  '.problem': 'path message',
} satisfies Readonly<Record<ServerMessage['type'] | `.${string}`, string>>;
const SHAPES: ReadonlyMap<unknown, string> = new Map(Object.entries(FIELDS));

/** Fields beside the agreed ones are nobody's business. */
function fits(value: unknown, kind: string): boolean {
  const rest = kind.slice(0, -1);
  if (kind.endsWith('?')) return value === undefined || value === null || fits(value, rest);
  if (kind.endsWith('*')) return Array.isArray(value) && value.every((each) => fits(each, rest));
  const fields = SHAPES.get(kind)?.split(' ');
  if (!fields) return (KINDS[kind] ?? new RegExp(`^(${kind})$`)).test(JSON.stringify(value));
  return fields.every((field) => {
    const [name = '', of = 'text'] = field.split(':');
    return isFields(value) && fits(value[name], of);
  });
}

const isMessage = (value: unknown, type: string): value is ServerMessage => fits(value, type);

/** Checks one frame of protocol 1. What is `unknown` has a type of later versions, and is to be ignored. */
export function readMessage(value: unknown): ServerMessage | 'unknown' | 'malformed' {
  const type = isFields(value) ? value['type'] : null;
  if (typeof type !== 'string') return 'malformed';
  if (!SHAPES.has(type)) return 'unknown';
  return isMessage(value, type) ? value : 'malformed';
}
