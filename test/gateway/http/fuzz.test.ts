import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseJsonBody } from '../../../src/gateway/door/exchange.ts';
import { describedIn } from '../../../src/gateway/http/openapi.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';
import { allRoutes, type HttpApp, rawExchange, startHttpApp } from '../../support/http-app.ts';

const ingestKeys = [{ name: 'fuzz', secret: 'a-secret-for-fuzzing' }];
let open: HttpApp;
let keyed: HttpApp;
const unforeseen: unknown[] = [];
const note = (error: unknown): void => {
  unforeseen.push(error);
};

beforeAll(async () => {
  process.on('unhandledRejection', note);
  open = await startHttpApp({ ingestOpen: true, bodyWaitMs: 500 });
  keyed = await startHttpApp({ ingestKeys });
});
afterAll(() => {
  process.off('unhandledRejection', note);
  open.stop();
  keyed.stop();
});

/** Nothing failed behind the scenes, and the next caller is served. */
async function isSound(app: HttpApp): Promise<void> {
  expect(unforeseen).toEqual([]);
  expect(app.deps.lines.filter(({ event }) => event === 'request_failed')).toEqual([]);
  expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
}

const POSTS = ['/api/v1/numbers', '/api/v1/strategies', '/emit-event', '/api/numbers'] as const;
const FIELDS = [
  'roleta_id',
  'roleta_nome',
  'numero',
  'cor',
  'timestamp',
  'evento_id',
  'estado',
  'terminais_gatilho',
  'vitorias',
  'event',
  'data',
  '__proto__',
  'constructor',
];

/** JSON values that look like posts: known fields, and values at and beyond the edges of what they may hold. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    '2010165',
    2010165,
    0,
    -0,
    36,
    37,
    -1,
    1e308,
    'TRIGGER',
    '0',
    '',
    null,
    true,
    [],
    {},
    '\u0000',
  ),
  fc.constantFrom<unknown>('2026-11-24T13:00:00', 'VIP Roulette', 'new_number', 'strategy_update', 1.5, '١٧', 'verde'),
  fc.jsonValue({ maxDepth: 3 }),
);
const objectLike = fc
  .array(fc.tuple(fc.constantFrom(...FIELDS), odd), { maxLength: 8 })
  .map((entries) => `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join()}}`);
const emitted = objectLike.map((data) => `{"event":"new_number","data":${data}}`);
const bodies = fc.oneof(
  objectLike,
  emitted,
  fc.array(objectLike, { maxLength: 4 }).map((items) => `[${items.join()}]`),
  fc.string({ unit: 'binary', maxLength: 200 }),
);

describe('whatever a body holds', () => {
  it('the answer is a success or an error of the table, and never a crash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...POSTS), bodies, async (path, body) => {
        const response = await fetch(open.url + path, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body,
        });
        const answer: unknown = await response.json();
        expect([200, 201, 207, 400, 409]).toContain(response.status);
        if (response.status < 300 || path === '/emit-event' || path === '/api/numbers') return;
        expect(answer).toMatchObject({ status: response.status, code: expect.any(String) });
        expect(ERRORS).toHaveProperty(Object(answer).code);
      }),
      { numRuns: 400 },
    );
    await isSound(open);
  });

  it('bytes that are no text are refused, not thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          parseJsonBody(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'ProtocolError' });
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('what JSON.parse takes is taken as it is, unless it is deep or names __proto__', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('__proto__'));
        expect(parseJsonBody(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });
});

/** Text of bytes that may stand in a request line or header without ending it. */
const visible = fc
  .array(fc.integer({ min: 0x21, max: 0xff }), { maxLength: 60 })
  .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 0x7f)));

const GETS = describedIn(allRoutes())
  .filter(({ method, pattern }) => method === 'get' && pattern !== '/docs')
  .map(({ pattern }) => pattern);

describe('whatever an address holds', () => {
  it('paths and query strings get an answer of the table', async () => {
    const parameter = fc.tuple(
      fc.constantFrom('limit', 'before', 'last', 'skip', 'numero', 'cor', 'roleta_id', 'roleta_nome', 'x'),
      fc.oneof(visible, fc.constantFrom('0', '1', '-1', '%', '%ZZ', '%00', '999999999999', 'NaN', '__proto__')),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...GETS),
        visible,
        fc.array(parameter, { maxLength: 5 }),
        async (pattern, part, query) => {
          const path = pattern.replace(/:\w+/, () => part.replace(/[?#/]/g, '') || 'x');
          const text = query.map(([name, value]) => `${name}=${value}`).join('&');
          const bytes = Buffer.from(`GET ${path}?${text} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 'latin1');
          const answer = await rawExchange(open.port, bytes);
          expect([200, 304, 400, 401, 404]).toContain(answer.status);
        },
      ),
      { numRuns: 300 },
    );
    await isSound(open);
  });
});

describe('whatever headers hold', () => {
  it('no header opens ingest, breaks an answer or the process', async () => {
    const names = fc.constantFrom(
      'Authorization',
      'X-Api-Key',
      'Origin',
      'Content-Type',
      'Content-Encoding',
      'Idempotency-Key',
      'Accept',
      'Accept-Encoding',
      'If-None-Match',
      'Access-Control-Request-Method',
      'X-Forwarded-For',
      'Expect',
      'Range',
    );
    const values = fc.oneof(
      visible,
      fc.constantFrom('Basic ', 'Basic Og==', 'Bearer', 'Bearer fuzz:', 'null', '*', ';', ',,,'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET /status', 'GET /', 'OPTIONS /api/v1/numbers', 'POST /api/v1/numbers', 'POST /emit-event'),
        fc.array(fc.tuple(names, values), { maxLength: 6 }),
        async (line, headers) => {
          const body = line.startsWith('POST') ? '{"roleta_id":"2010165","numero":1}' : '';
          const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
          const head = `${line} HTTP/1.1\r\nHost: x\r\n${lines}Content-Length: ${body.length}\r\n\r\n`;
          const answer = await rawExchange(keyed.port, Buffer.from(head + body, 'latin1'));
          expect(answer.status).toBeGreaterThanOrEqual(200);
          expect(answer.status).toBeLessThan(500);
          if (line.startsWith('POST')) expect(answer.status).toBeGreaterThanOrEqual(400);
        },
      ),
      { numRuns: 400 },
    );
    expect(keyed.deps.stored.size).toBe(0);
    await isSound(keyed);
  });

  it('bytes of any kind end in an answer or a closed connection', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        await rawExchange(open.port, Buffer.concat([bytes, Buffer.from('\r\n\r\n')]), (text) => text.length > 0);
      }),
      { numRuns: 150 },
    );
    await isSound(open);
  });
});
