import { createHmac, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { OPEN_GRANT } from '../../../src/gateway/door/access.ts';
import { createAuthenticator, type TokenAuth } from '../../../src/gateway/door/jwt.ts';
import { type JwtKey, publicKey, secretKey } from '../../../src/gateway/door/jwt-keys.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const OTHER_SECRET = 'another secret of at least thirty-two bytes';
const A = '2010165';
const B = '2010097';
const B_UUID = '5d4c9c1e-0000-4000-8000-000000000097';

const jwtOf = (secret: string, claims: Record<string, unknown> = {}, expiresIn: number | null = 60, kid?: string) => {
  const token = new SignJWT(claims).setProtectedHeader({ alg: 'HS256', ...(kid === undefined ? {} : { kid }) });
  if (expiresIn !== null) token.setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn);
  return token.sign(createSecretKey(Buffer.from(secret)));
};
const jwt = (claims?: Record<string, unknown>, expiresIn?: number | null) => jwtOf(SECRET, claims, expiresIn);

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signed rightly, whatever its header and payload say. */
function crafted(header: object, payload: object | string): string {
  const body = typeof payload === 'string' ? Buffer.from(payload).toString('base64url') : part(payload);
  const input = `${part({ alg: 'HS256', ...header })}.${body}`;
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}
const LATER = 9_999_999_999;

const check = (token: string, keys: readonly JwtKey[] = [secretKey(null, SECRET)], expected = {}) => {
  const auth: TokenAuth = { mode: 'jwt', keys, jwksUrl: null, issuer: null, audience: null, ...expected };
  const tablesOf = (uuid: string) => (uuid === B_UUID ? [B] : []);
  return createAuthenticator(auth, tablesOf, { warn: () => undefined }).authenticate(token);
};

const pairs = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
};
const pemOf = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
const signed = (key: KeyObject, alg: string, kid?: string) =>
  new SignJWT({ sub: 'ana' })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .setExpirationTime('1 minute')
    .sign(key);

describe('what a token grants', () => {
  it('is named by its subject, its id and its expiry', async () => {
    const grant = await check(await jwt({ sub: 'ana', jti: 't-1' }));
    expect(grant).toMatchObject({ subject: 'ana', tokenId: 't-1' });
    expect(grant.expiresMs).toBeGreaterThan(Date.now());
    expect(await check(await jwt())).toMatchObject({ subject: null, tokenId: null });
  });

  it.each<[string, unknown, ReadonlySet<string> | null]>([
    ['all tables when there is no claim', undefined, null],
    ['all tables for "*"', ['*'], null],
    ['all tables for "*" beside others', [A, '*'], null],
    ['no table for an empty list', [], new Set()],
    ['ids, as texts and numbers', [A, 2_010_097], new Set([A, B])],
    ['prefixed and suffixed ids', [`2_${A}`, `${B}_2`], new Set([A, B])],
    ['the table of a UUID, in any case', [B_UUID.toUpperCase()], new Set([B])],
    ['nothing for the UUID of a table that nobody knows', [B_UUID.replace('97', '98')], new Set()],
    ['a table of that id, and none that is called so, for a single word', ['Alpha'], new Set(['Alpha'])],
  ])('is %s', async (_, tables, allowed) => {
    expect((await check(await jwt(tables === undefined ? {} : { tables }))).allowed).toEqual(allowed);
  });

  it.each<[string, unknown]>([
    ['a text', A],
    ['null', null],
    ['an object', { [A]: true }],
    ['true', true],
    ['a name', ['VIP Roulette']],
    ['a name beside an id', [A, 'VIP Roulette']],
    ['a pattern', ['2010*']],
    ['a nested list', [[A]]],
    ['null in the list', [A, null]],
    ['an empty text', ['']],
    ['a fraction', [2010165.5]],
  ])('is nothing at all, in words, for a tables claim that is %s', async (_, tables) => {
    await expect(check(await jwt({ tables }))).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(/tables claim/),
    });
  });
});

