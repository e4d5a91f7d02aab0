import type { Cor } from '../protocol/messages.ts';

const RED: ReadonlySet<number> = new Set([1, 3, 5, 7, 9, 12, 14, 16, 18, 19, 21, 23, 25, 27, 30, 32, 34, 36]);

/** The second zero of an American wheel, as a number. */
export const DOUBLE_ZERO = 37;
/** How it is written on the wheel. */
export const DOUBLE_ZERO_LABEL = '00';

/** The colour of a number on the wheel, 0 to 36, or of the double zero. */
export function colourOf(numero: number): Cor {
  if (numero === 0 || numero === DOUBLE_ZERO) return 'verde';
  return RED.has(numero) ? 'vermelho' : 'preto';
}

/** Whether a value can fall on every wheel: an integer from 0 to 36. */
export const isOnWheel = (numero: number): boolean => Number.isInteger(numero) && numero >= 0 && numero <= 36;

/** A table's wheel, where it is not the usual one of 37 numbers. */
export const doubleZeroField = (doubleZero: boolean): { readonly duplo_zero?: true } =>
  doubleZero ? { duplo_zero: true } : {};

/** What is written on the wheel in place of a number, where that is not the number itself. */
export const labelOf = (numero: number): { readonly rotulo?: '00' } =>
  numero === DOUBLE_ZERO ? { rotulo: DOUBLE_ZERO_LABEL } : {};

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

/** The sectors of a wheel with so many pockets; each number is in one of them. */
export const sectorsOf = (pockets: 37 | 38): readonly Sector[] => (pockets === 37 ? EUROPEAN : AMERICAN);
