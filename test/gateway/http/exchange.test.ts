import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpApp, rawExchange, startHttpApp, untilClosed } from '../../support/http-app.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp(options, overrides);
  started.push(app);
  return app;
};

const request = (line: string, headers: readonly string[] = [], body = ''): string =>
  `${line} HTTP/1.1\r\n${['Host: 127.0.0.1', ...headers].map((header) => `${header}\r\n`).join('')}\r\n${body}`;

const POST = 'POST /api/v1/numbers';
const JSON_TYPE = 'Content-Type: application/json';
const SPIN = JSON.stringify({ roleta_id: '2010165', numero: 1 });
const chunked = (...parts: readonly string[]): string =>
  [...parts, ''].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('');

describe('bodies', () => {
  it('reads a chunked body whole', async () => {
    const app = await start();
    const bytes = request(POST, [JSON_TYPE, 'Transfer-Encoding: chunked'], chunked(SPIN.slice(0, 7), SPIN.slice(7)));
    expect((await rawExchange(app.port, bytes)).status).toBe(201);
  });

  it('answers 413 to a declared length above the limit before any of the body came', async () => {
    const app = await start({ maxBodyBytes: 1000 });
    const answer = await rawExchange(app.port, request(POST, [JSON_TYPE, 'Content-Length: 1001'], '{'), untilClosed);
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'body_too_large' });
    expect(answer.headers.get('connection')).toBe('close');
  });

  it('answers 413 to an endless chunked body as soon as it passes the limit', async () => {
    const app = await start({ maxBodyBytes: 1000 });
    const endless = `3e8\r\n${'x'.repeat(1000)}\r\n1\r\nx`;
    const answer = await rawExchange(
      app.port,
      request(POST, [JSON_TYPE, 'Transfer-Encoding: chunked'], endless),
      untilClosed,
    );
    expect(answer.status).toBe(413);
    expect(app.deps.stored.size).toBe(0);
  });

  it('takes a body of exactly the limit', async () => {
    const body = SPIN.padEnd(1000);
    const app = await start({ maxBodyBytes: 1000 });
    const answer = await rawExchange(app.port, request(POST, [JSON_TYPE, 'Content-Length: 1000'], body));
    expect(answer.status).toBe(201);
  });

  it('ends a connection whose body trickles', async () => {
    const app = await start({ bodyWaitMs: 300 });
    const socket = net.connect(app.port, '127.0.0.1');
    socket.write(request(POST, [JSON_TYPE, 'Content-Length: 100']));
    const trickle = setInterval(() => socket.write(' '), 50);
    const text = await new Promise<string>((resolve) => {
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk.toString();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(received));
    });
    clearInterval(trickle);
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  it('gives all bodies together one allowance, and frees it when a client leaves', async () => {
    const app = await start({ maxBufferedBytes: 100 });
    const holding = net.connect(app.port, '127.0.0.1');
    holding.write(request(POST, [JSON_TYPE, 'Content-Length: 200'], '{"a":"'.padEnd(90, 'x')));
    const full = await poll(async () => {
      const answer = await rawExchange(app.port, request(POST, [JSON_TYPE, `Content-Length: ${SPIN.length}`], SPIN));
      return answer.status === 429 ? answer : null;
    });
    expect(JSON.parse(full.body)).toMatchObject({ code: 'overloaded' });
    holding.destroy();
    const taken = await poll(async () => {
      const answer = await rawExchange(app.port, request(POST, [JSON_TYPE, `Content-Length: ${SPIN.length}`], SPIN));
      return answer.status < 300 ? answer : null;
    });
    expect(taken.status).toBe(201);
  });

  it('goes on after clients that leave in the middle of a body or before their answer', async () => {
    let arrived = (): void => undefined;
    const inserting = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const insertNumbers: HttpApp['deps']['insertNumbers'] = async (items) => {
      arrived();
      await held;
      return items.map(({ id }) => ({ status: 'created', id }));
    };
    const app = await start({}, { insertNumbers });
    const half = net.connect(app.port, '127.0.0.1');
    half.write(request(POST, [JSON_TYPE, 'Content-Length: 100'], '{'), () => half.resetAndDestroy());
    const whole = net.connect(app.port, '127.0.0.1');
    whole.write(request(POST, [JSON_TYPE, `Content-Length: ${SPIN.length}`], SPIN));
    await inserting;
    await new Promise<void>((resolve) => {
      whole.once('close', () => resolve());
      whole.resetAndDestroy();
    });
    release();
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
  });
});