describe('the check of a token', () => {
  it.each([
    ['nothing like a token', async () => 'abc'],
    ['an empty token', async () => '..'],
    ['the algorithm none', async () => `${part({ alg: 'none' })}.${part({ exp: 9_999_999_999 })}.`],
    ['a changed payload', async () => (await jwt()).replace(/\.[^.]+\./, `.${part({ exp: 9_999_999_999 })}.`)],
    ['another secret', () => jwtOf(OTHER_SECRET)],
    ['a token without expiry', () => jwt({}, null)],
    ['an expiry that is no number', () => jwt({ exp: '9999999999' }, null)],
    ['a huge token', () => jwt({ junk: 'x'.repeat(9_000) })],
    ['a header that is no object', async () => `${Buffer.from('7').toString('base64url')}.e30.x`],
    ['an algorithm in other letters', async () => crafted({ alg: 'hs256' }, { exp: LATER })],
    ['a list of algorithms', async () => crafted({ alg: ['HS256'] }, { exp: LATER })],
    ['no algorithm', async () => crafted({ alg: undefined }, { exp: LATER })],
    ['a critical header that nobody knows', async () => crafted({ crit: ['x'], x: 1 }, { exp: LATER })],
    ['a payload that is not encoded', async () => crafted({ crit: ['b64'], b64: false }, { exp: LATER })],
    ['a token in a token', async () => crafted({ cty: 'JWT' }, await jwt())],
    ['a list for a payload', async () => crafted({}, [{ exp: LATER }])],
    ['an expiry of null', async () => crafted({}, { exp: null })],
    ['an expiry in a list', async () => crafted({}, { exp: [LATER] })],
    ['an expiry of 1970', async () => crafted({}, { exp: 0 })],
    ['an expiry that is no finite number', async () => crafted({}, '{"exp":1e400}')],
    ['an expiry in microseconds', async () => crafted({}, { exp: Date.now() * 1000 })],
    ['a start that is no number', async () => crafted({}, { exp: LATER, nbf: '1' })],
    ['a kid that is no text', async () => `${part({ alg: 'HS256', kid: { $ne: null } })}.${part({})}.x`],
  ])('refuses %s', async (_, make) => {
    await expect(check(await make())).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('says of a token that was signed rightly what is wrong with it, and nothing of another', async () => {
    const wordsOf = (token: string, expected = {}) =>
      check(token, undefined, expected).then(
        () => '',
        (error: Error) => error.message,
      );
    expect(await wordsOf(await jwt({}, -60))).toBe('The token expired.');
    expect(await wordsOf(await jwt({ exp: Date.now() + 60_000 }, null))).toMatch(/exp.*milliseconds.*seconds/);
    expect(await wordsOf(await jwt({ nbf: Math.floor(Date.now() / 1000) + 600 }))).toMatch(/nbf/);
    expect(await wordsOf(await jwt({ iss: 'b' }), { issuer: 'a' })).toMatch(/iss/);
    expect(await wordsOf(await jwt({ aud: 'b' }), { audience: 'a' })).toMatch(/aud/);
    expect(await wordsOf(await jwtOf(OTHER_SECRET, {}, -60))).toMatch(/missing, wrong or expired/);
  });

  it.each<[string, string]>([
    ['a fraction of a second', crafted({}, { exp: LATER + 0.5 })],
    ['a clock of its issuer that is ahead', crafted({}, { exp: LATER, iat: Math.floor(Date.now() / 1000) + 3600 })],
    [
      'an address of keys, which is not asked',
      crafted({ jku: 'http://127.0.0.1:1/', kid: '../../etc/passwd' }, { exp: LATER }),
    ],
    ['the last of two claims of a name, as JSON is read', crafted({}, `{"exp":1,"exp":${LATER}}`)],
  ])('takes %s in a token that was signed rightly', async (_, token) => {
    await expect(check(token)).resolves.toMatchObject({ allowed: null });
  });

  it('wants one of the audiences that a token names, exactly', async () => {
    const to = (aud: unknown) => check(crafted({}, { exp: LATER, aud }), undefined, { audience: 'live' });
    await expect(to(['other', 'live'])).resolves.toBeDefined();
    for (const aud of [undefined, [], ['other'], 'LIVE', { live: true }, 'live,other', ['live '], null]) {
      await expect(to(aud)).rejects.toThrow("The token's aud is not accepted.");
    }
  });

  it.each(['__proto__', 'constructor', '../keys/new', "new' OR 1=1", ''])('finds no key by the kid %j', async (kid) => {
    const keys = [secretKey('new', SECRET)];
    await expect(check(crafted({ kid: 'new' }, { exp: LATER }), keys)).resolves.toBeDefined();
    await expect(check(crafted({ kid }, { exp: LATER }), keys)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('takes each of several keys by its kid, and a token without kid by whichever fits', async () => {
    const keys = [secretKey('old', OTHER_SECRET), secretKey('new', SECRET)];
    await expect(check(await jwtOf(SECRET, {}, 60, 'new'), keys)).resolves.toBeDefined();
    await expect(check(await jwtOf(OTHER_SECRET, {}, 60, 'old'), keys)).resolves.toBeDefined();
    await expect(check(await jwtOf(SECRET), keys)).resolves.toBeDefined();
    await expect(check(await jwtOf(SECRET, {}, 60, 'old'), keys)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(check(await jwtOf(SECRET, {}, 60, 'other'), keys)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it.each([
    ['RS256', 'rsa'],
    ['RS384', 'rsa'],
    ['RS512', 'rsa'],
    ['PS256', 'rsa'],
    ['PS384', 'rsa'],
    ['PS512', 'rsa'],
    ['ES256', 'p256'],
    ['ES384', 'p384'],
    ['ES512', 'p521'],
    ['EdDSA', 'ed25519'],
  ] as const)('takes %s by a key of its kind', async (alg, kind) => {
    const { publicKey: open, privateKey } = pairs[kind];
    const token = await signed(privateKey, alg);
    expect(await check(token, [publicKey(null, pemOf(open))])).toMatchObject({ subject: 'ana' });
    expect(await check(token, [publicKey(null, pemOf(open), alg)])).toMatchObject({ subject: 'ana' });
  });

  it.each(['HS256', 'HS384', 'HS512'])('takes %s by a secret', async (alg) => {
    expect(await check(await signed(createSecretKey(Buffer.from(SECRET)), alg))).toMatchObject({ subject: 'ana' });
  });

  it('lets a key verify nothing but the algorithm that it is bound to', async () => {
    const rsa = publicKey('k', pemOf(pairs.rsa.publicKey), 'PS256');
    await expect(check(await signed(pairs.rsa.privateKey, 'PS256', 'k'), [rsa])).resolves.toBeDefined();
    await expect(check(await signed(pairs.rsa.privateKey, 'RS256', 'k'), [rsa])).rejects.toBeDefined();
    const hs512 = secretKey('k', SECRET, 'HS512');
    await expect(check(await jwtOf(SECRET, {}, 60, 'k'), [hs512])).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('never takes a public key for the secret of an HMAC', async () => {
    for (const { publicKey: open } of Object.values(pairs)) {
      const forged = await signed(createSecretKey(Buffer.from(pemOf(open))), 'HS256');
      await expect(check(forged, [publicKey(null, pemOf(open))])).rejects.toMatchObject({ code: 'unauthorized' });
    }
  });
});

describe('a token that was verified', () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('is known for a minute, while its expiry and revocation are asked each time', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const verify = vi.spyOn(crypto.subtle, 'verify');
    let nowMs = 0;
    let isRevoked = false;
    const auth = { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null } as const;
    const { authenticate } = createAuthenticator(
      auth,
      () => [],
      { warn: () => undefined },
      () => nowMs,
      () => {
        if (isRevoked) throw new ProtocolError('unauthorized', { message: 'The token was revoked.' });
      },
    );
    const token = await jwt({ sub: 'ana' }, 120);
    for (let time = 0; time < 3; time += 1) expect(await authenticate(token)).toMatchObject({ subject: 'ana' });
    expect(verify).toHaveBeenCalledTimes(1);
    // Another token that ends alike is another token.
    await expect(authenticate(`x${token}`)).rejects.toMatchObject({ code: 'unauthorized' });
    nowMs = 60_000;
    await authenticate(token);
    expect(verify).toHaveBeenCalledTimes(2);
    isRevoked = true;
    await expect(authenticate(token)).rejects.toThrow('The token was revoked.');
    isRevoked = false;
    vi.setSystemTime(Date.now() + 130_000);
    await expect(authenticate(token)).rejects.toThrow('The token expired.');
    expect(verify).toHaveBeenCalledTimes(2);
  });
});

describe('a grant', () => {
  const auth = { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null } as const;
  const grant = { ...OPEN_GRANT, subject: 'ana', expiresMs: Date.now() + 60_000 };

  it('is refused when it is looked at again after its token expired or was revoked, without verifying that anew', () => {
    let isRevoked = false;
    const checkGrant = (): void => {
      if (isRevoked) throw new ProtocolError('unauthorized', { message: 'The token was revoked.' });
    };
    const { recheck } = createAuthenticator(auth, () => [], { warn: () => undefined }, undefined, checkGrant);
    expect(() => recheck(grant)).not.toThrow();
    expect(() => recheck({ ...grant, expiresMs: Date.now() - 60_000 })).toThrow('The token expired.');
    isRevoked = true;
    expect(() => recheck(grant)).toThrow('The token was revoked.');
  });
});

describe('a key that cannot be used', () => {
  it.each([
    ['a short secret', () => secretKey(null, 'short'), /32 bytes/],
    ['a private key', () => publicKey(null, pkcs8(pairs.rsa.privateKey)), /private key/],
    ['no key at all', () => publicKey(null, 'hello'), /not a public key/],
    ['an algorithm of another kind', () => publicKey(null, pemOf(pairs.p256.publicKey), 'ES384'), /ES384.*ES256/],
    ['an HMAC with a public key', () => publicKey(null, pemOf(pairs.rsa.publicKey), 'HS256'), /HS256/],
    ['a public algorithm with a secret', () => secretKey(null, SECRET, 'RS256'), /RS256/],
    ['a curve that no algorithm has', () => publicKey(null, pemOf(generateKeyPairSync('x25519').publicKey)), /neither/],
    ['RSA of 1024 bits', () => publicKey(null, pemOf(createWeak())), /2048 bits/],
  ])('is refused in words: %s', (_, make, words) => {
    expect(make).toThrow(words);
  });
});

const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const createWeak = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
