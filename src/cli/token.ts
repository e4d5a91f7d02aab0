import { parseArgs } from 'node:util';
import { errors, jwtVerify, SignJWT } from 'jose';
import { canonicalId } from '../roulette/table.ts';

export const TOKEN_USAGE = `runcash-live token make [--hours N] [--tables ID,ID] [--subject NAME]
runcash-live token check TOKEN

Makes or checks a subscriber's token with JWT_SECRET. --tables limits what it may see; --hours defaults to 24.`;

export interface TokenDeps {
  readonly secret: string | null;
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly print: (line: string) => void;
  readonly note: (line: string) => void;
}

/** The `token` command. Returns the exit code: 1 for a token that is not valid, 2 for a wrong command line. */
export async function runToken(args: readonly string[], deps: TokenDeps): Promise<number> {
  const [action, ...rest] = args;
  if (action === undefined || action === '--help') {
    deps.print(TOKEN_USAGE);
    return 0;
  }
  if (deps.secret === null || Buffer.byteLength(deps.secret) < 32) {
    deps.note('JWT_SECRET must be set, with at least 32 bytes. One way: openssl rand -hex 32');
    return 2;
  }
  const key = Buffer.from(deps.secret);
  if (action === 'check' && rest.length === 1) return await check(rest[0] ?? '', key, deps);
  if (action === 'make') return await make(rest, key, deps);
  deps.note(TOKEN_USAGE);
  return 2;
}

async function make(args: readonly string[], key: Uint8Array, deps: TokenDeps): Promise<number> {
  let values: { hours?: string; tables?: string; subject?: string };
  try {
    const text = { type: 'string' } as const;
    values = parseArgs({ args: [...args], options: { hours: text, tables: text, subject: text } }).values;
  } catch (error) {
    deps.note(`${error instanceof Error ? error.message : String(error)}\n${TOKEN_USAGE}`);
    return 2;
  }
  const hours = Number(values.hours ?? '24');
  const tables = values.tables?.split(',').map((entry) => ({ entry, id: canonicalId(entry.trim()) }));
  const unknown = tables?.filter(({ id }) => id === null).map(({ entry }) => entry) ?? [];
  if (!(hours > 0 && hours <= 24 * 366) || unknown.length > 0) {
    deps.note(
      unknown.length > 0 ? `not a table id: ${unknown.join(', ')}` : '--hours must be above 0 and at most a year',
    );
    return 2;
  }
  const jwt = new SignJWT(tables === undefined ? {} : { tables: tables.map(({ id }) => id) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000 + hours * 3600));
  if (values.subject !== undefined) jwt.setSubject(values.subject);
  if (deps.issuer !== null) jwt.setIssuer(deps.issuer);
  if (deps.audience !== null) jwt.setAudience(deps.audience);
  deps.print(await jwt.sign(key));
  return 0;
}

async function check(token: string, key: Uint8Array, deps: TokenDeps): Promise<number> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      requiredClaims: ['exp'],
      ...(deps.issuer === null ? {} : { issuer: deps.issuer }),
      ...(deps.audience === null ? {} : { audience: deps.audience }),
    });
    deps.print(JSON.stringify(payload));
    deps.note(`valid until ${new Date((payload.exp ?? 0) * 1000).toISOString()}`);
    return 0;
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    deps.note(`not valid: ${error.message}`);
    return 1;
  }
}
