import { afterEach, describe, expect, it } from 'vitest';
import { type HttpApp, rawExchange, startHttpApp } from '../../support/http-app.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const ADMIN_KEY = 'admin-key-0123456789';
const start = async (options: Parameters<typeof startHttpApp>[0] = {}): Promise<HttpApp> => {
  const app = await startHttpApp(options);
  started.push(app);
  return app;
};

/** Whether a request sees what is for operators alone: the metrics, and the detail of the status. */
async function sees(app: HttpApp, headers: Readonly<Record<string, string>> = {}): Promise<boolean> {
  const all = { Host: `127.0.0.1:${app.port}`, Connection: 'close', ...headers };
  const lines = Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const ask = (path: string) => rawExchange(app.port, `GET ${path} HTTP/1.1\r\n${lines}\r\n`);
  const metrics = await ask('/metrics');
  const status = await ask('/status');
  const detail = status.status === 200 && /"connections"/.test(status.body);
  expect(status.status === 421 || status.status === 200).toBe(true);
  expect(metrics.status === 200).toBe(detail);
  if (!detail) expect(metrics.text).not.toContain('# HELP');
  return detail;
}

const FOREIGN: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['a page of another origin', { Origin: 'https://evil.example' }],
  ['a page of another site on this machine', { Origin: 'http://localhost:3000' }],
  ['a sandboxed page', { Origin: 'null' }],
  ['a page that sends no Origin with its GET', { 'Sec-Fetch-Site': 'cross-site' }],
  ['a name that somebody else pointed at this machine', { Host: 'rebind.evil.example:5000' }],
  ['such a name as its own origin', { Host: 'rebind.example', Origin: 'http://rebind.example' }],
  ['a proxy that keeps the public Host', { Host: 'live.example.com' }],
  ['a Host that only begins like loopback', { Host: '127.0.0.1.evil.example' }],
  ['a Host that only begins like localhost', { Host: 'localhost.evil.example' }],
  ['a proxy that says for whom it asks', { 'X-Forwarded-For': '127.0.0.1' }],
  ['a proxy that says it by Forwarded', { Forwarded: 'for=127.0.0.1' }],
  ['a proxy that says it by Via', { Via: '1.1 proxy' }],
  ['a proxy that names the host it was asked for', { 'X-Original-Host': 'live.example.com' }],
  ['a sidecar', { 'X-Envoy-External-Address': '203.0.113.9' }],
  ['a cloud that only traces', { 'X-Amzn-Trace-Id': 'Root=1-67891233-abcdef012345678912345678' }],
  ['a delivery network', { 'Fastly-Client-IP': '203.0.113.9' }],
  ['a proxy that says it by X-Real-IP', { 'X-Real-IP': '127.0.0.1' }],
];

describe('what is for operators, where no admin key is set', () => {
  it('is shown to programs on this machine and to the page of the service', async () => {
    const app = await start();
    expect(await sees(app)).toBe(true);
    expect(await sees(app, { Host: 'localhost' })).toBe(true);
    expect(await sees(app, { Host: '[::1]:5000' })).toBe(true);
    expect(await sees(app, { Origin: `http://127.0.0.1:${app.port}` })).toBe(true);
    expect(await sees(app, { 'Sec-Fetch-Site': 'same-origin' })).toBe(true);
  });

  it.each(FOREIGN)('is not shown to %s', async (_, headers) => {
    expect(await sees(await start(), headers)).toBe(false);
  });

  it('is not shown to a page that may connect but is not of this service', async () => {
    const app = await start({ origins: ['https://front.example'] });
    expect(await sees(app, { Origin: 'https://front.example' })).toBe(false);
  });
});

describe('what is for operators, where an admin key is set', () => {
  it.each([['this machine', {}], ...FOREIGN] as const)('is asked for by the key, also from %s', async (_, headers) => {
    const app = await start({ adminKey: ADMIN_KEY });
    expect(await sees(app, headers)).toBe(false);
    expect(await sees(app, { ...headers, 'X-Api-Key': ADMIN_KEY })).toBe(true);
    expect(await sees(app, { ...headers, 'X-Api-Key': `${ADMIN_KEY}x` })).toBe(false);
  });

  it('is opened by the key as Bearer, as X-Api-Key or as the password of Basic, and by no ingest key', async () => {
    const ingestKeys = [{ name: 'scraper', secret: 'secret-0123456789' }];
    const app = await start({ adminKey: ADMIN_KEY, ingestKeys });
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    expect(await sees(app, { Authorization: `Bearer ${ADMIN_KEY}` })).toBe(true);
    expect(await sees(app, { Authorization: basic(`prometheus:${ADMIN_KEY}`) })).toBe(true);
    expect(await sees(app, { Authorization: 'Bearer secret-0123456789' })).toBe(false);
    expect(await sees(app, { Authorization: basic(`${ADMIN_KEY}:`) })).toBe(false);
    expect(await sees(app, { Cookie: `key=${ADMIN_KEY}` })).toBe(false);
  });
});
