import {
  type CryptoKey,
  createRemoteJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type JWTPayload,
} from 'jose';
import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';

/** Gives the key that a token's header asks for; throws an error of `jose` when there is none, or several. */
export type FindKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

/** The keys of a JWKS address (RFC 7517). */
export interface KeySet {
  /**
   * Checks a token by `attempt`, and once more with fetched keys when none has its `kid`. Null when no key fits.
   * Throws ProtocolError `not_ready` while no keys could be fetched at all: the token may be good.
   */
  verify(attempt: (key: FindKey | CryptoKey) => Promise<Attempt>): Promise<JWTPayload | null>;
}

/** The claims, or why this key did not give them. */
export type Attempt = { readonly payload: JWTPayload } | { readonly error: unknown };

/** A key that was withdrawn at its address is refused after so long, and the minute that verified tokens are known. */
const REFRESH_MS = 10 * 60_000;

/** Between two fetches, whatever tokens ask for: an unknown `kid` costs its sender nothing. */
const COOLDOWN_MS = 10_000;

const TIMEOUT_MS = 3_000;

/**
 * Keys fetched from `url` by `jose`, kept while the address is away and for ever if it stays so. They are fetched again
 * every ten minutes in use, and for an unknown `kid`, at most every ten seconds. `changed` hears that they are others now.
 */
export function createKeySet(url: string, log: Pick<Log, 'warn'>, now: () => number, changed: () => void): KeySet {
  const forEver = Number.POSITIVE_INFINITY;
  const timing = { timeoutDuration: TIMEOUT_MS, cooldownDuration: forEver, cacheMaxAge: forEver };
  const set = createRemoteJWKSet(new URL(url), timing);
  let triedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | null = null;

  async function fetchKeys(): Promise<void> {
    triedAt = now();
    const before = JSON.stringify(set.jwks());
    try {
      await set.reload();
      if (JSON.stringify(set.jwks()) !== before) changed();
    } catch (error) {
      log.warn('jwks_unavailable', { cause: error instanceof Error ? error.message : String(error) });
    } finally {
      pending = null;
    }
  }

  /** One fetch at a time, and none too soon after another. */
  function refresh(afterMs: number): Promise<void> | null {
    if (pending === null && now() - triedAt >= afterMs) pending = fetchKeys();
    return pending;
  }

  void refresh(0);

  return {
    async verify(attempt) {
      // Waited for: with keys of hours ago the first token after them would pass by a key that was withdrawn since.
      await refresh(set.jwks() === undefined ? COOLDOWN_MS : REFRESH_MS);
      if (set.jwks() === undefined) {
        const message = 'The keys for tokens cannot be fetched now; try again.';
        throw new ProtocolError('not_ready', { message, retryMs: COOLDOWN_MS });
      }
      let result = await attempt(set);
      if ('error' in result && result.error instanceof errors.JWKSNoMatchingKey) {
        const fetched = refresh(COOLDOWN_MS);
        if (fetched !== null) {
          await fetched;
          result = await attempt(set);
        }
      }
      if ('error' in result && result.error instanceof errors.JWKSMultipleMatchingKeys) {
        for await (const key of result.error) {
          result = await attempt(key);
          if ('payload' in result) break;
        }
      }
      return 'payload' in result ? result.payload : null;
    },
  };
}
