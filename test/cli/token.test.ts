import { createHmac, generateKeyPairSync, type KeyPairKeyObjectResult, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { runToken } from '../../src/cli/token.ts';
import type { Grant } from '../../src/gateway/door/access.ts';
import { createAuthenticator, type TokenAuth } from '../../src/gateway/door/jwt.ts';
import { type JwtKey, publicKey, secretKey } from '../../src/gateway/door/jwt-keys.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes';

const authOf = (keys: readonly JwtKey[], issuer: string | null = null): TokenAuth => ({
  mode: 'jwt',
  keys,
  jwksUrl: null,
  issuer,
  audience: null,
});

async function run(args: string[], auth: TokenAuth = authOf([secretKey(null, SECRET)])) {
  const lines: string[] = [];
  const notes: string[] = [];
  const sink = { print: (line: string) => void lines.push(line), note: (line: string) => void notes.push(line) };
  const code = await runToken(args, { auth, ...sink });
  return { code, out: lines.join('\n'), notes: notes.join('\n') };
}

const accepted = async (auth: TokenAuth, token: string): Promise<Grant> =>
  await createAuthenticator(auth, () => [], { warn: () => undefined }).authenticate(token);

/** A key pair: the private half in a file, the public one as the service has it. */
function pair(id: string | null, { publicKey: open, privateKey: closed }: KeyPairKeyObjectResult) {
  const file = join(folder, `${id}-${randomUUID()}.pem`);
  writeFileSync(file, closed.export({ type: 'pkcs8', format: 'pem' }));
  return { file, key: publicKey(id, open.export({ type: 'spki', format: 'pem' }).toString()) };
}

const folder = mkdtempSync(join(tmpdir(), 'runcash-token-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('runcash-live token', () => {
  it.each([
    ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['EdDSA', generateKeyPairSync('ed25519')],
  ])('signs with the private half of a configured public key: %s', async (alg, keys) => {
    const { file, key } = pair('2026', keys);
    const auth = authOf([secretKey(null, SECRET), key]);
    const { code, out } = await run(['make', '--key', file, '--id', 't-1'], auth);
    expect(code).toBe(0);
    expect(decodeProtectedHeader(out)).toMatchObject({ alg, kid: '2026' });
    expect(await accepted(authOf([key]), out)).toMatchObject({ tokenId: 't-1' });
    expect((await run(['check', out], auth)).code).toBe(0);
    expect((await run(['check', out])).code).toBe(1);
  });

  it('signs with the first secret of the configuration, or with the one that --kid names', async () => {
    const auth = authOf([secretKey('old', SECRET), secretKey('new', `${SECRET}!`, 'HS512')]);
    expect(decodeProtectedHeader((await run(['make'], auth)).out)).toMatchObject({ alg: 'HS256', kid: 'old' });
    const { out } = await run(['make', '--kid', 'new'], auth);
    expect(decodeProtectedHeader(out)).toMatchObject({ alg: 'HS512', kid: 'new' });
    expect((await run(['check', out], auth)).code).toBe(0);
  });

  it('makes no token that the service would refuse: its private key must belong to a configured one', async () => {
    const mine = pair('a', generateKeyPairSync('ed25519'));
    const other = pair('b', generateKeyPairSync('ed25519'));
    expect(await run(['make', '--key', other.file], authOf([mine.key]))).toMatchObject({ code: 2, out: '' });
    expect((await run(['make', '--key', mine.file, '--kid', 'b'], authOf([mine.key]))).code).toBe(2);
    const set = { ...authOf([]), jwksUrl: 'http://127.0.0.1:9/' };
    const { out } = await run(['make', '--key', other.file, '--kid', 'b'], set);
    expect(decodeProtectedHeader(out)).toMatchObject({ alg: 'EdDSA', kid: 'b' });
  });

  it('makes a token that the service accepts, limited to the tables asked for', async () => {
    const { code, out } = await run(['make', '--tables', '2010165,2_2010033', '--hours', '2', '--subject', 'wall']);
    expect(code).toBe(0);
    const grant = await accepted(authOf([secretKey(null, SECRET)]), out);
    expect(grant).toMatchObject({ allowed: new Set(['2010165', '2010033']), subject: 'wall' });
    expect((grant.expiresMs ?? 0) - Date.now()).toBeGreaterThan(7_100_000);
  });

  it('takes ids, their other spellings, UUIDs and the star for tables', async () => {
    const uuid = '5D4C9C1E-0000-4000-8000-000000000097';
    const { out, notes } = await run(['make', '--tables', `2_2010165, ${uuid} ,*`]);
    expect(decodeJwt(out)['tables']).toEqual(['2010165', uuid.toLowerCase(), '*']);
    expect(notes).toBe('');
  });

  it.each(['Auto Roulette', '2010*', '', '2010165,'])('refuses "%s" for tables in words', async (tables) => {
    const { code, out, notes } = await run(['make', '--tables', tables]);
    expect([code, out]).toEqual([2, '']);
    expect(notes).toMatch(/^--tables cannot take ".*": name tables by id or UUID/);
  });

  it('says that what may be a name is taken for an id', async () => {
    const { out, notes } = await run(['make', '--tables', 'lightning-1']);
    expect(decodeJwt(out)['tables']).toEqual(['lightning-1']);
    expect(notes).toBe('"lightning-1" is taken for the id of a table, not for a name');
  });

  it('checks a token', async () => {
    const { out } = await run(['make']);
    const { code, out: payload, notes } = await run(['check', out]);
    expect(code).toBe(0);
    expect(JSON.parse(payload)).toEqual({ iat: expect.any(Number), exp: expect.any(Number) });
    expect(notes).toMatch(/^valid until \d{4}-/);
  });

  it('refuses a token of another secret, of another issuer, without expiry, or no token at all', async () => {
    const { out } = await run(['make']);
    expect((await run(['check', out], authOf([secretKey(null, `${SECRET}!`)]))).code).toBe(1);
    expect((await run(['check', out], authOf([secretKey(null, SECRET)], 'somebody'))).code).toBe(1);
    expect((await run(['check', 'nonsense'])).code).toBe(1);
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${part({ alg: 'HS256' })}.${part({ sub: 'x' })}`;
    const endless = `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
    expect((await run(['check', endless])).notes).toContain('exp');
  });

  it('says what is wrong with the command line or the secret', async () => {
    expect(await run(['make', '--hours', '0'])).toMatchObject({ code: 2 });
    expect(await run(['make', '--days', '1'])).toMatchObject({ code: 2 });
    expect(await run(['mkae'])).toMatchObject({ code: 2 });
    expect((await run(['make'], authOf([]))).notes).toContain('JWT_SECRET');
    expect((await run(['check', 'a.b.c'], authOf([]))).notes).toContain('JWT_SECRET');
    expect((await run(['make', '--kid', 'none'])).notes).toContain('none');
    expect((await run(['make', '--key', '/nowhere.pem'])).notes).toContain('/nowhere.pem');
    expect((await run([])).code).toBe(0);
  });
});
