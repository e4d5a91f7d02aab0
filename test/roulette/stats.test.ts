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
});
