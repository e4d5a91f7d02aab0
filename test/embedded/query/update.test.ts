import { Decimal128, type Document, Double, Int32, Long, ObjectId, Timestamp } from 'bson';
import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../src/embedded/errors.ts';
import { compileFilter } from '../../../src/embedded/query/filter.ts';
import { compileUpdate, type UpdateOptions } from '../../../src/embedded/query/update.ts';
import { upsertDocument } from '../../../src/embedded/query/upsert.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';

const typed = (document: Document): Document => decode(encode(document));
const NOW = new Date('2026-11-24T13:00:00.000Z');

interface Applied {
  readonly doc: Document;
  readonly updatedFields: Document;
  readonly removedFields: readonly string[];
  readonly replaced: boolean;
}

function apply(
  document: Document,
  update: Document | Document[],
  options: UpdateOptions = {},
  filter: Document = {},
): Applied | null {
  const parsed = Array.isArray(update) ? update.map(typed) : typed(update);
  return compileUpdate(parsed, { now: NOW, ...options })(typed(document), compileFilter(typed(filter)));
}

function codeOf(attempt: () => unknown): number | undefined {
  try {
    attempt();
  } catch (error) {
    if (error instanceof CommandError) return error.code;
    throw error;
  }
  return undefined;
}

describe('update operators', () => {
  test('tell a change stream which paths changed, in the order in which they apply', () => {
    const result = apply({ _id: 1, numero: 1 }, { $set: { estado: 'X' }, $unset: { numero: '' } });
    expect(result).toEqual({
      doc: typed({ _id: 1, estado: 'X' }),
      updatedFields: { estado: 'X' },
      removedFields: ['numero'],
      truncatedArrays: [],
      replaced: false,
    });
    const nested = apply({ _id: 1 }, { $set: { z: 1, 'a.b': 2, 'a.a': 3 } });
    expect(Object.keys(nested?.updatedFields ?? {})).toEqual(['a.a', 'a.b', 'z']);
    expect(nested?.doc).toEqual(typed({ _id: 1, a: { a: 3, b: 2 }, z: 1 }));
  });

  test('change nothing when the value is the same, and notice another BSON type', () => {
    expect(apply({ _id: 1, a: 1 }, { $set: { a: 1 } })).toBeNull();
    expect(apply({ _id: 1, a: 1 }, { $set: { a: new Double(1) } })?.updatedFields).toEqual({ a: new Double(1) });
    expect(apply({ _id: 1 }, { $unset: { a: '' } })).toBeNull();
    expect(apply({ _id: 1, a: 1 }, { $inc: { a: 0 } })).toBeNull();
    expect(apply({ _id: 1 }, { $setOnInsert: { a: 1 } })).toBeNull();
  });

  test.each<[unknown, Document, unknown]>([
    [1, { $inc: { a: 2 } }, new Int32(3)],
    [2_147_483_647, { $inc: { a: 1 } }, new Long(2_147_483_648)],
    [1, { $inc: { a: new Long(1) } }, new Long(2)],
    [new Long(1), { $inc: { a: new Double(1) } }, new Double(2)],
    [new Double(1.5), { $inc: { a: 1 } }, new Double(2.5)],
    [Decimal128.fromString('0.1'), { $inc: { a: Decimal128.fromString('0.2') } }, Decimal128.fromString('0.3')],
    [undefined, { $inc: { a: 5 } }, new Int32(5)],
    [3, { $mul: { a: new Double(2) } }, new Double(6)],
    [undefined, { $mul: { a: new Long(2) } }, new Long(0)],
    [5, { $min: { a: 3 } }, new Int32(3)],
    [5, { $max: { a: 'x' } }, 'x'],
    [undefined, { $currentDate: { a: true } }, NOW],
    [undefined, { $currentDate: { a: { $type: 'timestamp' } } }, new Timestamp({ t: NOW.getTime() / 1000, i: 1 })],
    [13, { $bit: { a: { and: 10 } } }, new Int32(8)],
    [1, { $bit: { a: { or: new Long(2) } } }, new Long(3)],
    [[1, 2], { $push: { a: 3 } }, [1, 2, 3]],
    [[1], { $push: { a: { $each: [3, 2], $position: 0, $slice: 2 } } }, [3, 2]],
    [[3, 1], { $push: { a: { $each: [2], $sort: 1 } } }, [1, 2, 3]],
    [[{ x: 2 }], { $push: { a: { $each: [{ x: 3 }, { x: 1 }], $sort: { x: 1 }, $slice: -2 } } }, [{ x: 2 }, { x: 3 }]],
    [[1], { $push: { a: [2] } }, [1, [2]]],
    [[1, 2], { $addToSet: { a: { $each: [new Double(2), 3] } } }, [1, 2, 3]],
    [[1, 2, 3], { $pop: { a: -1 } }, [2, 3]],
    [[1, 5, 9], { $pull: { a: { $gte: 5 } } }, [1]],
    [[{ x: 1, y: 2 }, { x: 1 }], { $pull: { a: { x: 1, y: 2 } } }, [{ x: 1 }]],
    [['ab', 'c'], { $pull: { a: /^a/ } }, ['c']],
    [[1, 2, 1], { $pullAll: { a: [1] } }, [2]],
  ])('%j by %j', (before, update, after) => {
    const document = before === undefined ? { _id: 1 } : { _id: 1, a: before };
    expect(apply(document, update)?.doc).toEqual(typed({ _id: 1, a: after }));
  });

  test('log a push at the end of a non-empty array by its new elements, any other array change as the whole array', () => {
    expect(apply({ _id: 1, a: [1] }, { $push: { a: { $each: [2, 3] } } })?.updatedFields).toEqual(
      typed({ 'a.1': 2, 'a.2': 3 }),
    );
    expect(apply({ _id: 1, a: [] }, { $push: { a: 2 } })?.updatedFields).toEqual(typed({ a: [2] }));
    expect(apply({ _id: 1 }, { $push: { a: 2 } })?.updatedFields).toEqual(typed({ a: [2] }));
    expect(apply({ _id: 1, a: [1] }, { $addToSet: { a: 2 } })?.updatedFields).toEqual(typed({ a: [1, 2] }));
    expect(apply({ _id: 1, a: [1] }, { $push: { a: { $each: [0], $position: 0 } } })?.updatedFields).toEqual(
      typed({ a: [0, 1] }),
    );
  });

  test('reach into arrays by index, by position and by filter', () => {
    const rows = { _id: 1, a: [{ n: 1 }, { n: 5 }, { n: 9 }] };
    expect(apply(rows, { $set: { 'a.1.n': 6 } })?.updatedFields).toEqual(typed({ 'a.1.n': 6 }));
    expect(apply(rows, { $inc: { 'a.$.n': 1 } }, {}, { 'a.n': 5 })?.updatedFields).toEqual(typed({ 'a.1.n': 6 }));
    expect(apply(rows, { $set: { 'a.$': 0 } }, {}, { a: { $elemMatch: { n: 9 } } })?.updatedFields).toEqual(
      typed({ 'a.2': 0 }),
    );
    expect(apply(rows, { $set: { 'a.$[].n': 5 } })?.updatedFields).toEqual(typed({ 'a.0.n': 5, 'a.2.n': 5 }));
    const arrayFilters = [typed({ 'x.n': { $gte: 5 } })];
    expect(apply(rows, { $inc: { 'a.$[x].n': 1 } }, { arrayFilters })?.updatedFields).toEqual(
      typed({ 'a.1.n': 6, 'a.2.n': 10 }),
    );
    expect(apply({ _id: 1, a: [1] }, { $set: { 'a.3': 4 } })?.doc).toEqual(typed({ _id: 1, a: [1, null, null, 4] }));
    expect(apply({ _id: 1, a: [1, 2] }, { $unset: { 'a.0': '' } })?.doc).toEqual(typed({ _id: 1, a: [null, 2] }));
  });

  test('rename fields', () => {
    expect(apply({ _id: 1, a: { b: 2 }, c: 3 }, { $rename: { 'a.b': 'c' } })).toMatchObject({
      doc: typed({ _id: 1, a: {}, c: 2 }),
      updatedFields: typed({ c: 2 }),
      removedFields: ['a.b'],
    });
    expect(apply({ _id: 1 }, { $rename: { a: 'b' } })).toBeNull();
  });

  test.each<[string, Document, Document, number]>([
    ['_id', { _id: 1 }, { $set: { _id: 3 } }, 66],
    ['a field within _id', { _id: { a: 1 } }, { $set: { '_id.a': 3 } }, 66],
    ['text by $inc', { _id: 1, a: 'x' }, { $inc: { a: 1 } }, 14],
    ['a number by a text', { _id: 1 }, { $inc: { a: 'x' } }, 14],
    ['more than 64 bits', { _id: 1, a: Long.MAX_VALUE }, { $inc: { a: 1 } }, 2],
    ['a field within a number', { _id: 1, a: 5 }, { $set: { 'a.b': 1 } }, 28],
    ['a named field of an array', { _id: 1, a: [] }, { $set: { 'a.b': 1 } }, 28],
    ['one path twice', { _id: 1 }, { $set: { a: 1 }, $inc: { a: 1 } }, 40],
    ['a path and its parent', { _id: 1 }, { $set: { a: 1, 'a.b': 1 } }, 40],
    ['an unknown operator', { _id: 1 }, { $nope: { a: 1 } }, 9],
    ['an operator without fields', { _id: 1 }, { $set: {} }, 9],
    ['an operator of a number', { _id: 1 }, { $set: 5 }, 9],
    ['an empty path', { _id: 1 }, { $set: { 'a.': 1 } }, 56],
    ['a name with a dollar', { _id: 1 }, { $set: { 'a.$b': 1 } }, 52],
    ['a value with a dollar name', { _id: 1 }, { $set: { a: { $b: 1 } } }, 52],
    ['a replacement with a dollar name', { _id: 1 }, { a: 1, $set: { b: 1 } }, 52],
    ['another _id', { _id: 1 }, { _id: 2, a: 1 }, 66],
    ['no array by $push', { _id: 1, a: 5 }, { $push: { a: 1 } }, 2],
    ['no array by $pop', { _id: 1, a: 5 }, { $pop: { a: 1 } }, 14],
    ['an unknown clause', { _id: 1 }, { $push: { a: { $each: [], $nope: 1 } } }, 2],
    ['an unmatched position', { _id: 1, a: [] }, { $set: { 'a.$': 1 } }, 2],
    ['an unknown identifier', { _id: 1, a: [] }, { $set: { 'a.$[x]': 1 } }, 2],
    ['every element of no array', { _id: 1, a: 1 }, { $set: { 'a.$[]': 1 } }, 2],
    ['every element of nothing', { _id: 1 }, { $set: { 'a.$[]': 1 } }, 2],
    ['a rename to itself', { _id: 1 }, { $rename: { a: 'a' } }, 2],
  ])('refuse %s', (_, document, update, code) => {
    expect(codeOf(() => apply(document, update))).toBe(code);
  });

  test('refuse an array filter that is not used', () => {
    expect(codeOf(() => compileUpdate(typed({ $set: { a: 1 } }), { arrayFilters: [{ x: 1 }] }))).toBe(9);
  });
});