/** Asks again until there is an answer; the state asked for comes without an event to wait for. */
async function poll<T>(ask: () => Promise<T | null>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
  }
}

describe('request framing', () => {
  it.each([
    ['two lengths', ['Content-Length: 2', 'Content-Length: 40']],
    ['two lengths that agree', ['Content-Length: 2', 'Content-Length: 2']],
    ['a transfer coding beside chunked', ['Transfer-Encoding: gzip, chunked']],
    ['two transfer codings', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['two hosts', ['Host: other.example', 'Content-Length: 2']],
    ['length and chunked', ['Content-Length: 2', 'Transfer-Encoding: chunked']],
    ['a negative length', ['Content-Length: -2']],
    ['a length with a sign', ['Content-Length: +2']],
  ])('refuses %s, and answers nothing that is hidden behind it', async (_name, headers) => {
    const app = await start();
    const hidden = request('GET /healthz');
    const bytes = request(POST, [JSON_TYPE, ...headers], headers.join().includes('chunked') ? chunked('{}') : '{}');
    const alone = await rawExchange(app.port, bytes, untilClosed);
    expect(alone.status).toBe(400);
    const smuggled = await rawExchange(app.port, bytes + hidden, untilClosed);
    expect(smuggled.text).not.toContain('200 OK');
    expect(app.deps.requests.some(({ route }) => route === '/healthz')).toBe(false);
  });

  it.each(['Authorization', 'X-Api-Key', 'Idempotency-Key', 'Origin', 'Content-Type'])(
    'refuses a second %s header',
    async (name) => {
      const app = await start();
      const answer = await rawExchange(app.port, request('GET /healthz', [`${name}: a`, `${name}: b`]));
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toMatchObject({ problems: [{ path: name.toLowerCase() }] });
    },
  );

  it('answers 431 to headers above the limit', async () => {
    const app = await start();
    const answer = await rawExchange(app.port, request('GET /healthz', [`X-Filler: ${'a'.repeat(5000)}`]), untilClosed);
    expect(answer.status).toBe(431);
  });

  it('answers 431 to an address above the limit', async () => {
    const app = await start();
    const answer = await rawExchange(app.port, request(`GET /healthz?${'a'.repeat(5000)}`), untilClosed);
    expect(answer.status).toBe(431);
  });

  it('keeps a connection for the next request', async () => {
    const app = await start();
    const answer = await rawExchange(
      app.port,
      request('GET /healthz') + request('GET /healthz'),
      (text) => text.split('{"status":"ok"}').length === 3,
    );
    expect(answer.closed).toBe(false);
  });

  it('ends the connection when the client asks for that', async () => {
    const app = await start();
    const answer = await rawExchange(app.port, request('GET /healthz', ['Connection: close']), untilClosed);
    expect(answer.body).toBe('{"status":"ok"}');
  });

  it('ends connections with their next answer while the process stops', async () => {
    const app = await start({}, { draining: () => true });
    const answer = await rawExchange(app.port, request('GET /healthz'), untilClosed);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('connection')).toBe('close');
  });
});

describe('failures of what a route is handed', () => {
  const boom = (): never => {
    throw new TypeError('boom');
  };

  it.each([
    ['a dependency that throws', { tables: boom }],
    ['a dependency that throws in place of a promise', { numbers: { page: boom, stream: boom } }],
  ])('%s ends in a logged 500, and the next request is served', async (_name, overrides) => {
    const app = await start({}, overrides);
    const path = 'tables' in overrides ? '/api/v1/tables' : '/api/v1/tables/2010017/numbers';
    const response = await fetch(app.url + path);
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ code: 'internal', retry: 'backoff' });
    expect(app.deps.lines.map(({ event }) => event)).toEqual(['request_failed']);
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
  });

  it('a measurement that throws does not leave the client without an answer', async () => {
    const observe = { request: boom, ingest: boom, inserted: boom, unauthorized: boom };
    const app = await start({}, { observe });
    const answer = await rawExchange(app.port, request('GET /healthz'), untilClosed);
    expect(answer.status).toBe(500);
    expect(app.deps.lines.map(({ event }) => event)).toContain('request_failed');
  });
});

