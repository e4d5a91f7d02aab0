import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { INTERNAL } from '../../src/client/build.mjs';
import { buildPage } from '../../src/dashboard/build.mjs';
import { createFakeFeed } from './fake-feed.ts';
import { startFakeHttp } from './fake-http.ts';
import { SPEED } from './stage.ts';

/** Bytes, gzipped as the service serves them. */
const MAX_CLIENT = 8_704;
const MAX_FALLBACK = 3_520;
const MAX_EXTRAS = 3_920;

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runcash-bundle-'));
  await buildPage(folder);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('the client for browsers', () => {
  it('stays small, and brings what few need apart', async () => {
    const size = async (file: string): Promise<number> =>
      gzipSync(await readFile(join(folder, file)), { level: 9 }).length;
    expect(await size('client.js')).toBeLessThanOrEqual(MAX_CLIENT);
    expect(await size('client-fallback.js')).toBeLessThanOrEqual(MAX_FALLBACK);
    expect(await size('client-extras.js')).toBeLessThanOrEqual(MAX_EXTRAS);
  });

  it('asks for nothing but that', async () => {
    const text = await readFile(join(folder, 'client.js'), 'utf8');
    const late = [...text.matchAll(/import\(["'`]([^"'`]+)["'`]\)/g)].map((match) => match[1]);
    expect([...new Set(late)].sort()).toEqual(['./client-extras.js', './client-fallback.js']);
    expect(text).not.toMatch(/\bfrom"/);
    for (const file of ['client-fallback.js', 'client-extras.js']) {
      expect(await readFile(join(folder, file), 'utf8'), file).not.toMatch(/\bfrom"|import\(/);
    }
  });

  // `asked` was shortened: a name that came to mean a table later never did in a page.
  it('calls the fields of the protocol by their own names', async () => {
    const text = await readFile('src/client/read.ts', 'utf8');
    const fields = text.slice(text.indexOf('const TABLE'), text.indexOf('satisfies'));
    const names = (fields.match(/'[^'\n]*'|`[^`\n]*`/g) ?? []).flatMap((each) => each.match(/[a-z_]+/g) ?? []);
    expect(names).toContain('asked');
    expect(names.filter((name) => INTERNAL.test(name))).toEqual([]);
  });

  it('works as built, over WebSocket and over events', async () => {
    const feed = createFakeFeed(Date.now, [SPEED]);
    feed.past(SPEED.id, [17]);
    const server = await startFakeHttp(feed);
    const built: typeof import('../../src/client/connect.ts') = await import(
      pathToFileURL(join(folder, 'client.js')).href
    );
    for (const transport of ['websocket', 'sse'] as const) {
      const client = built.connect(server.url, { WebSocket, transports: [transport] });
      const reported: string[] = [];
      client.listen('error', (error) => reported.push(error.code));
      const subscription = client.subscribe('*');
      await subscription.ready();
      expect(client.tables.get(SPEED.id)?.numeros[0]?.numero).toBe(17);
      const unknown = client.subscribe('roulette:Nowhere').ready();
      await expect(unknown).rejects.toBeInstanceOf(built.ClientError);
      expect(reported).toEqual(['unknown_topic']);
      client.close();
    }
    await server.stop();
  });
});
