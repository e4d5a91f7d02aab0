import { afterEach, describe, expect, it, vi } from 'vitest';
import { signatureOf } from '../../../src/gateway/http/callers.ts';
import { type HttpApp, startHttpApp } from '../../support/http-app.ts';

const started: HttpApp[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const app of started.splice(0)) app.stop();
});

const A = { name: 'a', secret: 'first-secret-0123' };
const B = { name: 'b', secret: 'second-secret-4567' };
const TABLE = '2010165';

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp({ ingestKeys: [A, B], ...options }, overrides);
  started.push(app);
  return app;
};

async function post(
  app: HttpApp,
  key: { readonly secret: string } | null,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  path = '/api/v1/numbers',
) {
  const secret = key === null ? {} : { 'x-api-key': key.secret };
  const response = await fetch(app.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...secret, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, answer: JSON.parse(await response.text()), headers: response.headers };
}

const under = (key: string) => ({ 'idempotency-key': key });

describe('idempotency keys', () => {
  it('of one caller are not in the way of another, who would get 409 for ever or a duplicate of nothing', async () => {
    const app = await start();
    const posts = [
      await post(app, A, { roleta_id: TABLE, numero: 1 }, under('round-4711')),
      await post(app, B, { roleta_id: TABLE, numero: 17 }, under('round-4711')),
      await post(app, A, { roleta_id: TABLE, numero: 5 }, under('round-4712')),
      await post(app, B, { roleta_id: TABLE, numero: 5 }, under('round-4712')),
      await post(app, A, { roleta_id: TABLE, numero: 2, rodada_id: 'r77' }),
      await post(app, B, { roleta_id: TABLE, numero: 31, rodada_id: 'r77' }),
      await post(app, A, { roleta_id: TABLE, numero: 4, evento_id: 'r77' }),
      await post(app, B, { roleta_id: TABLE, numero: 9, evento_id: 'ev-1' }, {}),
      await post(app, A, { roleta_id: TABLE, numero: 8 }, under('ev-1')),
    ];
    expect(posts.map(({ status }) => status)).toEqual(posts.map(() => 201));
    expect(app.deps.stored.size).toBe(posts.length);
  });

  it('of one caller still say that the same came before, and 409 when it did not', async () => {
    const app = await start();
    const spin = { roleta_id: TABLE, numero: 1 };
    expect((await post(app, A, spin, under('k'))).status).toBe(201);
    expect((await post(app, A, { ...spin, numero: 2 }, under('k'))).status).toBe(409);
  });

  it('cannot be made to look like the content of what another caller posts', async () => {
    const app = await start();
    const at = Date.now();
    expect((await post(app, A, { roleta_id: TABLE, numero: 3 }, under(`17@${at}`))).status).toBe(201);
    expect((await post(app, A, { roleta_id: TABLE, numero: 3, evento_id: `17@${at}` })).status).toBe(201);
    expect((await post(app, B, { roleta_id: TABLE, numero: 17, timestamp: at })).status).toBe(201);
  });

  it('hold over both secrets of one name, so that a rotation repeats nothing', async () => {
    const next = { name: 'a', secret: 'third-secret-89ab' };
    const app = await start({ ingestKeys: [A, next, B] });
    const spin = { roleta_id: TABLE, numero: 1, timestamp: 1_790_000_000_000 };
    expect((await post(app, A, spin, under('k'))).status).toBe(201);
    expect((await post(app, next, spin, under('k'))).answer).toMatchObject({ status: 'duplicate' });
  });
});

