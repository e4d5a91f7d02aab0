import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SignJWT } from 'jose';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { runExport } from '../../src/cli/export.ts';
import { type Authenticator, createAuthenticator } from '../../src/gateway/door/jwt.ts';
import { secretKey } from '../../src/gateway/door/jwt-keys.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';
import { type HttpApp, startHttpApp } from '../support/http-app.ts';
import { fakeHistory } from '../support/http-deps.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const folder = mkdtempSync(join(tmpdir(), 'runcash-export-'));
const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  overrides: Parameters<typeof startHttpApp>[1] = {},
  authenticator: Authenticator | null = null,
) {
  const app = await startHttpApp({}, overrides, authenticator);
  started.push(app);
  let written = '';
  const notes: string[] = [];
  const output = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  const code = await runExport(args, {
    output,
    note: (line) => void notes.push(line),
    signal: AbortSignal.timeout(15_000),
    defaultUrl: app.url,
  });
  return { code, written, notes: notes.join('\n') };
}

describe('runcash-live export', () => {
  it('writes the numbers of a table as CSV', async () => {
    const { code, written } = await run(['2010017']);
    expect(code).toBe(0);
    expect(written.trimEnd().split('\r\n')).toHaveLength(4);
    expect(written).toMatch(/^roleta_id,roleta_nome,id,numero/);
  });

  it('writes strategies, lines of JSON, a part, and into a file', async () => {
    const file = join(folder, 'numbers.ndjson');
    const strategies = await run(['Ruleta Automática', '--strategies', '--format', 'ndjson']);
    expect(JSON.parse(strategies.written)).toMatchObject({ roleta_id: '2010017', estado: 'TRIGGER' });
    expect(await run(['2010017', '--format', 'ndjson', '--limit', '2', '--out', file])).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(2);
    const again = await run(['2010017', '--out', file]);
    expect([again.code, again.notes]).toEqual([1, expect.stringContaining('EEXIST')]);
  });

  it('shows what its token may see, where the service asks for one', async () => {
    const secret = 'a secret of more than thirty-two bytes';
    const keys = [secretKey(null, secret)];
    const auth = { mode: 'jwt', keys, jwksUrl: null, issuer: null, audience: null } as const;
    const authenticator = createAuthenticator(auth, () => [], { warn: () => undefined });
    const exported = async (tables: readonly string[] | null) => {
      const token = await new SignJWT({ tables })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1 minute')
        .sign(new TextEncoder().encode(secret));
      return run(['2010017', ...(tables === null ? [] : ['--token', token])], {}, authenticator);
    };
    expect((await exported(['2010017'])).written.trimEnd().split('\r\n')).toHaveLength(4);
    const hidden = await exported(['2010165']);
    expect(hidden).toEqual({
      code: 1,
      written: '',
      notes: 'refused: No table that this token may see has this id, name or UUID.',
    });
    expect(await exported(null)).toMatchObject({ code: 1, notes: expect.stringContaining('Credentials are missing') });
  });

  it('says in words what the service refuses, and exits 1', async () => {
    const nobody = await run(['nobody']);
    expect([nobody.code, nobody.notes]).toEqual([1, 'refused: No table has this id, name or UUID.']);
    expect((await run(['2010017', '--since', 'yesterday'])).notes).toMatch(/^refused: .*since must be ISO-8601/);
  });

  it('exits 1 when the history breaks off', async () => {
    const numbers = {
      ...fakeHistory([]),
      async *stream() {
        yield [];
        throw new Error('gone');
      },
    };
    const { code, notes } = await run(['2010017'], { numbers });
    expect([code, notes]).toEqual([1, expect.stringMatching(/^not complete: /)]);
  });

  it('and the service take no more memory the longer a history is', async () => {
    const row: NumberItem = { id: 'x'.repeat(24), numero: 17, cor: 'preto', timestamp: '2026-11-24T13:00:00.000Z' };
    const numbers = {
      ...fakeHistory([]),
      async *stream() {
        for (let portion = 0; portion < 2_000; portion++) yield Array.from({ length: 100 }, () => row);
      },
    };
    const app = await startHttpApp({}, { numbers });
    started.push(app);
    const held: number[] = [];
    let bytes = 0;
    const output = new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes > 4e6 * (held.length + 1)) {
          collectGarbage();
          const { heapUsed, arrayBuffers } = process.memoryUsage();
          held.push((heapUsed + arrayBuffers) / 2 ** 20);
        }
        done();
      },
    });
    const note = (line: string): void => expect.unreachable(line);
    const deps = { output, note, signal: AbortSignal.timeout(30_000), defaultUrl: app.url };
    expect(await runExport(['2010017', '--format', 'ndjson'], deps)).toBe(0);
    expect(held.length).toBeGreaterThan(4);
    const [early = 0] = held;
    // All of it would be more than 25 MB.
    expect(Math.max(...held) - early).toBeLessThan(5);
  });

  it.each([[[]], [['a', 'b']], [['a', '--format', 'xml']], [['a', '--what']]])(
    'explains a command line that it cannot follow: %j',
    async (args) => {
      const { code, notes } = await run(args);
      expect([code, notes]).toEqual([2, expect.stringContaining('runcash-live export <table>')]);
    },
  );
});
