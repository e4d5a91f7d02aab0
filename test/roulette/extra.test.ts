import { Decimal128, Long, ObjectId } from 'bson';
import { describe, expect, it } from 'vitest';
import { extraItem, extraOf, unknownFields } from '../../src/roulette/source.ts';

describe('a field of a writer’s own', () => {
  it.each<[string, unknown, unknown]>([
    ['text', 'Evolution', 'Evolution'],
    ['an integer', 500, 500],
    ['a long that a number holds', Long.fromNumber(7), 7],
    ['a long that no number holds', Long.fromString('9007199254740993'), '9007199254740993'],
    ['a decimal', Decimal128.fromString('2.5'), 2.5],
    ['a boolean', false, false],
    ['null', null, null],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['an ObjectId', new ObjectId('67449f0a5c1e9d2b7a3f0c11'), '67449f0a5c1e9d2b7a3f0c11'],
    ['a list, whose odd elements are null', [50, 'x', { a: 1 }, Number.NaN], [50, 'x', null, null]],
  ])('that is %s is passed through', (_, value, expected) => {
    expect(extraItem({ mult: value })).toEqual({ mult: expected });
  });

  it.each<[string, unknown]>([
    ['a document', { a: 1 }],
    ['NaN', Number.NaN],
    ['a text of 600 characters', 'x'.repeat(600)],
    ['a list of 16', Array(16).fill(1)],
    ['a list of long texts', Array(10).fill('x'.repeat(100))],
  ])('that is %s is left out', (_, value) => {
    expect(extraItem({ mult: value, provider: 'a' })).toEqual({ provider: 'a' });
  });

  it('is read where a setting names it, in the order of the setting', () => {
    const extra = extraOf({ c: 1, b: 2, a: 3 }, ['a', 'b', 'd']);
    expect(JSON.stringify(extra)).toBe('{"a":3,"b":2}');
    expect(extraOf({ c: 1 }, ['a'])).toBeUndefined();
  });

  it('is kept of a post under any name that MongoDB takes', () => {
    const body = JSON.parse('{"numero":1,"provider":"evo","$where":1,"a.b":2,"__proto__":{"x":1},"_id":5,"":0}');
    expect(unknownFields(body, new Set(['numero']))).toEqual({ provider: 'evo' });
  });
});
