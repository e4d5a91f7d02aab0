import { describe, expect, it } from 'vitest';
import { LOG_EVENTS } from '../../src/log/events.ts';
import { nameProblems } from './names.ts';
import { filesBelow, withoutComments } from './source-files.ts';

const source = filesBelow('src');
const tests = filesBelow('test');

describe('names', () => {
  it('tell something', () => expect(nameProblems([...source, ...tests, ...filesBelow('bench')])).toEqual([]));

  it.each([
    ['src/feed/streamManager.ts', ''],
    ['src/feed/stream-utils.ts', ''],
    ['src/feed/x.ts', 'export function handleManager() {}'],
    ['src/feed/x.ts', 'class FeedServiceImpl {}'],
    ['src/feed/x.ts', 'const HELPER_LIST = 1;'],
  ])('that say nothing are found: %s %s', (path, text) => {
    expect(nameProblems([{ path, text }])).not.toEqual([]);
  });

  it.each([
    ['src/feed/x.ts', '// a manager\nconst implicit = 1, utility = 2;'],
    ['test/docs/code.test.ts', 'const fine = 1;'],
  ])('that say something pass: %s %s', (path, text) => expect(nameProblems([{ path, text }])).toEqual([]));
});

describe('the environment', () => {
  it('is read in one place', () => {
    const readers = source.filter(({ text }) =>
      /process\s*\.\s*env\b|\benv\s*\}\s*=\s*process\b/.test(withoutComments(text)),
    );
    expect(readers.map(({ path }) => path)).toEqual(['src/config/load.ts']);
  });
});

describe('log events', () => {
  const called = source.flatMap(({ path, text }) =>
    [...withoutComments(text).matchAll(/\blog\??\.(?:debug|info|warn|error)\(\s*'([^']*)'/g)].map((match) => ({
      path,
      event: match[1] ?? '',
    })),
  );

  it('are all in the closed list', () => {
    expect(called.length).toBeGreaterThan(0);
    expect(called.filter(({ event }) => !Object.hasOwn(LOG_EVENTS, event))).toEqual([]);
  });

  it('are one word of lower-case letters each', () => {
    for (const event of Object.keys(LOG_EVENTS)) expect(event).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });
});

describe('tests', () => {
  it('are all run: none is skipped, put off or run alone', () => {
    // Built from pieces, since this file is read too.
    const forbidden = new RegExp(
      String.raw`\b(?:it|test|describe)(?:\.\w+)*\.(?:${['only', 'skip', 'todo', 'fails'].join('|')})\b\(`,
    );
    expect(tests.filter(({ text }) => forbidden.test(withoutComments(text))).map(({ path }) => path)).toEqual([]);
  });
});
