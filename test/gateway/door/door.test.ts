import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HTTP_DEFAULTS } from '../../../src/gateway/http/options.ts';
import { httpRoutes } from '../../../src/gateway/http/routes.ts';
import type { GatewayOptions } from '../../../src/gateway/options.ts';
import { createFakeFeed } from '../../support/fake-feed.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { fakeDeps } from '../../support/http-deps.ts';
import { connectWebsocket } from '../../support/inbox.ts';

const UPGRADE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

describe('the door', () => {
  let running: TestGateway;

  const start = async (options: Partial<GatewayOptions> = {}): Promise<void> => {
    running = await startTestGateway(options);
  };
  afterEach(() => running.gateway.stop());

  /** The answer to a request sent byte by byte as given, up to its body's end or the connection's. */
  function answerTo(lines: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(running.port, '127.0.0.1');
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.startsWith('HTTP/1.1 101')) socket.destroy();
      });
      socket.on('close', () => resolve(text)).on('error', reject);
      socket.write([...lines, '', ''].join('\r\n'));
    });
  }

  const upgrade = (...headers: string[]): Promise<string> =>
    answerTo([
      'GET /ws HTTP/1.1',
      ...(headers.some((line) => /^host:/i.test(line)) ? [] : ['Host: localhost']),
      ...UPGRADE,
      ...headers,
    ]);

  it('lets a plain upgrade in', async () => {
    await start();
    expect(await upgrade()).toMatch(/^HTTP\/1.1 101 /);
  });

  it('refuses pages of foreign origins before the upgrade, and null, and lets non-browsers in', async () => {
    await start({ origins: ['https://app.example', 'https://*.runcash.example'] });
    for (const origin of [
      'https://evil.example',
      'null',
      'https://app.example.evil.example',
      'https://runcash.example',
      'http://app.example',
      'https://evil.example#.runcash.example',
    ]) {
      expect(await upgrade(`Origin: ${origin}`), origin).toMatch(/^HTTP\/1.1 403 .*"code":"bad_origin"/s);
    }
    for (const origin of ['https://app.example', 'https://a.runcash.example', 'https://a.b.runcash.example']) {
      expect(await upgrade(`Origin: ${origin}`), origin).toMatch(/^HTTP\/1.1 101 /);
    }
    expect(await upgrade()).toMatch(/^HTTP\/1.1 101 /);
  });

  it('lets the page that this server itself served in', async () => {
    await start({ origins: ['https://app.example'] });
    expect(await upgrade('Origin: http://localhost')).toMatch(/^HTTP\/1.1 101 /);
  });

  it('answers streams and polls so that allowed pages can read them', async () => {
    await start({ origins: ['https://app.example'] });
    const url = `http://${running.url}/poll?topics=roulette:2010165`;
    const good = await fetch(url, { headers: { origin: 'https://app.example' } });
    expect(good.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(good.headers.get('vary')).toBe('Origin');
    const evil = await fetch(url, { headers: { origin: 'https://evil.example' } });
    expect(evil.status).toBe(403);
    expect(evil.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('leaves the preflight of streams and polls to the routes beside it', async () => {
    running = await startTestGateway({}, { routes: [httpRoutes(fakeDeps(), HTTP_DEFAULTS)] });
    for (const path of ['events', 'poll']) {
      const answer = await fetch(`http://${running.url}/${path}?topics=roulette:*`, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://app.example',
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'authorization,last-event-id',
        },
      });
      expect(answer.ok).toBe(true);
      expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
      expect(answer.headers.get('access-control-allow-methods')).toMatch(/GET/);
      expect(answer.headers.get('access-control-allow-headers')).toMatch(/authorization.*last-event-id/);
    }
    expect((await fetch(`http://${running.url}/nothing`)).status).toBe(404);
  });

  it('answers 421 to hosts that are not its own, and 400 to two at once', async () => {
    await start({ hosts: ['live.example'] });
    expect(await upgrade('Host: evil.example')).toMatch(/^HTTP\/1.1 421 .*"code":"wrong_host"/s);
    expect(await upgrade('Host: live.example', 'Host: live.example')).toMatch(/^HTTP\/1.1 400 /);
    expect(await upgrade('Host: LIVE.example:5000')).toMatch(/^HTTP\/1.1 101 /);
  });

  it('answers 426 to another WebSocket version and to a plain request', async () => {
    await start();
    const lines = ['GET /ws HTTP/1.1', 'Host: localhost', ...UPGRADE.slice(0, 3), 'Sec-WebSocket-Version: 99'];
    expect(await answerTo(lines)).toMatch(/^HTTP\/1.1 426 .*Sec-WebSocket-Version: 13.*"code":"upgrade_required"/s);
    const plain = await fetch(`http://${running.url}/ws`);
    expect(plain.status).toBe(426);
    expect(plain.headers.get('sec-websocket-version')).toBe('13');
  });

  it('answers 431 to headers larger than allowed', async () => {
    await start({ maxHeaderBytes: 4096 });
    expect(await upgrade(`X-Junk: ${'x'.repeat(5000)}`)).toMatch(/^HTTP\/1.1 431 .*"code":"headers_too_large"/s);
    expect((await fetch(`http://${running.url}/poll?topics=${'x'.repeat(5000)}`)).status).toBe(431);
  });

  it('answers 503 before the feed is first ready', async () => {
    const feed = createFakeFeed();
    feed.unready();
    running = await startTestGateway({}, { feed });
    expect(await upgrade()).toMatch(/^HTTP\/1.1 503 .*"code":"not_ready"/s);
    expect((await fetch(`http://${running.url}/events?topics=roulette:*`)).status).toBe(503);
  });

  it('closes 4001 for a protocol version that it does not speak', async () => {
    await start();
    const client = await connectWebsocket(running.url, { path: '/ws?protocol=2' });
    expect((await client.closed).code).toBe(4001);
  });

  it('negotiates no compression', async () => {
    await start();
    expect(await upgrade('Sec-WebSocket-Extensions: permessage-deflate')).not.toMatch(/permessage-deflate/);
  });
});
