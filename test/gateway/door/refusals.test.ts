import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { HTTP_DEFAULTS } from '../../../src/gateway/http/options.ts';
import { httpRoutes } from '../../../src/gateway/http/routes.ts';
import type { GatewayOptions } from '../../../src/gateway/options.ts';
import { createLegacySockets } from '../../../src/legacy/socketio.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { rawExchange, untilClosed } from '../../support/http-app.ts';
import { fakeDeps } from '../../support/http-deps.ts';

const ORIGIN = 'https://app.example';

const problem = z.strictObject({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  retry: z.enum(['never', 'backoff', 'after']),
  retry_ms: z.number().optional(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  request_id: z.string(),
});

let running: TestGateway;
let stopSockets: () => Promise<void>;
afterEach(async () => {
  await running.gateway.stop();
  await stopSockets();
});

/** A gateway with all transports and routes. */
async function start(options: Partial<GatewayOptions> = {}): Promise<void> {
  const deps = fakeDeps();
  const sockets = createLegacySockets({ ...deps, databaseOk: () => true }, false);
  stopSockets = sockets.stop;
  running = await startTestGateway(options, {
    transports: [sockets.serve],
    routes: [httpRoutes(deps, { ...HTTP_DEFAULTS, ...options })],
  });
}

const answerTo = (lines: readonly string[]) => rawExchange(running.port, [...lines, '', ''].join('\r\n'), untilClosed);

/** One address of every transport, and of the routes. */
const ADDRESSES = [
  '/events?topics=roulette:*',
  '/poll?topics=roulette:*',
  '/ws',
  '/socket.io/?EIO=4&transport=polling',
  '/api/v1/tables',
  '/docs',
  '/nothing',
] as const;

describe('a refusal', () => {
  it.each(ADDRESSES)('at %s has the same fields and headers as everywhere', async (path) => {
    await start({ hosts: ['live.example'], origins: [ORIGIN] });
    const answer = await answerTo([
      `GET ${path} HTTP/1.1`,
      'Host: evil.example',
      `Origin: ${ORIGIN}`,
      'Connection: close',
    ]);
    expect(answer.status).toBe(421);
    const body = problem.parse(JSON.parse(answer.body));
    expect(body).toMatchObject({ code: 'wrong_host', status: 421, retry: 'never' });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/problem+json',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'access-control-allow-origin': ORIGIN,
      'access-control-expose-headers': expect.stringContaining('X-Request-Id'),
      'x-request-id': body.request_id,
    });
  });

  it('of an instance that is not ready names when to come back, in the body and in Retry-After', async () => {
    await start();
    running.feed.unready();
    for (const path of ['/events?topics=roulette:*', '/poll?topics=roulette:*']) {
      const answer = await answerTo([`GET ${path} HTTP/1.1`, 'Host: a', 'Connection: close']);
      const body = problem.parse(JSON.parse(answer.body));
      expect(body).toMatchObject({ code: 'not_ready', retry: 'after' });
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual((body.retry_ms ?? 0) / 1000);
    }
  });
});

describe('a request that can be read in two ways', () => {
  const UPGRADE = [
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  ];
  const FRAMINGS: readonly (readonly [string, readonly string[]])[] = [
    ['two Content-Lengths', ['Content-Length: 0', 'Content-Length: 41']],
    ['the same Content-Length twice', ['Content-Length: 0', 'Content-Length: 0']],
    ['Content-Length and Transfer-Encoding', ['Content-Length: 4', 'Transfer-Encoding: chunked']],
    ['an unknown Transfer-Encoding', ['Transfer-Encoding: xchunked']],
    ['two Transfer-Encodings', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
    ['two Hosts', ['Host: b']],
  ];
  const smuggled = ['', 'GET /api/v1/tables HTTP/1.1', 'Host: smuggled'];

  it.each(ADDRESSES.flatMap((path) => FRAMINGS.map(([name, headers]) => [path, name, headers] as const)))(
    'at %s with %s is refused, ends the connection, and hides no other',
    async (path, _name, headers) => {
      await start();
      const answer = await answerTo([`GET ${path} HTTP/1.1`, 'Host: a', ...headers, ...smuggled]);
      expect(answer.closed).toBe(true);
      expect(answer.text.match(/^HTTP\/1\.1 \d+/gm) ?? []).not.toContain('HTTP/1.1 200');
      expect((answer.text.match(/^HTTP\/1\.1 /gm) ?? []).length).toBeLessThanOrEqual(1);
    },
  );

  it.each(FRAMINGS)('is no WebSocket either: %s', async (_name, headers) => {
    await start();
    for (const path of ['/ws', '/socket.io/?EIO=4&transport=websocket']) {
      const answer = await answerTo([`GET ${path} HTTP/1.1`, 'Host: a', ...UPGRADE, ...headers]);
      expect([path, answer.status]).not.toEqual([path, 101]);
      expect(answer.closed).toBe(true);
    }
  });
});

describe('a preflight', () => {
  it.each(['/events', '/poll', '/socket.io/?EIO=4&transport=polling'])(
    'for %s allows EventSource, credentials and tracing headers',
    async (path) => {
      await start({ origins: [ORIGIN] });
      const asked = ['last-event-id', 'cache-control', 'authorization', 'traceparent', 'tracestate', 'baggage'];
      const answer = await fetch(`http://${running.url}${path}`, {
        method: 'OPTIONS',
        headers: {
          origin: ORIGIN,
          'access-control-request-method': 'GET',
          'access-control-request-headers': asked.join(','),
        },
      });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN);
      expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
      const allowed = answer.headers.get('access-control-allow-headers')?.split(', ') ?? [];
      for (const name of asked) expect(allowed).toContain(name);
    },
  );

  it('is answered with 403 for a page of another origin, and another method with 405', async () => {
    await start({ origins: [ORIGIN] });
    const url = `http://${running.url}/events`;
    const foreign = { origin: 'https://evil.example', 'access-control-request-method': 'GET' };
    expect((await fetch(url, { method: 'OPTIONS', headers: foreign })).status).toBe(403);
    const posted = await fetch(url, { method: 'POST' });
    expect(posted.status).toBe(405);
    expect(posted.headers.get('allow')).toBe('GET, OPTIONS');
  });
});
