import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { runExport } from '../../src/cli/export.ts';
import { type HttpApp, startHttpApp } from '../support/http-app.ts';
import { fakeHistory } from '../support/http-deps.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-export-'));
const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(args: readonly string[], overrides: Parameters<typeof startHttpApp>[1] = {}) {
  const app = await startHttpApp({}, overrides);
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

  it.each([[[]], [['a', 'b']], [['a', '--format', 'xml']], [['a', '--what']]])(
    'explains a command line that it cannot follow: %j',
    async (args) => {
      const { code, notes } = await run(args);
      expect([code, notes]).toEqual([2, expect.stringContaining('runcash-live export <table>')]);
    },
  );
});
