import { errors, type JWTPayload, jwtVerify } from 'jose';
import { ProtocolError } from '../../protocol/errors.ts';
import type { JwtKey, SubscriberAuth } from '../options.ts';

/** What a valid token allows, and until when. */
export interface Grant {
  /** Milliseconds since 1970; null never ends. */
  readonly expiresMs: number | null;
  /** Canonical table ids; null is all tables. */
  readonly allowed: ReadonlySet<string> | null;
}

/** Everybody, for ever, everything. */
export const OPEN_GRANT: Grant = { expiresMs: null, allowed: null };

/** Checks one token; rejects with ProtocolError `unauthorized`, whose cause says more than the client is told. */
export type Authenticate = (token: string) => Promise<Grant>;

/** Longer ones are refused before anything is decoded. */
const MAX_TOKEN_CHARS = 8_192;

const CLOCK_TOLERANCE_S = 5;

const TABLE_ID = /^\d{7}$/;

/** The `tables` claim: absent is all tables, else 7-digit ids as strings or numbers. Anything else is no claim at all. */
function allowedTables(claim: unknown): ReadonlySet<string> | null {
  if (claim === undefined) return null;
  if (!Array.isArray(claim)) throw new ProtocolError('unauthorized', { message: 'The tables claim is not a list.' });
  const ids = claim.map((entry: unknown) => (typeof entry === 'number' ? String(entry) : entry));
  const allowed = new Set<string>();
  for (const id of ids) {
    if (typeof id !== 'string' || !TABLE_ID.test(id)) {
      throw new ProtocolError('unauthorized', { message: 'The tables claim holds something that is no table id.' });
    }
    allowed.add(id);
  }
  return allowed;
}

function grantOf(payload: JWTPayload): Grant {
  if (payload.exp === undefined) throw new ProtocolError('unauthorized', { message: 'The token has no exp claim.' });
  return { expiresMs: payload.exp * 1000, allowed: allowedTables(payload['tables']) };
}

/** The `kid` of a token's header, undefined without one. The header is not trusted for anything else. */
function keyIdOf(token: string): unknown {
  const [head = ''] = token.split('.', 1);
  const header: unknown = JSON.parse(Buffer.from(head, 'base64url').toString('utf8'));
  return typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined;
}

/**
 * Builds the check for subscriber tokens (RFC 7519). The algorithm is the key's own, never the token's choice, which
 * rules out `none` and the public-key-as-HMAC-secret confusion; `exp` is required.
 */
export function createAuthenticator(auth: SubscriberAuth): Authenticate | null {
  if (auth.mode === 'none') return null;
  const keys = auth.keys.map((key) => ({ key, material: materialOf(key) }));
  const expected = {
    requiredClaims: ['exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(auth.issuer === null ? {} : { issuer: auth.issuer }),
    ...(auth.audience === null ? {} : { audience: auth.audience }),
  };

  return async (token) => {
    if (token.length > MAX_TOKEN_CHARS) throw new ProtocolError('unauthorized');
    let cause: unknown = new Error('no key has the kid that the token names');
    try {
      const keyId = keyIdOf(token);
      const candidates = keys.filter(({ key }) => keyId === undefined || key.id === null || key.id === keyId);
      for (const { key, material } of candidates) {
        try {
          return grantOf((await jwtVerify(token, material, { ...expected, algorithms: [key.algorithm] })).payload);
        } catch (error) {
          cause = error;
          if (!(error instanceof errors.JOSEError)) throw error;
        }
      }
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      cause = error;
    }
    throw new ProtocolError('unauthorized', { cause });
  };
}

const materialOf = (key: JwtKey) => (key.algorithm === 'HS256' ? new TextEncoder().encode(key.secret) : key.publicKey);