describe('replacements and pipelines', () => {
  test('keep _id in first place and are logged as replacements', () => {
    expect(apply({ _id: 2, a: 1 }, { numero: 7, novo: true })).toMatchObject({
      doc: typed({ _id: 2, numero: 7, novo: true }),
      replaced: true,
    });
    expect(apply({ _id: 2, a: 1 }, { a: 1 })).toBeNull();
    const piped = apply({ _id: 1, numero: 1 }, [{ $set: { soma: { $add: ['$numero', 1] } } }, { $unset: 'numero' }]);
    expect(piped).toMatchObject({ doc: typed({ _id: 1, soma: 2 }), replaced: true });
    expect(codeOf(() => apply({ _id: 1 }, [{ $match: {} }]))).toBe(72);
    expect(codeOf(() => apply({ _id: 1 }, [{ $set: { _id: 2 } }]))).toBe(66);
  });
});

describe('an update on a newer server', () => {
  const modern = { modern: true };

  test('describes a pipeline by the difference it made', () => {
    const result = apply({ _id: 1, a: 1, l: [1, 2, 3], texto: 'x'.repeat(99) }, [{ $set: { a: 2, l: [1] } }], modern);
    expect(result).toMatchObject({
      updatedFields: typed({ a: 2 }),
      removedFields: [],
      truncatedArrays: [{ field: 'l', newSize: 1 }],
      replaced: false,
    });
    expect(apply({ _id: 1, a: 1 }, [{ $replaceWith: { b: 2 } }], modern)?.replaced).toBe(true);
  });

  test('describes a created path by its first new field, and an unset element by null', () => {
    expect(apply({ _id: 1 }, { $set: { 'a.b': 1 } }, modern)?.updatedFields).toEqual(typed({ a: { b: 1 } }));
    expect(apply({ _id: 1, a: [1] }, { $unset: { 'a.0': '' } }, modern)?.updatedFields).toEqual({ 'a.0': null });
  });

  test('allows empty operators and names with a dollar below the top', () => {
    expect(apply({ _id: 1 }, { $set: {} }, modern)).toBeNull();
    expect(apply({ _id: 1 }, { $set: { a: { $b: 1 } } }, modern)?.doc).toEqual(typed({ _id: 1, a: { $b: 1 } }));
    expect(codeOf(() => apply({ _id: 1 }, { a: 1, $b: 1 }, modern))).toBe(52);
  });
});

