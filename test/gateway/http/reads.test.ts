import { afterEach, describe, expect, it } from 'vitest';
import { tableId } from '../../store/support.ts';
import { type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { LIVE, tableDetail } from '../../support/http-deps.ts';

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

  it('lists at once what has changed, however long the list takes to encode', async () => {
    let tables: ReturnType<HttpApp['deps']['tables']> = [];
    const app = await start({}, { tables: () => tables });
    for (const name of ['before', 'after']) {
      tables = Array.from({ length: 5_000 }, () => tableDetail(tableId('2010017'), name));
      expect(Object((await get(app, '/api/v1/tables')).answer).tables[0]).toMatchObject({ roleta_nome: name });
    }
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
});
