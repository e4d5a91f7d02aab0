import { Binary, Code, Decimal128, Double, Int32, Long, ObjectId } from 'bson';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityOf, integerOf, isoOf, keyOf, parseTimestamp, wireIdOf } from '../../src/roulette/bson-value.ts';
import { isBackfill, newerFirst } from '../../src/roulette/number.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { colourOf } from '../../src/roulette/wheel.ts';
import { bsonValue } from './bson-arbitrary.ts';

describe('a colour', () => {
  it('is green for 0 alone, red for 18 numbers and black for 18', () => {
    const wheel = Array.from({ length: 37 }, (_, numero) => colourOf(numero));
    expect(wheel[0]).toBe('verde');
    expect(wheel.filter((cor) => cor === 'vermelho')).toHaveLength(18);
    expect(wheel.filter((cor) => cor === 'preto')).toHaveLength(18);
    expect([wheel[1], wheel[2], wheel[36], wheel[35]]).toEqual(['vermelho', 'preto', 'vermelho', 'preto']);
  });
});

describe('an integer', () => {
  it('is read from every numeric BSON type and from digits', () => {
    for (const value of [0, '0', '-0', new Int32(0), new Double(-0), Long.ZERO, Decimal128.fromString('0'), 0n]) {
      expect(Object.is(integerOf(value), 0)).toBe(true);
    }
    expect(integerOf('07')).toBe(7);
  });

  it('is not read from fractions, other text, or the double zero of American wheels', () => {
    for (const value of ['00', '1.5', '1e1', '', ' ', '0x1', 'NaN', 1.5, Number.NaN, Infinity, true, null, [1]]) {
      expect(integerOf(value)).toBeNull();
    }
  });
});

describe('a timestamp', () => {
  const ms = Date.UTC(2025, 3, 11, 17, 38, 20, 833);

  it.each([
    [new Date(ms)],
    ['2025-04-11T17:38:20.833Z'],
    ['2025-04-11T17:38:20.833'],
    ['2025-04-11T17:38:20.833999'],
    ['2025-04-11 17:38:20.833999'],
    ['2025-04-11T14:38:20.833-03:00'],
    ['2025-04-11T19:38:20.833+0200'],
    ['2025-04-11 17:38:20.833999+00:00'],
    [ms],
    [ms + 0.9],
    [new Double(ms)],
    [Long.fromNumber(ms)],
    [Decimal128.fromString(String(ms))],
    [String(ms)],
    [`${ms}.9`],
  ])('is read from %s', (value) => {
    expect(parseTimestamp(value)).toBe(ms);
  });

  it('is UTC where no zone is given, with or without seconds', () => {
    expect(parseTimestamp('2025-04-11 17:38')).toBe(Date.UTC(2025, 3, 11, 17, 38));
    expect(parseTimestamp('2025-04-11T17:38:20')).toBe(Date.UTC(2025, 3, 11, 17, 38, 20));
  });

  it.each([
    [Number.NaN],
    [Infinity],
    [-1],
    [253402300800000],
    [new Date(Number.NaN)],
    [Decimal128.fromString('NaN')],
    [Long.MAX_VALUE],
    ['2025-02-30T00:00:00Z'],
    ['2025-13-01T00:00:00Z'],
    ['2025-04-11T24:00:00Z'],
    ['0000-01-01T00:00:00Z'],
    ['2025-04-11'],
    ['11/04/2025 17:38:20'],
    ['now'],
    [`${Math.floor(ms / 1000)}0`],
    [' 2025-04-11T17:38:20Z'],
    [''],
    [null],
    [undefined],
    [{}],
    ['9'.repeat(1_000_000)],
  ])('is not read from what is none, case %#', (value) => {
    expect(parseTimestamp(value)).toBeNull();
  });

  it('survives the way to the wire and back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253402300799999 }), (at) => {
        expect(parseTimestamp(isoOf(at))).toBe(at);
        expect(parseTimestamp(isoOf(at).slice(0, -1))).toBe(at);
      }),
    );
  });

  it('is whole, in range or null for any value', () => {
    fc.assert(
      fc.property(bsonValue, (value) => {
        const at = parseTimestamp(value);
        expect(at === null || Number.isSafeInteger(at)).toBe(true);
        if (at !== null) expect(isoOf(at)).toHaveLength(24);
      }),
    );
  });
});

