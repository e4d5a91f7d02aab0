import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { MongoClient } from 'mongodb';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { packageVersion } from '../../src/config/version.ts';
import { type Running, startProcess } from '../support/process.ts';

const COMMANDS = [
  'serve',
  'demo',
  'simulate',
  'mongo',
  'tail',
  'export',
  'token',
  'config',
  'doctor',
  'alerts-test',
  'bench',
  'soak',
  'chaos',
  'prove',
  'test-mongod',
];
const started: Running[] = [];
afterEach(async () => {
  for (const running of started.splice(0)) await running.end('SIGKILL');
});

/** Starts the built command, away from any configuration of this machine. */
function command(args: string[], env: Record<string, string> = {}): Running {
  const running = startProcess('src/cli/main.js', args, {
    MONGODB_URI: '',
    MONGO: 'builtin',
    EMBEDDED_PORT: '0',
    ...env,
  });
  started.push(running);
  return running;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('the runcash-live command', () => {
  it('explains itself', async () => {
    const help = command(['--help']);
    expect(await help.exited).toBe(0);
    for (const word of COMMANDS) {
      expect(help.lines.join('\n')).toMatch(new RegExp(`^  ${word} +\\w`, 'm'));
    }
  });

  it.each(COMMANDS)('%s --help explains itself, whatever the configuration', async (name) => {
    const help = command([name, '--help'], { PORT: 'x' });
    expect(await help.exited, help.lines.join('\n')).toBe(0);
    const text = help.lines.join('\n');
    expect(text).not.toMatch(/^ {4}at /m);
    if (name !== 'mongo') expect(text).toContain(`runcash-live ${name}`);
    expect(text.split('\n').length).toBeGreaterThan(1);
  });

  it.each([
    'chaos',
    'prove',
    'test-mongod',
    'soak',
    'bench',
    'mongo',
    'simulate',
    'serve',
    'tail',
    'export',
    'token',
    'config',
    'doctor',
  ])('%s answers an option that there is not with its usage and exit code 2', async (name) => {
    const wrong = command([name, '--nonsense']);
    expect(await wrong.exited).toBe(2);
    expect(wrong.lines.join('\n')).not.toMatch(/^ {4}at /m);
  });

  it('tells its version', async () => {
    const version = command(['--version']);
    expect(await version.exited).toBe(0);
    expect(version.lines).toEqual([packageVersion()]);
  });

  it('refuses a command that there is not', async () => {
    const wrong = command(['sevre']);
    expect(await wrong.exited).toBe(2);
    expect(wrong.lines[0]).toBe('There is no command sevre.');
  });

  it.each([
    ['a folder', tmpdir()],
    ['no key', 'package.json'],
  ])('config check and serve say that a key file is %s, with exit code 78', async (_label, file) => {
    for (const args of [['config', 'check'], ['serve']]) {
      const refused = command(args, { AUTH: 'jwt', JWT_PUBLIC_KEY_FILE: file });
      expect(await refused.exited).toBe(78);
      expect(refused.lines.join('\n')).toMatch(/JWT_PUBLIC_KEY_FILE: (EISDIR|this is not a public key in PEM)/);
    }
  });

  it.each([[['config', 'check']], [['serve']], [['tail', '*']], [['token', 'make']], [['simulate', '--count', '1']]])(
    '%j says every problem of the configuration and exits 78',
    async (args) => {
      const running = command(args, { PORT: 'x', DRAIN_SECONDS: 'soon' });
      expect(await running.exited).toBe(78);
      const text = running.lines.join('\n');
      expect(text).toContain('PORT must be a whole number');
      expect(text).toContain('DRAIN_SECONDS must be a whole number');
    },
  );

  it('runs the measurements of a checkout', async () => {
    const bench = command(['bench', 'nonsense']);
    expect(await bench.exited).toBe(2);
    expect(bench.lines[0]).toBe('There is no bench nonsense.');
  });

  it('passes on the exit code of a program that it starts', async () => {
    const wrong = command(['simulate', '--spede', '2']);
    expect(await wrong.exited).toBe(2);
    expect(wrong.lines[0]).toContain("'--spede'");
  });

  it('plays the demo, with a past and signals at once, in a database of its own; one signal ends all of it', async () => {
    const [port, mongoPort] = [await freePort(), await freePort()];
    const demo = command(['demo', '--rate', '50'], {
      PORT: String(port),
      EMBEDDED_PORT: String(mongoPort),
      MONGODB_DB_NAME: 'mine',
      DRAIN_SECONDS: '0',
    });
    await demo.line(/^\d+ s {2}sent \d+ {2}acknowledged [1-9]/);
    const asked = async (path: string): Promise<string> =>
      JSON.stringify(await (await fetch(`http://127.0.0.1:${port}${path}`)).json());
    expect(await asked('/api/v1/tables')).toMatch(/"estado":"TRIGGER"/);
    expect(await asked('/api/v1/tables')).toMatch(/"simulado":true/);
    await vi.waitUntil(
      async () => (await asked('/api/v1/tables/2010165/numbers?limit=1000')).split('"numero"').length > 500,
      {
        timeout: 60_000,
        interval: 200,
      },
    );
    expect(await asked('/api/v1/tables/2010165/strategies?limit=100')).toMatch(/"estado":"NEUTRAL"/);
    const client = new MongoClient(`mongodb://127.0.0.1:${mongoPort}/?replicaSet=rs0`);
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    for (const name of ['roleta_numeros', 'estrategia_historico_novo']) {
      const documents = client.db('mine_demo').collection(name);
      expect(await documents.countDocuments({ simulado: true }), name).toBeGreaterThan(0);
      expect(await documents.countDocuments({ simulado: { $ne: true } }), name).toBe(0);
    }
    await client.close();
    const names = databases.map(({ name }) => name);
    expect(names).toContain('mine_demo');
    expect(names).not.toContain('mine');
    expect(await demo.end('SIGINT')).toBe(0);
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
  }, 120_000);
});

/** The processes that a process started, by the kernel's word; empty where there is no /proc. */
function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, 'utf8').split(' ').filter(Boolean).map(Number) : [];
}

