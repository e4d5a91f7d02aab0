import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { EXIT_CONFIG, loadConfig, settingNames } from '../../src/config/load.ts';
import { anchorOf, blocksOf, headingsOf } from './blocks.ts';

const READMES = ['README.md', 'README.pt-BR.md'];
const DOCUMENTS = [...READMES, 'src/protocol/PROTOCOL.md', 'src/legacy/MIGRATION.md'];
const packageFile = z.object({
  scripts: z.record(z.string(), z.string()),
  bin: z.record(z.string(), z.string()),
  engines: z.object({ node: z.string() }),
});
const { scripts, bin, engines } = packageFile.parse(JSON.parse(readFileSync('package.json', 'utf8')));
const readme = readFileSync('README.md', 'utf8');
const translated = readFileSync('README.pt-BR.md', 'utf8');

/** Words of the documents that look like variables and belong to others: tests, Compose, frontends, strategies. */
const FOREIGN = /^(TEST|COMPOSE|VITE)_|^POST_GALE_NEUTRAL$/;

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
    for (const name of named.filter((candidate) => !FOREIGN.test(candidate))) expect(settingNames).toContain(name);
  });

  it('links only to files that are there and headings that exist', () => {
    const anchors = headingsOf(text).map((heading) => `#${anchorOf(heading.text)}`);
    const targets = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map((match) => match[1] ?? '');
    const missing = targets.filter((target) =>
      target.startsWith('#') ? !anchors.includes(target) : !existsSync(posix.join(posix.dirname(path), target)),
    );
    expect(missing).toEqual([]);
  });

  it('names only files and folders of the project that are there', () => {
    const named = [...text.matchAll(/`((?:src|test|bench|dist\/src)\/[\w./-]+)`/g)].map((match) => match[1] ?? '');
    expect(named.filter((name) => !existsSync(name))).toEqual([]);
  });

  it('has lines that fit a terminal, but for tables, pictures and frames', () => {
    const long = text.split('\n').filter((line) => line.length > 120 && !/^[|<>{ ]|^\{/.test(line));
    expect(long).toEqual([]);
  });
});

describe('README.md', () => {
  it.each(READMES)('(%s) shows the two commands on its first screen', (path) => {
    const first = readFileSync(path, 'utf8').split('\n').slice(0, 30).join('\n');
    expect(first).toContain('npm ci');
    expect(first).toContain('npm run demo');
  });

  it('asks for the Node that package.json asks for', () => {
    const wanted = /(\d+\.\d+)/.exec(engines.node)?.[1];
    for (const text of [readme, translated]) expect(text).toContain(`Node ${wanted}`);
  });

  it('gives systemd and PM2 the time to drain and the exit code not to retry', () => {
    const unit = blocksOf(readme).find(({ text }) => text.includes('[Service]'))?.text ?? '';
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
    expect(value('ExecStart')).toBe('/usr/bin/node dist/src/main.js');
    expect(Number(value('RestartPreventExitStatus'))).toBe(EXIT_CONFIG);
    const { config } = loadConfig({});
    expect(Number(value('TimeoutStopSec'))).toBeGreaterThan(config.DRAIN_SECONDS + 2);
    expect(Number(value('LimitNOFILE'))).toBeGreaterThan(config.MAX_CONNECTIONS + 1000);
    const started = /^pm2 start (\S+) .*--kill-timeout (\d+) --stop-exit-codes (\d+)$/m.exec(readme);
    expect(started?.[1]).toBe('dist/src/main.js');
    expect(Number(started?.[2])).toBeGreaterThan((config.DRAIN_SECONDS + 2) * 1000);
    expect(Number(started?.[3])).toBe(EXIT_CONFIG);
  });

  it('names only profiles of the compose file that exist, and all of them', () => {
    const compose = z
      .object({ services: z.record(z.string(), z.object({ profiles: z.array(z.string()).optional() })) })
      .parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }));
    const there = Object.values(compose.services).flatMap(({ profiles = [] }) => profiles);
    const named = [...readme.matchAll(/--profile ([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(new Set(named)).toEqual(new Set(there));
  });

  it('lists every folder of tests in the table of what is tested', () => {
    const listed = [...readme.matchAll(/^\|.*`test\/.*\|$/gm)].join('\n');
    for (const folder of [
      'browser',
      'cli',
      'client',
      'config',
      'docs',
      'embedded',
      'faults',
      'gateway',
      'hostile',
      'legacy',
    ])
      expect(listed).toContain(`\`test/${folder}`);
  });
});

describe('README.pt-BR.md', () => {
  it('has the sections of README.md', () => {
    const levels = (text: string): number[] => headingsOf(text).map(({ level }) => level);
    expect(levels(translated)).toEqual(levels(readme));
    expect(headingsOf(readme).length).toBeGreaterThan(20);
  });

  it('has its commands and examples, letter by letter', () => {
    expect(blocksOf(translated)).toEqual(blocksOf(readme));
  });

  it('has its tables and lists, row by row, and names the same variables', () => {
    for (const row of [/^\|/gm, /^- /gm, /^\d\. /gm]) {
      expect(translated.match(row)?.length).toBe(readme.match(row)?.length);
    }
    const variables = (text: string): string[] => [...new Set(text.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g))].sort();
    expect(variables(translated)).toEqual(variables(readme));
  });

  it('and README.md lead to each other', () => {
    expect(readme).toContain('](README.pt-BR.md)');
    expect(translated).toContain('](README.md)');
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
