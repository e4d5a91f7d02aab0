import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { EXIT_CONFIG, loadConfig, settingNames } from '../../src/config/load.ts';
import { ALERTS } from '../../src/metrics/alert-names.ts';
import { anchorOf, blocksOf, DOCUMENTS, headingsOf, TRANSLATED } from './blocks.ts';

const step = z.object({ run: z.string().optional() });
const workflowFile = z.object({
  jobs: z.object({
    check: z.object({ strategy: z.object({ matrix: z.object({ node: z.array(z.number()) }) }), steps: z.array(step) }),
    mongod: z.object({
      strategy: z.object({ matrix: z.object({ include: z.array(z.object({ mongod: z.string() })) }) }),
      steps: z.array(step),
    }),
  }),
});
const packageFile = z.object({
  version: z.string(),
  scripts: z.record(z.string(), z.string()),
  bin: z.record(z.string(), z.string()),
  engines: z.object({ node: z.string() }),
});
const { scripts, bin, engines, version } = packageFile.parse(JSON.parse(readFileSync('package.json', 'utf8')));
const readme = readFileSync('README.md', 'utf8');
const translated = readFileSync('README.pt-BR.md', 'utf8');
const guide = readFileSync('src/ops/README.md', 'utf8');
const contributing = readFileSync('.github/CONTRIBUTING.md', 'utf8');
const lines = (text: string): number => text.split('\n').length - 1;

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
  it.each(TRANSLATED[0])(
    '(%s) shows two commands on its first screen that each work alone in a fresh clone',
    (path) => {
      const first = blocksOf(readFileSync(path, 'utf8').split('\n').slice(0, 30).join('\n'));
      expect(first.filter(({ language }) => language === 'sh').map(({ text }) => text.trim())).toEqual([
        'npm ci && npm run demo',
        'npm ci && npm test',
      ]);
    },
  );

  it.each(TRANSLATED[0])('(%s) is short, and leads to every other document', (path) => {
    const text = readFileSync(path, 'utf8');
    expect(lines(text)).toBeLessThanOrEqual(220);
    const linked = [...text.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map((match) => match[1] ?? '');
    const others = DOCUMENTS.filter((other) => !other.endsWith('.pt-BR.md') && other !== 'README.md');
    for (const other of others) {
      expect([
        other,
        linked.some((target) => target === other || target === other.replace('.md', '.pt-BR.md')),
      ]).toEqual([other, true]);
    }
  });

  it('has a table of where it runs, which the workflow checks', () => {
    const job = z
      .object({
        jobs: z.object({
          start: z.object({
            strategy: z.object({
              matrix: z.object({
                os: z.array(z.string()),
                node: z.array(z.number()),
                include: z.array(z.object({ os: z.string(), node: z.number(), network: z.string() })),
              }),
            }),
          }),
        }),
      })
      .parse(parse(readFileSync('.github/workflows/ci.yml', 'utf8')));
    const { os, node, include } = job.jobs.start.strategy.matrix;
    const systems = {
      'ubuntu-22.04': '22.04',
      'ubuntu-24.04': '24.04',
      'macos-latest': 'macOS',
      'windows-latest': 'Windows',
    };
    for (const text of [readme, translated]) {
      const rows = [...text.matchAll(/^\| ([\d, ]+) \| (.*) \| (uWebSockets\.js|`node:http`.*) \|$/gm)];
      const libraryOf = (version: number, system: string): string[] =>
        rows
          .filter(
            ([, versions = '', where = '']) => versions.split(', ').includes(String(version)) && where.includes(system),
          )
          .map(([, , , library = '']) => (library === 'uWebSockets.js' ? 'uws' : 'node'));
      for (const name of os) {
        for (const version of node) {
          const checked = include.find((entry) => entry.os === name && entry.node === version)?.network ?? 'uws';
          const system = Object.entries(systems).find(([label]) => label === name)?.[1] ?? '';
          expect([name, version, libraryOf(version, system)]).toEqual([name, version, [checked]]);
        }
      }
    }
  });

  it('asks for the Node that package.json asks for', () => {
    const wanted = /(\d+\.\d+)/.exec(engines.node)?.[1];
    for (const text of [readme, translated, guide]) expect(text).toContain(`Node.js ${wanted}`);
  });
});