describe('an npm script', () => {
  it('that is killed takes its program along', async () => {
    const npm = spawn('npm', ['start', '--ignore-scripts'], {
      env: { ...process.env, PORT: '0', MONGODB_URI: '', MONGO: 'builtin', EMBEDDED_PORT: '0', DRAIN_SECONDS: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: npm.stdout });
    const ended = once(lines, 'close');
    const events: string[] = [];
    const ready = new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        const event = /"event":"(\w+)"/.exec(line)?.[1] ?? '';
        events.push(event);
        if (event === 'ready') resolve();
      });
    });
    await ready;
    npm.kill('SIGTERM');
    // The output ends with the last program that has it, which is the service.
    await ended;
    expect(events).toContain('stopping');
    expect(events.at(-1)).toBe('stopped');
  });

  it('shows where everything is in a terminal, once it is ready', async () => {
    const terminal = spawn('script', ['-qfec', 'npm start --ignore-scripts', '/dev/null'], {
      env: { ...process.env, PORT: '0', MONGODB_URI: '', MONGO: 'builtin', EMBEDDED_PORT: '0', DRAIN_SECONDS: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    const output = createInterface({ input: terminal.stdout }).on('line', (line) => lines.push(line));
    await new Promise<void>((resolve) => {
      output.on('line', (line) => {
        if (line.includes('Stop ')) resolve();
      });
    });
    const shown = lines.join('\n');
    for (const row of [
      /Page +http:\/\/127/,
      /WebSocket +ws:\/\/127.*\/ws/,
      /Network +(uWebSockets\.js|node:http and ws)/,
      /MongoDB +built-in, mongodb:/,
      /Data +in memory/,
    ]) {
      expect(shown).toMatch(row);
    }
    const ended = once(output, 'close');
    for (const shell of childrenOf(terminal.pid ?? 0)) process.kill(shell, 'SIGTERM');
    await ended;
  });
});
