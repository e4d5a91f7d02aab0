import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
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

// The first piece is the escape character that begins a colour.
const withoutColours = (text: string): string => text.replaceAll(new RegExp(`${'\u001b'}\\[\\d+m`, 'g'), '');

const options = (more: Partial<LogOptions> = {}): LogOptions => ({ level: 'info', pretty: false, ...more });

describe('the log', () => {
  it('writes one JSON object per line with time, level, event, its sentence and fields', async () => {
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream }));
    log.info('listening', { url: 'http://127.0.0.1:5000', network: 'uWebSockets.js', host: '127.0.0.1' });
    log.warn('stopped');
    expect(lines()).toMatchObject([
      {
        level: 'info',
        event: 'listening',
        msg: 'Listening on http://127.0.0.1:5000 with uWebSockets.js',
        url: 'http://127.0.0.1:5000',
        host: '127.0.0.1',
        pid: process.pid,
      },
      { level: 'warn', event: 'stopped', msg: 'Stopped' },
    ]);
    expect(new Date(String(lines()[0]?.['time'])).getTime()).toBeGreaterThan(Date.now() - 60_000);
    await log.close();
  });

  it('writes sentences for a terminal, with the fields that the sentence does not name', async () => {
    const { stream, text } = memory();
    const log = await createLog(options({ output: stream, pretty: true }));
    log.info('worker_started', { worker: 2, workerPid: 4711 });
    log.info('config_note', { words: 'Without INGEST_KEYS only this machine can post numbers.' });
    log.warn('worker_died', { worker: 2, code: null, signal: 'SIGKILL', restartMs: 500 });
    await log.close();
    expect(withoutColours(text()).replaceAll(/\[[\d:.]+\] /g, '')).toBe(
      [
        'INFO: Started worker 2 (workerPid: 4711)',
        'INFO: Configuration: Without INGEST_KEYS only this machine can post numbers.',
        'WARN: Worker 2 died and is started again in 500 ms (code: null, signal: SIGKILL)',
        '',
      ].join('\n'),
    );
  });

  it('obeyed terminal codes and bidi marks of others: now a terminal shows them, and no text starts a line', async () => {
    const { stream, text } = memory();
    const log = await createLog(options({ output: stream, pretty: true }));
    log.info('origin_refused', {
      origin: 'x\r\nINFO: fake line \u001b]0;title\u0007\u001b[2J\u009b31m\u202e\u2066bidi\u200b\ufeff\u{e0041}',
      'na\u001bme': 1,
      err: Object.assign(new Error('a\nERROR: b\u001b[31m'), { code: 'x\u001b' }),
    });
    await log.close();
    const shown = withoutColours(text());
    expect(shown).toContain(
      'x\\u000d\\u000aINFO: fake line \\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u202e\\u2066bidi',
    );
    expect(shown).toContain('\\u200b\\ufeff\\u{e0041}');
    expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const [first = '', ...others] = shown.trimEnd().split('\n');
    expect(first).toMatch(/^\[[\d:.]+\] INFO: Refused/);
    expect(others.filter((line) => !line.startsWith('    '))).toEqual([]);
  });

  it('filled the disk with refusals: it writes the first at once, and one line for those of the next five seconds', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream }));
    const refuse = (times: number): void => {
      for (let n = 0; n < times; n++) log.info('token_refused', { cause: `refusal ${n}` });
    };
    const told = () => lines().map(({ event, cause, times }) => [event, cause, times]);
    refuse(1_000);
    log.info('stopped');
    expect(told()).toEqual([
      ['token_refused', 'refusal 0', undefined],
      ['stopped', undefined, undefined],
    ]);
    vi.advanceTimersByTime(5_000);
    expect(told().slice(2)).toEqual([['token_refused', 'refusal 999', 999]]);
    refuse(3);
    vi.advanceTimersByTime(5_000);
    expect(told().slice(3)).toEqual([['token_refused', 'refusal 2', 3]]);
    // A quiet interval ends it: the next is told at once again.
    vi.advanceTimersByTime(5_000);
    expect(vi.getTimerCount()).toBe(0);
    refuse(2);
    expect(told().slice(4)).toEqual([['token_refused', 'refusal 0', undefined]]);
    await log.close();
    expect(told().slice(5)).toEqual([['token_refused', 'refusal 1', 1]]);
  });

  it('leaves out what is below its level, and follows a change while running', async () => {
    const { stream, lines } = memory();
    const log = await createLog(options({ output: stream, level: 'warn' }));
    log.info('stopped');
    log.setLevel('debug');
    log.debug('stopped');
    expect(log.level()).toBe('debug');
    expect(lines().map((line) => line['level'])).toEqual(['debug']);
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
    log.info('stopped', { event: 'forged', level: 'fatal', time: 'never', msg: 'forged' });
    expect(lines()[0]).toMatchObject({
      event: 'stopped',
      msg: 'Stopped',
      level: 'info',
      event_: 'forged',
      level_: 'fatal',
      msg_: 'forged',
    });
    expect(text().match(/"event":/g)).toHaveLength(1);
  });

  it('does not compile for an event that is not listed, or without a field that its sentence names', async () => {
    const log = await createLog(options({ output: memory().stream, level: 'error' }));
    // @ts-expect-error: not listed
    log.info('invented');
    // @ts-expect-error: the sentence names the url and the network
    log.info('listening', {});
    // @ts-expect-error: the sentence names the url
    log.info('listening');
    await log.close();
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

  it('gets every line, and is closed with the log', async () => {
    const { stream } = memory();
    const path = join(folder, 'deep', 'live.log');
    const log = await createLog(options({ output: stream, file: { path, maxMb: 1, keep: 2 } }));
    for (let n = 0; n < 500; n += 1) log.info('stopped', { n, token: 'hunter2' });
    await log.close();
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect(lines.join()).not.toContain('hunter2');
  });

  it('is closed at its size, dated, and only so many closed ones are kept', async () => {
    const path = join(folder, 'full', 'live.log');
    for (let start = 0; start < 4; start += 1) {
      const log = await createLog(options({ output: memory().stream, file: { path, maxMb: 1, keep: 2 } }));
      // As many as fill more than a megabyte.
      for (let n = 0; n < 6000; n += 1) log.info('stopped', { n, more: 'x'.repeat(100) });
      await log.close();
    }
    const names = readdirSync(join(folder, 'full')).sort();
    expect(names.filter((name) => /^live\.\d{4}-\d\d-\d\d\.\d+\.log$/.test(name))).toHaveLength(2);
    expect(names).toContain('live.log');
  });

  it('that cannot be opened is an error at start', async () => {
    writeFileSync(join(folder, 'plain'), '');
    const file = { path: join(folder, 'plain', 'live.log'), maxMb: 1, keep: 1 };
    await expect(createLog(options({ output: memory().stream, file }))).rejects.toThrow(
      /ENOTDIR|EEXIST|not a directory/i,
    );
  });
});