describe('the guide for production', () => {
  it('gives systemd and PM2 the time to drain and the exit code not to retry', () => {
    const unit = blocksOf(guide).find(({ text }) => text.includes('[Service]'))?.text ?? '';
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
    expect(value('ExecStart')).toBe('/usr/bin/node dist/src/main.js');
    expect(Number(value('RestartPreventExitStatus'))).toBe(EXIT_CONFIG);
    const { config } = loadConfig({});
    expect(Number(value('TimeoutStopSec'))).toBeGreaterThan(config.DRAIN_SECONDS + 2);
    expect(Number(value('LimitNOFILE'))).toBeGreaterThan(config.MAX_CONNECTIONS + 1000);
    const started = /^pm2 start (\S+) .*--kill-timeout (\d+) --stop-exit-codes (\d+)$/m.exec(guide);
    expect(started?.[1]).toBe('dist/src/main.js');
    expect(Number(started?.[2])).toBeGreaterThan((config.DRAIN_SECONDS + 2) * 1000);
    expect(Number(started?.[3])).toBe(EXIT_CONFIG);
  });

  it('names only profiles of the compose file that exist, and all of them', () => {
    const compose = z
      .object({ services: z.record(z.string(), z.object({ profiles: z.array(z.string()).optional() })) })
      .parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }));
    const there = Object.values(compose.services).flatMap(({ profiles = [] }) => profiles);
    const named = [...guide.matchAll(/--profile ([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(new Set(named)).toEqual(new Set(there));
  });

  it('lists every alert with its severity and remedy', () => {
    const rows = [...guide.matchAll(/^\| `(\w+)` \| (critical|warning) \| (.*) \|$/gm)].map((match) => match.slice(1));
    expect(rows).toEqual(Object.entries(ALERTS).map(([name, { severity, remedy }]) => [name, severity, remedy]));
  });
});

describe('CONTRIBUTING.md', () => {
  const foldersOf = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `\`${folder}/${name}`);

  it('has every room of src in its table, and every folder of tests in that of what is tested', () => {
    const rows = contributing
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .join('\n');
    for (const folder of [
      ...foldersOf('src'),
      ...foldersOf('test').filter((name) => !/(support|data|soak)$/.test(name)),
    ])
      expect(rows).toContain(folder);
  });

  it('fits a page', () => expect(lines(contributing)).toBeLessThanOrEqual(120));
});

describe('SECURITY.md', () => {
  it('names a test that is there for every threat', () => {
    const rows = [
      ...readFileSync('SECURITY.md', 'utf8').matchAll(/^\| .* \| .* \| .* \| `(test\/[\w./-]+)`(?:, `[^`]+`)* \|$/gm),
    ];
    expect(rows.length).toBeGreaterThan(10);
    for (const [row, test = ''] of rows) expect([row, existsSync(test)]).toEqual([row, true]);
  });
});

describe('CHANGELOG.md', () => {
  it('begins with what is unreleased, and has the version of package.json', () => {
    const headings = headingsOf(readFileSync('CHANGELOG.md', 'utf8')).filter(({ level }) => level === 2);
    expect(headings[0]?.text).toBe('Unreleased');
    expect(headings[1]?.text).toMatch(
      new RegExp(`^${version.replaceAll('.', String.raw`\.`)} - \\d{4}-\\d\\d-\\d\\d$`),
    );
  });
});

describe('the workflow', () => {
  const { jobs } = workflowFile.parse(parse(readFileSync('.github/workflows/ci.yml', 'utf8')));

  it('runs the whole check on every Node.js that is supported', () => {
    expect(jobs.check.strategy.matrix.node).toEqual([20, 22, 24]);
    expect(jobs.check.steps.flatMap(({ run }) => run ?? [])).toEqual(['.ci/run']);
    expect(existsSync('.ci/run')).toBe(true);
  });

  it('can run on another build of uWebSockets.js, as SECURITY.md says', () => {
    expect(readFileSync('.github/workflows/ci.yml', 'utf8')).toMatch(
      /run: \.ci\/run\s+env:\s+UWS: \$\{\{ inputs\.uws \}\}/,
    );
    expect(readFileSync('.ci/run', 'utf8')).toContain('npm install --no-save --no-package-lock "uWebSockets.js@$UWS"');
    expect(readFileSync('SECURITY.md', 'utf8')).toContain('`UWS=github:uNetworking/uWebSockets.js#v20.x .ci/run`');
  });

  it('runs the suites on a mongod of every version that is supported', () => {
    const versions = jobs.mongod.strategy.matrix.include.map(({ mongod }) => mongod.replace(/\.\d+$/, ''));
    expect(versions).toEqual(['4.4', '6.0', '7.0', '8.0']);
    const runs = jobs.mongod.steps.flatMap(({ run }) => run ?? []).join('\n');
    const configs = [...runs.matchAll(/--config (\S+)/g)].map((match) => match[1] ?? '');
    for (const config of configs) expect([config, existsSync(config)]).toEqual([config, true]);
    for (const [, script = ''] of runs.matchAll(/npm run (\S+)/g)) expect(Object.keys(scripts)).toContain(script);
  });
});

describe.each(TRANSLATED)('%s and %s', (english, portuguese) => {
  const [original, translation] = [readFileSync(english, 'utf8'), readFileSync(portuguese, 'utf8')];

  it('have the same sections', () => {
    const levels = (text: string): number[] => headingsOf(text).map(({ level }) => level);
    expect(levels(translation)).toEqual(levels(original));
    expect(headingsOf(original).length).toBeGreaterThan(3);
  });

  it('have the same commands and examples, letter by letter', () => {
    expect(blocksOf(translation)).toEqual(blocksOf(original));
  });

  it('have the same tables and lists, row by row, and name the same variables', () => {
    for (const row of [/^\|/gm, /^- /gm, /^\d\. /gm]) {
      expect(translation.match(row)?.length).toBe(original.match(row)?.length);
    }
    const variables = (text: string): string[] => [...new Set(text.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g))].sort();
    expect(variables(translation)).toEqual(variables(original));
  });

  it('lead to each other', () => {
    expect(original).toContain(`](${posix.basename(portuguese)})`);
    expect(translation).toContain(`](${posix.basename(english)})`);
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
