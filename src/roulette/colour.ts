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
export const wheelOf = (doubleZero: boolean): { readonly duplo_zero?: true } =>
  doubleZero ? { duplo_zero: true } : {};

/** What stands on the wheel in the place of a number, where that is not the number itself. */
export const labelOf = (numero: number): { readonly rotulo?: '00' } =>
  numero === DOUBLE_ZERO ? { rotulo: DOUBLE_ZERO_LABEL } : {};
