import { DOUBLE_ZERO } from './colour.ts';

/** The pockets of a wheel with one zero, clockwise. */
const EUROPEAN_WHEEL: readonly number[] = [
  0, 32, 15, 19, 4, 21, 2, 25, 17, 34, 6, 27, 13, 36, 11, 30, 8, 23, 10, 5, 24, 16, 33, 1, 20, 14, 31, 9, 22, 18, 29, 7,
  28, 12, 35, 3, 26,
];

/** The pockets of a wheel with a double zero, clockwise; 37 stands for that. */
const AMERICAN_WHEEL: readonly number[] = [
  0,
  28,
  9,
  26,
  30,
  11,
  7,
  20,
  32,
  17,
  5,
  22,
  34,
  15,
  3,
  24,
  36,
  13,
  1,
  DOUBLE_ZERO,
  27,
  10,
  25,
  29,
  12,
  8,
  19,
  31,
  18,
  6,
  21,
  33,
  16,
  4,
  23,
  35,
  14,
  2,
];

/** The pockets of a wheel with so many, clockwise. */
export const wheelOf = (pockets: 37 | 38): readonly number[] => (pockets === 37 ? EUROPEAN_WHEEL : AMERICAN_WHEEL);

/** Pockets of a wheel that are bet on together. */
export interface Sector {
  readonly nome: 'vizinhos_do_zero' | 'terco' | 'orfaos' | 'lado_do_zero' | 'lado_do_duplo_zero';
  /** In the wheel's order, clockwise. */
  readonly numeros: readonly number[];
}

/** `count` pockets of a wheel, clockwise from one of them. */
const arc = (wheel: readonly number[], from: number, count: number): number[] => {
  const start = wheel.indexOf(from);
  return Array.from({ length: count }, (_, at) => wheel[(start + at) % wheel.length] ?? 0);
};

const EUROPEAN: readonly Sector[] = [
  { nome: 'vizinhos_do_zero', numeros: arc(EUROPEAN_WHEEL, 22, 17) },
  { nome: 'terco', numeros: arc(EUROPEAN_WHEEL, 27, 12) },
  { nome: 'orfaos', numeros: [...arc(EUROPEAN_WHEEL, 17, 3), ...arc(EUROPEAN_WHEEL, 1, 5)] },
];

/** The French sectors make no arcs of a wheel with a double zero: there each zero has the nine pockets on either side. */
const AMERICAN: readonly Sector[] = [
  { nome: 'lado_do_zero', numeros: arc(AMERICAN_WHEEL, 6, 19) },
  { nome: 'lado_do_duplo_zero', numeros: arc(AMERICAN_WHEEL, 5, 19) },
];

/** The sectors of a wheel with so many pockets; each number stands in one of them. */
export const sectorsOf = (pockets: 37 | 38): readonly Sector[] => (pockets === 37 ? EUROPEAN : AMERICAN);
