import type { Cor } from '../protocol/messages.ts';
import { colourOf, DOUBLE_ZERO, labelOf } from './colour.ts';

/** How often one number came, and how long it stayed away, in spins. */
export interface NumberStats {
  readonly numero: number;
  readonly rotulo?: '00';
  readonly cor: Cor;
  readonly vezes: number;
  /** Spins since it came last; all counted spins when it did not come. */
  readonly ausencia: number;
  /** The longest run of spins without it, the current one included. */
  readonly maior_ausencia: number;
}

/** A summary of a table's last numbers. 0 and 00 are neither even nor odd, and stand in no dozen or column. */
export interface TableStats {
  readonly total: number;
  /** ISO-8601 of the oldest and newest number counted; null when there is none. */
  readonly desde: string | null;
  readonly ate: string | null;
  /** By number, 0 to 36, and 37 (the double zero) where it was met. */
  readonly numeros: readonly NumberStats[];
  readonly cores: Readonly<Record<Cor, number>>;
  readonly duzias: readonly [number, number, number];
  readonly colunas: readonly [number, number, number];
  readonly paridade: { readonly par: number; readonly impar: number; readonly zero: number };
  /** The ten numbers that stayed away longest up to now. */
  readonly ausentes: readonly NumberStats[];
}

/** Neither zero. */
const isInside = (numero: number): boolean => numero > 0 && numero < DOUBLE_ZERO;

const WHEEL = 37;
const LONGEST = 10;

/** Counts over numbers given newest first, with the ISO timestamps of the first and last of them. */
export function statsOf(newestFirst: readonly number[], ate: string | null, desde: string | null): TableStats {
  const total = newestFirst.length;
  // A wheel with a double zero shows it sooner or later; it has 38 numbers then.
  const wheel = newestFirst.includes(DOUBLE_ZERO) ? WHEEL + 1 : WHEEL;
  const seenAt: number[] = Array(wheel).fill(-1);
  const vezes: number[] = Array(wheel).fill(0);
  const absence: number[] = Array(wheel).fill(0);
  const longest: number[] = Array(wheel).fill(0);
  newestFirst.forEach((numero, at) => {
    const gap = at - (seenAt[numero] ?? -1) - 1;
    if (vezes[numero] === 0) absence[numero] = at;
    longest[numero] = Math.max(longest[numero] ?? 0, gap);
    vezes[numero] = (vezes[numero] ?? 0) + 1;
    seenAt[numero] = at;
  });
  const numeros = vezes.map((count, numero): NumberStats => {
    const since = count === 0 ? total : (absence[numero] ?? 0);
    const before = total - 1 - (seenAt[numero] ?? -1);
    return {
      numero,
      ...labelOf(numero),
      cor: colourOf(numero),
      vezes: count,
      ausencia: since,
      maior_ausencia: Math.max(since, longest[numero] ?? 0, before),
    };
  });
  const count = (of: (numero: number) => boolean): number =>
    numeros.reduce((sum, { numero, vezes: times }) => sum + (of(numero) ? times : 0), 0);
  const dozen = (index: number): number => count((numero) => isInside(numero) && Math.ceil(numero / 12) === index);
  const column = (index: number): number => count((numero) => isInside(numero) && ((numero - 1) % 3) + 1 === index);
  const colour = (cor: Cor): number => count((numero) => colourOf(numero) === cor);
  return {
    total,
    desde,
    ate,
    numeros,
    cores: { verde: colour('verde'), vermelho: colour('vermelho'), preto: colour('preto') },
    duzias: [dozen(1), dozen(2), dozen(3)],
    colunas: [column(1), column(2), column(3)],
    paridade: {
      par: count((numero) => isInside(numero) && numero % 2 === 0),
      impar: count((numero) => isInside(numero) && numero % 2 === 1),
      zero: count((numero) => !isInside(numero)),
    },
    ausentes: [...numeros].sort((a, b) => b.ausencia - a.ausencia || a.numero - b.numero).slice(0, LONGEST),
  };
}
