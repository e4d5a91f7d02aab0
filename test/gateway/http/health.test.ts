import { afterEach, describe, expect, it } from 'vitest';
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

const get = async (app: HttpApp, path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(app.url + path, { headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
};

const readiness = async (overrides: Parameters<typeof startHttpApp>[1]) => {
  const app = await start({}, overrides);
  const { status, text } = await get(app, '/readyz');
  return { status, ...JSON.parse(text) };
};

describe('/healthz and /readyz', () => {
  it('say ok and ready when the feed is live', async () => {
    const app = await start();
    expect(await get(app, '/healthz')).toMatchObject({ status: 200, text: '{"status":"ok"}' });
    expect(await get(app, '/readyz')).toMatchObject({ status: 200, text: '{"status":"ready","reasons":[]}' });
  });

  it('say not ready before the feed caught up, with the reason in words', async () => {
    const reason = 'The server is a standalone; change streams need a replica set.';
    const feed = { ...LIVE, phase: 'connecting', ready: false, reason } as const;
    expect(await readiness({ feedStatus: () => feed })).toEqual({ status: 'not_ready', reasons: [reason] });
    const app = await start({}, { feedStatus: () => feed });
    expect((await get(app, '/readyz')).status).toBe(503);
    expect((await get(app, '/healthz')).status).toBe(200);
  });

  it('stay ready when MongoDB leaves later, and say so', async () => {
    const feed = { ...LIVE, phase: 'degraded' } as const;
    const { status, reasons } = await readiness({ feedStatus: () => feed, databaseOk: () => false });
    expect(status).toBe('ready');
    expect(reasons).toEqual(['The change stream is degraded.', 'MongoDB does not answer.']);
  });

  it('do not speak of MongoDB where there is none', async () => {
    const feed = { ...LIVE, phase: 'degraded', reason: 'the line ended' } as const;
    const leaf = { feedStatus: () => feed, databaseOk: () => false, passOn: () => ({ status: 200 }) };
    expect((await readiness(leaf)).reasons).toEqual(['the line ended', 'No core of UPSTREAM is live.']);
  });

  it('tell a balancer that the source is dead, while old clients are served on', async () => {
    const feed = { ...LIVE, phase: 'degraded', reason: 'MongoDB did not answer in time' } as const;
    const app = await start({}, { feedStatus: () => feed });
    const [ready, source] = [await get(app, '/readyz'), await get(app, '/readyz/source')];
    expect([ready.status, source.status]).toEqual([200, 503]);
    expect(JSON.parse(source.text)).toEqual({ status: 'ready', reasons: ['MongoDB did not answer in time'] });
    expect((await get(await start(), '/readyz/source')).status).toBe(200);
  });

  it('name what the built-in MongoDB has no room for, and stay ready', async () => {
    const held = { heldBytes: 5, limitBytes: 10, oplogBytes: 1, diskFailure: 'no space left on device' };
    const full = await readiness({ builtinMongo: () => held });
    expect(full).toEqual({
      status: 'ready',
      reasons: ['The built-in MongoDB takes no writes: no space left on device'],
    });
  });

  it('name a replica set that cannot commit', async () => {
    const { reasons } = await readiness({ feedStatus: () => ({ ...LIVE, majorityStalled: true }) });
    expect(reasons).toEqual([expect.stringContaining('cannot commit')]);
  });

  it('say not ready while the process stops', async () => {
    const { status, reasons } = await readiness({ draining: () => true });
    expect(status).toBe('not_ready');
    expect(reasons).toEqual(['This instance is stopping.']);
  });
});

describe('/status and /metrics', () => {
  const PROXIED = { 'X-Forwarded-For': '203.0.113.7' };
  const ADMIN = 'an-admin-key-of-some-length';

  it('show everything to this machine', async () => {
    const app = await start();
    const status = JSON.parse((await get(app, '/status')).text);
    expect(status).toMatchObject({ state: 'live', ready: true, database: 'ok', feed: { lagMs: 3 }, connections: 0 });
    const metrics = await get(app, '/metrics');
    expect(metrics.text).toContain('up 1');
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  });

  it('show others the summary only, and no metrics', async () => {
    const app = await start();
    const status = JSON.parse((await get(app, '/status', PROXIED)).text);
    expect(status).toMatchObject({ state: 'live', reasons: [], tables: 3 });
    expect(status).not.toHaveProperty('feed');
    expect(status).not.toHaveProperty('connections');
    expect((await get(app, '/metrics', PROXIED)).status).toBe(401);
  });

  it.each([
    ['Bearer', { Authorization: `Bearer ${ADMIN}` }],
    ['X-Api-Key', { 'X-Api-Key': ADMIN }],
    ['Basic', { Authorization: `Basic ${Buffer.from(`prometheus:${ADMIN}`).toString('base64')}` }],
  ])('open to the admin key by %s', async (_name, headers) => {
    const app = await start({ adminKey: ADMIN });
    expect((await get(app, '/metrics', { ...PROXIED, ...headers })).status).toBe(200);
    expect(JSON.parse((await get(app, '/status', { ...PROXIED, ...headers })).text)).toHaveProperty('feed');
    expect((await get(app, '/metrics', { ...PROXIED, 'X-Api-Key': `${ADMIN}x` })).status).toBe(401);
  });

  it('show the last hour, or the minutes that are asked for, to operators alone', async () => {
    const asked: number[] = [];
    const statusHistory = async (minutes: number) => {
      asked.push(minutes);
      return { samples: [], alerts: [] };
    };
    const app = await start({ adminKey: ADMIN }, { statusHistory });
    const read = async (query: string, key = ADMIN) => {
      const { status, text } = await get(app, `/api/v1/status/history${query}`, { 'X-Api-Key': key });
      return { status, body: JSON.parse(text) };
    };
    expect(await read('')).toEqual({ status: 200, body: { samples: [], alerts: [] } });
    expect((await read('?minutes=5')).status).toBe(200);
    expect(asked).toEqual([60, 5]);
    expect((await read('?minutes=61')).status).toBe(400);
    expect((await read('', 'another-key')).status).toBe(401);
  });

  it('are a page to read when Accept names text/html, in which nothing is markup but ours', async () => {
    const reason = '<script>alert(1)</script>';
    const app = await start({}, { feedStatus: () => ({ ...LIVE, reason }) });
    const { text, headers } = await get(app, '/status', { Accept: 'text/html,*/*;q=0.8' });
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'; style-src 'sha256-/);
    expect(text).not.toContain('<script');
    expect(text).toContain('&lt;script&gt;');
  });

  it('answer 500 when the metrics cannot be gathered, and go on', async () => {
    const metrics = async () => {
      throw new Error('registry broken');
    };
    const app = await start({}, { metrics });
    expect((await get(app, '/metrics')).status).toBe(500);
    expect((await get(app, '/healthz')).status).toBe(200);
  });
});
