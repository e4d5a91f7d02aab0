import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { statsOf } from '../../src/roulette/stats.ts';

describe('the summary of a table', () => {
  it('counts colours, dozens, columns and parity, with zero apart', () => {
    const stats = statsOf([0, 1, 2, 12, 13, 36, 0], 'b', 'a');
    expect(stats).toMatchObject({ total: 7, desde: 'a', ate: 'b', paridade: { par: 3, impar: 2, zero: 2 } });
    expect(stats.cores).toEqual({ verde: 2, vermelho: 3, preto: 2 });
    expect(stats.duzias).toEqual([3, 1, 1]);
    expect(stats.colunas).toEqual([2, 1, 2]);
  });

  it('says how long each number stays away, now and at most', () => {
    const { numeros } = statsOf([5, 0, 0, 5, 0, 0, 0, 7], null, null);
    expect(numeros[5]).toMatchObject({ vezes: 2, ausencia: 0, maior_ausencia: 4 });
    expect(numeros[7]).toMatchObject({ vezes: 1, ausencia: 7, maior_ausencia: 7 });
    expect(numeros[9]).toMatchObject({ vezes: 0, ausencia: 8, maior_ausencia: 8 });
    expect(numeros[0]).toMatchObject({ vezes: 5, ausencia: 1, maior_ausencia: 1 });
  });

  it('agrees with counting by hand, for any numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 36 }), { maxLength: 200 }), (numbers) => {
        const stats = statsOf(numbers, null, null);
        expect(stats.numeros.reduce((sum, { vezes }) => sum + vezes, 0)).toBe(numbers.length);
        for (const { numero, vezes, ausencia, maior_ausencia } of stats.numeros) {
          const gaps = numbers
            .map((value) => (value === numero ? '|' : '.'))
            .join('')
            .split('|')
            .map(({ length }) => length);
          expect([vezes, ausencia, maior_ausencia]).toEqual([gaps.length - 1, gaps[0], Math.max(...gaps)]);
        }
        expect(stats.ausentes).toHaveLength(10);
      }),
    );
  });

  it('agrees with a count of every bet, run and gap one by one, on either wheel', () => {
    const red = [1, 3, 5, 7, 9, 12, 14, 16, 18, 19, 21, 23, 25, 27, 30, 32, 34, 36];
    const inside = (wins: (numero: number) => boolean) => (numero: number) => numero > 0 && numero < 37 && wins(numero);
    const bets: Readonly<Record<string, (numero: number) => boolean>> = {
      vermelho: (numero) => red.includes(numero),
      preto: inside((numero) => !red.includes(numero)),
      par: inside((numero) => numero % 2 === 0),
      impar: inside((numero) => numero % 2 === 1),
      ...Object.fromEntries(
        [1, 2, 3].flatMap((nth) => [
          [`duzia_${nth}`, inside((numero) => numero > 12 * (nth - 1) && numero <= 12 * nth)],
          [`coluna_${nth}`, inside((numero) => numero % 3 === nth % 3)],
        ]),
      ),
    };
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 37 }), { maxLength: 120 }), (numbers) => {
        const stats = statsOf(numbers, null, null);
        const times = (wins: (numero: number) => boolean): number => numbers.filter(wins).length;
        const timesOf = (bet: string): number => times(bets[bet] ?? (() => false));
        expect(stats.casas).toBe(numbers.includes(37) ? 38 : 37);
        expect(stats.cores).toEqual({
          verde: times((numero) => numero === 0 || numero === 37),
          vermelho: timesOf('vermelho'),
          preto: timesOf('preto'),
        });
        expect(stats.duzias).toEqual([1, 2, 3].map((nth) => timesOf(`duzia_${nth}`)));
        expect(stats.colunas).toEqual([1, 2, 3].map((nth) => timesOf(`coluna_${nth}`)));
        for (const { numeros, vezes } of stats.setores) {
          expect(vezes).toBe(times((numero) => numeros.includes(numero)));
        }
        for (const { de, atual, maior, vezes } of stats.sequencias) {
          const pieces = numbers
            .map((numero) => (bets[de]?.(numero) ? 'x' : '.'))
            .join('')
            .split('.');
          const runs = pieces.map(({ length }) => length);
          const of = (length: number) => runs.filter((run) => Math.min(run, 10) === length).length;
          expect([atual, maior]).toEqual([runs[0], Math.max(...runs)]);
          expect(vezes).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(of));
        }
        const gaps = numbers.flatMap((numero, at) => {
          const before = numbers.indexOf(numero, at + 1);
          return before < 0 ? [] : [before - at - 1];
        });
        for (const { de, ate, vezes } of stats.intervalos) {
          expect(vezes).toBe(gaps.filter((gap) => gap >= de && gap <= (ate ?? Infinity)).length);
        }
      }),
    );
  });

  it('expects what the enumeration of every possible outcome gives', () => {
    const spins = 6;
    const sequences = Array.from({ length: 2 ** spins }, (_, bits) => bits.toString(2).padStart(spins, '0'));
    for (const [pockets, zeros] of [
      [37, [0]],
      [38, [0, 37]],
    ] as const) {
      const p = 18 / pockets;
      const chance = (outcome: string): number =>
        outcome.split('').reduce((all, bit) => all * (bit === '1' ? p : 1 - p), 1);
      const mean = (of: (outcome: string) => number): number =>
        sequences.reduce((sum, outcome) => sum + chance(outcome) * of(outcome), 0);
      // The last of them tells which wheel it is.
      const { sequencias } = statsOf([...Array(spins - 1).fill(1), zeros.at(-1) ?? 0], null, null);
      const { esperado = [] } = sequencias.find(({ de }) => de === 'vermelho') ?? {};
      for (const length of [1, 2, 3, 4, 5, 6]) {
        const runs = (outcome: string) => outcome.split('0').filter((run) => run.length === length).length;
        expect(esperado[length - 1]).toBeCloseTo(mean(runs), 3);
      }
    }
  });

  it('knows the sectors of either wheel, each number in one of them', () => {
    const european = statsOf([0, 32, 15, 27, 1], null, null);
    expect(european.casas).toBe(37);
    expect(european.setores.map(({ nome, vezes }) => [nome, vezes])).toEqual([
      ['vizinhos_do_zero', 3],
      ['terco', 1],
      ['orfaos', 1],
    ]);
    const american = statsOf([37, 27, 0, 28], null, null);
    expect(american.casas).toBe(38);
    expect(american.setores.map(({ nome, vezes, esperado }) => [nome, vezes, esperado])).toEqual([
      ['lado_do_zero', 2, 2],
      ['lado_do_duplo_zero', 2, 2],
    ]);
    for (const { setores, casas } of [european, american]) {
      const numbers = setores.flatMap(({ numeros }) => numeros);
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: casas }, (_, numero) => numero));
    }
  });

  it('counts runs of every bet, the present one and the longest', () => {
    // Newest first: red three times, then black, zero, red.
    const { sequencias } = statsOf([1, 3, 5, 2, 0, 7], null, null);
    const of = (name: string) => sequencias.find(({ de }) => de === name);
    expect(of('vermelho')).toMatchObject({ atual: 3, maior: 3, vezes: [1, 0, 1, 0, 0, 0, 0, 0, 0, 0] });
    expect(of('preto')).toMatchObject({ atual: 0, maior: 1, vezes: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0] });
    expect(of('duzia_1')).toMatchObject({ atual: 4, maior: 4 });
  });

  it('counts after how many spins a number came again', () => {
    const { intervalos } = statsOf([5, 5, 1, 5, ...Array(11).fill(2), 1], null, null);
    const [none, few, more] = intervalos;
    expect(intervalos.map(({ de, ate }) => [de, ate])).toEqual([
      [0, 0],
      [1, 9],
      [10, 18],
      [19, 36],
      [37, 73],
      [74, 147],
      [148, 295],
      [296, null],
    ]);
    expect([none?.vezes, few?.vezes, more?.vezes]).toEqual([1 + 10, 1, 1]);
  });

  it.each([37, 38])('gives what a fair wheel of %i pockets gives on average', (pockets) => {
    const spins = 200_000;
    // A fixed sequence (mulberry32), so that the test says the same every time.
    let seed = 20_261_130;
    const random = (): number => {
      seed = (seed + 0x6d2b79f5) | 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    const stats = statsOf(
      Array.from({ length: spins }, () => Math.floor(random() * pockets)),
      null,
      null,
    );
    expect(stats.casas).toBe(pockets);
    const near = (found: number, expected: number) =>
      expect(Math.abs(found - expected), `${found} and ${expected}`).toBeLessThan(5 * Math.sqrt(expected) + 1);
    for (const { vezes } of stats.numeros) near(vezes, stats.esperado.numero);
    near(stats.cores.vermelho, stats.esperado.cores.vermelho);
    near(stats.cores.verde, stats.esperado.cores.verde);
    near(stats.duzias[1], stats.esperado.duzia);
    near(stats.paridade.par, stats.esperado.paridade.par);
    for (const { vezes, esperado } of [...stats.setores, ...stats.intervalos]) near(vezes, esperado);
    for (const { vezes, esperado, maior, maior_esperada } of stats.sequencias) {
      vezes.forEach((count, at) => {
        near(count, esperado[at] ?? 0);
      });
      expect(maior / maior_esperada).toBeGreaterThan(0.6);
      expect(maior / maior_esperada).toBeLessThan(1.7);
    }
    const longest = stats.numeros.reduce((sum, { maior_ausencia }) => sum + maior_ausencia, 0) / pockets;
    expect(longest / stats.esperado.maior_ausencia).toBeGreaterThan(0.9);
    expect(longest / stats.esperado.maior_ausencia).toBeLessThan(1.1);
  });

  it('expects of few spins what can be counted by hand', () => {
    const { sequencias, esperado, intervalos } = statsOf([1, 2], null, null);
    const red = sequencias.find(({ de }) => de === 'vermelho');
    const p = 18 / 37;
    expect(red?.esperado[0]).toBeCloseTo(2 * p * (1 - p), 3);
    expect(red?.esperado[1]).toBeCloseTo(p * p, 3);
    expect(intervalos[0]?.esperado).toBeCloseTo(1 / 37, 3);
    expect(esperado.ausencia).toBeCloseTo(36 / 37 + (36 / 37) ** 2, 3);
    expect(statsOf([], null, null)).toMatchObject({ total: 0, casas: 37, esperado: { numero: 0 } });
  });
});
