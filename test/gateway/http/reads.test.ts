import { afterEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { statsOf } from '../../../src/roulette/stats.ts';
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

const get = async (app: HttpApp, path: string) => {
  const response = await fetch(app.url + path);
  const answer: unknown = await response.json();
  return { status: response.status, answer, headers: response.headers };
};

const REHEARSING = { ...LIVE, phase: 'rewinding', ready: false, reason: 'Reading the state.' } as const;

describe('GET /api/v1/tables', () => {
  it('lists every table with its last number and strategy', async () => {
    const app = await start();
    const { status, answer } = await get(app, '/api/v1/tables');
    expect(status).toBe(200);
    expect(answer).toMatchObject({ stale: false });
    expect(Object(answer).tables.map((table: { roleta_id: string }) => table.roleta_id)).toEqual([
      '2010017',
      '2010097',
      '2380117',
    ]);
    expect(Object(answer).tables[0]).toMatchObject({ ultimo: { numero: 0, cor: 'verde' }, estrategia: null });
  });

  it('says that the list is stale while the database cannot be reached', async () => {
    const app = await start({}, { databaseOk: () => false });
    expect((await get(app, '/api/v1/tables')).answer).toMatchObject({ stale: true });
  });

  it('answers 503, not an empty list, before the service has caught up', async () => {
    const app = await start({}, { feedStatus: () => REHEARSING });
    for (const path of ['/api/v1/tables', '/api/v1/tables/2010017', '/api/v1/tables/2010017/numbers']) {
      const { status, answer, headers } = await get(app, path);
      expect(status).toBe(503);
      expect(answer).toMatchObject({ code: 'not_ready' });
      expect(headers.get('retry-after')).toBe('1');
    }
  });
});

describe('GET /api/v1/tables/:id', () => {
  it.each([
    ['its id', '2010017'],
    ['a prefixed id', '2_2010017'],
    ['a suffixed id', '2010017_2'],
    ['its UUID', 'F27DD03E-5282-FC78-961C-6375CEF91565'],
    ['its name', encodeURIComponent('Ruleta Automática')],
    ['its name without accents', 'ruleta%20automatica'],
    ['its topic', 'roulette:2010017'],
  ])('finds a table by %s', async (_name, reference) => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/${reference}`);
    expect(status).toBe(200);
    expect(answer).toMatchObject({ roleta_id: '2010017', roleta_nome: 'Ruleta Automática', epoch: 'e1', stale: false });
    expect(Object(answer).numeros).toHaveLength(3);
  });

  it('answers 400 to a name that two tables bear, with their ids', async () => {
    const app = await start();
    const { status, answer } = await get(app, '/api/v1/tables/VIP%20Roulette');
    expect(status).toBe(400);
    expect(answer).toMatchObject({
      code: 'invalid',
      problems: [{ path: 'id', message: expect.stringMatching(/2010097, 2380117/) }],
    });
  });

  it.each([
    '2999999',
    'Nobody',
    '00000000-0000-0000-0000-000000000000',
    '%E0%A4%A',
    '%00',
    '__proto__',
    'x'.repeat(3000),
  ])('answers 404 to %s', async (reference) => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/${reference}`);
    expect(status).toBe(404);
    expect(answer).toMatchObject({ code: 'unknown_table' });
  });
});

describe('GET /api/v1/tables/:id/numbers', () => {
  it('pages by an opaque cursor', async () => {
    const asked: unknown[] = [];
    const numbersPage: HttpApp['deps']['numbersPage'] = async (...parameters) => {
      asked.push(parameters);
      return { numeros: [], next: null };
    };
    const app = await start({}, { numbersPage });
    expect((await get(app, '/api/v1/tables/2010017/numbers')).answer).toEqual({
      roleta_id: '2010017',
      roleta_nome: 'Ruleta Automática',
      numeros: [],
      next: null,
    });
    await get(app, '/api/v1/tables/2010017/numbers?limit=1000&before=a%2Bb%3D');
    expect(asked).toEqual([
      ['2010017', 20, null],
      ['2010017', 1000, 'a+b='],
    ]);
  });

  it('gives the cursor of the next page', async () => {
    const app = await start();
    expect((await get(app, '/api/v1/tables/2010017/numbers?limit=1')).answer).toMatchObject({
      numeros: [{ numero: 0 }],
      next: 'c1',
    });
  });

  it.each(['0', '1001', '-1', '1.5', 'ten', '1e2', ' 5', '99999999999'])('refuses limit=%s', async (limit) => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/2010017/numbers?limit=${limit}`);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: 'limit' }] });
  });

  it('refuses a cursor that is far too long before it asks the database', async () => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/2010017/numbers?before=${'x'.repeat(2001)}`);
    expect([status, Object(answer).problems[0].path]).toEqual([400, 'before']);
  });

  it('passes on what the database says: a bad cursor 400, no database 503', async () => {
    const answers = [
      new ProtocolError('invalid', { problems: [{ path: 'before', message: 'is no cursor of this service' }] }),
      new ProtocolError('database_unavailable', { retryMs: 3000 }),
    ];
    const numbersPage = async () => {
      throw answers.shift();
    };
    const app = await start({}, { numbersPage });
    expect((await get(app, '/api/v1/tables/2010017/numbers?before=x')).status).toBe(400);
    const down = await get(app, '/api/v1/tables/2010017/numbers');
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, '3']);
  });

  it('answers 429 when too many reads wait for the database', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let called = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      called = resolve;
    });
    const numbersPage = async () => {
      called();
      await held;
      return { numeros: [], next: null };
    };
    const app = await start({ maxPendingReads: 1 }, { numbersPage });
    const first = get(app, '/api/v1/tables/2010017/numbers');
    await begun;
    expect((await get(app, '/api/v1/tables/2010017/numbers')).answer).toMatchObject({ code: 'rate_limited' });
    release();
    expect((await first).status).toBe(200);
  });
});

describe('what else a table has', () => {
  it('gives the strategy, null when there is none', async () => {
    const app = await start();
    expect((await get(app, '/api/v1/tables/2010017/strategy')).answer).toEqual({
      roleta_id: '2010017',
      roleta_nome: 'Ruleta Automática',
      estrategia: null,
      stale: false,
    });
  });

  it('gives statistics of the database over more numbers than are in memory', async () => {
    const asked: number[] = [];
    const stats: HttpApp['deps']['stats'] = async (_table, last) => {
      asked.push(last);
      return statsOf([0, 17, 17], null, null);
    };
    const app = await start({}, { stats });
    expect((await get(app, '/api/v1/tables/2010017/stats')).answer).toMatchObject({
      roleta_id: '2010017',
      total: 3,
      cores: { verde: 1, vermelho: 0, preto: 2 },
    });
    await get(app, '/api/v1/tables/2010017/stats?last=1000');
    expect(asked).toEqual([200, 1000]);
    expect((await get(app, '/api/v1/tables/2010017/stats?last=0')).status).toBe(400);
  });

  it('gives statistics over the numbers in memory, without the database', async () => {
    const stats: HttpApp['deps']['stats'] = async () => {
      throw new ProtocolError('database_unavailable');
    };
    const app = await start({}, { stats });
    expect((await get(app, '/api/v1/tables/2010017/stats?last=2')).answer).toMatchObject({
      total: 2,
      cores: { verde: 1, vermelho: 0, preto: 1 },
      ate: '2026-11-24T13:02:00.000Z',
      desde: '2026-11-24T13:01:00.000Z',
    });
    expect((await get(app, '/api/v1/tables/2010017/stats?last=4')).status).toBe(503);
  });
});
