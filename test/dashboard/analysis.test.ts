import { describe, expect, it } from 'vitest';
import type { Table } from '../../src/client/connect.ts';
import { betsOf, csvOf, figuresOf, joinHistory, neighboursOf } from '../../src/dashboard/analysis.ts';
import {
  chanceOf,
  chanceOfBets,
  coveredBy,
  expectedBand,
  houseEdge,
  ratedSince,
} from '../../src/dashboard/coverage.ts';
import { routeOf } from '../../src/dashboard/route.ts';
import { serverAddress } from '../../src/dashboard/server-address.ts';
import { isUnconfirmed } from '../../src/dashboard/trust.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';

const item = (id: string, seconds: number): NumberItem => ({
  id,
  numero: 1,
  cor: 'vermelho',
  timestamp: new Date(seconds * 1000).toISOString(),
});
const idsOf = (items: readonly NumberItem[]): string => items.map(({ id }) => id).join('');

describe('what a strategy covers', () => {
  it('is every number that ends in one of its terminals', () => {
    expect(coveredBy([7])).toEqual([7, 17, 27]);
    expect(coveredBy([0, 3])).toEqual([0, 3, 10, 13, 20, 23, 30, 33]);
    expect(coveredBy([36])).toEqual([36]);
    expect(coveredBy([])).toEqual([]);
  });

  it('hits as often by chance as its share of the wheel says, twice tried', () => {
    expect(chanceOf(12, 1, 37)).toBeCloseTo(12 / 37);
    expect(chanceOf(12, 2, 37)).toBeCloseTo(1 - (25 / 37) ** 2);
    // Bets that differ are as good as their mean.
    const { numbers, chance } = chanceOfBets([10, 12, 14], 2, 37);
    expect(numbers).toBe(12);
    expect(chance).toBeCloseTo(1 - ((27 / 37) ** 2 + (25 / 37) ** 2 + (23 / 37) ** 2) / 3);
  });

  it('was right as often as its counts grew within a window, also when they began anew', () => {
    const state = (timestamp: string, vitorias: number, derrotas: number) => ({ timestamp, vitorias, derrotas });
    const states = [
      state('2026-11-30T12:04:00Z', 2, 0),
      state('2026-11-30T12:03:00Z', 1, 0),
      state('2026-11-30T12:02:00Z', 9, 4),
      state('2026-11-30T12:01:00Z', 8, 3),
      state('2026-11-30T12:00:00Z', 1, 1),
    ];
    expect(ratedSince(states, Date.parse('2026-11-30T12:02:00Z'))).toEqual({ won: 3, lost: 1 });
    expect(ratedSince(states, 0)).toEqual({ won: 10, lost: 3 });
    expect(ratedSince([], 0)).toEqual({ won: 0, lost: 0 });
  });

  it('leaves the house 1 of 37, and 2 of 38', () => {
    expect(houseEdge(37)).toBeCloseTo(0.027, 3);
    expect(houseEdge(38)).toBeCloseTo(0.0526, 3);
  });
});

describe('the figures of a bet', () => {
  const red = betsOf(37).find(({ word }) => word === 'vermelho');

  it('count hits, runs and gaps from the newest spin on', () => {
    const isOne = (numero: number): boolean => numero === 1;
    expect(figuresOf(isOne, [1, 1, 2, 2, 2, 1, 2], 37)).toMatchObject({
      count: 3,
      streak: 2,
      longestStreak: 2,
      gap: 0,
      longestGap: 3,
    });
    expect(figuresOf(isOne, [], 37)).toMatchObject({ count: 0, streak: 0, gap: 0, longestGap: 0 });
  });

  it('stand beside what an honest wheel gives nine times of ten', () => {
    const [low, high] = expectedBand(18 / 37, 100);
    expect(figuresOf(red?.covers ?? (() => false), Array(100).fill(1), 37)).toMatchObject({
      expected: 18 / 37,
      band: [low, high],
    });
    expect([low, high].map((share) => Math.round(100 * share))).toEqual([40, 57]);
  });

  it('know the sectors of either wheel, each number once', () => {
    for (const pockets of [37, 38] as const) {
      const sectors = betsOf(pockets).filter(({ kind }) => kind === 'sector');
      for (let numero = 0; numero < pockets; numero += 1) {
        expect(
          sectors.filter(({ covers }) => covers(numero)),
          String(numero),
        ).toHaveLength(1);
      }
    }
  });

  it('know the neighbours on either wheel', () => {
    expect(neighboursOf(0, 2, 37)).toEqual([3, 26, 0, 32, 15]);
    expect(neighboursOf(0, 1, 38)).toEqual([2, 0, 28]);
  });
});

