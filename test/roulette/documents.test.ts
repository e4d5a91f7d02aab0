import { Decimal128, Double, Int32, Long, ObjectId, UUID } from 'bson';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SKIP_REASONS, type SkipReason } from '../../src/protocol/delivery.ts';
import { numberFrom, numberItem } from '../../src/roulette/number.ts';
import { DEFAULT_SOURCES, type Parsed, type Source, tableFrom } from '../../src/roulette/source.ts';
import { sameStrategy, strategyFrom, strategyItem } from '../../src/roulette/strategy.ts';
import { canonicalId } from '../../src/roulette/table.ts';
import { anyDocument } from './bson-arbitrary.ts';

const named = (collection: string): Source => {
  const source = DEFAULT_SOURCES.of(collection);
  if (source === null) throw new Error(`${collection} is not watched`);
  return source;
};
const shared = named('roleta_numeros');
const perTable = named('2010165');
const strategies = named('estrategia_historico_novo');
const roletas = named('roletas');
const metadados = named('metadados');
const SOURCES = [shared, perTable, strategies, roletas, metadados];

function mustParse<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const _id = new ObjectId('67f9538cecd9628823e574ff');
const timestamp = new Date('2025-04-11T17:38:20.833Z');
const row = { _id, roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, cor: 'preto', timestamp };

describe('a number document', () => {
  it('is read whole from the shared layout', () => {
    expect(numberFrom(row, shared)).toEqual({
      ok: true,
      value: {
        key: '67f9538cecd9628823e574ff',
        id: '67f9538cecd9628823e574ff',
        maker: 'ecd9628823',
        table: '2010165',
        name: 'Roulette',
        numero: 17,
        cor: 'preto',
        timestampMs: timestamp.getTime(),
      },
    });
  });

  it('takes its table from the name of a per-table collection, whatever it says itself', () => {
    expect(mustParse(numberFrom({ _id, numero: 0, timestamp }, perTable))).toMatchObject({
      table: '2010165',
      numero: 0,
      cor: 'verde',
      name: null,
    });
    expect(mustParse(numberFrom({ ...row, roleta_id: 'wrong' }, perTable)).table).toBe('2010165');
  });

  it.each([[0], ['0'], [new Int32(0)], [new Double(0)], [Long.ZERO], [Decimal128.fromString('0')]])(
    'may be zero as %s',
    (numero) => {
      expect(mustParse(numberFrom({ ...row, numero }, shared))).toMatchObject({ numero: 0, cor: 'verde' });
    },
  );

  it('has the colour of its number, not the one that the writer put', () => {
    expect(mustParse(numberFrom({ ...row, cor: 'verde' }, shared)).cor).toBe('preto');
  });

  it.each([[{ numero: '00' }], [{ numero: ' 00 ' }], [{ numero: 37, rotulo: '00' }]])(
    'may be the double zero of an American wheel: %j',
    (fields) => {
      const number = mustParse(numberFrom({ ...row, ...fields }, shared));
      expect(number).toMatchObject({ numero: 37, cor: 'verde' });
      expect(numberItem(number, false)).toMatchObject({ numero: 37, rotulo: '00', cor: 'verde' });
    },
  );

  it('of a table has another id on the wire than one of the same `_id` in the shared collection', () => {
    const ids = [shared, perTable].map((source) => mustParse(numberFrom(row, source)).id);
    expect(ids).toEqual([_id.toHexString(), `${_id.toHexString()}@2010165`]);
  });

  it.each([
    ['an hour', 3_600_000],
    ['a day', 86_400_000],
    ['seventy years', 70 * 365 * 86_400_000],
  ])('that is dated %s ahead of its making has the time of its making', (_words, aheadMs) => {
    const madeMs = _id.getTimestamp().getTime();
    const ahead = { ...row, timestamp: new Date(madeMs + aheadMs) };
    expect(mustParse(numberFrom(ahead, shared)).timestampMs).toBe(madeMs);
    const own = { ...ahead, _id: '2010165:k', criado_em: timestamp };
    expect(mustParse(numberFrom(own, shared)).timestampMs).toBe(timestamp.getTime());
    const little = { ...row, timestamp: new Date(madeMs + 60_000) };
    expect(mustParse(numberFrom(little, shared)).timestampMs).toBe(madeMs + 60_000);
  });

  it('has its time in epoch seconds, whole or not, or in milliseconds, also as digits in a text', () => {
    const ms = timestamp.getTime();
    for (const spelt of [
      ms / 1000,
      new Double(ms / 1000),
      Long.fromNumber(Math.floor(ms / 1000)),
      ms,
      `${ms / 1000}`,
      `${ms}`,
    ]) {
      const read = mustParse(numberFrom({ ...row, timestamp: spelt }, shared)).timestampMs;
      expect(Math.abs(read - ms)).toBeLessThan(1000);
    }
  });

  it.each(['179552520', '17955252000', '1970000000', '1795525200.', '-1795525200'])(
    'has no time in the digits %j',
    (digits) => {
      expect(numberFrom({ ...row, timestamp: digits }, shared)).toEqual({ ok: false, reason: 'bad_timestamp' });
    },
  );

  it('resolves a UUID through the one who knows it', () => {
    const roleta_id = '1fa13bd8-47f4-eaeb-1540-f203da568290';
    expect(numberFrom({ ...row, roleta_id }, shared)).toEqual({ ok: false, reason: 'unknown_table' });
    expect(
      mustParse(numberFrom({ ...row, roleta_id: new UUID(roleta_id) }, shared, () => canonicalId('2010165'))).table,
    ).toBe('2010165');
  });

  it.each<[object, SkipReason]>([
    [{ roleta_id: undefined }, 'no_table'],
    [{ roleta_id: 'Auto Roulette' }, 'unknown_table'],
    [{ numero: undefined }, 'no_number'],
    [{ numero: null }, 'no_number'],
    [{ numero: 99 }, 'bad_number'],
    [{ numero: -1 }, 'bad_number'],
    [{ numero: 1.5 }, 'bad_number'],
    [{ numero: Number.NaN }, 'bad_number'],
    [{ numero: 37 }, 'bad_number'],
    [{ numero: '000' }, 'bad_number'],
    [{ timestamp: 86_400_000 }, 'bad_timestamp'],
    [{ numero: '5'.repeat(5_000_000) }, 'bad_number'],
    [{ timestamp: undefined }, 'no_timestamp'],
    [{ timestamp: 'yesterday' }, 'bad_timestamp'],
    [{ _id: undefined }, 'bad_id'],
    [{ _id: 'x'.repeat(2000) }, 'bad_id'],
  ])('is skipped when it cannot be right, case %#', (fields, reason) => {
    expect(numberFrom({ ...row, ...fields }, shared)).toEqual({ ok: false, reason });
  });

  it('with a name that nobody can show is a number all the same', () => {
    expect(mustParse(numberFrom({ ...row, roleta_nome: 'x'.repeat(5_000_000) }, shared)).name).toBeNull();
  });
});