describe('an identity', () => {
  const hex = '67f9538cecd9628823e574ff';

  it('tells a text from an ObjectId of the same digits', () => {
    expect(keyOf(hex)).not.toBe(keyOf(new ObjectId(hex)));
    expect(wireIdOf(hex)).not.toBe(wireIdOf(new ObjectId(hex)));
    expect(wireIdOf(5)).not.toBe(wireIdOf('5'));
    expect(wireIdOf('"5"')).not.toBe(wireIdOf('5'));
    expect(wireIdOf('{"a":1}')).not.toBe(wireIdOf({ a: 1 }));
    expect(keyOf(5)).not.toBe(keyOf('5'));
    expect(keyOf(null)).not.toBe(keyOf('null'));
    expect(keyOf(new Code('a'))).not.toBe(keyOf(new Code('b')));
  });

  it('takes one number in several numeric types for the same', () => {
    const five = [5, new Int32(5), new Double(5), Long.fromNumber(5), Decimal128.fromString('5'), 5n];
    expect(new Set(five.map(keyOf)).size).toBe(1);
  });

  it('keeps integers beyond 2^53 apart', () => {
    expect(keyOf(Long.fromString('9007199254740992'))).not.toBe(keyOf(Long.fromString('9007199254740993')));
  });

  it('names anything on the wire, also what looks like a BSON class', () => {
    expect(wireIdOf(new ObjectId(hex))).toBe(hex);
    expect(wireIdOf('2010165:abc')).toBe('2010165:abc');
    expect(wireIdOf({ mesa: 5, em: new Date(0) })).toBe('{"mesa":5,"em":{"$date":"1970-01-01T00:00:00.000Z"}}');
    expect(wireIdOf({ _bsontype: 'Long' })).toBe('{"_bsontype":"Long"}');
    expect(wireIdOf(new Binary(new Uint8Array([255, 1])))).toBe('{"$binary":{"hex":"ff01","subType":"0"}}');
    fc.assert(
      fc.property(bsonValue, (value) => {
        expect(typeof wireIdOf(value) + typeof keyOf(value)).toBe('stringstring');
      }),
    );
  });

  it('tells which process made an ObjectId, and of nothing else', () => {
    expect(identityOf(new ObjectId(hex))).toEqual({ key: keyOf(new ObjectId(hex)), wireId: hex, maker: 'ecd9628823' });
    expect(identityOf(hex)).toEqual({ key: keyOf(hex), wireId: `"${hex}"`, maker: null });
  });
});

describe('order and age', () => {
  it('puts the later timestamp first, then the higher _id', () => {
    const number = (timestampMs: number, id: unknown) => ({ timestampMs, key: keyOf(id) });
    const first = number(2, new ObjectId('000000000000000000000001'));
    const second = number(1, new ObjectId('000000000000000000000003'));
    const third = number(1, new ObjectId('000000000000000000000002'));
    expect([third, first, second].sort(newerFirst)).toEqual([first, second, third]);
    expect([number(1, 9), number(1, 10)].sort(newerFirst)).toEqual([number(1, 10), number(1, 9)]);
    expect(newerFirst(first, first)).toBe(0);
  });

  it('calls a number backfill only beyond the age, never for a clock that is ahead', () => {
    expect(isBackfill(1000, 121_000, 120_000)).toBe(false);
    expect(isBackfill(999, 121_000, 120_000)).toBe(true);
    expect(isBackfill(500_000, 121_000, 120_000)).toBe(false);
  });
});

describe('a collection', () => {
  it('is known by its name, or by a table id', () => {
    expect(DEFAULT_SOURCES.of('roleta_numeros')).toEqual({ kind: 'numbers' });
    expect(DEFAULT_SOURCES.of('estrategia_historico_novo')).toEqual({ kind: 'strategies' });
    expect(DEFAULT_SOURCES.of('roletas')).toEqual({ kind: 'roletas' });
    expect(DEFAULT_SOURCES.of('metadados_roletas')).toEqual(DEFAULT_SOURCES.of('metadados'));
    expect(DEFAULT_SOURCES.of('2010165')).toEqual({ kind: 'table-numbers', table: '2010165' });
  });

  it.each([
    '1fa13bd8-47f4-eaeb-1540-f203da568290',
    'estatisticas',
    'numeros_view',
    'roleta_sequencias',
    'system.views',
    '20101650',
    '',
  ])('named %s is ignored, here and by the filter', (name) => {
    expect(DEFAULT_SOURCES.of(name)).toBeNull();
    expect(DEFAULT_SOURCES.names.includes(name) || DEFAULT_SOURCES.pattern.test(name)).toBe(false);
  });
});