describe('a long history', () => {
  it('keeps what the live list has dropped, and forgets what was removed within it', () => {
    const older = [item('d', 40), item('c', 30), item('b', 20), item('a', 10)];
    expect(idsOf(joinHistory([item('e', 50), item('d', 40), item('c', 30)], older))).toBe('edcba');
    expect(idsOf(joinHistory([item('e', 50), item('c', 30)], older))).toBe('ecba');
    expect(idsOf(joinHistory([], older))).toBe('dcba');
  });

  it('is written as a table for spreadsheets, with the double zero as 37 and as 00', () => {
    const zeros: NumberItem = { ...item('a', 0), numero: 37, rotulo: '00', cor: 'verde', suspeito: true };
    expect(csvOf([zeros])).toBe(
      'timestamp,numero,rotulo,cor,suspeito\r\n1970-01-01T00:00:00.000Z,37,00,verde,true\r\n',
    );
  });

  it('has the fields of writers of its own as its last columns, none of them a formula', () => {
    const own = { ...item('a', 0), provider: '=1+1', multiplicador: [50, 500] };
    const [head, first, second] = csvOf([own, item('b', 0)]).split('\r\n');
    expect(head).toBe('timestamp,numero,rotulo,cor,suspeito,provider,multiplicador');
    expect(first).toMatch(/,'=1\+1,50 500$/);
    expect(second).toMatch(/,false,,$/);
  });
});

describe('addresses', () => {
  const page = 'https://live.example/x?server=ftp://x';

  it('of servers are understood as people type them', () => {
    expect(serverAddress(' ', page)).toBe('');
    expect(serverAddress('https://live.example/', page)).toBe('');
    expect(serverAddress('127.0.0.1:5402', 'http://localhost:5000/')).toBe('http://127.0.0.1:5402');
    expect(serverAddress('other.example', page)).toBe('https://other.example');
    expect(serverAddress('wss://other.example/prefix/ws', page)).toBe('https://other.example/prefix');
    // The page puts it between quotes, in commands to be copied.
    expect(serverAddress("other.example/';id;'", page)).toBe('https://other.example/%27;id;%27');
    for (const wrong of ['ftp://x', 'mailto:a@b', 'http://', 'javascript:alert(1)', 'a b']) {
      expect(serverAddress(wrong, page), wrong).toBeNull();
    }
  });

  it('of views never fail, whatever stands in them', () => {
    expect(routeOf('#/mesa/%')).toMatchObject({ view: 'table', reference: '%' });
    expect(routeOf('#/mesa/VIP%20Roulette?n=500')).toMatchObject({ view: 'table', reference: 'VIP Roulette' });
    expect(routeOf('#/mesa/a?n=500').query.get('n')).toBe('500');
    for (const hash of ['', '#', '#/', '#/nada', '#/?q=a', '#%%%']) expect(routeOf(hash).view).toBe('tables');
  });
});

describe('a signal', () => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  const at = (secondsAgo: number): string => new Date(now - secondsAgo * 1000).toISOString();
  const table = (strategyAgo: number | null, numberAgo: number, estado: 'TRIGGER' | 'NEUTRAL' = 'TRIGGER') =>
    ({
      stale: false,
      numeros: [{ ...item('a', 0), timestamp: at(numberAgo) }],
      estrategia: {
        estado,
        numero_gatilho: 1,
        terminais_gatilho: [1],
        vitorias: 0,
        derrotas: 0,
        sugestao_display: '',
        timestamp: strategyAgo === null ? null : at(strategyAgo),
      },
    }) satisfies Partial<Table>;
  const of = (...args: Parameters<typeof table>): Table => ({
    id: '1',
    nome: '',
    topic: '',
    duploZero: false,
    older: async function* () {},
    ...table(...args),
  });

  it('holds as long as no number came after it that the analyser left unanswered', () => {
    expect(isUnconfirmed(of(30, 30), true, now)).toBe(false);
    expect(isUnconfirmed(of(90, 30), true, now)).toBe(true);
    // The analyser is given a moment, and clocks differ.
    expect(isUnconfirmed(of(45, 5), true, now)).toBe(false);
    expect(isUnconfirmed(of(33, 30), true, now)).toBe(false);
  });

  it('is never confirmed without a connection, and a state without a bet needs no renewal', () => {
    expect(isUnconfirmed(of(30, 30), false, now)).toBe(true);
    expect(isUnconfirmed({ ...of(30, 30), stale: true }, true, now)).toBe(true);
    expect(isUnconfirmed(of(900, 30, 'NEUTRAL'), true, now)).toBe(false);
    expect(isUnconfirmed(of(null, 30), true, now)).toBe(false);
  });
});
