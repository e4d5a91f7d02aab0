import type { Cor } from '../protocol/messages.ts';

const RED: ReadonlySet<number> = new Set([1, 3, 5, 7, 9, 12, 14, 16, 18, 19, 21, 23, 25, 27, 30, 32, 34, 36]);

/** The colour of a number on the wheel, 0 to 36. */
export function colourOf(numero: number): Cor {
  if (numero === 0) return 'verde';
  return RED.has(numero) ? 'vermelho' : 'preto';
}

/** Whether a value can fall on the wheel: an integer from 0 to 36. */
export const isOnWheel = (numero: number): boolean => Number.isInteger(numero) && numero >= 0 && numero <= 36;
