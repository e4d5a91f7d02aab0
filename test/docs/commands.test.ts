import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'dotenv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT_CONFIG, loadConfig } from '../../src/config/load.ts';
import { type Running, startProcess } from '../support/process.ts';
import { DOCUMENTS } from './blocks.ts';
import { blockCommands, checkOf, sentenceCommands, wordsOf } from './commands.ts';
import { type Stage, startStage } from './stage.ts';

const texts = DOCUMENTS.map((path) => readFileSync(path, 'utf8'));
const inBlocks = texts.flatMap(blockCommands);
const commands = [...new Set([...inBlocks, ...texts.flatMap(sentenceCommands)])];
const { scripts, bin } = z
  .object({ scripts: z.record(z.string(), z.string()), bin: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));

const BIN = bin['runcash-live'] ?? '';
const SECRET = 'a-secret-of-more-than-thirty-two-bytes';
const folder = mkdtempSync(join(tmpdir(), 'runcash-commands-'));
let stage: Stage;
const started: Running[] = [];
beforeAll(async () => {
  stage = await startStage();
  await stage.post('/api/v1/numbers', { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17 });
});
afterAll(async () => {
  for (const running of started) if (running.child.exitCode === null) await running.end('SIGKILL');
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts what an npm script, or npx, starts after the build, with the words that follow and `more`. */
function startScript(command: string, more: readonly string[] = []): Running {
  const [, ...words] = wordsOf(command);
  const script = words[0] === 'run' ? (words[1] ?? '') : null;
  const line = script === null ? `node ${BIN}` : (scripts[script] ?? '');
  const [file = '', ...own] = (/^node (dist\/.*)$/.exec(line)?.[1] ?? '').split(' ');
  const args = words.slice(script === null ? 1 : 3);
  const data = args.indexOf('--data') + 1;
  const placed = args.map((word, at) => (data > 0 && at === data ? join(folder, word) : word));
  const running = startProcess(file.replace(/^dist\//, ''), [...own, ...placed, ...more], {
    PORT: String(stage.port),
    MONGODB_URI: stage.mongoUri,
    MONGODB_DB_NAME: stage.database,
    JWT_SECRET: SECRET,
  });
  started.push(running);
  return running;
}

/** Runs a line in bash, in a folder of its own; the service's usual address is that of this test's. */
async function shell(line: string): Promise<{ code: unknown; output: string }> {
  const child = spawn(
    'bash',
    ['-euo', 'pipefail', '-c', line.replaceAll('127.0.0.1:5000', `127.0.0.1:${stage.port}`)],
    {
      cwd: folder,
    },
  );
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  const [code]: unknown[] = await once(child, 'close');
  return { code, output };
}

const of = (kind: string): string[] => commands.filter((command) => checkOf(command)?.kind === kind);

describe('the commands of the documents', () => {
  it('are each checked by somebody', () => {
    expect(commands.length).toBeGreaterThan(30);
    expect(commands.filter((command) => checkOf(command) === null)).toEqual([]);
  });

  it('are checked by tests that are there', () => {
    for (const command of commands) {
      const check = checkOf(command);
      if (check !== null && 'by' in check) expect([command, existsSync(check.by)]).toEqual([command, true]);
    }
  });

  it.each(of('run'))('%s ends well', async (command) => {
    const check = checkOf(command);
    if (check?.kind !== 'run') throw new Error('another kind');
    const running = startScript(command, check.more);
    expect(await running.exited, running.lines.join('\n')).toBe(0);
    expect(
      running.lines.some((line) => check.says.test(line)),
      running.lines.join('\n'),
    ).toBe(true);
  });

  it.each(of('start'))('%s works until it is told to stop', async (command) => {
    const check = checkOf(command);
    if (check?.kind !== 'start') throw new Error('another kind');
    const running = startScript(command, check.more);
    // Something must happen for those that only show what happens.
    const number = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0 };
    const ticker = setInterval(() => void stage.post('/api/v1/numbers', number), 250);
    await running.line(check.says).finally(() => clearInterval(ticker));
    expect(await running.end('SIGTERM'), running.lines.join('\n')).toBe(0);
  });

  it('post a number with curl, once, however often it is run', async () => {
    const [curl = ''] = commands.filter((command) => command.startsWith('curl '));
    expect(await shell(`${curl} --silent --fail`)).toMatchObject({
      code: 0,
      output: expect.stringContaining('created'),
    });
    expect((await shell(`${curl} --silent --fail`)).output).toContain('duplicate');
    expect(JSON.stringify(await stage.get('/api/v1/tables/2010165/numbers'))).toContain('"numero":0');
  });

  it('make secrets that the service takes', async () => {
    const made = commands.filter((command) => command.startsWith('echo '));
    expect(made).toHaveLength(3);
    for (const command of made) expect((await shell(command)).code).toBe(0);
    const file = parse(readFileSync(join(folder, '.env')));
    const { config, warnings } = loadConfig({ NODE_ENV: 'production', MONGODB_URI: 'mongodb://db/' }, file);
    expect(config.INGEST_KEYS).toEqual([{ name: 'scraper', secret: expect.stringMatching(/^[0-9a-f]{32}$/) }]);
    expect(warnings).toEqual([]);
  });

  it('give Windows the program and the exit code not to retry', () => {
    const nssm = inBlocks.filter((command) => command.startsWith('nssm '));
    expect(nssm[0]).toContain('dist\\src\\main.js');
    expect(nssm.find((command) => command.includes('AppExit'))).toContain(` ${EXIT_CONFIG} `);
    expect(new Set(nssm.map((command) => wordsOf(command)[2]))).toEqual(new Set(['RunCashLive']));
  });
});