describe('an upsert', () => {
  const upsert = (filter: Document, update: Document | Document[]): Document =>
    upsertDocument(typed(filter), Array.isArray(update) ? update.map(typed) : typed(update));

  test('starts from the equalities of its filter', () => {
    expect(upsert({ _id: 9 }, { $set: { a: 1 }, $setOnInsert: { b: 2 } })).toEqual(typed({ _id: 9, a: 1, b: 2 }));
    expect(upsert({ _id: 9, 'a.b': { $eq: 1 }, c: { $gt: 1 }, $and: [{ d: 4 }] }, { $inc: { n: 1 } })).toEqual(
      typed({ _id: 9, a: { b: 1 }, d: 4, n: 1 }),
    );
    expect(upsert({ _id: 9, a: 1 }, { b: 2 })).toEqual(typed({ _id: 9, b: 2 }));
    expect(upsert({ _id: 9, a: 1 }, [{ $set: { b: '$a' } }])).toEqual(typed({ _id: 9, a: 1, b: 1 }));
  });

  test('makes an _id in first place when nobody gives one', () => {
    const document = upsert({ a: 1 }, { $set: { b: 2 } });
    expect(Object.keys(document)).toEqual(['_id', 'a', 'b']);
    expect(document['_id']).toBeInstanceOf(ObjectId);
    expect(upsert({ a: 1 }, { $setOnInsert: { _id: 5 } })).toEqual(typed({ _id: 5, a: 1 }));
  });

  test('refuses what gives a field twice, and another _id', () => {
    expect(codeOf(() => upsert({ $and: [{ a: 1 }, { a: 2 }] }, { $set: { b: 1 } }))).toBe(54);
    expect(codeOf(() => upsert({ _id: 1 }, { $set: { _id: 2 } }))).toBe(66);
    expect(codeOf(() => upsert({ _id: 1 }, { _id: 2 }))).toBe(66);
    expect(codeOf(() => upsert({}, { _id: [1] }))).toBe(53);
  });
});
