import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { envExample, runConfigCommand } from '../../src/cli/config.ts';
import { loadConfig, settingNames } from '../../src/config/load.ts';

function run(args: string[], environment: Record<string, string> = {}): { code: number; text: string } {
  const lines: string[] = [];
  const code = runConfigCommand(
    args,
    () => loadConfig(environment),
    (line) => lines.push(line),
  );
  return { code, text: lines.join('\n') };
}

describe('npm run config', () => {
  it('check says that a good configuration can be used', () => {
    expect(run(['check'], { PORT: '1' })).toEqual({ code: 0, text: 'The configuration can be used.' });
  });

  it('check says every problem and exits 78', () => {
    const { code, text } = run(['check'], { PORT: 'x', MONGO: 'x' });
    expect(code).toBe(78);
    expect(text).toContain('2 problems');
    expect(text).toContain('- PORT must');
    expect(text).toContain('- MONGO must');
  });

  it('print explains every variable with value, source, default and unit, and masks secrets', () => {
    const { code, text } = run(['print'], {
      PORT: '81',
      MONGODB_URI: 'mongodb://u:hunter2@h/',
      INGEST_KEYS: 'a:hunter2hunter2hunter2',
    });
    expect(code).toBe(0);
    for (const name of settingNames) expect(text).toContain(`  ${name} = `);
    expect(text).toContain('PORT = 81   [from environment; default 5000]');
    expect(text).toContain('RECOVERY_WINDOW_SECONDS = 600   [default]');
    expect(text).toContain('(seconds)');
    expect(text).toContain('MONGODB_URI = (set, hidden)');
    expect(text).not.toContain('hunter2');
  });

  it('env prints a file that loads without a problem or a warning', () => {
    const { text } = run(['env']);
    const file = Object.fromEntries([...text.matchAll(/^([A-Z_]+)=(.*)$/gm)].map((match) => [match[1], match[2]]));
    expect(Object.keys(file)).toEqual(settingNames);
    expect(loadConfig({}, file).config).toEqual(loadConfig({}).config);
    expect(loadConfig({}, file).warnings).toEqual([]);
  });

  it('env is what .env.example holds, word for word', () => {
    expect(readFileSync('.env.example', 'utf8')).toBe(envExample());
  });

  it('answers an unknown action with its usage and exit code 2', () => {
    expect(run(['chekc']).code).toBe(2);
    expect(run(['print', 'all']).code).toBe(2);
    expect(run([]).text).toContain('config check');
  });
});
