import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Running, startProcess } from '../support/process.ts';

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
    for (const word of ['serve', 'demo', 'simulate', 'mongo', 'tail', 'token', 'config', 'doctor', 'bench']) {
      expect(help.lines.join('\n')).toContain(`runcash-live ${word}`);
    }
  });

  it('refuses a command that there is not', async () => {
    const wrong = command(['sevre']);
    expect(await wrong.exited).toBe(2);
    expect(wrong.lines[0]).toBe('There is no command sevre.');
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

  it('plays the demo: the service, and a croupier whose numbers are stored; one signal ends both', async () => {
    const port = await freePort();
    const demo = command(['demo', '--rate', '50'], { PORT: String(port), DRAIN_SECONDS: '0' });
    await demo.line(/^\d+ s {2}sent \d+ {2}acknowledged [1-9]/);
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/tables`);
    expect(JSON.stringify(await answer.json())).toMatch(/"\d{7}"/);
    expect(await demo.end('SIGINT')).toBe(0);
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
  });
});
