import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { createLog, type LogOptions, switchLevelOnSignal } from '../../src/log/log.ts';

function memory(): { stream: Writable; text: () => string; lines: () => Record<string, unknown>[] } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  const lines = (): Record<string, unknown>[] =>
    text.split('\n').flatMap((line) => (line === '' ? [] : JSON.parse(line)));
  return { stream, text: () => text, lines };
}

const options = (more: Partial<LogOptions> = {}): LogOptions => ({ level: 'info', pretty: false, ...more });

describe('the log', () => {
  it('writes one JSON object per line with time, level, event and fields', async () => {
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream }));
    log.info('listening', { port: 5000, host: '127.0.0.1' });
    log.child({ connection: 'k3' }).warn('failed');
    expect(lines()).toMatchObject([
      { level: 'info', event: 'listening', port: 5000, host: '127.0.0.1', pid: process.pid },
      { level: 'warn', event: 'failed', connection: 'k3' },
    ]);
    expect(new Date(String(lines()[0]?.['time'])).getTime()).toBeGreaterThan(Date.now() - 60_000);
    await log.close();
  });

  it('writes readable lines for a terminal', async () => {
    const { stream, text } = memory();
    const log = await createLog(options({ output: stream, pretty: true }));
    log.info('listening', { port: 5000 });
    await log.close();
    expect(text()).toMatch(/INFO.*listening.*5000/);
  });

  it('leaves out what is below its level, and follows a change while running', async () => {
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream, level: 'warn' }));
    const child = log.child({ a: 1 });
    log.info('ready');
    log.setLevel('debug');
    log.debug('ready');
    expect(log.level()).toBe('debug');
    expect(lines().map((line) => line['level'])).toEqual(['debug']);
    child.debug('failed');
    expect(lines()).toHaveLength(2);
  });

  it('switches to debug and back at SIGUSR2', async () => {
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream }));
    const stop = switchLevelOnSignal(log);
    for (const expected of ['debug', 'info', 'debug'] as const) {
      const arrived = once(process, 'SIGUSR2');
      process.kill(process.pid, 'SIGUSR2');
      await arrived;
      expect(log.level()).toBe(expected);
    }
    stop();
    expect(lines().map((line) => [line['event'], line['to']])).toEqual([
      ['log_level', 'debug'],
      ['log_level', 'info'],
      ['log_level', 'debug'],
    ]);
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });

  it('never lets a field replace what the log itself writes', async () => {
    const { stream, lines, text } = memory();
    const log = await createLog(options({ output: stream }));
    log.info('ready', { event: 'forged', level: 'fatal', time: 'never' });
    expect(lines()[0]).toMatchObject({ event: 'ready', level: 'info', event_: 'forged', level_: 'fatal' });
    expect(text().match(/"event":/g)).toHaveLength(1);
  });

  it('survives a reader that goes away (a broken pipe)', async () => {
    const program = `import('pino').then(({pino}) => { const s = pino.destination({dest: 1, sync: false});
      const l = pino(s); setInterval(() => l.info('x'.repeat(1000)), 1); setTimeout(() => process.exit(7), 400); });`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.once('data', () => child.stdout.destroy());
    const [code] = await once(child, 'exit');
    expect(code).toBe(7);
  });
});

describe('the log file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-log-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('gets every line, is dated, and is closed with the log', async () => {
    const { stream } = memory();
    const path = join(folder, 'deep', 'live.log');
    const log = await createLog(options({ output: stream, file: { path, maxMb: 1, keep: 2 } }));
    for (let n = 0; n < 500; n += 1) log.info('ready', { n, token: 'hunter2' });
    await log.close();
    const [name] = readdirSync(join(folder, 'deep'));
    expect(name).toMatch(/^live\.\d{4}-\d\d-\d\d\.1\.log$/);
    const lines = readFileSync(join(folder, 'deep', name ?? ''), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect(lines.join()).not.toContain('hunter2');
  });

  it('that cannot be opened is an error at start', async () => {
    writeFileSync(join(folder, 'plain'), '');
    const file = { path: join(folder, 'plain', 'live.log'), maxMb: 1, keep: 1 };
    await expect(createLog(options({ output: memory().stream, file }))).rejects.toThrow(
      /ENOTDIR|EEXIST|not a directory/i,
    );
  });
});