describe('a key that is limited to tables', () => {
  const keys = { ingestKeys: [{ ...A, tables: ['2010*', '2380117'] }, B] };

  it('posts for these by every spelling and on every address, and for no other', async () => {
    const app = await start(keys);
    const paths = ['/api/v1/numbers', '/api/numbers'] as const;
    for (const path of paths) {
      for (const roleta_id of [TABLE, 2_010_166, `2_${TABLE}`, '2380117']) {
        expect((await post(app, A, { roleta_id, numero: 7 }, {}, path)).status).toBe(201);
      }
      for (const roleta_id of ['2380118', 2_020_165, '2_2020165', '2380117']) {
        const { status, answer } = await post(app, roleta_id === '2380117' ? B : A, { roleta_id, numero: 7 }, {}, path);
        if (roleta_id === '2380117') expect(status).toBe(201);
        else expect([status, answer.code]).toEqual([403, 'forbidden']);
      }
    }
    const event = (roleta_id: string) => ({ event: 'new_number', data: { roleta_id, numero: 7 } });
    expect((await post(app, A, event(TABLE), {}, '/emit-event')).status).toBe(200);
    expect((await post(app, A, event('2380118'), {}, '/emit-event')).status).toBe(403);
    const strategy = (roleta_id: string) => ({ roleta_id, estado: 'MORTO' });
    expect((await post(app, A, strategy(TABLE), {}, '/api/v1/strategies')).status).toBe(201);
    expect((await post(app, A, strategy('2380118'), {}, '/api/v1/strategies')).status).toBe(403);
  });

  it('stores what it may of an array, and is told of the rest', async () => {
    const app = await start(keys);
    const body = [TABLE, '2380118', '2380117'].map((roleta_id) => ({ roleta_id, numero: 7 }));
    const { status, answer } = await post(app, A, body);
    expect(status).toBe(207);
    expect(answer.map(({ http }: { http: number }) => http)).toEqual([201, 403, 201]);
    expect(app.deps.outcomes.filter(({ outcome }) => outcome === 'forbidden')).toHaveLength(1);
  });

  it('means by a name the tables that it may post for, and learns of no others', async () => {
    const app = await start({ ingestKeys: [{ ...A, tables: ['2380*'] }, B] });
    const vip = { roleta_nome: 'VIP Roulette', numero: 7 };
    expect((await post(app, A, vip)).status).toBe(201);
    expect((await post(app, B, vip)).status).toBe(400);
    const hidden = await post(app, A, { roleta_nome: 'Ruleta Automática', numero: 7 });
    const absent = await post(app, A, { roleta_nome: 'Nenhuma', numero: 7 });
    expect(hidden.answer.problems).toEqual(absent.answer.problems);
  });
});

describe('the rate of a key', () => {
  it('is its own: one that posts too much is refused, another is not', async () => {
    const app = await start({ ingestPerSecond: 1, ingestBurst: 10 });
    const ten = Array.from({ length: 10 }, (_, at) => ({ roleta_id: TABLE, numero: 7, evento_id: at }));
    expect((await post(app, A, ten)).status).toBe(207);
    const refused = await post(app, A, { roleta_id: TABLE, numero: 7 });
    expect(refused.status).toBe(429);
    expect(refused.answer).toMatchObject({ code: 'rate_limited', retry_ms: expect.any(Number) });
    expect((await post(app, B, { roleta_id: TABLE, numero: 7 })).status).toBe(201);
  });

  it('holds for posts that come together: the burst is let in once, not once for each connection', async () => {
    // Slow enough that nothing is given back meanwhile.
    const app = await start({ ingestPerSecond: 0.001, ingestBurst: 10 });
    const ten = (of: number) =>
      Array.from({ length: 10 }, (_, at) => ({ roleta_id: TABLE, numero: 7, evento_id: `${of}-${at}` }));
    const answers = await Promise.all(Array.from({ length: 8 }, (_, of) => post(app, A, ten(of))));
    expect(answers.map(({ status }) => status).sort()).toEqual([207, 429, 429, 429, 429, 429, 429, 429]);
  });

  it('counts what it posts, whether it can be stored or not', async () => {
    const limits = { ingestPerSecond: 0.001, ingestBurst: 10 };
    const wrong = Array.from({ length: 10 }, () => ({ numero: 99 }));
    for (const body of [wrong, `[${'1,'.repeat(1_300)}`]) {
      const app = await start(limits);
      expect((await post(app, A, body)).status).toBe(typeof body === 'string' ? 400 : 207);
      expect((await post(app, A, { roleta_id: TABLE, numero: 7 })).status).toBe(429);
      expect((await post(app, B, { roleta_id: TABLE, numero: 7 })).status).toBe(201);
      expect(app.deps.outcomes.filter(({ outcome }) => outcome === 'rate_limited')).toHaveLength(1);
    }
  });

  it('may differ from key to key', async () => {
    const app = await start({
      ingestKeys: [
        { ...A, perSecond: 0 },
        { ...B, perSecond: 1 },
      ],
      ingestBurst: 1,
    });
    const spin = () => ({ roleta_id: TABLE, numero: 7 });
    for (let times = 0; times < 5; times += 1) expect((await post(app, A, spin())).status).toBe(201);
    expect((await post(app, B, spin())).status).toBe(201);
    expect((await post(app, B, spin())).status).toBe(429);
  });

  it('refuses before the body is read: what it holds is not even looked at', async () => {
    const app = await start({ ingestPerSecond: 1, ingestBurst: 1 });
    expect((await post(app, A, { roleta_id: TABLE, numero: 7 })).status).toBe(201);
    expect((await post(app, A, '{"not json')).status).toBe(429);
  });
});

