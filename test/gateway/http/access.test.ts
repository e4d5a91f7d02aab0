import { SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../../src/gateway/door/jwt.ts';
import { secretKey } from '../../../src/gateway/door/jwt-keys.ts';
import { createDirectory, uuidOf } from '../../../src/roulette/table.ts';
import { allRoutes, type HttpApp, rawExchange, startHttpApp } from '../../support/http-app.ts';
import { EMPTY_LOG, tableId } from '../../support/http-deps.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const A = '2010017';
const A_NAME = 'Ruleta Automática';
/** Both are called "VIP Roulette". */
const B = '2010097';
const C = '2380117';
const UNKNOWN = '2019999';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const authenticator = createAuthenticator(
  { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null },
  (uuid) => [A, B, C].filter((table) => uuidOf(tableId(table)) === uuid),
  { warn: () => undefined },
);

async function start(...[options, overrides]: Partial<Parameters<typeof startHttpApp>>): Promise<HttpApp> {
  const app = await startHttpApp(options, overrides, authenticator);
  started.push(app);
  return app;
}

const jwt = (tables?: unknown, expiresIn = 60): Promise<string> =>
  new SignJWT(tables === undefined ? {} : { tables })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn)
    .sign(new TextEncoder().encode(SECRET));

async function get(app: HttpApp, path: string, token?: string, headers: Readonly<Record<string, string>> = {}) {
  const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(app.url + path, { headers: { ...bearer, ...headers } });
  const text = await response.text();
  return { status: response.status, text, answer: JSON.parse(text), headers: response.headers };
}

/** Every address that shows something of tables. */
const READS = [
  '/api/v1/tables',
  `/api/v1/tables/${A}`,
  `/api/v1/tables/${A}/numbers`,
  `/api/v1/tables/${A}/strategy`,
  `/api/v1/tables/${A}/strategies`,
  `/api/v1/tables/${A}/stats`,
  `/api/v1/log/roulette:${A}`,
  '/api/roulettes',
  '/api/roletas',
  '/api/historical/all-roulettes',
  '/api/numbers',
  `/api/numbers?roleta_id=${A}`,
  `/api/numbers/byid/${A}`,
  `/api/numbers/${encodeURIComponent(A_NAME)}`,
];

