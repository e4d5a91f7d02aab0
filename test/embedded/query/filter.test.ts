import { Decimal128, type Document, Double, Int32, Long, MaxKey, MinKey, ObjectId } from 'bson';
import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../src/embedded/errors.ts';
import { compileFilter } from '../../../src/embedded/query/filter.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';

const typed = (document: Document): Document => decode(encode(document));

function matches(filter: Document, document: Document): boolean {
  return compileFilter(typed(filter))(typed(document));
}

function codeOf(filter: Document): number | undefined {
  try {
    compileFilter(typed(filter));
  } catch (error) {
    if (error instanceof CommandError) return error.code;
    throw error;
  }
  return undefined;
}

describe('a filter', () => {
  test('compares numbers of all types by value', () => {
    for (const value of [new Int32(1), new Long(1), new Double(1), Decimal128.fromString('1.0')]) {
      expect(matches({ a: 1 }, { a: value })).toBe(true);
      expect(matches({ a: { $in: [value, 'x'] } }, { a: 1 })).toBe(true);
      expect(matches({ a: { $gt: value } }, { a: new Double(1.5) })).toBe(true);
    }
    expect(matches({ a: Long.fromString('9007199254740993') }, { a: new Double(9007199254740992) })).toBe(false);
  });

  test('compares a range only within its own type', () => {
    expect(matches({ a: { $gt: 5 } }, { a: 'x' })).toBe(false);
    expect(matches({ a: { $lt: 'b' } }, { a: 'a' })).toBe(true);
    expect(matches({ a: { $gte: null } }, {})).toBe(true);
    expect(matches({ a: { $gt: new MinKey() } }, { a: 'x' })).toBe(true);
    expect(matches({ a: { $lt: new MaxKey() } }, { a: [] })).toBe(true);
    expect(matches({ a: { $lt: Number.NaN } }, { a: 1 })).toBe(false);
    expect(matches({ a: { $lte: Number.NaN } }, { a: Number.NaN })).toBe(true);
  });

  test('lets null match an absent field, but not through an array of scalars', () => {
    expect(matches({ a: null }, {})).toBe(true);
    expect(matches({ 'a.b': null }, { a: 4 })).toBe(true);
    expect(matches({ 'a.b': null }, { a: [] })).toBe(false);
    expect(matches({ 'a.b': null }, { a: [{ b: 1 }, {}] })).toBe(true);
    expect(matches({ a: { $ne: null } }, { a: 0 })).toBe(true);
    expect(matches({ a: { $exists: true } }, { a: null })).toBe(true);
    expect(matches({ constructor: { $exists: true } }, {})).toBe(false);
  });

  test('looks into arrays on the way and at the end', () => {
    expect(matches({ a: 2 }, { a: [1, 2] })).toBe(true);
    expect(matches({ a: [1, 2] }, { a: [1, 2] })).toBe(true);
    expect(matches({ a: [1, 2] }, { a: [[1, 2]] })).toBe(true);
    expect(matches({ 'a.1': 2 }, { a: [1, 2] })).toBe(true);
    expect(matches({ 'a.b.c': 3 }, { a: [{ b: [{ c: 3 }] }] })).toBe(true);
    expect(matches({ 'a.0.b': 3 }, { a: [{ b: 3 }] })).toBe(true);
    expect(matches({ a: { $ne: 2 } }, { a: [1, 2] })).toBe(false);
    expect(matches({ a: { $nin: [7] } }, { a: [1, 2] })).toBe(true);
    expect(matches({ a: { $gt: 5, $lt: 3 } }, { a: [1, 9] })).toBe(true);
    expect(matches({ a: { $elemMatch: { $gt: 5, $lt: 3 } } }, { a: [1, 9] })).toBe(false);
    expect(
      matches(
        { a: { $elemMatch: { b: 1, c: { $gt: 1 } } } },
        {
          a: [
            { b: 1, c: 0 },
            { b: 1, c: 2 },
          ],
        },
      ),
    ).toBe(true);
    expect(matches({ a: { $elemMatch: { $or: [{ b: 1 }, { b: 2 }] } } }, { a: [{ b: 2 }] })).toBe(true);
    expect(matches({ a: { $size: 2 } }, { a: [1, 2] })).toBe(true);
    expect(matches({ a: { $all: [2, 1] } }, { a: [1, 2, 3] })).toBe(true);
    expect(matches({ a: { $all: [] } }, { a: [] })).toBe(false);
    expect(
      matches({ a: { $all: [{ $elemMatch: { b: 1 } }, { $elemMatch: { b: 2 } }] } }, { a: [{ b: 1 }, { b: 2 }] }),
    ).toBe(true);
  });

  test('respects the field order of embedded documents', () => {
    expect(matches({ a: { x: 1, y: 2 } }, { a: { x: new Long(1), y: 2 } })).toBe(true);
    expect(matches({ a: { y: 2, x: 1 } }, { a: { x: 1, y: 2 } })).toBe(false);
  });

  test('knows types by name, by number and as "number"', () => {
    expect(matches({ a: { $type: 'int' } }, { a: 1 })).toBe(true);
    expect(matches({ a: { $type: 'double' } }, { a: 1 })).toBe(false);
    expect(matches({ a: { $type: 'number' } }, { a: [new Long(4)] })).toBe(true);
    expect(matches({ a: { $type: [2, 'array'] } }, { a: [] })).toBe(true);
    expect(matches({ a: { $type: 7 } }, { a: new ObjectId() })).toBe(true);
    expect(matches({ a: { $type: -1 } }, { a: new MinKey() })).toBe(true);
  });

  test('matches regular expressions with their options', () => {
    expect(matches({ a: /^ro/i }, { a: 'Roleta' })).toBe(true);
    expect(matches({ a: { $regex: 'e T', $options: 'xi' } }, { a: 'ET' })).toBe(true);
    expect(matches({ a: { $in: [/^x/, 'y'] } }, { a: ['z', 'xx'] })).toBe(true);
    expect(matches({ a: { $not: /^x/ } }, { a: 'yx' })).toBe(true);
    expect(matches({ a: { $regex: '(?i)VIP' } }, { a: 'vip' })).toBe(true);
    expect(matches({ a: { $regex: '^.b', $options: 'ms' } }, { a: 'x\n\nb' })).toBe(true);
  });

  test('knows $mod, $bits, $nor, $expr, $jsonSchema and $comment', () => {
    expect(matches({ a: { $mod: [4, 0] } }, { a: new Double(8.9) })).toBe(true);
    expect(matches({ a: { $mod: [4, -1] } }, { a: -5 })).toBe(true);
    expect(matches({ a: { $bitsAllSet: [0, 2] } }, { a: 5 })).toBe(true);
    expect(matches({ a: { $bitsAnyClear: 5 } }, { a: new Long(5) })).toBe(false);
    expect(matches({ a: { $bitsAllSet: [200] } }, { a: -1 })).toBe(true);
    expect(matches({ $nor: [{ a: 1 }, { b: 1 }] }, { a: 2 })).toBe(true);
    expect(matches({ $expr: { $gt: ['$a', '$b'] } }, { a: 2, b: 1 })).toBe(true);
    expect(matches({ $comment: 'x', a: 1 }, { a: 1 })).toBe(true);
    const schema = {
      bsonType: 'object',
      required: ['numero'],
      properties: { numero: { bsonType: 'int', minimum: 0, maximum: 36 } },
    };
    expect(matches({ $jsonSchema: schema }, { numero: 0 })).toBe(true);
    expect(matches({ $jsonSchema: schema }, { numero: 37 })).toBe(false);
    expect(matches({ $jsonSchema: schema }, {})).toBe(false);
  });

  test('says which array element matched', () => {
    const details = { index: undefined };
    expect(compileFilter(typed({ 'a.b': 2 }))(typed({ a: [{ b: 1 }, { b: 2 }] }), details)).toBe(true);
    expect(details.index).toBe(1);
  });

  test.each<[Document, number]>([
    [{ a: { $bad: 1 } }, 2],
    [{ $bad: 1 }, 2],
    [{ $or: [] }, 2],
    [{ $or: {} }, 2],
    [{ $and: [1] }, 2],
    [{ a: { $in: 1 } }, 2],
    [{ a: { $nin: { x: 1 } } }, 2],
    [{ a: { $size: -1 } }, 2],
    [{ a: { $mod: [0, 1] } }, 2],
    [{ a: { $type: 'nope' } }, 2],
    [{ a: { $options: 'i' } }, 2],
    [{ a: { $regex: '(' } }, 51091],
    [{ a: { $not: 1 } }, 2],
    [{ a: { $gt: /x/ } }, 2],
    [{ $where: 'true' }, 2],
    [{ $expr: { $nope: 1 } }, 168],
    [{ $jsonSchema: { nope: 1 } }, 9],
  ])('refuses %j with code %i', (filter, code) => {
    expect(codeOf(filter)).toBe(code);
  });
});
