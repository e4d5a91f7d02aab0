/** What a caller should do about an error: give up, wait and repeat the same, or repeat after `retry_ms`. */
export type Retry = 'never' | 'backoff' | 'after';

interface ErrorEntry {
  /** HTTP status of a problem+json answer with this code. */
  readonly status: number;
  readonly retry: Retry;
  /** One English sentence; callers switch on the code, never on the text. */
  readonly text: string;
}

/** Every error code of the product, on every transport. A code never changes its meaning. */
export const ERRORS = {
  bad_json: { status: 400, retry: 'never', text: 'The body or frame is not valid JSON.' },
  invalid: { status: 400, retry: 'never', text: 'The request has problems; each is named by its path.' },
  unknown_type: { status: 400, retry: 'never', text: 'No frame of this type exists in protocol 1.' },
  unknown_topic: { status: 404, retry: 'never', text: 'This is no topic.' },
  unknown_table: { status: 404, retry: 'never', text: 'No table has this id, name or UUID.' },
  too_many_topics: { status: 400, retry: 'never', text: 'The connection would hold more topics than allowed.' },
  unauthorized: { status: 401, retry: 'never', text: 'Credentials are missing, wrong or expired.' },
  forbidden: { status: 403, retry: 'never', text: 'These credentials do not allow this.' },
  bad_origin: { status: 403, retry: 'never', text: 'Pages of this origin may not connect.' },
  not_found: { status: 404, retry: 'never', text: 'There is nothing at this address.' },
  method_not_allowed: { status: 405, retry: 'never', text: 'This address does not take this method.' },
  conflict: { status: 409, retry: 'never', text: 'The same key was stored before with other content.' },
  gone: { status: 410, retry: 'never', text: 'The log does not reach back to this offset; read the state anew.' },
  body_too_large: { status: 413, retry: 'never', text: 'The body is larger than allowed.' },
  unsupported_media_type: { status: 415, retry: 'never', text: 'The body must be application/json.' },
  wrong_host: { status: 421, retry: 'never', text: 'This server does not answer for that host.' },
  upgrade_required: { status: 426, retry: 'never', text: 'This address speaks WebSocket, version 13.' },
  rate_limited: { status: 429, retry: 'after', text: 'Too many requests; wait and repeat.' },
  overloaded: { status: 429, retry: 'after', text: 'Too many writes are waiting; repeat with the same key.' },
  headers_too_large: { status: 431, retry: 'never', text: 'The request headers are larger than allowed.' },
  internal: { status: 500, retry: 'backoff', text: 'The service failed; the cause is in its log.' },
  database_refused: { status: 500, retry: 'never', text: 'MongoDB refuses this until its operator changes a setting.' },
  over_capacity: { status: 503, retry: 'after', text: 'The service holds as many connections as it may.' },
  not_ready: { status: 503, retry: 'after', text: 'The service has not caught up with the database yet.' },
  draining: { status: 503, retry: 'after', text: 'This instance is stopping; connect again.' },
  database_unavailable: { status: 503, retry: 'after', text: 'MongoDB takes no writes now; repeat with the same key.' },
  write_unknown: { status: 504, retry: 'after', text: 'MongoDB did not confirm in time; repeat with the same key.' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One thing wrong with a request: where (`topics.0.after`), and what. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** An error with a code of the table, to be answered to whoever caused it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];
  /** Milliseconds to wait before repeating, for codes with retry `after`. */
  readonly retryMs: number | undefined;

  constructor(
    code: ErrorCode,
    options: { message?: string; problems?: readonly Problem[]; retryMs?: number; cause?: unknown } = {},
  ) {
    super(options.message ?? ERRORS[code].text, { cause: options.cause });
    this.code = code;
    this.problems = options.problems ?? [];
    this.retryMs = options.retryMs;
  }
}

interface CloseEntry {
  readonly retry: Retry;
  readonly text: string;
}

/** Close codes of this protocol, by name; 4000-4999 are free for applications (RFC 6455, 7.4.2). */
export const CLOSE = {
  badFrame: 4000,
  protocolVersion: 4001,
  origin: 4003,
  authFailed: 4004,
  revoked: 4005,
  removed: 4006,
  tooManyErrors: 4009,
  slowConsumer: 4100,
  overCapacity: 4101,
  addressCapacity: 4102,
  flood: 4103,
  silent: 4104,
  tokenExpired: 4105,
  draining: 4200,
  lifetime: 4201,
  tablesChanged: 4202,
} as const;

/** What each close code means to who meets it: 4000-4099 do not reconnect, 4100-4199 back off, 4200-4299 reconnect after `retry_ms`. */
export const CLOSES = {
  [CLOSE.badFrame]: { retry: 'never', text: 'bad frame' },
  [CLOSE.protocolVersion]: { retry: 'never', text: 'protocol version' },
  [CLOSE.origin]: { retry: 'never', text: 'origin' },
  [CLOSE.authFailed]: { retry: 'never', text: 'auth failed' },
  [CLOSE.revoked]: { retry: 'never', text: 'token revoked' },
  [CLOSE.removed]: { retry: 'never', text: 'closed by the operator' },
  [CLOSE.tooManyErrors]: { retry: 'never', text: 'too many errors' },
  [CLOSE.slowConsumer]: { retry: 'backoff', text: 'slow consumer' },
  [CLOSE.overCapacity]: { retry: 'backoff', text: 'over capacity' },
  [CLOSE.addressCapacity]: { retry: 'backoff', text: 'too many from this address' },
  [CLOSE.flood]: { retry: 'backoff', text: 'flood' },
  [CLOSE.silent]: { retry: 'backoff', text: 'silent' },
  [CLOSE.tokenExpired]: { retry: 'backoff', text: 'token expired' },
  [CLOSE.draining]: { retry: 'after', text: 'draining or behind' },
  [CLOSE.lifetime]: { retry: 'after', text: 'maximum lifetime' },
  [CLOSE.tablesChanged]: { retry: 'after', text: 'the new token names other tables' },
} as const satisfies Record<number, CloseEntry>;

export type CloseCode = keyof typeof CLOSES;
