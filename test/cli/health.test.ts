import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askReady } from '../../src/cli/health.ts';
import { loadConfig } from '../../src/config/load.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startProcess, startRuncashProcess } from '../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-health-'));
const key = join(folder, 'key.pem');
const cert = join(folder, 'cert.pem');
let mongo: TestMongo;
beforeAll(async () => {
  const subject = ['-subj', '/CN=live.example.com', '-days', '2'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  spawnSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject]);
  mongo = await startMongo();
});
afterAll(async () => {
  await mongo.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The health check of the Dockerfile, word for word, in the environment of the service. */
async function check(env: Readonly<Record<string, string>>): Promise<{ code: number | null; said: string }> {
  const dockerfile = readFileSync('Dockerfile', 'utf8').replace(/\\\n/g, ' ');
  const [, file = ''] = /HEALTHCHECK .*CMD \["node", "dist\/([^"]+)"\]/.exec(dockerfile) ?? [];
  const checking = startProcess(file, [], env);
  return { code: await checking.exited, said: checking.lines.join('\n') };
}

describe("the image's health check", () => {
  it.each([
    ['by default', {}],
    ['when ALLOWED_HOSTS names the public host alone', { ALLOWED_HOSTS: 'live.example.com' }],
    ['when it listens on all addresses', { HOST: '0.0.0.0' }],
    ['when it speaks TLS with the public name', { TLS_CERT_FILE: cert, TLS_KEY_FILE: key }],
    [
      'when it does all of that',
      { ALLOWED_HOSTS: 'live.example.com', TLS_CERT_FILE: cert, TLS_KEY_FILE: key, HOST: '0.0.0.0' },
    ],
  ])('passes %s', async (_when, env: Record<string, string>) => {
    const running = await startRuncashProcess(mongo.uri, freshDatabase(), env);
    const here = { ...env, PORT: String(running.port) };
    expect(await check(here)).toMatchObject({ code: 0, said: expect.stringContaining('ready') });
    await running.end();
    expect((await check(here)).code).toBe(1);
  });

  it('fails in words while the service is not ready', async () => {
    const nobody = loadConfig({ PORT: '1' }).config;
    await expect(askReady(nobody)).rejects.toThrow('ECONNREFUSED');
  });
});
