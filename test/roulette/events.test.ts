import { ObjectId } from 'bson';
import { describe, expect, it } from 'vitest';
import { positionOf } from '../../src/protocol/position.ts';
import {
  isSuspect,
  newerFirst,
  newNumber,
  numberCorrected,
  numberFrom,
  numberRemoved,
  type StoredNumber,
} from '../../src/roulette/number.ts';
import { DEFAULT_SOURCES, type Parsed, type Source } from '../../src/roulette/source.ts';
import { strategyFrom, strategyUpdate } from '../../src/roulette/strategy.ts';
import { recordedNumbers } from './recorded.ts';

const named = (collection: string): Source => {
  const source = DEFAULT_SOURCES.of(collection);
  if (source === null) throw new Error(`${collection} is not watched`);
  return source;
};
const shared = named('roleta_numeros');
const strategies = named('estrategia_historico_novo');

function mustParse<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const _id = new ObjectId('67f9538cecd9628823e574ff');
const timestamp = new Date('2025-04-11T17:38:20.833Z');
const row = { _id, roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, cor: 'preto', timestamp };

describe('the recorded numbers', () => {
  const numbers = recordedNumbers().map((document) => mustParse(numberFrom(document, shared)));

  it('are all read', () => {
    expect(numbers).toHaveLength(200);
    expect(new Set(numbers.map(({ table }) => table)).size).toBe(39);
  });

  it('mark exactly the 36 repeats of the restart as suspect', () => {
    const previous = new Map<string, StoredNumber>();
    const suspects = numbers.filter((number) => {
      const before = previous.get(number.table) ?? null;
      previous.set(number.table, number);
      return isSuspect(number, before, 15_000);
    });
    expect(suspects).toHaveLength(36);
    expect(new Set(suspects.map(({ table }) => table)).size).toBe(36);
    expect(new Set(suspects.map(({ maker }) => maker)).size).toBe(1);
    const span = suspects.map(({ timestampMs }) => timestampMs);
    expect(Math.max(...span) - Math.min(...span)).toBeLessThan(12_000);
  });

  it('stand in the order of their insertion', () => {
    for (const table of new Set(numbers.map((number) => number.table))) {
      const own = numbers.filter((number) => number.table === table);
      expect([...own].sort(newerFirst).reverse()).toEqual(own);
    }
  });
});

describe('a suspect', () => {
  const at = (timestampMs: number, numero: number, maker: string | null) => ({ timestampMs, numero, maker });

  it('is equal and too soon, or equal and of another process; a real repeat is none', () => {
    expect(isSuspect(at(14_999, 0, null), at(0, 0, null), 15_000)).toBe(true);
    expect(isSuspect(at(15_000, 0, null), at(0, 0, null), 15_000)).toBe(false);
    expect(isSuspect(at(60_000, 5, 'b'), at(0, 5, 'a'), 15_000)).toBe(true);
    expect(isSuspect(at(60_000, 5, 'a'), at(0, 5, 'a'), 15_000)).toBe(false);
    expect(isSuspect(at(60_000, 5, 'b'), at(0, 5, null), 15_000)).toBe(false);
    expect(isSuspect(at(1, 6, 'b'), at(0, 5, 'a'), 15_000)).toBe(false);
    expect(isSuspect(at(1, 6, 'b'), null, 15_000)).toBe(false);
  });
});

describe('a message', () => {
  const position = positionOf({ t: 1, i: 2 }, 3);
  const place = { position, prev: null, name: 'Roulette' };
  const number = mustParse(numberFrom({ ...row, numero: 0 }, shared));

  it('carries the fields of the protocol, in their order', () => {
    expect(JSON.stringify(newNumber(number, false, place))).toBe(
      '{"type":"new_number","topic":"roulette:2010165","position":"0000000100000002000003","prev":null,"id":"67f9538cecd9628823e574ff","roleta_id":"2010165","roleta_nome":"Roulette","numero":0,"cor":"verde","timestamp":"2025-04-11T17:38:20.833Z"}',
    );
    expect(numberCorrected(number, true, place)).toMatchObject({ type: 'number_corrected', suspeito: true });
    expect(numberRemoved(number, { ...place, name: null })).toEqual({
      type: 'number_removed',
      topic: 'roulette:2010165',
      position,
      prev: null,
      id: number.id,
      roleta_id: '2010165',
      roleta_nome: '2010165',
    });
    const strategy = mustParse(strategyFrom({ _id, roleta_id: '2010165', estado: 'NEUTRAL' }, strategies));
    expect(strategyUpdate(strategy, place)).toMatchObject({
      type: 'strategy_update',
      numero_gatilho: -1,
      timestamp: null,
    });
  });
});
