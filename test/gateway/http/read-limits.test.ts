import { afterEach, describe, expect, it } from 'vitest';
import { type HttpApp, rawExchange, startHttpApp } from '../../support/http-app.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp(options, overrides);
  started.push(app);
  return app;
};

const from = (app: HttpApp, visitor: string, path: string): Promise<Response> =>
  fetch(app.url + path, { headers: { 'x-forwarded-for': visitor } });

describe('reads of one address', () => {
  const LIMITED = { readsPerSecondPerAddress: 2, trustedProxies: ['127.0.0.1'] };

  it('above its rate are answered 429 with the time to wait, while others are served', async () => {
    const app = await start(LIMITED);
    const statuses: number[] = [];
    for (const path of ['/api/v1/tables', '/api/numbers', '/api/v1/tables/2010017', '/', '/nothing']) {
      for (let turn = 0; turn < 2; turn += 1) statuses.push((await from(app, '203.0.113.1', path)).status);
    }
    expect(statuses.filter((status) => status === 429)).toEqual([]);
    const refused = await from(app, '203.0.113.1', '/api/v1/tables');
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', retry: 'after', retry_ms: expect.any(Number) });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await from(app, '203.0.113.2', '/api/v1/tables')).status).toBe(200);
  });

  it('are also preflights, and posts to an address that takes none', async () => {
    for (const [method, path] of [
      ['OPTIONS', '/api/v1/numbers'],
      ['POST', '/nothing'],
      ['POST', '/api/v1/tables'],
      ['PUT', '/api/v1/numbers'],
    ] as const) {
      const app = await start(LIMITED);
      const ask = async (): Promise<number> =>
        (await fetch(app.url + path, { method, headers: { 'x-forwarded-for': '203.0.113.1' } })).status;
      const statuses: number[] = [];
      for (let turn = 0; turn < 14; turn += 1) statuses.push(await ask());
      expect([method, path, statuses[0] === 429, statuses.includes(429)]).toEqual([method, path, false, true]);
    }
  });

  it('count by their size where they are large', async () => {
    const app = await start(LIMITED);
    // Some 60 KB: four reads of the ten that may come at once.
    const statuses: number[] = [];
    for (let turn = 0; turn < 9; turn += 1) statuses.push((await from(app, '203.0.113.1', '/openapi.json')).status);
    expect(statuses.slice(0, 2)).toEqual([200, 200]);
    expect(statuses).toContain(429);
  });

  it('never cost it health, metrics or status, nor its posts', async () => {
    const app = await start({ ...LIMITED, ingestOpen: true });
    for (let turn = 0; turn < 15; turn += 1) await from(app, '203.0.113.1', '/api/v1/tables');
    expect((await from(app, '203.0.113.1', '/api/v1/tables')).status).toBe(429);
    for (const path of ['/healthz', '/readyz', '/readyz/source', '/status']) {
      expect([path, (await from(app, '203.0.113.1', path)).status]).toEqual([path, 200]);
    }
    const posted = await fetch(`${app.url}/api/v1/numbers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.1' },
      body: JSON.stringify({ roleta_id: '2010017', numero: 7 }),
    });
    expect(posted.status).toBe(201);
  });

  it('are not limited by 0', async () => {
    const app = await start({ readsPerSecondPerAddress: 0 });
    const answers = await Promise.all(Array.from({ length: 300 }, () => fetch(`${app.url}/healthz`)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe('the page', () => {
  const PAGE = new Map([['/', { type: 'text/html; charset=utf-8', body: '<!doctype html>', immutable: false }]]);

  const policyOf = async (app: HttpApp, host: string): Promise<string> => {
    const lines = ['GET / HTTP/1.1', `Host: ${host}`, 'Accept: text/html', 'Connection: close', '', ''];
    const { headers } = await rawExchange(app.port, lines.join('\r\n'));
    return /connect-src [^;]*/.exec(headers.get('content-security-policy') ?? '')?.[0] ?? '';
  };

  it('may connect to its own server alone', async () => {
    const app = await start({}, { files: PAGE });
    expect(await policyOf(app, 'live.example:5000')).toBe(
      "connect-src 'self' ws://live.example:5000 wss://live.example:5000",
    );
  });

  it('may connect to the servers that the operator lists', async () => {
    const app = await start({ pageServers: ['https://other.example'] }, { files: PAGE });
    expect(await policyOf(app, 'a')).toBe(
      "connect-src 'self' ws://a wss://a https://other.example wss://other.example",
    );
  });

  it.each(["a'; script-src *", 'a b', 'a,b', 'a;b', '*'])('takes nothing from the Host %j', async (host) => {
    const app = await start({}, { files: PAGE });
    expect(await policyOf(app, host)).toBe("connect-src 'self'");
  });
});
