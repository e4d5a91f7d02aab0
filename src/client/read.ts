import type { ServerMessage } from '../protocol/messages.ts';

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

/** Whether a value is a JSON object. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a field may be, as a pattern of its JSON text. Codes and reasons may grow with the server: any text passes. */
const KINDS: Readonly<Record<string, RegExp>> = {
  text: /^"/,
  id: /^["\d]/,
  count: /^\d{1,15}$/,
  flag: /^(true|false)$/,
  version: /^1$/,
  position: /^"[0-9a-f]{22}"$/,
  spin: /^([12]?\d|3[0-6])$/,
  trigger: /^(-1|[12]?\d|3[0-6])$/,
  cor: /^"(verde|vermelho|preto)"$/,
  estado: /^"(NEUTRAL|TRIGGER|POST_GALE_NEUTRAL|MORTO)"$/,
  auth: /^"(none|jwt)"$/,
  feed: /^"(live|stale|down)"$/,
  retry: /^"(never|backoff|after)"$/,
};

const TABLE = 'topic:text roleta_id:text roleta_nome:text';
const EVENT = `${TABLE} position:position prev:position?`;
const NUMBER = 'id:text numero:spin cor:cor timestamp:text';
const STRATEGY =
  'estado:estado numero_gatilho:trigger terminais_gatilho:spin* vitorias:count derrotas:count sugestao_display:text timestamp:text?';

/** What messages are made of. */
const PARTS: Readonly<Record<string, string>> = {
  number: NUMBER,
  strategy: STRATEGY,
  limits: 'topics:count frame_bytes:count',
  result: 'topic:text recovered:flag replayed:count? reason:text?',
  problem: 'path:text message:text',
};

/** The fields of every message, each with its kind or part; `?` may be absent or null, `*` is a list. */
const MESSAGES: Readonly<Record<ServerMessage['type'], string>> = {
  hello: 'protocol:version server:text instance:text epoch:text position:position ping_s:count auth:auth limits:limits',
  new_number: `${EVENT} ${NUMBER}`,
  number_corrected: `${EVENT} ${NUMBER}`,
  number_removed: `${EVENT} id:text`,
  strategy_update: `${EVENT} ${STRATEGY}`,
  snapshot: `${TABLE} epoch:text position:position numeros:number* estrategia:strategy? stale:flag`,
  subscribed: 'id:id? epoch:text position:position topics:result*',
  unsubscribed: 'id:id topics:text*',
  pong: 'position:position',
  authenticated: 'expires:text?',
  reset: 'topic:text reason:text epoch:text',
  table_added: TABLE,
  sync: 'position:position',
  status: 'feed:feed since:text lag_ms:count?',
  error: 'id:id? code:text message:text retry:retry retry_ms:count? problems:problem*?',
  bye: 'code:count reason:text retry_ms:count',
};

function fits(value: unknown, kind: string): boolean {
  const rest = kind.slice(0, -1);
  if (kind.endsWith('?')) return value === undefined || value === null || fits(value, rest);
  if (kind.endsWith('*')) return Array.isArray(value) && value.every((each) => fits(each, rest));
  return KINDS[kind]?.test(JSON.stringify(value)) ?? wrongField(value, PARTS[kind]) === null;
}

/** The first field that is not as agreed; null when all are. Fields beside the agreed ones are nobody's business. */
function wrongField(value: unknown, shape = ''): string | null {
  if (!isFields(value)) return '';
  for (const field of shape.split(' ')) {
    const [name = '', kind = ''] = field.split(':');
    if (!fits(value[name], kind)) return name;
  }
  return null;
}

const isKnown = (type: unknown): type is ServerMessage['type'] =>
  typeof type === 'string' && Object.hasOwn(MESSAGES, type);

function isMessage(value: Fields): value is Fields & ServerMessage {
  const type = value['type'];
  const wrong = isKnown(type) ? wrongField(value, MESSAGES[type]) : 'type';
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
