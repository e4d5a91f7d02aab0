import { describe, expect, it } from 'vitest';
import { functionsOf, sharedTypeNames } from '../../bench/harness/source.ts';
import { filesBelow } from './source-files.ts';

/** How far the source still is from its aims; the numbers only fall. */
const OWED = { over100: 4, over80: 6, sharedNames: 0 };

/** The built-in MongoDB is a house of its own: what it calls a session is another thing, and neither imports the other. */
const isEmbedded = ({ path }: { readonly path: string }): boolean => path.startsWith('src/embedded/');

const source = filesBelow('src');
const tests = filesBelow('test');

describe('functions', () => {
  const functions = source.flatMap(functionsOf);
  const over = (limit: number): string[] =>
    functions.filter(({ lines }) => lines > limit).map(({ place, lines }) => `${place}: ${lines} lines`);

  it('are at most 100 lines long, and at most 12 of them longer than 80', () => {
    expect(functions.length).toBeGreaterThan(1_000);
    expect(over(100).length, over(100).join('\n')).toBeLessThanOrEqual(OWED.over100);
    expect(over(80).length, over(80).join('\n')).toBeLessThanOrEqual(OWED.over80);
  });

  it('are measured from their first line to their last, whatever their form', () => {
    const text = `export function a() {\n\n}
class B {\n  c(): void {\n\n\n  }\n}
const d = () => ({\n  e: (x: number) => x,\n});
call(function () {\n});`;
    expect(functionsOf({ path: 'x.ts', text })).toEqual([
      { place: 'x.ts:1 a', lines: 3 },
      { place: 'x.ts:5 c', lines: 4 },
      { place: 'x.ts:10 d', lines: 3 },
      { place: 'x.ts:11 e', lines: 1 },
      { place: 'x.ts:13 module', lines: 2 },
    ]);
  });
});

describe('exported types', () => {
  it('have names of their own', () => {
    const shared = [
      ...sharedTypeNames(source.filter((file) => !isEmbedded(file))),
      ...sharedTypeNames(source.filter(isEmbedded)),
    ];
    expect(shared.length, shared.join('\n')).toBeLessThanOrEqual(OWED.sharedNames);
  });

  it('that share a name are found', () => {
    const files = [
      { path: 'a.ts', text: 'export interface Reading {}\nexport type Other = string;' },
      { path: 'b.ts', text: 'export type Reading = string;' },
    ];
    expect(sharedTypeNames(files)).toEqual(['Reading: a.ts, b.ts']);
  });
});

describe('invariants', () => {
  it('are each repeated by the test that holds them', () => {
    const names = source.flatMap(({ text }) => [...text.matchAll(/INVARIANT ([a-z-]+)/g)].map(([, name = '']) => name));
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !tests.some(({ text }) => text.includes(`INVARIANT ${name}`)))).toEqual([]);
  });
});
