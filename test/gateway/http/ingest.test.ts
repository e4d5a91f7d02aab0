import { afterEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { LIVE } from '../../support/http-deps.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp(options, overrides);
  started.push(app);
  return app;
};

const post = async (app: HttpApp, path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(app.url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const answer: unknown = await response.json();
  return { status: response.status, headers: response.headers, answer };
};

const SPIN = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0, timestamp: new Date().toISOString() };
const OLD = { ...SPIN, timestamp: '2026-11-24T13:00:00Z' };

describe('POST /api/v1/numbers', () => {
  it('answers 201 with the id once the number is stored, and 200 when it comes again', async () => {
    const app = await start();
    const first = await post(app, '/api/v1/numbers', SPIN);
    expect(first.status).toBe(201);
    expect(first.answer).toEqual({ id: expect.stringMatching(/^2010165:/), status: 'created' });
    const again = await post(app, '/api/v1/numbers', SPIN);
    expect(again.status).toBe(200);
    expect(again.answer).toEqual({ ...Object(first.answer), status: 'duplicate' });
    expect(app.deps.stored.size).toBe(1);
  });

  it('says of a number that is too old to go live that it will not, and why', async () => {
    const app = await start();
    const { status, answer } = await post(app, '/api/v1/numbers', OLD);
    expect(status).toBe(201);
    expect(answer).toMatchObject({ status: 'created', live: false, reason: expect.stringContaining('120 s') });
    const each = await post(app, '/api/v1/numbers', [OLD, { ...SPIN, numero: 1 }]);
    expect(each.answer).toMatchObject([{ status: 'duplicate', live: false }, { status: 'created' }]);
    expect(Object(each.answer)[1]).not.toHaveProperty('live');
  });

  it('reads epoch seconds as seconds, and refuses what is neither seconds nor milliseconds', async () => {
    const app = await start();
    const seconds = Math.floor(Date.now() / 1000);
    for (const [numero, timestamp] of [seconds, String(seconds), seconds + 0.25].entries()) {
      const { status, answer } = await post(app, '/api/v1/numbers', { roleta_id: '221', numero, timestamp });
      expect([status, Object(answer).live]).toEqual([201, undefined]);
    }
    const { status, answer } = await post(app, '/api/v1/numbers', { ...SPIN, timestamp: 86_400_000 });
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: 'timestamp', message: expect.stringContaining('seconds') }] });
  });

  it('accepts 0, digits in strings, a zone-less timestamp and a prefixed id', async () => {
    const app = await start();
    const body = { roleta_id: '2_2010165', numero: '0', timestamp: '2026-11-24T13:00:00.123456' };
    expect((await post(app, '/api/v1/numbers', body)).status).toBe(201);
    const [stored] = app.deps.stored.values();
    expect(stored).toMatchObject({
      table: '2010165',
      numero: 0,
      cor: 'verde',
      timestampMs: Date.parse('2026-11-24T13:00:00.123Z'),
    });
  });

  it('keeps the key of the Idempotency-Key header, and answers 409 when it comes with another number', async () => {
    const app = await start();
    const headers = { 'Idempotency-Key': 'round-7' };
    expect((await post(app, '/api/v1/numbers', SPIN, headers)).answer).toMatchObject({ id: '2010165:k::round-7' });
    const other = await post(app, '/api/v1/numbers', { ...SPIN, numero: 1 }, headers);
    expect(other.status).toBe(409);
    expect(other.answer).toMatchObject({ code: 'conflict', retry: 'never' });
  });

  it('names every problem by its path, and stores nothing', async () => {
    const app = await start();
    const { status, answer, headers } = await post(app, '/api/v1/numbers', { numero: 99, timestamp: 'soon' });
    expect(status).toBe(400);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(answer).toMatchObject({ code: 'invalid', status: 400 });
    const paths = new Set(Object(answer).problems.map(({ path }: { path: string }) => path));
    expect(paths).toEqual(new Set(['numero', 'timestamp', 'roleta_id']));
    expect(app.deps.stored.size).toBe(0);
  });

  it.each([
    ['text that is no JSON', '{"numero":', 'bad_json'],
    ['nothing', '', 'bad_json'],
    ['deep nesting', '['.repeat(50_000), 'invalid'],
    ['a __proto__ key', '{"roleta_id":"2010165","numero":1,"__proto__":{"x":1}}', 'invalid'],
    ['an escaped __proto__ key', '{"roleta_id":"2010165","numero":1,"\\u005f_proto__":{"x":1}}', 'invalid'],
    ['a bare number', '17', 'invalid'],
    ['null', 'null', 'invalid'],
    ['an empty array', '[]', 'invalid'],
  ])('answers 400 to %s', async (_name, body, code) => {
    const app = await start();
    const { status, answer } = await post(app, '/api/v1/numbers', body);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ code });
    expect(app.deps.stored.size).toBe(0);
  });

  it('answers 400 to bytes that are not UTF-8', async () => {
    const app = await start();
    const response = await fetch(`${app.url}/api/v1/numbers`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: Buffer.from([0x22, 0xff, 0xfe, 0x22]),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'bad_json' });
  });

  it.each([
    ['text/plain', {}],
    ['application/json; charset=latin1', {}],
    ['application/json', { 'Content-Encoding': 'gzip' }],
  ])('answers 415 to %s %j', async (type, headers) => {
    const app = await start();
    const { status, answer } = await post(app, '/api/v1/numbers', SPIN, { 'Content-Type': type, ...headers });
    expect(status).toBe(415);
    expect(answer).toMatchObject({ code: 'unsupported_media_type' });
  });

  it('answers an array with 207 and one result each: a bad element never fails its neighbours', async () => {
    const app = await start();
    const body = [
      SPIN,
      { ...SPIN, numero: 40 },
      SPIN,
      { ...SPIN, evento_id: 'a' },
      { ...SPIN, numero: 3, evento_id: 'a' },
    ];
    const { status, answer } = await post(app, '/api/v1/numbers', body);
    expect(status).toBe(207);
    expect(answer).toEqual([
      { status: 'created', http: 201, id: expect.any(String) },
      {
        status: 'error',
        http: 400,
        code: 'invalid',
        detail: expect.any(String),
        retry: 'never',
        problems: [{ path: '1.numero', message: expect.any(String) }],
      },
      { status: 'duplicate', http: 200, id: expect.any(String) },
      { status: 'created', http: 201, id: '2010165:e::a' },
      { status: 'error', http: 409, code: 'conflict', detail: expect.any(String), retry: 'never' },
    ]);
  });

  it('takes 500 elements, and refuses 501', async () => {
    const app = await start();
    const spins = Array.from({ length: 501 }, (_, index) => ({ ...SPIN, evento_id: index }));
    expect((await post(app, '/api/v1/numbers', spins.slice(0, 500))).status).toBe(207);
    expect(app.deps.stored.size).toBe(500);
    const { status, answer } = await post(app, '/api/v1/numbers', spins);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ code: 'invalid' });
  });

  it('refuses the Idempotency-Key header on an array', async () => {
    const app = await start();
    const { status, answer } = await post(app, '/api/v1/numbers', [SPIN], { 'Idempotency-Key': 'k' });
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: 'Idempotency-Key' }] });
  });

  it.each([
    ['database_unavailable', 503, 2500, '3'],
    ['write_unknown', 504, undefined, '1'],
  ] as const)('answers %s with %i and Retry-After', async (code, status, retryMs, retryAfter) => {
    const fail = async () => {
      throw new ProtocolError(code, retryMs === undefined ? {} : { retryMs });
    };
    const app = await start({}, { insertNumbers: fail });
    const single = await post(app, '/api/v1/numbers', SPIN);
    expect(single.status).toBe(status);
    expect(single.answer).toMatchObject({ code, retry: 'after' });
    expect(single.headers.get('retry-after')).toBe(retryAfter);
    expect((await post(app, '/api/v1/numbers', [SPIN])).status).toBe(status);
    expect(app.deps.outcomes).toEqual([
      { kind: 'number', key: 'local', outcome: code },
      { kind: 'number', key: 'local', outcome: code },
    ]);
  });

  it('answers an exception with 500 and a request id; the cause stays in the log', async () => {
    const insertNumbers = async () => {
      throw new TypeError('secret detail');
    };
    const app = await start({}, { insertNumbers });
    const { status, answer, headers } = await post(app, '/api/v1/numbers', SPIN);
    expect(status).toBe(500);
    expect(JSON.stringify(answer)).not.toContain('secret detail');
    const line = app.deps.lines.find(({ event }) => event === 'request_failed');
    expect(line?.fields['request']).toBe(headers.get('x-request-id'));
    expect(line?.fields['err']).toBeInstanceOf(TypeError);
  });

  it('stores by id before the service has caught up, and asks who posts by name to wait', async () => {
    const app = await start({}, { feedStatus: () => ({ ...LIVE, phase: 'rewinding', ready: false }) });
    expect((await post(app, '/api/v1/numbers', SPIN)).status).toBe(201);
    const named = await post(app, '/api/v1/numbers', { roleta_nome: 'Ruleta Automática', numero: 1 });
    expect([named.status, named.headers.get('retry-after')]).toEqual([503, '1']);
    expect(named.answer).toMatchObject({ code: 'not_ready' });
  });

  it('answers 429 when a key posts faster than its rate, and names the wait', async () => {
    const app = await start({ ingestPerSecond: 1, ingestBurst: 2 });
    const two = [SPIN, { ...SPIN, evento_id: 'x' }];
    expect((await post(app, '/api/v1/numbers', two)).status).toBe(207);
    const { status, answer, headers } = await post(app, '/api/v1/numbers', SPIN);
    expect(status).toBe(429);
    expect(answer).toMatchObject({ code: 'rate_limited', retry: 'after' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });

  it('answers 429 when too many writes wait for the database, and takes writes again afterwards', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let called = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      called = resolve;
    });
    const app = await start(
      { maxPendingWrites: 1 },
      {
        insertNumbers: async (items) => {
          called();
          await held;
          return items.map(({ id }) => ({ status: 'created', id }));
        },
      },
    );
    const first = post(app, '/api/v1/numbers', SPIN);
    await begun;
    const second = await post(app, '/api/v1/numbers', SPIN);
    expect(second.status).toBe(429);
    expect(second.answer).toMatchObject({ code: 'overloaded' });
    release();
    expect((await first).status).toBe(201);
    expect((await post(app, '/api/v1/numbers', SPIN)).status).toBe(201);
  });
});

describe('POST /api/v1/strategies', () => {
  it('stores a state, also under the older field names', async () => {
    const app = await start();
    const state = {
      roleta_id: 2010165,
      estado_estrategia: 'TRIGGER',
      numero_gatilho: '-1',
      terminais: [4, '7', 8],
      vitorias: '2',
      derrotas: 1,
      display_suggestion: 'APOSTAR EM: 4,7,8',
    };
    expect((await post(app, '/api/v1/strategies', state)).status).toBe(201);
    const [stored] = app.deps.stored.values();
    expect(stored).toMatchObject({
      estado: 'TRIGGER',
      numeroGatilho: -1,
      terminaisGatilho: [4, 7, 8],
      vitorias: 2,
      derrotas: 1,
      sugestaoDisplay: 'APOSTAR EM: 4,7,8',
    });
    expect(app.deps.outcomes).toEqual([{ kind: 'strategy', key: 'local', outcome: 'created' }]);
  });

  it('never assumes a state', async () => {
    const app = await start();
    const { status, answer } = await post(app, '/api/v1/strategies', { roleta_id: '2010165', vitorias: 1 });
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: 'estado' }] });
  });
});
