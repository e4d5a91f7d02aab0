import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startProcess } from '../support/process.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-mongod-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function testMongod(args: readonly string[], env: Record<string, string>) {
  const run = startProcess('src/cli/main.js', ['test-mongod', ...args], env);
  const code = await run.exited;
  return { code, text: run.lines.join('\n') };
}

describe('test-mongod', () => {
  it('ends with 78 and says what to do where a version can be neither found nor downloaded', async () => {
    const { code, text } = await testMongod(['8.0'], {
      MONGOMS_DOWNLOAD_DIR: folder,
      MONGOMS_PREFER_GLOBAL_PATH: 'false',
      MONGOMS_DOWNLOAD_MIRROR: 'http://127.0.0.1:9',
      MONGOMS_SYSTEM_BINARY: '',
      MONGOMS_DISTRO: 'debian-12',
    });
    expect(code, text).toBe(78);
    expect(text).toMatch(/^No mongod 8\.0: /);
    expect(text).toContain('Without a network: install a mongod');
    expect(text).not.toMatch(/^ {4}at /m);
  });

  it('ends with 78 when a mongod does not start, and leaves no process behind', async () => {
    const binary = join(folder, 'mongod');
    const pidFile = join(folder, 'pid');
    writeFileSync(binary, `#!/bin/sh\necho $$ > ${pidFile}\necho 'libcrypto.so.1.1 is missing' >&2\nexit 127\n`);
    chmodSync(binary, 0o755);
    const { code, text } = await testMongod(['own'], { MONGOMS_SYSTEM_BINARY: binary });
    expect(code, text).toBe(78);
    expect(text).toContain(`mongod own (${binary}) does not start`);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    expect(pid).toBeGreaterThan(0);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('refuses a version that it does not know', async () => {
    const { code, text } = await testMongod(['9'], {});
    expect(code).toBe(2);
    expect(text).toContain('9 is no version of MongoDB that this knows');
  });
});
