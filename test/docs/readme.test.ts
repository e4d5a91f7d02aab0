import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { settingNames } from '../../src/config.ts';
import { simulatorOptions } from '../../src/simulator/options.ts';

const DOCUMENTS = ['README.md', 'src/protocol/PROTOCOL.md'];
const packageFile = z.object({
  scripts: z.record(z.string(), z.string()),
  bin: z.record(z.string(), z.string()),
  engines: z.object({ node: z.string() }),
});
const { scripts, bin, engines } = packageFile.parse(JSON.parse(readFileSync('package.json', 'utf8')));
const readme = readFileSync('README.md', 'utf8');

/** Words of the documents that look like variables and belong to others. */
const FOREIGN = ['TEST_MONGODB_URI', 'COMPOSE_MONGO_PASSWORD', 'COMPOSE_MONGO_HOSTS', 'POST_GALE_NEUTRAL'];

describe.each(DOCUMENTS)('%s', (path) => {
  const text = readFileSync(path, 'utf8');

  it('names only npm scripts that exist', () => {
    const named = [...text.matchAll(/\bnpm (?:run (?:--silent )?([\w:-]+)|(start|test))\b/g)].map(
      (match) => match[1] ?? match[2],
    );
    for (const script of named) expect(Object.keys(scripts)).toContain(script);
  });

  it('names only variables that exist', () => {
    const named = [...text.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`=]/g)].map((match) => match[1] ?? '');
    for (const name of named) expect([...settingNames, ...FOREIGN]).toContain(name);
  });

  it('links only to files that are there and headings that exist', () => {
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      if (!target.startsWith('#')) expect(existsSync(target)).toBe(true);
      else expect(text.toLowerCase()).toMatch(new RegExp(`^#+ ${target.slice(1).replaceAll('-', ' ')}$`, 'm'));
    }
  });

  it('has lines that fit a terminal, but for tables, pictures and frames', () => {
    const long = text.split('\n').filter((line) => line.length > 120 && !/^[|<>{ ]|^\{/.test(line));
    expect(long).toEqual([]);
  });
});

describe('README.md', () => {
  it('shows the two commands on its first screen', () => {
    const first = readme.split('\n').slice(0, 30).join('\n');
    expect(first).toContain('npm ci');
    expect(first).toContain('npm run demo');
  });

  it('shows only options of the simulator that exist', () => {
    const lines = [...readme.matchAll(/^npm run simulate -- (.*)$/gm)].map((match) => match[1] ?? '');
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) {
      const defaults = { url: 'http://x', key: null, mongodb: 'mongodb://x' };
      expect(simulatorOptions(line.split(' '), defaults)).not.toBeNull();
    }
    for (const [, file = ''] of readme.matchAll(/--replay (\S+)/g)) expect(existsSync(file)).toBe(true);
  });

  it('names only profiles of the compose file that exist', () => {
    const compose = readFileSync('docker-compose.yml', 'utf8');
    const named = [...readme.matchAll(/--profile ([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(1);
    for (const profile of named) expect(compose).toMatch(new RegExp(`profiles:\\s+- ${profile}\\b`));
  });

  it('asks for the Node that package.json asks for', () => {
    const wanted = /(\d+\.\d+)/.exec(engines.node)?.[1];
    expect(readme).toContain(`Node ${wanted}`);
  });
});

describe('package.json', () => {
  it('runs only programs whose source is there', () => {
    const built = [...Object.values(scripts), ...Object.values(bin)].flatMap(
      (command) => command.match(/\bdist\/\S+\.js\b/g) ?? [],
    );
    expect(built.length).toBeGreaterThan(3);
    for (const file of built) {
      const source = file.replace(/^dist\//, '').replace(/\.js$/, '.ts');
      expect([source, existsSync(source)]).toEqual([source, true]);
    }
  });
});
