import { Binary, Decimal128, Double, Int32, Long, UUID } from 'bson';
import { describe, expect, it } from 'vitest';
import {
  canonicalId,
  createDirectory,
  isTableId,
  normaliseName,
  spellingsOf,
  storedIdOf,
  storedUuidOf,
  type TableId,
  uuidOf,
  uuidTextOf,
} from '../../src/roulette/table.ts';
import { recordedTables } from './recorded.ts';

const id = (text: string): TableId => {
  if (!isTableId(text)) throw new Error(`${text} is no table id`);
  return text;
};

describe('a table id', () => {
  it.each([
    ['2010165'],
    [2010165],
    [new Int32(2010165)],
    [new Double(2010165)],
    [Long.fromNumber(2010165)],
    [Decimal128.fromString('2010165')],
    [2010165n],
    ['2_2010165'],
    ['2010165_2'],
    [' 2010165 '],
  ])('is read from %s', (spelling) => {
    expect(canonicalId(spelling)).toBe('2010165');
  });

  it.each([
    [''],
    [2010165.5],
    ['1fa13bd8-47f4-eaeb-1540-f203da568290'],
    ['1FA13BD8-47F4-EAEB-1540-F203DA568290'],
    ['Auto Roulette'],
    ['a\tb'],
    ['a\u200bb'],
    ['a\uFFFDb'],
    ['*'],
    ['.'],
    ['..'],
    ['🎰'.repeat(65)],
    ['\ud83c'],
    ['x'.repeat(65)],
    [null],
    [undefined],
    [{ _bsontype: 'Int32', value: 2010165 }],
    [['2010165']],
    ['2'.repeat(1_000_000)],
  ])('is not read from what is none, case %#', (other) => {
    expect(canonicalId(other)).toBeNull();
  });

  it.each([
    ['221', '221'],
    [221, '221'],
    [-5, '-5'],
    ['007', '007'],
    ['20101655', '20101655'],
    ['x_2010165', 'x_2010165'],
    ['LightningRoulette00001@evolution', 'LightningRoulette00001@evolution'],
    ['lightningroulette00001@evolution', 'lightningroulette00001@evolution'],
    [' vctlz20yfnmp1ylr ', 'vctlz20yfnmp1ylr'],
    ['ruleta-ñ', 'ruleta-ñ'],
    ['x'.repeat(64), 'x'.repeat(64)],
  ])('is any printable text without spaces: %s', (spelling, expected) => {
    expect(canonicalId(spelling)).toBe(expected);
  });

  it.each([
    [['2010165', 2010165, '2_2010165', '2010165_2'], '2010165'],
    [['221', 221, new Double(221)], '221'],
    [['-5', -5], '-5'],
    [['9007199254740991', 9007199254740991], '9007199254740991'],
    [['0221'], '0221'],
    [['1e3'], '1e3'],
    [['3_2010165'], '3_2010165'],
  ])('is read from %j in a document, and looked for as all of them', (stored, expected) => {
    const wanted = spellingsOf(id(expected));
    for (const value of stored) {
      expect(storedIdOf(value)).toBe(expected);
      expect(wanted).toContainEqual(typeof value === 'string' ? value : Number(value));
    }
    for (const value of wanted) {
      expect(storedIdOf(value) ?? storedUuidOf(value)).toBe(
        storedUuidOf(value) === null ? expected : uuidOf(id(expected)),
      );
    }
  });

  it.each([' 221 ', '221\n', ' 2_2010165', '1FA13BD8-47F4-EAEB-1540-F203DA568290'])(
    'is not read from %j in a document, which no index finds by the id',
    (value) => {
      expect([storedIdOf(value), storedUuidOf(value)]).toEqual([null, null]);
    },
  );

  it('has the UUID that each of the 39 real tables bears', () => {
    const tables = recordedTables();
    expect(tables).toHaveLength(39);
    for (const table of tables) expect(uuidOf(id(table.roleta_id))).toBe(table.uuid);
  });
});

describe('a UUID', () => {
  it('is read from text in any case and from a BSON UUID, and from nothing else', () => {
    const text = '1fa13bd8-47f4-eaeb-1540-f203da568290';
    expect(uuidTextOf(text.toUpperCase())).toBe(text);
    expect(uuidTextOf(new UUID(text))).toBe(text);
    expect(uuidTextOf(new Binary(new Uint8Array(15)))).toBeNull();
    expect(uuidTextOf('1fa13bd847f4eaeb1540f203da568290')).toBeNull();
    expect(uuidTextOf(5)).toBeNull();
  });
});

describe('the directory of tables', () => {
  const filled = () => {
    const directory = createDirectory();
    for (const table of recordedTables()) directory.learn(id(table.roleta_id), table.roleta_nome);
    return directory;
  };

  it('resolves every real table by id, prefixed id, UUID and name', () => {
    const directory = filled();
    for (const { roleta_id, roleta_nome, uuid } of recordedTables()) {
      for (const spelling of [roleta_id, `2_${roleta_id}`, uuid])
        expect(directory.resolve(spelling)).toEqual([roleta_id]);
      expect(directory.resolve(roleta_nome)).toContain(roleta_id);
    }
  });

  it('gives every table of an ambiguous name', () => {
    expect(filled().resolve('VIP Roulette')).toEqual(['2010097', '2380117']);
  });

  it('finds names without their accents, case and spacing', () => {
    const directory = filled();
    expect(directory.resolve('ruleta  automatica')).toEqual(directory.resolve('Ruleta Automática'));
    expect(directory.resolve('TURKCE RULET')).toEqual(['2010106']);
    expect(normaliseName('Kızıl')).toBe('kizil');
  });

  it('finds a known id of any form before a name, and exactly', () => {
    const directory = createDirectory();
    directory.learn(id('Roulette'), 'Lightning');
    directory.learn(id('2010165'), 'Roulette');
    expect(directory.resolve('Roulette')).toEqual(['Roulette']);
    expect(directory.resolve('roulette')).toEqual(['2010165']);
    expect(directory.resolve('lightning')).toEqual(['Roulette']);
  });

  it('takes any 7-digit id for a table, but no unknown name or UUID', () => {
    const directory = createDirectory();
    expect(directory.resolve('9999999')).toEqual(['9999999']);
    expect(directory.resolve('Roulette')).toEqual([]);
    expect(directory.resolve('1fa13bd8-47f4-eaeb-1540-f203da568290')).toEqual([]);
  });

  it('keeps finding a renamed table by its former name, for a bounded number of names', () => {
    const directory = createDirectory();
    expect(directory.learn(id('2010165'), 'Roulette')).toBe('new');
    expect(directory.learn(id('2010165'), 'Roulette Nova')).toBe('named');
    expect(directory.learn(id('2010165'), null)).toBe('known');
    expect(directory.learn(id('2010165'), 'Roulette')).toBe('known');
    expect(directory.learn(id('2010165'), 'Roulette Nova')).toBe('known');
    expect(directory.nameOf(id('2010165'))).toBe('Roulette Nova');
    expect(directory.resolve('roulette')).toEqual(['2010165']);
    for (let i = 0; i < 100; i++) directory.learn(id('2010165'), `Name ${i}`);
    expect(directory.resolve('roulette')).toEqual([]);
    expect(directory.resolve('name 99')).toEqual(['2010165']);
  });
});