describe('reads where subscribers need a token (access-is-per-data)', () => {
  it('are all described as such, so that none can be forgotten', () => {
    const patterns = allRoutes().flatMap(({ pattern, operations }) =>
      operations?.get?.access === 'tables' ? [pattern] : [],
    );
    const parts = (pattern: string): string[] => pattern.split('/');
    const covers = (pattern: string, path: string): boolean => {
      const there = parts(path.split('?', 1).join(''));
      return (
        parts(pattern).every((part, at) => part.startsWith(':') || part === there[at]) &&
        parts(pattern).length === there.length
      );
    };
    expect(patterns.filter((pattern) => !READS.some((path) => covers(pattern, path)))).toEqual([]);
    const others = allRoutes().flatMap(({ pattern, operations }) =>
      operations?.get !== undefined && operations.get.access === undefined ? [pattern] : [],
    );
    expect(others.filter((pattern) => pattern.startsWith('/api'))).toEqual(['/api/status']);
  });

  it.each(READS)('answer 401 without a token and with a bad or expired one: %s', async (path) => {
    const app = await start();
    for (const token of [undefined, 'bad', await jwt(undefined, -60), await jwt('2010017'), '']) {
      const { status, text, headers } = await get(app, path, token);
      expect(status).toBe(401);
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(text).not.toContain(A_NAME);
    }
  });

  it.each(READS)('answer the holder of a token for the table, privately: %s', async (path) => {
    const app = await start();
    for (const tables of [undefined, ['*'], [A], [`2_${A}`], [uuidOf(tableId(A))]]) {
      const { status, headers } = await get(app, path, await jwt(tables));
      expect(status).toBe(200);
      expect(headers.get('cache-control')).toMatch(/private|no-store/);
      expect(headers.get('cache-control')).not.toContain('public');
      expect(headers.get('vary')).toMatch(/Authorization/);
    }
  });

  it.each(READS)('show nothing of a table to the holder of a token for another: %s', async (path) => {
    const app = await start();
    for (const tables of [[C], []]) {
      const { text } = await get(app, path, await jwt(tables));
      expect(text).not.toContain(A_NAME);
      expect(text).not.toContain(`l-${A}`);
    }
  });

  it('take the token from the header or ?token=, and from no cookie or other header', async () => {
    const app = await start();
    const token = await jwt([A]);
    expect((await get(app, `/api/v1/tables/${A}?token=${token}`)).status).toBe(200);
    expect((await get(app, `/api/v1/tables/${A}`, undefined, { authorization: `bearer  ${token}` })).status).toBe(200);
    for (const [name, value] of [
      ['cookie', `token=${token}; authorization=Bearer ${token}`],
      ['x-api-key', token],
      ['x-access-token', token],
      ['x-authorization', `Bearer ${token}`],
      ['authorization', token],
      ['authorization', `Basic ${Buffer.from(`x:${token}`).toString('base64')}`],
    ] as const) {
      expect((await get(app, '/api/v1/tables', undefined, { [name]: value })).status).toBe(401);
    }
    // The header goes first: a token in the address cannot widen it.
    expect((await get(app, `/api/v1/tables?token=${await jwt()}`, token)).answer.tables).toHaveLength(1);
  });

  it('filter every list, and count what they show', async () => {
    const app = await start();
    const token = await jwt([A, C]);
    const ids = (await get(app, '/api/v1/tables', token)).answer.tables.map(
      ({ roleta_id }: { roleta_id: string }) => roleta_id,
    );
    expect(ids).toEqual([A, C]);
    expect((await get(app, '/api/roulettes', token)).answer.map(({ id }: { id: string }) => id)).toEqual([A, C]);
    expect((await get(app, '/api/numbers', token)).answer).toMatchObject({ total: 2 });
    expect((await get(app, '/api/numbers', await jwt([]))).answer).toEqual({ total: 0, skip: 0, limit: 100, data: [] });
    expect((await get(app, `/api/numbers?roleta_id=${B}`, token)).answer).toMatchObject({ total: 0 });
    expect((await get(app, `/api/numbers/byid/${B}`, token)).answer).toEqual([]);
  });

  it('INVARIANT access-is-per-data: answer the same for a table that is not there and for one that may not be seen', async () => {
    const app = await start();
    const token = await jwt([A]);
    const spellings = (id: string) => [id, `2_${id}`, `${id}_2`, uuidOf(tableId(id))];
    for (const rest of ['', '/numbers', '/strategies', '/strategy', '/stats']) {
      const hidden = spellings(B).map((id) => get(app, `/api/v1/tables/${id}${rest}`, token));
      const absent = spellings(UNKNOWN).map((id) => get(app, `/api/v1/tables/${id}${rest}`, token));
      const answers = (await Promise.all([...hidden, ...absent])).map(({ status, answer }) => [
        status,
        answer.code,
        answer.detail,
      ]);
      expect(new Set(answers.map(String)).size).toBe(1);
      expect(answers[0]?.[0]).toBe(404);
    }
  });

  it('mean by a name only the tables that may be seen', async () => {
    const app = await start();
    const path = '/api/v1/tables/VIP%20Roulette';
    expect((await get(app, path, await jwt([B]))).answer).toMatchObject({ roleta_id: B });
    const both = await get(app, path, await jwt());
    expect(both.status).toBe(400);
    expect(both.text).toContain(C);
    const none = await get(app, path, await jwt([A]));
    expect(none.status).toBe(404);
    expect(none.text).not.toMatch(new RegExp(`${B}|${C}`));
    const legacy = await get(app, '/api/numbers/VIP%20Roulette', await jwt([B]));
    expect(legacy.answer.map(({ roleta_id }: { roleta_id: string }) => roleta_id)).toEqual([B]);
  });

  it('take an id of a token for that table alone, and for none that is named like it', async () => {
    const directory = createDirectory();
    directory.learn(tableId(A), 'Lightning');
    const asked: (readonly string[])[] = [];
    const app = await start(
      {},
      {
        resolve: directory.resolve,
        readLog: (tables) => {
          asked.push([...(tables ?? [])]);
          return EMPTY_LOG;
        },
      },
    );
    const token = await jwt(['Lightning']);
    expect((await get(app, '/api/numbers', token)).answer).toMatchObject({ total: 0, data: [] });
    expect((await get(app, '/api/v1/log/roulette:*', token)).status).toBe(200);
    expect(asked).toEqual([['Lightning']]);
  });

  it.each([
    ['HEAD', `HEAD /api/v1/tables/${A} HTTP/1.1`, ''],
    ['an encoded slash', `GET /api/v1/tables%2F${A} HTTP/1.1`, ''],
    ['an encoded slash in the id', `GET /api/v1/tables/${A}%2Fnumbers HTTP/1.1`, ''],
    ['a double slash', `GET //api/v1/tables HTTP/1.1`, ''],
    ['dots', `GET /docs/../api/v1/tables HTTP/1.1`, ''],
    ['encoded dots', `GET /docs/%2e%2e/api/v1/tables HTTP/1.1`, ''],
    ['another case', `GET /API/v1/tables HTTP/1.1`, ''],
    ['a trailing slash', `GET /api/v1/tables/ HTTP/1.1`, ''],
    ['an absolute target', `GET http://x/api/v1/tables HTTP/1.1`, ''],
    ['a method override', `POST /api/v1/tables HTTP/1.1`, 'X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n'],
    ['a method override by query', `POST /api/v1/tables?_method=GET HTTP/1.1`, 'Content-Length: 0\r\n'],
    ['OPTIONS', `OPTIONS /api/v1/tables HTTP/1.1`, ''],
    [
      'a rewritten address',
      `GET /docs HTTP/1.1`,
      'X-Original-URL: /api/v1/tables\r\nX-Rewrite-URL: /api/v1/tables\r\n',
    ],
  ])('show no table to a stranger by %s', async (_, line, headers) => {
    const app = await start();
    const bytes = `${line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n${headers}\r\n`;
    const isHead = (text: string): boolean => line.startsWith('HEAD') && text.includes('\r\n\r\n');
    const answer = await rawExchange(app.port, bytes, line.startsWith('HEAD') ? isHead : undefined);
    expect(answer.text).not.toMatch(new RegExp(`${A_NAME}|"numeros"|"tables":\\[`));
    if (line.startsWith('HEAD')) expect(answer.status).toBe(401);
  });

  it('are open to everybody by the setting that says so, and by no token then', async () => {
    const app = await start({ publicReads: true });
    for (const path of READS) expect((await get(app, path)).status).toBe(200);
    expect((await get(app, '/api/v1/tables', 'bad')).answer.tables).toHaveLength(3);
  });
});
