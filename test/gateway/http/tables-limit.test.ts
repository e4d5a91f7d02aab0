import { afterEach, describe, expect, it } from 'vitest';
import { keptForItsCost } from '../../../src/gateway/door/kept.ts';
import { type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { LIVE } from '../../support/http-deps.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

async function start(maxTables: number): Promise<HttpApp> {
  const app = await startHttpApp({ ingestOpen: true, maxTables }, { feedStatus: () => ({ ...LIVE, tables: 3 }) });
  started.push(app);
  return app;
}

const post = (app: HttpApp, body: unknown, path = '/api/v1/numbers'): Promise<Response> =>
  fetch(app.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const spin = (roleta_id: string) => ({ roleta_id, numero: 7 });

describe('a key that invents tables', () => {
  it('gets no further than MAX_TABLES, while known tables are posted for', async () => {
    const app = await start(5);
    expect((await post(app, spin('9000001'))).status).toBe(201);
    expect((await post(app, spin('9000002'))).status).toBe(201);
    const refused = await post(app, spin('9000003'));
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      code: 'invalid',
      problems: [{ path: 'roleta_id', message: expect.stringContaining('MAX_TABLES') }],
    });
    expect((await post(app, spin('2010017'))).status).toBe(201);
    expect((await post(app, spin('9000001'))).status).toBe(201);
    expect(app.deps.stored.size).toBe(4);
  });

  it('fails no neighbours of the same array, and keeps their order', async () => {
    const app = await start(4);
    const answer = await post(app, [spin('2010017'), spin('9000001'), spin('9000002'), spin('2010097')]);
    expect(answer.status).toBe(207);
    expect(await answer.json()).toMatchObject([
      { status: 'created', http: 201 },
      { status: 'created', http: 201 },
      { status: 'error', http: 400, code: 'invalid' },
      { status: 'created', http: 201 },
    ]);
  });

  it.each(['/api/numbers', '/api/v1/strategies', '/emit-event'])('gets no further at %s either', async (path) => {
    const app = await start(3);
    const strategy = { roleta_id: '9000001', estado: 'NEUTRAL' };
    const body = path.endsWith('strategies') ? strategy : spin('9000001');
    const answer = await post(app, path === '/emit-event' ? { event: 'new_number', data: body } : body, path);
    expect(answer.status).toBe(400);
    expect(app.deps.stored.size).toBe(0);
  });
});

describe('a value that is kept for what it cost', () => {
  it('is made once for all who ask while it is made, and again after it could not be', async () => {
    const makings: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
    const value = keptForItsCost(() => new Promise<string>((resolve, reject) => makings.push({ resolve, reject })));
    const [first, second] = [value(), value()];
    makings[0]?.reject(new Error('not ready'));
    await expect(first).rejects.toThrow('not ready');
    await expect(second).rejects.toThrow('not ready');
    const [third, fourth] = [value(), value()];
    makings[1]?.resolve('made');
    expect(await Promise.all([third, fourth])).toEqual(['made', 'made']);
    expect(makings).toHaveLength(2);
  });

  it('is made anew when fifty times its cost went by, a quarter second at most, and at once when it cost nothing or is another', () => {
    let now = 0;
    let made = 0;
    let costMs = 2;
    let version = 1;
    const value = keptForItsCost(
      () => {
        now += costMs;
        made += 1;
        return made;
      },
      () => version,
      () => now,
    );
    expect([value(), value()]).toEqual([1, 1]);
    now += 99;
    expect(value()).toBe(1);
    now += 1;
    costMs = 20;
    expect(value()).toBe(2);
    now += 249;
    expect(value()).toBe(2);
    version += 1;
    expect([value(), value()]).toEqual([3, 3]);
    now += 250;
    costMs = 0;
    expect([value(), value(), value()]).toEqual([4, 5, 6]);
  });
});
