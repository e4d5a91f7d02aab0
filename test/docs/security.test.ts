import { readdirSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const text = readFileSync('SECURITY.md', 'utf8');

interface Threat {
  readonly words: string;
  /** Test files, and folders of them. */
  readonly tests: readonly string[];
}

const threats = text
  .split('\n')
  .filter((line) => /^\| (?!who \|)[^-]/.test(line))
  .map((line): Threat => {
    const [, who = '', what = '', , tests = ''] = line.split('|').map((cell) => cell.trim());
    return { words: `${who} ${what}`, tests: [...tests.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path) };
  });

/** Of a file, or of the files of a folder. */
const testsIn = (path: string): string =>
  (statSync(path).isDirectory() ? readdirSync(path).map((name) => `${path}/${name}`) : [path])
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');

describe('the threat table', () => {
  it('is read by these tests', () => {
    expect(threats.length).toBeGreaterThan(30);
  });

  it.each(threats)('names tests that there are: $words', ({ tests }) => {
    expect(tests).not.toEqual([]);
    for (const path of tests) expect([path, testsIn(path).includes("from 'vitest'")]).toEqual([path, true]);
  });

  it.each([
    ['who may read', /reads numbers without a token/],
    ['forged tokens', /forges a token/],
    ['tables of others', /for some tables/],
    ['revocation', /token that was lost/],
    ['rotation of keys', /old signing key/],
    ['posting rights', /posts for tables of others/],
    ['replayed posts', /sends its posts again/],
    ['operators', /full `\/status`/],
    ['audits', /nobody can trace/],
    ['smuggling', /smuggles/],
    ['foreign pages', /across origins/],
    ['forged addresses', /escapes limits/],
    ['descriptors', /all descriptors/],
    ['workers', /each of the `WORKERS`/],
    ['floods', /makes all others wait/],
    ['invented tables', /invents tables/],
    ['slow readers', /reads slowly/],
    ['secrets in logs', /finds a password/],
    ['lines of logs', /forged lines into the log/],
    ['second tokens over Socket.IO', /second token/],
    ['links to the page', /link to the page/],
    ['the data folder', /cut the data/],
    ['the native binary', /native binary/],
    ['published ports', /compose file/],
  ])('covers %s', (_kind, words) => {
    expect(threats.filter((threat) => words.test(threat.words))).toHaveLength(1);
  });
});
