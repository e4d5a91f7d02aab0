import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../../protocol/errors.ts';
import { isLocalProgram, isSameOrigin, originCheck } from '../door/address.ts';
import type { Exchange } from '../door/exchange.ts';
import type { HttpOptions, IngestKey } from './options.ts';

/** Secrets are compared as digests: equal length whatever a caller sends, and no early end tells how much was right. */
const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Credentials that came with a request. */
type Credentials =
  | { readonly scheme: 'token'; readonly token: string }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string };

/** Every credential of a request: `Authorization: Bearer`, `Authorization: Basic` (RFC 7617), `X-Api-Key`. */
function credentialsOf(exchange: Exchange): Credentials[] {
  const found: Credentials[] = [];
  const apiKey = exchange.header('x-api-key').trim();
  if (apiKey !== '') found.push({ scheme: 'token', token: apiKey });
  const match = /^(bearer|basic) +(\S+)$/i.exec(exchange.header('authorization').trim());
  if (match === null) return found;
  const [, scheme = '', text = ''] = match;
  if (scheme.toLowerCase() === 'bearer') return [...found, { scheme: 'token', token: text }];
  const decoded = Buffer.from(text, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) return found;
  return [...found, { scheme: 'basic', user: decoded.slice(0, colon), password: decoded.slice(colon + 1) }];
}

/**
 * Whether a request may see and do what is for operators. Where an admin key is set, it is always asked for; where none
 * is, a program on this machine may.
 */
type AdminCheck = (exchange: Exchange) => boolean;

export function adminCheck(adminKey: string | null): AdminCheck {
  if (adminKey === null) return (exchange) => isLocalProgram(exchange);
  const wanted = digestOf(adminKey);
  return (exchange) => {
    const secrets = credentialsOf(exchange).map((given) => (given.scheme === 'token' ? given.token : given.password));
    return secrets.map((secret) => timingSafeEqual(digestOf(secret), wanted)).includes(true);
  };
}

/** Who posts, and what for. */
export interface Caller {
  /** For logs and metrics: the name of a key, `local`, or `open`. */
  readonly key: string;
  /** What its rate and its share of pending writes count by. */
  readonly limitKey: string;
  /** Whose idempotency keys it uses; empty where callers are not told apart. */
  readonly scope: string;
  readonly mayPost: (table: string) => boolean;
  /**
   * The fingerprint of a signed body, which is the same for a replay of it; null where the secret itself came. Throws
   * `unauthorized` for a signature that does not fit. To be asked once the body is there, before it is believed.
   */
  readonly signed: (body: Uint8Array) => string | null;
}

/** Finds out who posts, from the headers alone. Throws `unauthorized` or `bad_origin`. */
type CallerCheck = (exchange: Exchange) => Caller;

/** How far the time of a signature may be from now, in either direction. */
const SIGNATURE_WINDOW_S = 300;

const unsigned = (): null => null;

/** `2010165` means itself, `2010*` everything that begins so. */
function tablesOf(patterns: readonly string[] | undefined): Caller['mayPost'] {
  if (patterns === undefined) return () => true;
  return (table) =>
    patterns.some((pattern) => (pattern.endsWith('*') ? table.startsWith(pattern.slice(0, -1)) : table === pattern));
}

/** The hex HMAC-SHA256 of `<timestamp>.<body>`, as alerts are signed. */
export const signatureOf = (secret: string, timestamp: string, body: Uint8Array): string =>
  createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex');

const refused = (message: string): ProtocolError => new ProtocolError('unauthorized', { message });