describe('a strategy document', () => {
  const state = {
    estado: 'TRIGGER',
    numero_gatilho: 0,
    terminais_gatilho: [4, 7, 8],
    vitorias: 2,
    derrotas: 1,
    sugestao_display: 'APOSTAR EM: 4,7,8',
  };
  const strategyRow = { _id, roleta_id: 2010165, roleta_nome: 'Roulette', ...state, timestamp };

  it('is read from a history row in its newer and older spelling alike', () => {
    const older = {
      _id,
      roleta_id: '2010165',
      roleta_nome: 'Roulette',
      estado_estrategia: 'TRIGGER',
      numero_gatilho: '0',
      terminais: [4, '7', new Double(8)],
      vitorias: Long.fromNumber(2),
      derrotas: '1',
      display_suggestion: 'APOSTAR EM: 4,7,8',
      timestamp: '2025-04-11T17:38:20.833000',
    };
    expect(strategyFrom(older, strategies)).toEqual(strategyFrom(strategyRow, strategies));
    expect(strategyItem(mustParse(strategyFrom(older, strategies)))).toEqual({
      ...state,
      timestamp: '2025-04-11T17:38:20.833Z',
    });
  });

  it('is read from roletas, where the longer name of the state goes first', () => {
    const document = {
      _id: '2_2010165',
      nome: 'Roulette',
      estado: 'MORTO',
      estado_estrategia: 'NEUTRAL',
      numero_gatilho: -1,
    };
    expect(mustParse(strategyFrom(document, roletas))).toMatchObject({
      table: '2010165',
      estado: 'NEUTRAL',
      numeroGatilho: -1,
      timestampMs: null,
    });
  });

  it('is read from metadados.estrategia', () => {
    expect(
      mustParse(strategyFrom({ _id, roleta_id: '2010165', estrategia: { estado: 'MORTO' } }, metadados)),
    ).toMatchObject({ estado: 'MORTO', numeroGatilho: -1 });
  });

  it.each([
    [strategies, { ...strategyRow, estado: undefined }],
    [strategies, { ...strategyRow, estado: '' }],
    [strategies, { ...strategyRow, estado: 5 }],
    [roletas, { _id: '2010165', nome: 'Roulette' }],
    [metadados, { roleta_id: '2010165' }],
    [metadados, { roleta_id: '2010165', estrategia: null, estado: 'TRIGGER' }],
  ])('without a state is none, and none is assumed, case %#', (source, document) => {
    expect(strategyFrom(document, source)).toEqual({ ok: false, reason: 'no_state' });
  });

  it.each<[object, SkipReason]>([
    [{ estado: 'LIGADO' }, 'bad_state'],
    [{ estado: 'T'.repeat(5_000_000) }, 'bad_state'],
    [{ numero_gatilho: 37 }, 'bad_strategy'],
    [{ numero_gatilho: -2 }, 'bad_strategy'],
    [{ terminais_gatilho: [1, 2, 3, 4] }, 'bad_strategy'],
    [{ terminais_gatilho: [37] }, 'bad_strategy'],
    [{ terminais_gatilho: '4,7' }, 'bad_strategy'],
    [{ vitorias: -1 }, 'bad_strategy'],
    [{ derrotas: 1.5 }, 'bad_strategy'],
    [{ timestamp: 'ontem' }, 'bad_timestamp'],
    [{ sugestao_display: 'x'.repeat(5_000_000) }, 'bad_strategy'],
    [{ roleta_id: undefined }, 'no_table'],
  ])('is skipped when it cannot be right, case %#', (fields, reason) => {
    expect(strategyFrom({ ...strategyRow, ...fields }, strategies)).toEqual({ ok: false, reason });
  });

  it('is the same as another when only the timestamp differs, and -1 is not 0', () => {
    const read = (fields: object) => mustParse(strategyFrom({ ...strategyRow, ...fields }, strategies));
    expect(sameStrategy(read({}), read({ timestamp: new Date(0) }))).toBe(true);
    const changes = [
      { estado: 'MORTO' },
      { numero_gatilho: -1 },
      { terminais_gatilho: [4, 7] },
      { vitorias: 3 },
      { derrotas: 0 },
      { sugestao_display: '' },
    ];
    for (const change of changes) expect(sameStrategy(read({}), read(change))).toBe(false);
  });
});

