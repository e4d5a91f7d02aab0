import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { saslprep } from '@mongodb-js/saslprep';
import { CODES } from '../codes.ts';
import { badValue, CommandError } from '../errors.ts';

/** SCRAM as MongoDB speaks it: https://www.rfc-editor.org/rfc/rfc5802 and https://www.rfc-editor.org/rfc/rfc7677 */
export const MECHANISMS = ['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

/** What is kept of a password; the texts are base64. */
export interface Credential {
  readonly iterationCount: number;
  readonly salt: string;
  readonly storedKey: string;
  readonly serverKey: string;
}

const KINDS = {
  /** Salts have the length of a digest less the four bytes that RFC 5802 adds; iterations are the server's defaults. */
  'SCRAM-SHA-1': { hash: 'sha1', keyBytes: 20, saltBytes: 16, iterations: 10_000 },
  'SCRAM-SHA-256': { hash: 'sha256', keyBytes: 32, saltBytes: 28, iterations: 15_000 },
} as const;

const derive = promisify(pbkdf2);

/** SCRAM-SHA-1 takes the digest of the former mechanism for the password, as all drivers do. */
function preparedPassword(mechanism: Mechanism, user: string, password: string): string {
  if (mechanism === 'SCRAM-SHA-1') return createHash('md5').update(`${user}:mongo:${password}`).digest('hex');
  try {
    return saslprep(password);
  } catch (cause) {
    throw badValue(`Error preflighting normalization: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** @throws CommandError 2 BadValue for a password with characters that none may have */
export async function credentialOf(mechanism: Mechanism, user: string, password: string): Promise<Credential> {
  const { hash, keyBytes, saltBytes, iterations } = KINDS[mechanism];
  const salt = randomBytes(saltBytes);
  const salted = await derive(preparedPassword(mechanism, user, password), salt, iterations, keyBytes, hash);
  const keyOf = (name: string) => createHmac(hash, salted).update(name).digest();
  return {
    iterationCount: iterations,
    salt: salt.toString('base64'),
    storedKey: createHash(hash).update(keyOf('Client Key')).digest('base64'),
    serverKey: keyOf('Server Key').toString('base64'),
  };
}

const SECRET = randomBytes(32);

/** For a name that is no user's: the same salt each time, as a user has it, and a key that no password leads to. */
export function madeUpCredential(mechanism: Mechanism, id: string): Credential {
  const { keyBytes, saltBytes, iterations } = KINDS[mechanism];
  const salt = createHmac('sha256', SECRET).update(`${mechanism} ${id}`).digest().subarray(0, saltBytes);
  const key = randomBytes(keyBytes).toString('base64');
  return { iterationCount: iterations, salt: salt.toString('base64'), storedKey: key, serverKey: key };
}

export function authenticationFailed(): CommandError {
  return new CommandError(CODES.AuthenticationFailed, 'Authentication failed.');
}

/** `a=1,b=2` as a map. */
function attributes(text: string): ReadonlyMap<string, string> {
  return new Map(text.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}

export interface ClientFirst {
  readonly user: string;
  /** The message without its header. */
  readonly bare: string;
  readonly nonce: string;
}

/** The client's first message. @throws CommandError 18 */
export function readClientFirst(payload: Buffer): ClientFirst {
  const bare = /^[ny],[^,]*,(.*)$/s.exec(payload.toString())?.[1];
  const found = attributes(bare ?? '');
  const [user, nonce] = [found.get('n'), found.get('r')];
  if (bare === undefined || user === undefined || nonce === undefined) throw authenticationFailed();
  return { user: user.replaceAll('=2C', ',').replaceAll('=3D', '='), bare, nonce };
}

/** The server's side of one authentication. */
export interface Exchange {
  /** The server's first message. */
  readonly first: Buffer;
  /** Takes the client's proof. @returns the server's own @throws CommandError 18 when the password is another */
  finish(payload: Buffer): Buffer;
}

const NONCE_BYTES = 24;

export function createExchange(mechanism: Mechanism, client: ClientFirst, credential: Credential): Exchange {
  const { hash } = KINDS[mechanism];
  const nonce = client.nonce + randomBytes(NONCE_BYTES).toString('base64');
  const first = `r=${nonce},s=${credential.salt},i=${credential.iterationCount}`;
  const storedKey = Buffer.from(credential.storedKey, 'base64');
  const serverKey = Buffer.from(credential.serverKey, 'base64');
  return {
    first: Buffer.from(first),
    finish(payload) {
      const text = payload.toString();
      const withoutProof = text.slice(0, text.lastIndexOf(',p='));
      const found = attributes(text);
      const proof = Buffer.from(found.get('p') ?? '', 'base64');
      if (found.get('r') !== nonce || proof.length !== storedKey.length) throw authenticationFailed();
      const message = `${client.bare},${first},${withoutProof}`;
      const signature = createHmac(hash, storedKey).update(message).digest();
      const clientKey = proof.map((byte, at) => byte ^ (signature[at] ?? 0));
      if (!timingSafeEqual(createHash(hash).update(clientKey).digest(), storedKey)) throw authenticationFailed();
      return Buffer.from(`v=${createHmac(hash, serverKey).update(message).digest('base64')}`);
    },
  };
}
