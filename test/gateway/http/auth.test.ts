import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { peerOf } from '../../../src/gateway/door/address.ts';
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

const KEYS = {
  ingestKeys: [
    { name: 'old', secret: 'first-secret-0123' },
    { name: 'new', secret: 'second-secret-4567' },
  ],
};
const SPIN = JSON.stringify({ roleta_id: '2010165', numero: 1 });
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

/** Posts over a raw socket, since fetch sets Host and Origin itself. */
async function post(app: HttpApp, headers: Readonly<Record<string, string>> = {}) {
  const all = { Host: `127.0.0.1:${app.port}`, 'Content-Type': 'application/json', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const bytes = `POST /api/v1/numbers HTTP/1.1\r\n${lines.join('')}Content-Length: ${SPIN.length}\r\n\r\n${SPIN}`;
  return rawExchange(app.port, bytes);
}

describe('ingest with keys', () => {
  it.each([
    ['Bearer with the secret', { Authorization: 'Bearer second-secret-4567' }],
    ['Bearer with name and secret', { Authorization: 'bearer new:second-secret-4567' }],
    ['X-Api-Key', { 'X-Api-Key': 'second-secret-4567' }],
    ['Basic', { Authorization: basic('new:second-secret-4567') }],
  ])('takes a key by %s, and counts by its name', async (_name, headers) => {
    const app = await start(KEYS);
    expect((await post(app, headers)).status).toBe(201);
    expect(app.deps.outcomes).toEqual([{ kind: 'number', key: 'new', outcome: 'created' }]);
  });

  it('takes every key of the list, so that keys can be rotated', async () => {
    const app = await start(KEYS);
    expect((await post(app, { 'X-Api-Key': 'first-secret-0123' })).status).toBe(201);
    expect((await post(app, { 'X-Api-Key': 'second-secret-4567' })).status).toBe(201);
  });

  it.each([
    ['nothing', {}],
    ['a wrong secret', { Authorization: 'Bearer second-secret-4568' }],
    ['the start of a secret', { Authorization: 'Bearer second' }],
    ['the name of one key with the secret of another', { Authorization: basic('old:second-secret-4567') }],
    ['Basic without a name', { Authorization: basic(':second-secret-4567') }],
    ['Basic without a colon', { Authorization: basic('second-secret-4567') }],
    ['Basic that is no base64', { Authorization: 'Basic %%%%' }],
    ['another scheme', { Authorization: 'Digest second-secret-4567' }],
    ['an empty key', { 'X-Api-Key': '' }],
  ])('answers 401 to %s, also from this machine', async (_name, headers) => {
    const app = await start(KEYS);
    const answer = await post(app, headers);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'unauthorized' });
    expect(app.deps.unauthorizedRoutes).toEqual(['/api/v1/numbers']);
    expect(app.deps.stored.size).toBe(0);
  });

  it('never shows a secret in an answer or a log line', async () => {
    const app = await start(KEYS);
    const answer = await post(app, { Authorization: 'Bearer my-guess-of-a-secret' });
    expect(answer.text).not.toContain('my-guess');
    expect(JSON.stringify(app.deps.lines)).not.toMatch(/secret/);
  });
});

describe('ingest without keys', () => {
  it('takes posts of programs on this machine', async () => {
    const app = await start();
    expect((await post(app)).status).toBe(201);
    expect((await post(app, { Host: `localhost:${app.port}` })).status).toBe(201);
    expect(app.deps.outcomes.map(({ key }) => key)).toEqual(['local', 'local']);
  });

  it.each(['X-Forwarded-For', 'Forwarded', 'X-Real-IP', 'Via', 'CF-Connecting-IP', 'X-Forwarded-Proto'])(
    'ends the exemption when a proxy passed the request on (%s)',
    async (name) => {
      const app = await start();
      expect((await post(app, { [name]: '127.0.0.1' })).status).toBe(401);
    },
  );

  it('refuses a page of another origin in a browser on this machine, even where * may read', async () => {
    const app = await start({ origins: ['*'] });
    expect((await post(app, { Origin: 'https://evil.example' })).status).toBe(403);
    expect((await post(app, { Origin: 'null' })).status).toBe(403);
    expect((await post(app, { Origin: `http://127.0.0.1:${app.port}` })).status).toBe(201);
  });

  it('takes a page of an origin that is named', async () => {
    const app = await start({ origins: ['*', 'https://live.example.com'] });
    expect((await post(app, { Origin: 'https://live.example.com' })).status).toBe(201);
  });

  it('refuses a name that somebody else pointed at this machine', async () => {
    const app = await start();
    expect((await post(app, { Host: 'rebound.example' })).status).toBe(401);
  });

  it('counts limits by the visitor that a trusted proxy names, and by the proxy that is not trusted', async () => {
    const limits = { ingestOpen: true, ingestPerSecond: 1, ingestBurst: 1 };
    const from = (app: HttpApp, visitor: string) => post(app, { 'X-Forwarded-For': visitor });
    const trusting = await start({ ...limits, trustedProxies: ['127.0.0.0/8'] });
    expect((await from(trusting, '203.0.113.7')).status).toBe(201);
    expect((await from(trusting, '203.0.113.7')).status).toBe(429);
    expect((await from(trusting, '203.0.113.8')).status).toBe(201);
    const wary = await start(limits);
    expect((await from(wary, '203.0.113.7')).status).toBe(201);
    expect((await from(wary, '203.0.113.8')).status).toBe(429);
  });

  it('takes everybody when ingest is open', async () => {
    const app = await start({ ingestOpen: true });
    expect((await post(app, { 'X-Forwarded-For': '203.0.113.7', Host: 'live.example.com' })).status).toBe(201);
    expect(app.deps.outcomes.map(({ key }) => key)).toEqual(['open']);
  });
});

describe('the peer of a connection', () => {
  const bytes = (values: readonly number[]): ArrayBuffer => new Uint8Array(values).buffer;
  const v6 = (...tail: readonly number[]): number[] => [...new Array<number>(16 - tail.length).fill(0), ...tail];

  it.each([
    ['127.0.0.1', [127, 0, 0, 1], true],
    ['127.8.9.1', [127, 8, 9, 1], true],
    ['::1', v6(1), true],
    ['::ffff:127.0.0.1', v6(0xff, 0xff, 127, 0, 0, 1), true],
    ['::ffff:10.0.0.1', v6(0xff, 0xff, 10, 0, 0, 1), false],
    ['::127.0.0.1', v6(127, 0, 0, 1), false],
    ['10.0.0.127', [10, 0, 0, 127], false],
    ['a unix socket', [], false],
  ])('%s: loopback is %s', (_name, address, loopback) => {
    expect(peerOf(bytes(address)).loopback).toBe(loopback);
  });

  it('is this machine only through its loopback interface', () => {
    const outer = Object.values(networkInterfaces())
      .flat()
      .find((entry) => entry !== undefined && entry.family === 'IPv4' && !entry.internal);
    const parts = outer?.address.split('.').map(Number) ?? [192, 0, 2, 1];
    expect(peerOf(bytes(parts)).loopback).toBe(false);
  });
});
