import { cellsOf, csvLine } from '../protocol/csv.ts';
import type { NumberItem } from '../protocol/messages.ts';
import { colourOf, DOUBLE_ZERO, type Sector, sectorsOf, wheelOf } from '../roulette/wheel.ts';
import { expectedBand } from './coverage.ts';
import type { Word } from './text.ts';

/** How many pockets a wheel has: 38 with a double zero. */
export type Pockets = 37 | 38;

/** A number with so many neighbours on either side, clockwise. */
export function neighboursOf(numero: number, each: number, pockets: Pockets): number[] {
  const wheel = wheelOf(pockets);
  const at = wheel.indexOf(numero);
  return Array.from({ length: 2 * each + 1 }, (_, step) => wheel[(at + step - each + pockets) % pockets] ?? numero);
}

/** A kind of bet: a set of numbers with a name. */
export interface Bet {
  readonly word: Word;
  /** What is filled in in the name. */
  readonly value?: number;
  readonly kind: 'colour' | 'parity' | 'half' | 'dozen' | 'column' | 'sector';
  covers(numero: number): boolean;
}

const isInside = (numero: number): boolean => numero > 0 && numero < DOUBLE_ZERO;
const between = (low: number, high: number) => (numero: number) => isInside(numero) && numero >= low && numero <= high;

const BETS: readonly Bet[] = [
  { word: 'vermelho', kind: 'colour', covers: (numero) => colourOf(numero) === 'vermelho' },
  { word: 'preto', kind: 'colour', covers: (numero) => colourOf(numero) === 'preto' },
  { word: 'verde', kind: 'colour', covers: (numero) => colourOf(numero) === 'verde' },
  { word: 'even', kind: 'parity', covers: (numero) => isInside(numero) && numero % 2 === 0 },
  { word: 'odd', kind: 'parity', covers: (numero) => isInside(numero) && numero % 2 === 1 },
  { word: 'low', kind: 'half', covers: between(1, 18) },
  { word: 'high', kind: 'half', covers: between(19, 36) },
  ...[1, 2, 3].map(
    (value): Bet => ({ word: 'dozen', value, kind: 'dozen', covers: between(12 * value - 11, 12 * value) }),
  ),
  ...[1, 2, 3].map(
    (value): Bet => ({
      word: 'column',
      value,
      kind: 'column',
      covers: (numero) => isInside(numero) && (numero - value) % 3 === 0,
    }),
  ),
];

const SECTOR_WORDS: Readonly<Record<Sector['nome'], Word>> = {
  vizinhos_do_zero: 'voisins',
  terco: 'tiers',
  orfaos: 'orphelins',
  lado_do_zero: 'zeroSide',
  lado_do_duplo_zero: 'doubleZeroSide',
};

/** The word for the sector that a number lies in; null for what is on no wheel. */
export function sectorWord(numero: number, pockets: Pockets): Word | null {
  const sector = sectorsOf(pockets).find(({ numeros }) => numeros.includes(numero));
  return sector === undefined ? null : SECTOR_WORDS[sector.nome];
}

export const betsOf = (pockets: Pockets): readonly Bet[] => [
  ...BETS,
  ...sectorsOf(pockets).map(
    ({ nome, numeros }): Bet => ({
      word: SECTOR_WORDS[nome],
      kind: 'sector',
      covers: (numero) => numeros.includes(numero),
    }),
  ),
];

export interface BetFigures {
  readonly count: number;
  /** Share of all spins, 0 to 1, of an honest wheel, and where nine of ten such wheels lie. */
  readonly expected: number;
  readonly band: readonly [number, number];
  /** Spins in a row that hit, up to now; and the longest such run. */
  readonly streak: number;
  readonly longestStreak: number;
  /** Spins in a row that missed, up to now; and the longest such run. */
  readonly gap: number;
  readonly longestGap: number;
}

/** How a set of numbers did over spins that are given newest first. */
export function figuresOf(
  covers: (numero: number) => boolean,
  newestFirst: readonly number[],
  pockets: Pockets,
): BetFigures {
  const hits = newestFirst.map(covers);
  const expected = wheelOf(pockets).filter(covers).length / pockets;
  const longest = { hit: 0, miss: 0 };
  let run = 0;
  hits.forEach((hit, at) => {
    run = hit === hits[at - 1] ? run + 1 : 1;
    const kind = hit ? 'hit' : 'miss';
    longest[kind] = Math.max(longest[kind], run);
  });
  const lengthFrom = (of: boolean): number => {
    const end = hits.indexOf(!of);
    return end < 0 ? hits.length : end;
  };
  return {
    count: hits.filter(Boolean).length,
    expected,
    band: expectedBand(expected, hits.length),
    streak: lengthFrom(true),
    longestStreak: longest.hit,
    gap: lengthFrom(false),
    longestGap: longest.miss,
  };
}

/**
 * The newest numbers of a table joined to older ones that were known before. Within the span of the newest they alone
 * count: what is missing there was removed.
 */
export function joinHistory(newest: readonly NumberItem[], older: readonly NumberItem[]): readonly NumberItem[] {
  const oldest = newest.at(-1);
  if (oldest === undefined) return older;
  const isOlder = ({ timestamp, id }: NumberItem): boolean => {
    const difference = Date.parse(timestamp) - Date.parse(oldest.timestamp);
    return difference < 0 || (difference === 0 && id < oldest.id);
  };
  return [...newest, ...older.filter(isOlder)];
}

/** What every number says, in the order of columns; `numero` beside `rotulo`, since a spreadsheet takes "00" for 0. */
const COLUMNS = ['timestamp', 'numero', 'rotulo', 'cor', 'suspeito'];
const KNOWN: ReadonlySet<string> = new Set(['id', ...COLUMNS]);

/** The numbers as a table that spreadsheets open, newest first; fields of their writers' own come last. */
export function csvOf(numeros: readonly NumberItem[]): string {
  const own = new Set(numeros.flatMap((item) => Object.keys(item).filter((field) => !KNOWN.has(field))));
  const columns = [...COLUMNS, ...own];
  return [columns, ...numeros.map((item) => cellsOf({ ...item, suspeito: item.suspeito === true }, columns))]
    .map(csvLine)
    .join('');
}
