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
  it('are all written by some room', () => {
    const rooms = source.filter(({ path }) => path !== 'src/log/events.ts').map(({ text }) => withoutComments(text));
    const unused = Object.keys(LOG_EVENTS).filter((event) => !rooms.some((text) => text.includes(`'${event}'`)));
    expect(unused).toEqual([]);
  });

  it('are one word of lower-case letters each, and say a sentence', () => {
    for (const [event, sentence] of Object.entries(LOG_EVENTS)) {
      expect(event).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(sentence).toMatch(/^([A-Z]|\{words\}$)/);
    }
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