describe("a table's own document", () => {
  it('names its table by id, or by UUID alone', () => {
    const uuid = '1fa13bd8-47f4-eaeb-1540-f203da568290';
    expect(mustParse(tableFrom({ _id: 2010165, nome: 'Roulette' }, roletas))).toEqual({
      table: '2010165',
      uuid: null,
      name: 'Roulette',
      doubleZero: false,
      collection: null,
    });
    expect(mustParse(tableFrom({ _id: uuid, nome: 'Roulette' }, roletas))).toEqual({
      table: null,
      uuid,
      name: 'Roulette',
      doubleZero: false,
      collection: null,
    });
    expect(mustParse(tableFrom({ _id, roleta_id: '2010165', roleta_nome: 'Roulette' }, metadados))).toEqual({
      table: '2010165',
      uuid: null,
      name: 'Roulette',
      doubleZero: false,
      collection: null,
    });
    expect(tableFrom({ _id }, roletas)).toEqual({ ok: false, reason: 'unknown_table' });
    expect(tableFrom({ _id: uuid }, metadados)).toEqual({ ok: false, reason: 'no_table' });
  });
});

describe('every reader', () => {
  it('gives a value or a counted reason for any document, and never throws', () => {
    fc.assert(
      fc.property(anyDocument, fc.constantFrom(...SOURCES), (document, source) => {
        for (const read of [numberFrom, strategyFrom, tableFrom]) {
          const parsed: Parsed<unknown> = read(document, source);
          if (!parsed.ok) expect(SKIP_REASONS).toContain(parsed.reason);
        }
        const number = numberFrom(document, source);
        if (number.ok) {
          expect(number.value.numero >= 0 && number.value.numero <= 36).toBe(true);
          expect(() => JSON.stringify(numberItem(number.value, true))).not.toThrow();
        }
      }),
      { numRuns: 3000 },
    );
  });
});
