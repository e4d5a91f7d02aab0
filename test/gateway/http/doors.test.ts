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

const send = (app: HttpApp, line: string, headers: Readonly<Record<string, string>> = {}, body = '') => {
  const all = { Host: `127.0.0.1:${app.port}`, ...headers, 'Content-Length': String(body.length) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return rawExchange(app.port, `${line} HTTP/1.1\r\n${lines.join('')}\r\n${body}`, (text) => /\r\n\r\n/.test(text));
};

const preflight = (app: HttpApp, path: string, origin: string) =>
  send(app, `OPTIONS ${path}`, {
    Origin: origin,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers':
      'cache-control, pragma, ngrok-skip-browser-warning, bypass-tunnel-reminder, content-type',
  });

const NAMED = { origins: ['https://app.example.com', 'https://*.runcash.example'] };

describe('CORS', () => {
  it.each(['https://app.example.com', 'https://a.runcash.example', 'https://b.a.runcash.example'])(
    'lets pages of %s read and ask, with the headers that the frontends send',
    async (origin) => {
      const app = await start(NAMED);
      const answer = await send(app, 'GET /healthz', { Origin: origin });
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
      expect(answer.headers.get('vary')).toContain('Origin');
      const asked = await preflight(app, '/api/v1/numbers', origin);
      expect(asked.status).toBe(200);
      expect(asked.headers.get('access-control-allow-methods')).toBe('POST, OPTIONS');
      const allowed = asked.headers.get('access-control-allow-headers')?.split(', ') ?? [];
      for (const name of ['cache-control', 'pragma', 'ngrok-skip-browser-warning', 'bypass-tunnel-reminder']) {
        expect(allowed).toContain(name);
      }
    },
  );

  it.each([
    'https://evil.example',
    'http://app.example.com',
    'https://app.example.com.evil.example',
    'https://runcash.example',
    'https://evilruncash.example',
    'https://app.example.com:8443',
    'null',
  ])('gives pages of %s nothing to read, and refuses what they would change', async (origin) => {
    const app = await start({ ...NAMED, ingestOpen: true });
    const answer = await send(app, 'GET /healthz', { Origin: origin });
    expect(answer.headers.has('access-control-allow-origin')).toBe(false);
    expect((await preflight(app, '/api/v1/numbers', origin)).status).toBe(403);
    const body = '{"roleta_id":"2010165","numero":1}';
    const write = await send(app, 'POST /api/v1/numbers', { Origin: origin, 'Content-Type': 'application/json' }, body);
    expect(write.status).toBe(403);
    expect(app.deps.stored.size).toBe(0);
  });

  it('lets every origin read under *, but not null', async () => {
    const app = await start({ origins: ['*'] });
    const any = await send(app, 'GET /healthz', { Origin: 'https://any.example' });
    expect(any.headers.get('access-control-allow-origin')).toBe('https://any.example');
    const none = await send(app, 'GET /healthz', { Origin: 'null' });
    expect(none.headers.has('access-control-allow-origin')).toBe(false);
  });

  it('lets a page of this server itself ask, whatever the list says', async () => {
    const app = await start(NAMED);
    const own = `http://127.0.0.1:${app.port}`;
    expect((await preflight(app, '/api/v1/numbers', own)).status).toBe(200);
  });

  it('answers the preflight of an address that another transport serves', async () => {
    const app = await start(NAMED);
    expect((await preflight(app, '/events', 'https://app.example.com')).status).toBe(200);
  });

  it('lets pages see errors too', async () => {
    const app = await start(NAMED);
    const answer = await send(app, 'GET /nothing', { Origin: 'https://app.example.com' });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
      404,
      'https://app.example.com',
    ]);
  });

  it('refuses to start with an origin that is none', async () => {
    await expect(startHttpApp({ origins: ['app.example.com'] })).rejects.toThrow('app.example.com');
  });
});

describe('Host', () => {
  const HOSTS = { hosts: ['live.example.com', '127.0.0.1:5000'] };

  it.each(['live.example.com', 'LIVE.example.com:8443', '127.0.0.1:5000'])('answers for %s', async (host) => {
    const app = await start(HOSTS);
    expect((await send(app, 'GET /healthz', { Host: host })).status).toBe(200);
  });

  it.each(['evil.example', 'live.example.com.evil.example', '127.0.0.1:5001', 'live.example.com@evil', ''])(
    'answers 421 for "%s"',
    async (host) => {
      const app = await start(HOSTS);
      const answer = await send(app, 'GET /healthz', { Host: host });
      expect(answer.status).toBe(421);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
    },
  );

  it('answers every host without a list', async () => {
    const app = await start();
    expect((await send(app, 'GET /healthz', { Host: 'anything.example' })).status).toBe(200);
  });
});

describe('security headers', () => {
  it('stand on every answer', async () => {
    const app = await start();
    for (const line of ['GET /', 'GET /status', 'GET /nothing', 'PURGE /', 'POST /api/v1/numbers', 'OPTIONS /']) {
      const { headers } = await send(app, line);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(headers.has('x-request-id')).toBe(true);
      expect(headers.has('strict-transport-security')).toBe(false);
    }
  });

  it('ask for TLS only where there is TLS', async () => {
    const app = await start({ https: true });
    expect((await send(app, 'GET /')).headers.get('strict-transport-security')).toMatch(/^max-age=\d+/);
  });
});
