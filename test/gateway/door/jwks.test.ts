import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeySet } from '../../../src/gateway/door/jwks.ts';
import { type Authenticator, createAuthenticator } from '../../../src/gateway/door/jwt.ts';

/** An address that serves keys, and that can be away. */
interface KeyServer {
  keys: object[];
  away: boolean;
  asked: number;
}

const pairOf = (kid: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' }, privateKey };
};
const signed = (key: KeyObject, kid?: string, alg = 'ES256') =>
  new SignJWT({ sub: 'ana' })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .setExpirationTime('1 minute')
    .sign(key);

describe('keys from a JWKS address', () => {
  const first = pairOf('first');
  const second = pairOf('second');
  let server: Server;
  let served: KeyServer;
  let url: string;
  let lines: string[];
  let nowMs: number;

  beforeEach(async () => {
    served = { keys: [first.jwk], away: false, asked: 0 };
    lines = [];
    nowMs = 0;
    server = createServer((_, response) => {
      served.asked += 1;
      response.writeHead(served.away ? 503 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ keys: served.keys }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    url = `http://127.0.0.1:${address.port}/jwks.json`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const log = { warn: (event: string) => void lines.push(event) };
  const authenticator = (): Authenticator['authenticate'] => {
    const auth = { mode: 'jwt', keys: [], jwksUrl: url, issuer: null, audience: null } as const;
    return createAuthenticator(
      auth,
      () => [],
      log,
      () => nowMs,
    ).authenticate;
  };

  it('verify tokens, fetched once for any number of them', async () => {
    const check = authenticator();
    const token = await signed(first.privateKey, 'first');
    for (const grant of await Promise.all([check(token), check(token), check(token)])) {
      expect(grant.subject).toBe('ana');
    }
    expect(served.asked).toBe(1);
  });

  it('are fetched again for an unknown kid, but not for every token that names one', async () => {
    const check = authenticator();
    await check(await signed(first.privateKey, 'first'));
    served.keys = [first.jwk, second.jwk];
    nowMs = 11_000;
    expect(await check(await signed(second.privateKey, 'second'))).toMatchObject({ subject: 'ana' });
    expect(served.asked).toBe(2);
    for (let at = 0; at < 20; at += 1) {
      const stranger = await signed(second.privateKey, `stranger-${at}`);
      await expect(check(stranger)).rejects.toMatchObject({ code: 'unauthorized' });
    }
    expect(served.asked).toBe(2);
  });

  it('are kept while the address is away, which is asked no more often for that', async () => {
    const check = authenticator();
    const token = await signed(first.privateKey, 'first');
    await check(token);
    served.away = true;
    for (const minutes of [11, 22, 24 * 60]) {
      nowMs = minutes * 60_000;
      await expect(check(token)).resolves.toMatchObject({ subject: 'ana' });
      await expect(check(await signed(second.privateKey, 'second'))).rejects.toMatchObject({ code: 'unauthorized' });
    }
    expect(served.asked).toBe(4);
    expect(lines).toEqual(['jwks_unavailable', 'jwks_unavailable', 'jwks_unavailable']);
  });

  it('end with their withdrawal: a token after hours without any is refused at the first try', async () => {
    const check = authenticator();
    const token = await signed(first.privateKey, 'first');
    await check(token);
    served.keys = [second.jwk];
    nowMs = 3 * 3_600_000;
    await expect(check(token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('end with their withdrawal also for tokens that are known, once another kid made them fetched again', async () => {
    const check = authenticator();
    const token = await signed(first.privateKey, 'first');
    await check(token);
    served.keys = [second.jwk];
    nowMs = 11_000;
    await check(await signed(second.privateKey, 'second'));
    await expect(check(token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('are a reason to come back, not to give up, while they could never be fetched', async () => {
    served.away = true;
    const check = authenticator();
    const token = await signed(first.privateKey, 'first');
    await expect(check(token)).rejects.toMatchObject({ code: 'not_ready', retryMs: 10_000 });
    served.away = false;
    nowMs = 11_000;
    await expect(check(token)).resolves.toMatchObject({ subject: 'ana' });
  });

  it('verify tokens without a kid by whichever of them fits', async () => {
    served.keys = [first.jwk, second.jwk];
    const check = authenticator();
    await expect(check(await signed(second.privateKey))).resolves.toMatchObject({ subject: 'ana' });
    await expect(check(await signed(pairOf('x').privateKey))).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('never verify an HMAC, also when the set holds a symmetric key', async () => {
    const secret = Buffer.from('a secret of more than thirty-two bytes');
    served.keys = [{ kty: 'oct', k: secret.toString('base64url'), kid: 'first', alg: 'HS256' }, first.jwk];
    const forged = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256', kid: 'first' })
      .setExpirationTime('1 minute')
      .sign(secret);
    await expect(authenticator()(forged)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('are no keys when the address answers something else', async () => {
    const set = createKeySet(
      `${url}#other`,
      log,
      () => nowMs,
      () => undefined,
    );
    served.keys = [];
    await expect(set.verify(async () => ({ error: new Error('unused') }))).resolves.toBeNull();
  });
});
