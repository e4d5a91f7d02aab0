import { afterEach, describe, expect, it } from 'vitest';
import type { LegacyQuery } from '../../src/roulette/history.ts';
import { type HttpApp, startHttpApp } from '../support/http-app.ts';
import { LIVE } from '../support/http-deps.ts';

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
  return { status: response.status, answer };
};

/** A server that notes what the routes ask of the database. */
async function asking() {
  const asked: LegacyQuery[] = [];
  const app = await start(
    {},
    {
      legacyNumbers: async (query) => {
        asked.push(query);
        return { total: 7, data: [] };
      },
    },
  );
  return { app, asked };
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('status routes of the first servers', () => {
  it('answer with exactly their old fields', async () => {
    const app = await start();
    expect((await get(app, '/')).answer).toEqual({
      status: 'online',
      service: 'RunCash Live',
      timestamp: expect.stringMatching(ISO),
    });
    expect((await get(app, '/socket-status')).answer).toEqual({
      status: 'online',
      mongoConnected: true,
      timestamp: expect.stringMatching(ISO),
    });
    expect((await get(app, '/api/status')).answer).toEqual({
      status: 'online',
      mongodb_connected: true,
      version: '0.1.0',
    });
  });

  it('do not say online while MongoDB is away', async () => {
    const app = await start({}, { databaseOk: () => false, feedStatus: () => ({ ...LIVE, phase: 'degraded' }) });
    expect((await get(app, '/')).answer).toMatchObject({ status: 'degraded' });
    expect((await get(app, '/socket-status')).answer).toMatchObject({ mongoConnected: false });
    expect((await get(app, '/api/status')).answer).toMatchObject({ status: 'degraded', mongodb_connected: false });
  });
});

describe('reads of the first callers', () => {
  it.each(['/api/roulettes', '/api/roletas'])('%s lists id and nome', async (path) => {
    const app = await start();
    expect((await get(app, path)).answer).toEqual([
      { id: '2010017', nome: 'Ruleta Automática' },
      { id: '2010097', nome: 'VIP Roulette' },
      { id: '2380117', nome: 'VIP Roulette' },
    ]);
  });

  it('/api/numbers/:roletaNome gives the documents of every table of that name, 0 included', async () => {
    const app = await start();
    const { status, answer } = await get(app, '/api/numbers/VIP%20Roulette?limit=5');
    expect(status).toBe(200);
    expect(answer).toEqual(
      ['2010097', '2380117'].map((id) => ({
        _id: `l-${id}`,
        roleta_id: id,
        roleta_nome: 'VIP Roulette',
        numero: 0,
        cor: 'verde',
        timestamp: '2023-11-14T22:13:20.000Z',
        criado_em: null,
      })),
    );
  });

  it('/api/numbers/byid/:roletaId gives those of one table, and an unknown name or UUID none', async () => {
    const { app, asked } = await asking();
    await get(app, '/api/numbers/byid/2_2010017');
    expect(asked).toEqual([{ tables: ['2010017'], numero: null, cor: null, limit: 20, skip: 0 }]);
    expect(await get(app, '/api/numbers/Nobody')).toEqual({ status: 200, answer: [] });
    expect(asked).toHaveLength(1);
  });

  it('/api/numbers pages with total, skip and limit', async () => {
    const { app, asked } = await asking();
    expect((await get(app, '/api/numbers')).answer).toEqual({ total: 7, skip: 0, limit: 100, data: [] });
    expect((await get(app, '/api/numbers?limit=5&skip=10')).answer).toEqual({ total: 7, skip: 10, limit: 5, data: [] });
    expect(asked[0]).toEqual({ tables: null, numero: null, cor: null, limit: 100, skip: 0 });
  });

  it('/api/numbers filters by 0, colour, id and name; empty filters are none', async () => {
    const { app, asked } = await asking();
    await get(app, '/api/numbers?numero=0&cor=Verde&roleta_id=2010017');
    await get(app, '/api/numbers?numero=&cor=&roleta_id=&roleta_nome=');
    await get(app, '/api/numbers?roleta_nome=vip+roulette');
    await get(app, '/api/numbers?roleta_nome=vip+roulette&roleta_id=2380117');
    expect(asked.map(({ tables, numero, cor }) => [tables, numero, cor])).toEqual([
      [['2010017'], 0, 'verde'],
      [null, null, null],
      [['2010097', '2380117'], null, null],
      [['2380117'], null, null],
    ]);
    expect((await get(app, '/api/numbers?roleta_nome=Nobody')).answer).toEqual({
      total: 0,
      skip: 0,
      limit: 100,
      data: [],
    });
    expect(asked).toHaveLength(4);
  });

  it.each(['numero=37', 'numero=x', 'cor=azul', 'limit=0', 'limit=5000', 'skip=-1', 'skip=1000000'])(
    '/api/numbers?%s is refused with the parameter named',
    async (query) => {
      const { app, asked } = await asking();
      const { status, answer } = await get(app, `/api/numbers?${query}`);
      expect(status).toBe(400);
      expect(answer).toMatchObject({ error: expect.any(String), problems: [{ path: query.split('=')[0] }] });
      expect(asked).toEqual([]);
    },
  );
});

describe('POST /api/numbers', () => {
  const post = async (app: HttpApp, body: unknown) => {
    const response = await fetch(`${app.url}/api/numbers`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer: unknown = await response.json();
    return { status: response.status, answer };
  };

  it('stores a number by the name of its table', async () => {
    const app = await start();
    const { status, answer } = await post(app, { roleta_nome: 'Ruleta Automática', numero: 0 });
    expect(status).toBe(201);
    expect(answer).toEqual({ success: true, message: expect.any(String), id: expect.stringMatching(/^2010017:/) });
    expect([...app.deps.stored.values()]).toMatchObject([{ table: '2010017', numero: 0, cor: 'verde' }]);
  });

  it('refuses a name that two tables bear, an unknown one, and an array', async () => {
    const app = await start();
    for (const body of [
      { roleta_nome: 'VIP Roulette', numero: 1 },
      { roleta_nome: 'Nobody', numero: 1 },
      [{ roleta_nome: 'Ruleta Automática', numero: 1 }],
    ]) {
      const { status, answer } = await post(app, body);
      expect(status).toBe(400);
      expect(answer).toMatchObject({ error: expect.any(String), code: 'invalid' });
    }
    expect(app.deps.stored.size).toBe(0);
  });

  it('needs a key where keys are set', async () => {
    const app = await start({ ingestKeys: [{ name: 'a', secret: 'a-long-enough-secret' }] });
    expect((await post(app, { roleta_id: '2010017', numero: 1 })).status).toBe(401);
  });
});
