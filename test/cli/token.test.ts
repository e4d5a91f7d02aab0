import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { runToken } from '../../src/cli/token.ts';
import { createAuthenticator } from '../../src/gateway/door/jwt.ts';
import { secretKey } from '../../src/gateway/door/jwt-keys.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes';

async function run(args: string[], secret: string | null = SECRET, issuer: string | null = null) {
  const lines: string[] = [];
  const notes: string[] = [];
  const sink = { print: (line: string) => void lines.push(line), note: (line: string) => void notes.push(line) };
  const code = await runToken(args, { secret, issuer, audience: null, ...sink });
  return { code, out: lines.join('\n'), notes: notes.join('\n') };
}

describe('runcash-live token', () => {
  it('makes a token that the service accepts, limited to the tables asked for', async () => {
    const { code, out } = await run(['make', '--tables', '2010165,2_2010033', '--hours', '2', '--subject', 'wall']);
    expect(code).toBe(0);
    const auth = { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null } as const;
    const grant = await createAuthenticator(auth, () => [], { warn: () => undefined })?.(out);
    expect(grant?.allowed).toEqual(new Set(['2010165', '2010033']));
    expect((grant?.expiresMs ?? 0) - Date.now()).toBeGreaterThan(7_100_000);
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
    expect((await run(['check', out], `${SECRET}!`)).code).toBe(1);
    expect((await run(['check', out], SECRET, 'somebody')).code).toBe(1);
    expect((await run(['check', 'nonsense'])).code).toBe(1);
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${part({ alg: 'HS256' })}.${part({ sub: 'x' })}`;
    const endless = `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
    expect((await run(['check', endless])).notes).toContain('exp');
  });

  it('says what is wrong with the command line or the secret', async () => {
    expect(await run(['make', '--tables', 'Auto Roulette'])).toMatchObject({
      code: 2,
      notes: 'not a table id: Auto Roulette',
    });
    expect(await run(['make', '--hours', '0'])).toMatchObject({ code: 2 });
    expect(await run(['make', '--days', '1'])).toMatchObject({ code: 2 });
    expect(await run(['mkae'])).toMatchObject({ code: 2 });
    expect((await run(['make'], 'short')).notes).toContain('JWT_SECRET');
    expect((await run([])).code).toBe(0);
  });
});
