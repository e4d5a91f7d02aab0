import type { Document } from 'bson';
import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../src/embedded/errors.ts';
import { compileFilter } from '../../../src/embedded/query/filter.ts';
import { compileProjection } from '../../../src/embedded/query/projection.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';

const typed = (document: Document): Document => decode(encode(document));

function project(spec: Document, document: Document, filter: Document = {}): Document {
  return compileProjection(typed(spec), { filter: compileFilter(typed(filter)) })(typed(document));
}

function codeOf(spec: Document, document: Document = { _id: 1 }): number | undefined {
  try {
    project(spec, document);
  } catch (error) {
    if (error instanceof CommandError) return error.code;
    throw error;
  }
  return undefined;
}

const ROW = { _id: 1, a: 1, b: { c: 2, d: 3 }, l: [{ x: 1, y: 1 }, { x: 2, y: 2 }, 7], n: [1, 2, 3, 4] };

describe('a projection', () => {
  test.each<[Document, Document]>([
    [{}, ROW],
    [{ a: 1 }, { _id: 1, a: 1 }],
    [{ a: true, _id: 0 }, { a: 1 }],
    [{ _id: 1 }, { _id: 1 }],
    [{ 'b.c': 1, _id: 0 }, { b: { c: 2 } }],
    [{ b: { d: 1 }, _id: 0 }, { b: { d: 3 } }],
    [{ 'l.x': 1, _id: 0 }, { l: [{ x: 1 }, { x: 2 }] }],
    [
      { l: 0, n: 0, 'b.c': 0 },
      { _id: 1, a: 1, b: { d: 3 } },
    ],
    [{ _id: 0, l: 0, n: 0, b: 0 }, { a: 1 }],
    [
      { 'l.x': 0, n: 0, a: 0, b: 0 },
      { _id: 1, l: [{ y: 1 }, { y: 2 }, 7] },
    ],
    [
      { n: { $slice: 2 }, a: 1 },
      { _id: 1, a: 1, n: [1, 2] },
    ],
    [{ n: { $slice: [-3, 2] }, _id: 0, n2: 1 }, { n: [2, 3] }],
    [{ l: { $elemMatch: { x: 2 } } }, { _id: 1, l: [{ x: 2, y: 2 }] }],
    [
      { n: { $elemMatch: { $gt: 2 } }, a: 1 },
      { _id: 1, a: 1, n: [3] },
    ],
    [{ soma: { $add: ['$a', '$b.c'] } }, { _id: 1, soma: 3 }],
    [{ a: '$b.c' }, { _id: 1, a: 2 }],
    [{ nada: 1 }, { _id: 1 }],
  ])('%j', (spec, expected) => {
    const result = project(spec, ROW);
    expect(result).toEqual(typed(expected));
    expect(Object.keys(result)).toEqual(Object.keys(expected));
  });

  test('without any other field, $slice keeps the rest', () => {
    expect(project({ n: { $slice: 1 } }, ROW)).toEqual(typed({ ...ROW, n: [1] }));
  });

  test('cuts an array to the element that the query matched', () => {
    expect(project({ 'n.$': 1 }, ROW, { n: { $gt: 2 } })).toEqual(typed({ _id: 1, n: [3] }));
    expect(project({ 'l.$': 1 }, ROW, { 'l.x': 2 })).toEqual(typed({ _id: 1, l: [{ x: 2, y: 2 }] }));
  });

  test.each<[Document, number]>([
    [{ a: 1, b: 0 }, 31254],
    [{ a: 0, b: 1 }, 31253],
    [{ a: 1, 'a.b': 1 }, 31249],
    [{ 'a.b': 1, a: 1 }, 31250],
    [{ a: {} }, 51270],
    [{ 'a.$': 1, 'b.$': 1 }, 31276],
    [{ 'a..b': 1 }, 15998],
    [{ a: { $nope: 1 } }, 168],
    [{ 'a.b': { $elemMatch: { x: 1 } } }, 31275],
  ])('%j is refused with code %i', (spec, code) => {
    expect(codeOf(spec)).toBe(code);
  });

  test('is refused when the query matched no element', () => {
    expect(codeOf({ 'n.$': 1 }, { _id: 1, n: [1] })).toBe(51246);
  });
});
