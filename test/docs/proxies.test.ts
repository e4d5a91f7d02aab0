import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectWebsocket } from '../support/inbox.ts';
import { subscribe, TRANSPORTS } from '../support/subscribers.ts';
import { blocksOf } from './blocks.ts';
import { programNamed } from './programs.ts';
import { type Stage, startStage } from './stage.ts';

const nginx = programNamed('TEST_NGINX', 'nginx');
const caddy = programNamed('TEST_CADDY', 'caddy');
const guide = blocksOf(readFileSync('src/ops/README.md', 'utf8'));
const shown = (language: string): string => guide.find((block) => block.language === language)?.text ?? '';

const folder = mkdtempSync(join(tmpdir(), 'runcash-proxy-'));
let stage: Stage;
let proxy: ChildProcess | null = null;
const KEY = 'scraper:0123456789abcdef0123';
beforeAll(async () => {
  stage = await startStage({
    TRUSTED_PROXIES: '127.0.0.1,::1',
    MAX_CONNECTIONS_PER_ADDRESS: '2',
    SYNC_INTERVAL_MS: '250',
    INGEST_KEYS: KEY,
  });
});
afterEach(async () => {
  if (proxy === null) return;
  const ended = once(proxy, 'exit');
  // Asked politely, Caddy waits for the polls that are still open.
  proxy.kill('SIGKILL');
  await ended;
  proxy = null;
});
afterAll(async () => {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts a proxy and waits until it takes connections; rejects with what it said when it ends instead. */
async function start(program: string, args: readonly string[], port: number): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
  proxy = child;
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
  const accepts = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  while (!(await accepts())) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${said}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return `127.0.0.1:${port}`;
}

/** nginx with the guide's block, on a free port and without TLS, whose certificate is not here. */
async function startNginx(program: string): Promise<string> {
  const port = await freePort();
  const site = shown('nginx')
    .replace('server 127.0.0.1:5000;', `server 127.0.0.1:${stage.port};`)
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace(/^ *ssl_.*\n/gm, '');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const file = join(folder, 'nginx.conf');
  const main = `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr; events {}`;
  writeFileSync(file, `${main}\nhttp {\naccess_log off; ${paths.join(' ')}\n${site}\n}\n`);
  return await start(program, ['-c', file, '-p', folder, '-e', 'stderr'], port);
}

/** Caddy with the guide's block, on a free port and without the certificate that it would ask for. */
async function startCaddy(program: string): Promise<string> {
  const port = await freePort();
  const site = shown('caddyfile')
    .replace('live.example.com', `http://127.0.0.1:${port}`)
    .replace('127.0.0.1:5000', `127.0.0.1:${stage.port}`);
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, `{\nadmin off\n}\n${site}`);
  return await start(program, ['run', '--config', file, '--adapter', 'caddyfile'], port);
}

/** Every transport delivers through the proxy, without its holding anything back. */
async function delivers(address: string): Promise<void> {
  for (const transport of TRANSPORTS) {
    const subscriber = await subscribe(transport, address, { topics: ['roulette:2010165'] });
    await subscriber.next('subscribed');
    const posted = await fetch(`http://${address}/api/v1/numbers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
      body: '{"roleta_id":"2010165","roleta_nome":"Roulette","numero":0}',
    });
    expect(posted.status, transport).toBe(201);
    expect(await subscriber.next('new_number'), transport).toMatchObject({ numero: 0, cor: 'verde' });
    // While idle too: a buffering proxy would keep this. A long-poll is only answered for an event or when its time is up.
    if (transport !== 'poll') await subscriber.next('sync');
    subscriber.stop();
    await subscriber.over;
  }
}

/** What is for this machine alone stays closed to those who come through the proxy. */
async function keepsClosed(address: string): Promise<void> {
  expect((await fetch(`${stage.url}/metrics`)).status).toBe(200);
  expect((await fetch(`http://${address}/metrics`)).status).toBe(401);
}

describe("the guide's proxies", () => {
  it('are told to pass on the upgrade and the address, and to hold nothing back', () => {
    for (const words of ['Upgrade $http_upgrade', 'X-Forwarded-For', 'proxy_buffering off', 'proxy_http_version 1.1'])
      expect(shown('nginx')).toContain(words);
    expect(shown('caddyfile')).toContain('flush_interval -1');
  });
});

describe.runIf(nginx !== null)("nginx with the guide's block", () => {
  it('passes on every transport and keeps closed what is for this machine', async () => {
    const address = await startNginx(nginx ?? '');
    await delivers(address);
    await keepsClosed(address);
  });

  it('tells visitors apart, so that the limits of one do not hit another', async () => {
    const address = await startNginx(nginx ?? '');
    const from = (visitor: string) => connectWebsocket(address, { headers: { 'x-forwarded-for': visitor } });
    const [first, second] = [await from('203.0.113.7'), await from('203.0.113.7')];
    await expect(from('203.0.113.7')).rejects.toThrow(/Unexpected server response: (429|503)/);
    const other = await from('203.0.113.8');
    expect(await other.next('hello')).toMatchObject({ protocol: 1 });
    for (const client of [first, second, other]) client.socket.terminate();
  });
});

describe.runIf(caddy !== null)("Caddy with the guide's block", () => {
  it('passes on every transport and keeps closed what is for this machine', async () => {
    const address = await startCaddy(caddy ?? '');
    await delivers(address);
    await keepsClosed(address);
  });
});
