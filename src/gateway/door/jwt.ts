import type { KeyObject } from 'node:crypto';
import { type CryptoKey, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { canonicalId, uuidTextOf } from '../../roulette/table.ts';
import { expiredMs, type Grant } from './access.ts';
import { type Attempt, createKeySet, type FindKey, type KeySet } from './jwks.ts';
import { type JwtKey, PUBLIC_ALGORITHMS } from './jwt-keys.ts';

/** How tokens are checked. */
export interface TokenAuth {
  readonly mode: 'jwt';
  /** Several at once for rotation. A token that names a `kid` is only tried with the keys of that id or of none. */
  readonly keys: readonly JwtKey[];
  /** Where a key set (RFC 7517) is fetched; null for none. */
  readonly jwksUrl: string | null;
  readonly issuer: string | null;
  readonly audience: string | null;
}

/** Who may subscribe and read: everybody, or holders of a token that one of the keys signed. */
export type SubscriberAuth = { readonly mode: 'none' } | TokenAuth;

/** Checks tokens; what is refused is ProtocolError `unauthorized`, whose cause says more than the client is told. */
export interface Authenticator {
  /** Verifies one token. */
  authenticate(token: string): Promise<Grant>;
  /** Throws for a grant that ended since it was given: its token expired, or was revoked. Costs no cryptography. */
  recheck(grant: Grant): void;
}

/** Longer ones are refused before anything is decoded. */
const MAX_TOKEN_CHARS = 8_192;

const CLOCK_TOLERANCE_S = 5;

/** Seconds since 1970 reach this in the year 5138: what is later was counted in milliseconds. */
const LATEST_EXP_S = 100_000_000_000;

const refused = (message: string): ProtocolError => new ProtocolError('unauthorized', { message });

/** The known tables of a UUID. */
type TablesOfUuid = (uuid: string) => readonly string[];

/** What an entry of the `tables` claim says: `*`, a table by its id in any spelling, or by its UUID; null for all else. */
export function readTableEntry(entry: unknown): '*' | { readonly id: string } | { readonly uuid: string } | null {
  if (entry === '*') return '*';
  const id = typeof entry === 'string' || typeof entry === 'number' ? canonicalId(entry) : null;
  // No pattern: what looks like one would be the id of a table that nobody has.
  if (id !== null) return id.includes('*') ? null : { id };
  const uuid = typeof entry === 'string' ? uuidTextOf(entry) : null;
  return uuid === null ? null : { uuid };
}

/**
 * The `tables` claim. Absent, or with `"*"` in it, it is all tables; a list names tables by id in any spelling or by
 * UUID. An empty list is no table. A name never counts, since it may change, and two tables may bear it: one that could
 * be an id is that id, and any other is refused.
 */
function allowedTables(claim: unknown, tablesOf: TablesOfUuid): ReadonlySet<string> | null {
  if (claim === undefined) return null;
  if (!Array.isArray(claim)) throw refused('The tables claim is not a list.');
  const allowed = new Set<string>();
  let all = false;
  for (const entry of claim) {
    const read = readTableEntry(entry);
    if (read === null)
      throw refused('The tables claim holds something that is neither a table id, nor a UUID, nor "*".');
    if (read === '*') all = true;
    else if ('id' in read) allowed.add(read.id);
    else for (const table of tablesOf(read.uuid)) allowed.add(table);
  }
  return all ? null : allowed;
}

function grantOf(payload: JWTPayload, tablesOf: TablesOfUuid): Grant {
  const { exp, sub, jti } = payload;
  if (exp === undefined) throw refused('The token has no exp claim.');
  if (exp >= LATEST_EXP_S) throw refused('The exp claim is in milliseconds; it must be in seconds (RFC 7519, 4.1.4).');
  const text = (claim: unknown): string | null => (typeof claim === 'string' && claim !== '' ? claim : null);
  const allowed = allowedTables(payload['tables'], tablesOf);
  return { subject: text(sub), tokenId: text(jti), expiresMs: exp * 1000, allowed };
}

/** The `kid` of a token's header, undefined without one. The header is not trusted for anything else. */
function keyIdOf(token: string): unknown {
  const [head = ''] = token.split('.', 1);
  const header: unknown = JSON.parse(Buffer.from(head, 'base64url').toString('utf8'));
  return typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined;
}

/** Tries each key with the algorithms that are bound to it. Throws the refusal that says most. */
async function verified(token: string, keys: readonly JwtKey[], set: KeySet | null, expected: JWTVerifyOptions) {
  const keyId = keyIdOf(token);
  let refusal: unknown = new Error('no key has the kid that the token names');
  const attempt = async (key: KeyObject | CryptoKey | FindKey, algorithms: readonly string[]): Promise<Attempt> => {
    const options = { ...expected, algorithms: [...algorithms] };
    try {
      // Two calls, since `jose` has two signatures.
      const { payload } = await (typeof key === 'function'
        ? jwtVerify(token, key, options)
        : jwtVerify(token, key, options));
      return { payload };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      // A wrong claim under the right key says more than another key that does not fit.
      if (!isClaimError(refusal)) refusal = error;
      return { error };
    }
  };
  for (const { id, material, algorithms } of keys) {
    if (keyId !== undefined && id !== null && id !== keyId) continue;
    const result = await attempt(material, algorithms);
    if ('payload' in result) return result.payload;
  }
  const payload = (await set?.verify((key) => attempt(key, PUBLIC_ALGORITHMS))) ?? null;
  if (payload !== null) return payload;
  throw refusal;
}

const isClaimError = (error: unknown): boolean =>
  error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed;

const EXPIRED = 'The token expired.';

/** What the holder of a token that was signed rightly is told of it; nobody else is told anything. */
function inWords(error: unknown): { readonly message?: string } {
  if (error instanceof errors.JWTExpired) return { message: EXPIRED };
  if (error instanceof errors.JWTClaimValidationFailed)
    return { message: `The token's ${error.claim} is not accepted.` };
  return {};
}

/** How long a verified token is known, and how many are: a client asks again and again with the same one. */
const KNOWN_MS = 60_000;
const MAX_KNOWN = 1_000;

/** Verifies a token once in a while: what was signed rightly stays so. Its claims are looked at each time. */
function rememberVerified(verify: (token: string) => Promise<JWTPayload>, now: () => number) {
  const known = new Map<string, { readonly payload: JWTPayload; readonly untilMs: number }>();
  const claimsOf = async (token: string): Promise<JWTPayload> => {
    const kept = known.get(token);
    if (kept !== undefined && now() < kept.untilMs) return kept.payload;
    known.delete(token);
    const payload = await verify(token);
    const [oldest] = known.keys();
    if (known.size >= MAX_KNOWN && oldest !== undefined) known.delete(oldest);
    known.set(token, { payload, untilMs: now() + KNOWN_MS });
    return payload;
  };
  return { claimsOf, forget: (): void => known.clear() };
}

/**
 * Builds the check for subscriber tokens (RFC 7519, RFC 8725). A key verifies only the algorithms that it is bound to,
 * whatever the token says of itself, which rules out `none` and the public-key-as-HMAC-secret confusion; `exp` is
 * required. `checkGrant` throws ProtocolError for what is valid and not accepted.
 */
export function createAuthenticator(
  { keys, jwksUrl, issuer, audience }: TokenAuth,
  tablesOf: TablesOfUuid,
  log: Pick<Log, 'warn'>,
  now: () => number = () => performance.now(),
  checkGrant: (grant: Grant) => void = () => undefined,
): Authenticator {
  const expected = {
    requiredClaims: ['exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(issuer === null ? {} : { issuer }),
    ...(audience === null ? {} : { audience }),
  };
  const { claimsOf, forget } = rememberVerified((token) => verified(token, keys, set, expected), now);
  const set = jwksUrl === null ? null : createKeySet(jwksUrl, log, now, forget);
  const recheck = (grant: Grant): void => {
    if (expiredMs(grant, Date.now()) > CLOCK_TOLERANCE_S * 1000) throw refused(EXPIRED);
    checkGrant(grant);
  };
  return {
    async authenticate(token) {
      if (token.length > MAX_TOKEN_CHARS) throw new ProtocolError('unauthorized');
      try {
        const grant = grantOf(await claimsOf(token), tablesOf);
        recheck(grant);
        return grant;
      } catch (error) {
        if (error instanceof ProtocolError) throw error;
        throw new ProtocolError('unauthorized', { ...inWords(error), cause: error });
      }
    },
    recheck,
  };
}