/** What signs a post: `X-Signature: sha256=<hex>`, the seconds since 1970 in `X-Timestamp`, the key's name in `X-Api-Key`. */
function signatureCheck(exchange: Exchange, secrets: readonly string[], nowMs: () => number): Caller['signed'] {
  const given = /^sha256=([0-9a-f]{64})$/i.exec(exchange.header('x-signature').trim())?.[1];
  const timestamp = exchange.header('x-timestamp').trim();
  if (given === undefined) throw refused('X-Signature must read sha256= and 64 hex digits.');
  const offS = Math.abs(nowMs() / 1000 - Number(timestamp));
  if (!/^\d{1,12}$/.test(timestamp) || offS > SIGNATURE_WINDOW_S) {
    throw refused(`X-Timestamp must be the time in seconds since 1970, at most ${SIGNATURE_WINDOW_S} s off.`);
  }
  if (exchange.headers.has('idempotency-key')) {
    const message = 'is not part of what is signed; give the object its evento_id';
    throw new ProtocolError('invalid', { problems: [{ path: 'Idempotency-Key', message }] });
  }
  return (body) => {
    const digests = secrets.map((secret) => signatureOf(secret, timestamp, body));
    const fits = digests.map((digest) => timingSafeEqual(Buffer.from(digest), Buffer.from(given.toLowerCase())));
    if (!fits.includes(true)) throw refused('X-Signature does not fit the body.');
    return given.toLowerCase();
  };
}

/** The holder of one of the keys; every key is compared, always, in constant time. */
function keyCheck(keys: readonly IngestKey[], nowMs: () => number): CallerCheck {
  const digests = keys.map((key) => ({
    key,
    secret: digestOf(key.secret),
    pair: digestOf(`${key.name}:${key.secret}`),
  }));
  const callers = new Map(
    keys.map(({ name, tables }): [string, Caller] => [
      name,
      { key: name, limitKey: name, scope: name, mayPost: tablesOf(tables), signed: unsigned },
    ]),
  );
  const nameFor = (given: Credentials): string | null => {
    const digest = digestOf(given.scheme === 'token' ? given.token : `${given.user}:${given.password}`);
    let holder: string | null = null;
    for (const { key, pair, secret } of digests) {
      const isPair = timingSafeEqual(digest, pair);
      const isSecret = timingSafeEqual(digest, secret);
      if (isPair || (isSecret && given.scheme === 'token')) holder = key.name;
    }
    return holder;
  };
  return (exchange) => {
    if (exchange.headers.has('x-signature')) {
      const name = exchange.header('x-api-key').trim();
      const secrets = keys.filter((key) => key.name === name).map(({ secret }) => secret);
      const caller = callers.get(name);
      if (caller === undefined) throw refused('A signed post names its key in X-Api-Key, without the secret.');
      return { ...caller, signed: signatureCheck(exchange, secrets, nowMs) };
    }
    const names = credentialsOf(exchange).map(nameFor);
    const caller = callers.get(names.find((name) => name !== null) ?? '');
    if (caller === undefined) throw new ProtocolError('unauthorized');
    return caller;
  };
}

/**
 * With keys: one of them must come, by Bearer or X-Api-Key (`secret` or `name:secret`) or Basic (`name`, `secret`), or
 * as a signature. Without keys: everybody if `ingestOpen`, else only a program on this machine.
 */
export function callerCheck(options: HttpOptions, nowMs: () => number = Date.now): CallerCheck {
  if (options.ingestKeys.length > 0) return keyCheck(options.ingestKeys, nowMs);
  const keyless = { scope: '', mayPost: () => true, signed: unsigned };
  // Callers without a key share a name, not an allowance.
  if (options.ingestOpen) return ({ visitor }) => ({ key: 'open', limitKey: `open ${visitor.key}`, ...keyless });
  const local: Caller = { key: 'local', limitKey: 'local', ...keyless };
  const isNamedOrigin = originCheck(options.origins.filter((entry) => entry !== '*'));
  return (exchange) => {
    if (isLocalProgram(exchange, isNamedOrigin)) return local;
    const origin = exchange.header('origin');
    if (!isNamedOrigin(origin) && !isSameOrigin(origin, exchange.header('host'))) throw new ProtocolError('bad_origin');
    throw refused('Without INGEST_KEYS only programs on this machine may post, and not through a proxy.');
  };
}