describe('clients that do not read', () => {
  it.each(['GET /openapi.json', 'GET /healthz', 'HEAD /docs', 'OPTIONS /', 'GET /nothing'])(
    'are cut off when they go on asking for %s',
    async (line) => {
      const app = await start();
      const socket = net.connect(app.port, '127.0.0.1');
      const closed = new Promise<void>((resolve) => {
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
      });
      socket.pause();
      const many = request(line).repeat(200);
      const ask = (error?: Error | null): void => {
        if (!error && !socket.destroyed) socket.write(many, ask);
      };
      socket.on('connect', () => ask());
      await closed;
      expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
    },
  );

  it('get the whole of a large answer when they read at last', async () => {
    const body = 'x'.repeat(8 * 1024 * 1024);
    const app = await start({}, { files: new Map([['/large.bin', { type: 'video/mp4', body, immutable: false }]]) });
    const socket = net.connect(app.port, '127.0.0.1');
    socket.pause();
    socket.write(request('GET /large.bin', ['Connection: close']));
    await poll(async () => (app.deps.requests.length > 0 ? true : (await fetch(`${app.url}/healthz`)).ok || null));
    let received = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received += chunk.length;
        if (received > body.length) resolve();
      });
      socket.resume();
    });
    socket.destroy();
    expect(received).toBeGreaterThan(body.length);
  });
});

describe('methods and addresses', () => {
  it('answers HEAD as GET without the body', async () => {
    const app = await start();
    const get = await fetch(`${app.url}/healthz`);
    const head = await fetch(`${app.url}/healthz`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(String((await get.text()).length));
    expect(await head.text()).toBe('');
  });

  it('answers 404 as a problem to an unknown address', async () => {
    const app = await start();
    const response = await fetch(`${app.url}/wp-login.php`);
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({
      code: 'not_found',
      request_id: response.headers.get('x-request-id'),
    });
  });

  it.each(['GET', 'PUT', 'DELETE', 'PATCH', 'PURGE'])(
    'answers 405 and Allow to %s where only POST goes',
    async (method) => {
      const app = await start();
      const answer = await rawExchange(app.port, request(`${method} /api/v1/numbers`));
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toBe('POST, OPTIONS');
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'method_not_allowed' });
    },
  );

  it('answers OPTIONS with the methods', async () => {
    const app = await start();
    const response = await fetch(`${app.url}/healthz`, { method: 'OPTIONS' });
    expect([response.status, response.headers.get('allow')]).toEqual([200, 'GET, HEAD, OPTIONS']);
  });

  it('names the length of what a HEAD or a 304 leaves out, and keeps the connection', async () => {
    const files = new Map([['/x.js', { type: 'text/javascript', body: 'four', immutable: false }]]);
    const app = await start({}, { files });
    for (const [line, headers, status] of [
      ['HEAD /x.js', [], 200],
      ['GET /x.js', ['If-None-Match: *'], 304],
    ] as const) {
      const answer = await rawExchange(app.port, request(line, headers), (text) => text.includes('\r\n\r\n'));
      expect([answer.status, answer.headers.get('content-length'), answer.body]).toEqual([status, '4', '']);
      expect(answer.headers.has('connection')).toBe(false);
    }
  });

  it('gives an address only so many answers without a body: then 304 becomes 200, and HEAD 429', async () => {
    const files = new Map([['/x.js', { type: 'text/javascript', body: 'four', immutable: false }]]);
    const app = await start({}, { files });
    const head = () => rawExchange(app.port, request('HEAD /x.js'), (text) => text.includes('\r\n\r\n'));
    const refused = await poll(async () => {
      const answer = await head();
      return answer.status === 429 ? answer : null;
    });
    expect(refused.headers.get('connection')).toBe('close');
    // Twenty per second are given back meanwhile: asked until they are spent again.
    const whole = await poll(async () => {
      const answer = await rawExchange(app.port, request('GET /x.js', ['If-None-Match: *']));
      return answer.status === 304 ? null : answer;
    });
    expect([whole.status, whole.body]).toEqual([200, 'four']);
  });

  it('labels measurements with the pattern, never with what a client wrote', async () => {
    const app = await start();
    await fetch(`${app.url}/secret-${'x'.repeat(50)}`);
    expect(app.deps.requests).toEqual([{ route: '/*', method: 'GET', status: 404 }]);
    await rawExchange(app.port, request('PURGE /healthz'));
    expect(app.deps.requests[1]).toEqual({ route: '/healthz', method: 'other', status: 405 });
  });
});
