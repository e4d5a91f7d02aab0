import { Decimal128, type Document, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson';
import { describe, expect, test } from 'vitest';
import { compileFilter } from '../../../src/embedded/query/filter.ts';
import { sortDocuments } from '../../../src/embedded/query/sort.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';
import { collationOrder } from '../../../src/embedded/values/collation.ts';
import { compareStrings, compareValues, valueKey } from '../../../src/embedded/values/compare.ts';

const typed = (document: Document): Document => decode(encode(document));

describe('values', () => {
  test('stand in the order of MongoDB, type by type', () => {
    const ordered = [
      new MinKey(),
      null,
      new Double(Number.NaN),
      new Double(Number.NEGATIVE_INFINITY),
      new Int32(-1),
      new Double(0.1),
      Decimal128.fromString('0.2'),
      new Int32(1),
      Long.fromString('9007199254740993'),
      new Double(Number.POSITIVE_INFINITY),
      '',
      'a',
      'aa',
      'b',
      {},
      typed({ a: 1 }),
      typed({ a: 2 }),
      typed({ b: 1 }),
      typed({ a: 'x' }),
      [],
      [new Int32(1)],
      [new Int32(1), new Int32(0)],
      new ObjectId('000000000000000000000001'),
      false,
      true,
      new Date(-1),
      new Date(1),
      new Timestamp({ t: 1, i: 1 }),
      new Timestamp({ t: 0xffffffff, i: 0 }),
      new MaxKey(),
    ];
    for (const [at, value] of ordered.entries()) {
      for (const [other, later] of ordered.entries()) {
        expect(Math.sign(compareValues(value, later))).toBe(Math.sign(at - other));
      }
    }
  });

  test('order strings by their UTF-8 bytes', () => {
    const words = ['a', 'é', '\uffee', '\u{1f600}'];
    for (const [at, word] of words.entries()) {
      for (const [other, later] of words.entries())
        expect(Math.sign(compareStrings(word, later))).toBe(Math.sign(at - other));
    }
  });

  test('have one key for equal numbers of all types', () => {
    const ones = [new Int32(1), new Long(1), new Double(1), Decimal128.fromString('1.00'), 1, 1n];
    expect(new Set(ones.map(valueKey)).size).toBe(1);
    expect(valueKey(Decimal128.fromString('0.5'))).toBe(valueKey(new Double(0.5)));
    expect(valueKey(Decimal128.fromString('0.1'))).not.toBe(valueKey(new Double(0.1)));
    expect(valueKey(new Double(-0))).toBe(valueKey(new Int32(0)));
  });

  test('keep references, typed numbers and odd names through decoding', () => {
    const reference = { r: { $ref: 'mesas', $id: new ObjectId('000000000000000000000001'), $db: 'x' } };
    expect(decode(encode(reference))).toEqual(reference);
    const odd = Object.fromEntries([
      ['_id', new Int32(1)],
      ['__proto__', new Int32(2)],
      ['constructor', new Long(3)],
    ]);
    expect(Object.entries(decode(encode(odd)))).toEqual(Object.entries(odd));
  });

  test('put _id first, also before names that are numbers', () => {
    const raw = encode({ 5: 1, _id: 2 });
    expect(Buffer.from(raw).indexOf('_id')).toBeLessThan(Buffer.from(raw).indexOf('5\0'));
  });
});

describe('a sort', () => {
  test('takes the smallest or the largest element of an array, and missing as null', () => {
    const rows = [{ _id: 1, a: [5, 1] }, { _id: 2, a: 3 }, { _id: 3 }, { _id: 4, a: [] }, { _id: 5, a: null }].map(
      typed,
    );
    const ids = (spec: Document) => sortDocuments(rows, spec).map((row) => Number(row['_id']));
    expect(ids({ a: 1, _id: 1 })).toEqual([4, 3, 5, 1, 2]);
    expect(ids({ a: -1, _id: 1 })).toEqual([1, 2, 3, 5, 4]);
  });

  test('reads dotted paths through arrays', () => {
    const rows = [
      { _id: 1, a: [{ b: 9 }, { b: 2 }] },
      { _id: 2, a: { b: 3 } },
    ].map(typed);
    expect(sortDocuments(rows, { 'a.b': 1 }).map((row) => Number(row['_id']))).toEqual([1, 2]);
    expect(sortDocuments(rows, { 'a.b': -1 }).map((row) => Number(row['_id']))).toEqual([1, 2]);
  });
});

describe('a collation', () => {
  test('makes strings equal and orders them as its strength says', () => {
    const strings = collationOrder({ locale: 'en_US', strength: 2 });
    expect(compileFilter({ x: 'PING' }, { strings })({ x: 'ping' })).toBe(true);
    expect(compileFilter({ x: { $in: ['PING'] } }, { strings })({ x: ['ping'] })).toBe(true);
    const numeric = collationOrder({ locale: 'pt', numericOrdering: true });
    expect(sortDocuments([{ x: 'mesa 10' }, { x: 'mesa 9' }], { x: 1 }, numeric)[0]).toEqual({ x: 'mesa 9' });
    expect(collationOrder({ locale: 'simple' })).toBeUndefined();
  });

  test('is refused when it does not parse', () => {
    expect(() => collationOrder({})).toThrow(expect.objectContaining({ code: 9 }));
    expect(() => collationOrder({ locale: 'en', strength: 9 })).toThrow(expect.objectContaining({ code: 9 }));
    expect(() => collationOrder(5)).toThrow(expect.objectContaining({ code: 14 }));
  });
});