describe('the share of writes that may wait', () => {
  it('leaves room for a key while another has taken all of its own', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let waiting = 0;
    const app = await start(
      { maxPendingWrites: 1000, ingestPerSecond: 0 },
      {
        insertNumbers: async (items) => {
          waiting += items.length;
          await held;
          return items.map(({ id }) => ({ status: 'created', id }));
        },
      },
    );
    const spins = (count: number) => Array.from({ length: count }, () => ({ roleta_id: TABLE, numero: 7 }));
    const first = post(app, A, spins(500));
    await expect.poll(() => waiting).toBe(500);
    expect((await post(app, A, spins(1))).answer).toMatchObject({
      code: 'overloaded',
    });
    const other = post(app, B, { roleta_id: TABLE, numero: 7 });
    await expect.poll(() => waiting).toBe(501);
    release();
    expect((await first).status).toBe(207);
    expect((await other).status).toBe(201);
  });
});

describe('a signed post', () => {
  const seconds = (): string => String(Math.floor(Date.now() / 1000));
  const signed = (key: typeof A, body: string, timestamp = seconds(), extra = {}) => ({
    'x-api-key': key.name,
    'x-timestamp': timestamp,
    'x-signature': `sha256=${signatureOf(key.secret, timestamp, Buffer.from(body))}`,
    ...extra,
  });
  const body = JSON.stringify({ roleta_id: TABLE, numero: 7 });

  it('is taken without its secret ever being sent', async () => {
    const app = await start();
    expect((await post(app, null, body, signed(A, body))).status).toBe(201);
    expect(app.deps.outcomes).toEqual([{ kind: 'number', key: 'a', outcome: 'created' }]);
  });

  it('stores nothing more when somebody sends it again, on whichever address for numbers', async () => {
    const app = await start();
    const headers = signed(A, body);
    expect((await post(app, null, body, headers)).status).toBe(201);
    await post(app, null, body, headers);
    await post(app, null, body, headers, '/api/numbers');
    expect(app.deps.stored.size).toBe(1);
  });

  it.each<[string, (app: HttpApp) => Promise<{ status: number }>]>([
    ['of another body', (app) => post(app, null, body.replace('7', '8'), signed(A, body))],
    ['of another key', (app) => post(app, null, body, { ...signed(A, body), 'x-api-key': 'b' })],
    ['of an unknown key', (app) => post(app, null, body, { ...signed(A, body), 'x-api-key': 'c' })],
    [
      'of another time',
      (app) => post(app, null, body, { ...signed(A, body), 'x-timestamp': String(Number(seconds()) - 5) }),
    ],
    ['that is too old', (app) => post(app, null, body, signed(A, body, String(Number(seconds()) - 301)))],
    ['that is of the future', (app) => post(app, null, body, signed(A, body, String(Number(seconds()) + 310)))],
    ['whose time is in milliseconds', (app) => post(app, null, body, signed(A, body, String(Date.now())))],
    ['whose time is no number', (app) => post(app, null, body, signed(A, body, 'now'))],
    ['without a time', (app) => post(app, null, body, { ...signed(A, body), 'x-timestamp': '' })],
    ['that is cut', (app) => post(app, null, body, { ...signed(A, body), 'x-signature': 'sha256=00' })],
    ['of another method', (app) => post(app, null, body, { ...signed(A, body), 'x-signature': 'md5=00' })],
    ['that is empty, beside the secret', (app) => post(app, A, body, { 'x-signature': '' })],
  ])('is refused for a signature %s', async (_, send) => {
    const app = await start();
    expect((await send(app)).status).toBe(401);
    expect(app.deps.stored.size).toBe(0);
    expect(app.deps.unauthorizedRoutes).toEqual(['/api/v1/numbers']);
  });

  it('brings no Idempotency-Key, which is not signed', async () => {
    const app = await start();
    expect((await post(app, null, body, signed(A, body, undefined, under('k')))).status).toBe(400);
  });

  it('is held to the tables of its key', async () => {
    const app = await start({ ingestKeys: [{ ...A, tables: ['2380*'] }] });
    expect((await post(app, null, body, signed(A, body))).status).toBe(403);
  });
});
