import { afterEach, describe, expect, it } from 'vitest';
import type { StaticFile } from '../../../src/gateway/http/deps.ts';
import { type HttpApp, rawExchange, startHttpApp } from '../../support/http-app.ts';

const PAGE: StaticFile = {
  type: 'text/html; charset=utf-8',
  body: '<!doctype html><title>Mesa</title>',
  immutable: false,
};
const SCRIPT = `export const numbers = [${'17,'.repeat(2000)}];`;
const FILES = new Map<string, StaticFile>([
  ['/', PAGE],
  ['/client.js', { type: 'text/javascript; charset=utf-8', body: SCRIPT, immutable: false }],
  ['/assets/app-1a2b3c.css', { type: 'text/css; charset=utf-8', body: 'b{}', immutable: true }],
  ['/icon.png', { type: 'image/png', body: new Uint8Array(5000), immutable: false }],
]);

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

async function start(files: ReadonlyMap<string, StaticFile> = FILES): Promise<HttpApp> {
  const app = await startHttpApp({}, { files });
  started.push(app);
  return app;
}

describe('GET /', () => {
  it('is the page for browsers', async () => {
    const app = await start();
    const response = await fetch(app.url, { headers: { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(response.headers.get('vary')).toContain('Accept');
    expect(await response.text()).toContain('Mesa');
  });

  it.each(['*/*', 'application/json', 'text/*', 'text/html;q=0, */*', ''])(
    'is the old JSON for Accept: %s',
    async (accept) => {
      const app = await start();
      const response = await fetch(app.url, { headers: { Accept: accept } });
      expect(await response.json()).toMatchObject({ status: 'online' });
      expect(response.headers.get('vary')).toContain('Accept');
    },
  );

  it('is the old JSON where there is no page', async () => {
    const app = await start(new Map());
    const response = await fetch(app.url, { headers: { Accept: 'text/html' } });
    expect(await response.json()).toMatchObject({ status: 'online' });
  });
});

describe('files', () => {
  it('come with a tag, and 304 without a body when the browser has them', async () => {
    const app = await start();
    const first = await fetch(`${app.url}/client.js`);
    expect(first.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(first.headers.get('cache-control')).toBe('public, no-cache');
    expect(await first.text()).toBe(SCRIPT);
    const tag = first.headers.get('etag') ?? '';
    for (const condition of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const again = await fetch(`${app.url}/client.js`, { headers: { 'If-None-Match': condition } });
      expect(again.status).toBe(304);
      expect(await again.text()).toBe('');
      expect(again.headers.get('etag')).toBe(tag);
    }
    const changed = await fetch(`${app.url}/client.js`, { headers: { 'If-None-Match': '"other"' } });
    expect(changed.status).toBe(200);
  });

  it('are compressed only for who takes it, under another tag', async () => {
    const app = await start();
    const head = 'HEAD /client.js HTTP/1.1\r\nHost: x\r\n';
    const plain = await rawExchange(app.port, `${head}\r\n`, (text) => text.includes('\r\n\r\n'));
    const zipped = await rawExchange(app.port, `${head}Accept-Encoding: gzip, br\r\n\r\n`, (text) =>
      text.includes('\r\n\r\n'),
    );
    const refused = await rawExchange(app.port, `${head}Accept-Encoding: gzip;q=0\r\n\r\n`, (text) =>
      text.includes('\r\n\r\n'),
    );
    expect(zipped.headers.get('content-encoding')).toBe('gzip');
    expect(Number(zipped.headers.get('content-length'))).toBeLessThan(Number(plain.headers.get('content-length')) / 10);
    expect(zipped.headers.get('etag')).not.toBe(plain.headers.get('etag'));
    expect(refused.headers.has('content-encoding')).toBe(false);
    expect(plain.headers.get('vary')).toContain('Accept-Encoding');
  });

  it('stay for a year when their address names their content', async () => {
    const app = await start();
    const response = await fetch(`${app.url}/assets/app-1a2b3c.css`);
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  });

  it('come byte for byte when they are binary', async () => {
    const app = await start();
    const response = await fetch(`${app.url}/icon.png`);
    expect((await response.arrayBuffer()).byteLength).toBe(5000);
  });

  it('are only those that were handed in', async () => {
    const app = await start();
    for (const path of [
      '/assets/',
      '/assets/../package.json',
      '/assets/%2e%2e/package.json',
      '/package.json',
      '//etc/passwd',
    ]) {
      const answer = await rawExchange(app.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(answer.status).toBe(404);
    }
  });

  it('cannot have an address that is a pattern', async () => {
    const files = new Map([['/:everything', PAGE]]);
    await expect(start(files)).rejects.toThrow('/:everything');
  });
});
