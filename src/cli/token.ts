import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeJwt, SignJWT } from 'jose';
import { createAuthenticator, readTableEntry, type TokenAuth } from '../gateway/door/jwt.ts';
import { type JwtKey, publicKey } from '../gateway/door/jwt-keys.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { isSevenDigits, isTableId } from '../roulette/table.ts';

export const TOKEN_USAGE = `runcash-live token make [--hours N] [--tables ID,ID] [--subject NAME] [--id ID] [--kid ID] [--key FILE]
runcash-live token check TOKEN

Makes a subscriber's token, or checks one as the service does, with the keys of the configuration. make signs with
JWT_SECRET or else the first secret of JWT_KEYS; --kid names another one. For a public key in the configuration, --key
is the file of its private key (PEM); with JWKS_URL alone, --kid is the kid that the key has there. --tables limits
what the token may see: ids in any spelling or UUIDs; names are refused, since they may change. --id is its jti, by
which it can be revoked; --hours defaults to 24. check exits with 1 for a token that is not valid.`;

export interface TokenDeps {
  readonly auth: TokenAuth;
  readonly print: (line: string) => void;
  readonly note: (line: string) => void;
}

/** The command line cannot be followed; the message says why. */
class UsageError extends Error {}

/** The `token` command. Returns the exit code: 1 for a token that is not valid, 2 for a wrong command line. */
export async function runToken(args: readonly string[], deps: TokenDeps): Promise<number> {
  const [action, ...rest] = args;
  if (action === undefined || action === '--help') {
    deps.print(TOKEN_USAGE);
    return 0;
  }
  try {
    if (action === 'check' && rest.length === 1) return await check(rest[0] ?? '', deps);
    if (action === 'make') {
      deps.print(await make(rest, deps));
      return 0;
    }
    throw new UsageError(TOKEN_USAGE);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    deps.note(error.message);
    return 2;
  }
}

function optionsOf(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = { hours: text, tables: text, subject: text, id: text, kid: text, key: text };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new UsageError(`${messageOf(cause)}\n${TOKEN_USAGE}`, { cause });
  }
}

async function make(args: readonly string[], { auth, note }: TokenDeps): Promise<string> {
  const { hours: wanted = '24', tables, subject, id, kid = null, key: file } = optionsOf(args);
  const hours = Number(wanted);
  if (!(hours > 0 && hours <= 24 * 366)) throw new UsageError('--hours must be above 0 and at most a year');
  const { key, material } = file === undefined ? secretOf(auth, kid) : privateKeyOf(auth, kid, file);
  const alg = key.algorithms[0] ?? '';
  const claims = tables === undefined ? {} : { tables: tables.split(',').map((entry) => tableOf(entry.trim(), note)) };
  const jwt = new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'JWT', ...(key.id === null ? {} : { kid: key.id }) })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000 + hours * 3600));
  if (subject !== undefined) jwt.setSubject(subject);
  if (id !== undefined) jwt.setJti(id);
  if (auth.issuer !== null) jwt.setIssuer(auth.issuer);
  if (auth.audience !== null) jwt.setAudience(auth.audience);
  return await jwt.sign(material);
}

/** As the `tables` claim names a table. Whether an id is one that somebody has, nothing here knows. */
function tableOf(entry: string, note: TokenDeps['note']): string {
  const read = readTableEntry(entry);
  if (read === null) {
    const reason = 'name tables by id or UUID; a name may change, and patterns are not known';
    throw new UsageError(`--tables cannot take "${entry}": ${reason}. GET /api/v1/tables lists the ids.`);
  }
  if (read === '*') return read;
  if ('uuid' in read) return read.uuid;
  if (isTableId(read.id) && !isSevenDigits(read.id))
    note(`"${read.id}" is taken for the id of a table, not for a name`);
  return read.id;
}

interface SigningKey {
  /** What the service verifies with. */
  readonly key: JwtKey;
  readonly material: KeyObject;
}

/** A shared secret of the configuration. */
function secretOf({ keys }: TokenAuth, kid: string | null): SigningKey {
  const key = keys.find(({ id, material }) => material.type === 'secret' && (kid === null || id === kid));
  if (key !== undefined) return { key, material: key.material };
  if (kid !== null) throw new UsageError(`JWT_KEYS has no secret with the kid ${kid}`);
  throw new UsageError(
    'There is no secret to sign with: set JWT_SECRET (one way: openssl rand -hex 32), or name a private key with --key FILE.',
  );
}

/** The private half of a public key of the configuration, or of one that `JWKS_URL` has under the kid. */
function privateKeyOf(auth: TokenAuth, kid: string | null, file: string): SigningKey {
  let material: KeyObject;
  try {
    material = createPrivateKey(readFileSync(file));
  } catch (cause) {
    throw new UsageError(`${file} is not a private key in PEM: ${messageOf(cause)}`, { cause });
  }
  const half = createPublicKey(material);
  const key = auth.keys.find(
    ({ id, material: other }) => other.type === 'public' && other.equals(half) && (kid === null || id === kid),
  );
  if (key !== undefined) return { key, material };
  if (auth.jwksUrl === null) {
    throw new UsageError(
      `${file} belongs to no key of JWT_PUBLIC_KEY_FILE or JWT_KEYS${kid === null ? '' : ' with that kid'}`,
    );
  }
  return { key: publicKey(kid, half.export({ type: 'spki', format: 'pem' }).toString()), material };
}

/** Asks what the service asks of every token, apart from revocations. */
async function check(token: string, { auth, print, note }: TokenDeps): Promise<number> {
  if (auth.keys.length === 0 && auth.jwksUrl === null) {
    throw new UsageError('There is no key to check with: set JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_KEYS or JWKS_URL.');
  }
  const warn = (_event: string, fields?: Readonly<Record<string, unknown>>): void => note(JSON.stringify(fields));
  const authenticator = createAuthenticator(auth, () => [], { warn });
  try {
    const grant = await authenticator.authenticate(token);
    print(JSON.stringify(decodeJwt(token)));
    note(`valid until ${new Date(grant.expiresMs ?? 0).toISOString()}`);
    return 0;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    note(`not valid: ${error.cause instanceof Error ? error.cause.message : error.message}`);
    return 1;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
