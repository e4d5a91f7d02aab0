import type { Cor } from '../protocol/messages.ts';
import { colourOf, DOUBLE_ZERO, labelOf, type Sector, sectorsOf } from './wheel.ts';

/**
 * What a fair wheel gives on average in so many spins. A spin is a success with the probability `p`, whatever came
 * before: https://en.wikipedia.org/wiki/Bernoulli_process
 */

/** Runs of at least `length` successes that begin somewhere in `spins`. */
const runsFrom = (length: number, spins: number, p: number): number =>
  length > spins ? 0 : p ** length * (1 + (spins - length) * (1 - p));

/** Runs of each length from 1 to `longest`; the last one counts the longer ones too. */
const expectedRuns = (longest: number, spins: number, p: number): number[] =>
  Array.from({ length: longest }, (_, at) => {
    const length = at + 1;
    return runsFrom(length, spins, p) - (length === longest ? 0 : runsFrom(length + 1, spins, p));
  });

/** Below this nothing more is added to a sum. */
const NEGLIGIBLE = 1e-9;

/** The longest run of successes, to a good approximation: long runs come about as rare events do (Poisson). */
function expectedLongestRun(spins: number, p: number): number {
  let sum = 0;
  for (let length = 1; length <= spins; length++) {
    const atLeastOne = 1 - Math.exp(-runsFrom(length, spins, p));
    sum += atLeastOne;
    if (atLeastOne < NEGLIGIBLE) break;
  }
  return sum;
}

/** Spins without a success up to now, at most all of them. */
function expectedAbsence(spins: number, p: number): number {
  const q = 1 - p;
  return (q * (1 - q ** spins)) / p;
}

/** How often a number comes again after `from` to `to` other spins, over all numbers, each of which has `p`. */
function expectedReturns(from: number, to: number, spins: number, p: number): number {
  const q = 1 - p;
  let sum = 0;
  for (let gap = from; gap <= Math.min(to, spins - 2); gap++) {
    const here = (spins - 1 - gap) * p * q ** gap;
    sum += here;
    if (here < NEGLIGIBLE) break;
  }
  return sum;
}

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

/** How often a bet won several times in a row. */
export interface StreakStats {
  readonly de: StreakBet;
  /** How long the run of the newest number is; 0 when that is another one. */
  readonly atual: number;
  readonly maior: number;
  readonly maior_esperada: number;
  /** Runs of 1, 2, ... 9 and of 10 or more, and what a fair wheel gives on average. */
  readonly vezes: readonly number[];
  readonly esperado: readonly number[];
}

/** How often a number came again after so many other spins, over all numbers. */
export interface GapStats {
  readonly de: number;
  /** Null is no limit. */
  readonly ate: number | null;
  readonly vezes: number;
  readonly esperado: number;
}

/** What a fair wheel with so many pockets gives on average in as many spins. */
export interface Expectation {
  /** Of each number. */
  readonly numero: number;
  readonly ausencia: number;
  readonly maior_ausencia: number;
  readonly cores: Readonly<Record<Cor, number>>;
  /** Of each dozen and each column. */
  readonly duzia: number;
  readonly coluna: number;
  readonly paridade: { readonly par: number; readonly impar: number; readonly zero: number };
}

/** A summary of a table's numbers. 0 and 00 are neither even nor odd, and are in no dozen or column. */
export interface TableStats {
  readonly total: number;
  /** ISO-8601 of the oldest and newest number counted; null when there is none. */
  readonly desde: string | null;
  readonly ate: string | null;
  /** Pockets of the wheel: 38 with a double zero. */
  readonly casas: 37 | 38;
  /** By number, 0 to 36, and 37 (the double zero) where the wheel has it. */
  readonly numeros: readonly NumberStats[];
  readonly cores: Readonly<Record<Cor, number>>;
  readonly duzias: readonly [number, number, number];
  readonly colunas: readonly [number, number, number];
  readonly paridade: { readonly par: number; readonly impar: number; readonly zero: number };
  readonly setores: readonly (Sector & { readonly vezes: number; readonly esperado: number })[];
  readonly sequencias: readonly StreakStats[];
  readonly intervalos: readonly GapStats[];
  readonly esperado: Expectation;
  /** The ten numbers that stayed away longest up to now. */
  readonly ausentes: readonly NumberStats[];
}

/** Bets whose runs are counted; the ordinals are of dozens and columns. */
export const STREAK_BETS = [
  ...(['vermelho', 'preto', 'par', 'impar'] as const),
  ...(['duzia_1', 'duzia_2', 'duzia_3', 'coluna_1', 'coluna_2', 'coluna_3'] as const),
] as const;
type StreakBet = (typeof STREAK_BETS)[number];

const isInside = (numero: number): boolean => numero > 0 && numero < DOUBLE_ZERO;
const dozenOf = (numero: number): number => (isInside(numero) ? Math.ceil(numero / 12) : 0);
const columnOf = (numero: number): number => (isInside(numero) ? ((numero - 1) % 3) + 1 : 0);

const POCKETS = Array.from({ length: DOUBLE_ZERO + 1 }, (_, numero) => numero);

/** By number: which of `STREAK_BETS` it wins. */
const WINS: readonly (readonly boolean[])[] = POCKETS.map((numero) => {
  const parity = numero % 2 === 0 ? 'par' : 'impar';
  const won = [
    colourOf(numero),
    isInside(numero) ? parity : '',
    `duzia_${dozenOf(numero)}`,
    `coluna_${columnOf(numero)}`,
  ];
  return STREAK_BETS.map((bet) => won.includes(bet));
});

/** How many numbers win each of `STREAK_BETS`, on either wheel. */
const WINNING = STREAK_BETS.map((_, bet) => WINS.filter((wins) => wins[bet]).length);

const LONGEST_RUN = 10;
const LONGEST_AWAY = 10;
/** The first gap of each class, in spins; about the quarters of a round, then its doubles. */
const GAPS = [0, 1, 10, 19, 37, 74, 148, 296] as const;

const rounded = (value: number): number => Math.round(value * 1000) / 1000;

/** The runs of one bet, counted from the newest spin on. */
interface Streak {
  run: number;
  /** Of the newest number; null while it lasts. */
  current: number | null;
  longest: number;
  readonly lengths: number[];
}

const newStreak = (): Streak => ({ run: 0, current: null, longest: 0, lengths: Array(LONGEST_RUN).fill(0) });

function endRun(streak: Streak): void {
  const { run, lengths } = streak;
  streak.current ??= run;
  if (run === 0) return;
  const at = Math.min(run, LONGEST_RUN) - 1;
  lengths[at] = (lengths[at] ?? 0) + 1;
  streak.longest = Math.max(streak.longest, run);
  streak.run = 0;
}

/** Counts numbers one after the other, in a memory that does not grow with them. */
interface StatsCount {
  /** The next older number of the table. */
  add(numero: number): void;
  readonly total: number;
  /**
   * The summary, with the ISO timestamps of the newest and the oldest number counted. Ends the count. A wheel that is
   * not known to have a double zero has one when that was met.
   */
  result(ate: string | null, desde: string | null, doubleZero?: boolean): TableStats;
}

/** Begins to count, from a table's newest number on. */
export function countStats(): StatsCount {
  let total = 0;
  const zeros = (): number[] => POCKETS.map(() => 0);
  const [vezes, absence, longest] = [zeros(), zeros(), zeros()];
  const seenAt = POCKETS.map(() => -1);
  const gaps: number[] = GAPS.map(() => 0);
  const streaks = STREAK_BETS.map(newStreak);

  const numberStats = (numero: number): NumberStats => {
    const count = vezes[numero] ?? 0;
    const since = count === 0 ? total : (absence[numero] ?? 0);
    const before = total - 1 - (seenAt[numero] ?? -1);
    const maior = Math.max(since, longest[numero] ?? 0, before);
    return { numero, ...labelOf(numero), cor: colourOf(numero), vezes: count, ausencia: since, maior_ausencia: maior };
  };

  return {
    get total() {
      return total;
    },
    add(numero) {
      const gap = total - (seenAt[numero] ?? -1) - 1;
      if (vezes[numero] === 0) absence[numero] = total;
      else {
        const at = GAPS.findLastIndex((from) => gap >= from);
        gaps[at] = (gaps[at] ?? 0) + 1;
      }
      longest[numero] = Math.max(longest[numero] ?? 0, gap);
      vezes[numero] = (vezes[numero] ?? 0) + 1;
      seenAt[numero] = total;
      total += 1;
      const wins = WINS[numero];
      streaks.forEach((streak, bet) => {
        if (wins?.[bet] === true) streak.run += 1;
        else endRun(streak);
      });
    },
    result(ate, desde, doubleZero = false) {
      for (const streak of streaks) endRun(streak);
      const casas = doubleZero || (vezes[DOUBLE_ZERO] ?? 0) > 0 ? 38 : 37;
      const numeros = POCKETS.slice(0, casas).map(numberStats);
      const ausentes = [...numeros].sort((a, b) => b.ausencia - a.ausencia || a.numero - b.numero);
      return {
        total,
        desde,
        ate,
        casas,
        numeros,
        ...groupsOf(numeros),
        setores: sectorsIn(numeros, total, casas),
        sequencias: STREAK_BETS.map((de, at) => ({
          de,
          ...streakStats(streaks[at] ?? newStreak(), total, (WINNING[at] ?? 0) / casas),
        })),
        intervalos: gapStats(gaps, total, casas),
        esperado: expectationOf(total, casas),
        ausentes: ausentes.slice(0, LONGEST_AWAY),
      };
    },
  };
}

/** The same over numbers that are all at hand, newest first. */
export function statsOf(
  newestFirst: readonly number[],
  ate: string | null,
  desde: string | null,
  doubleZero?: boolean,
): TableStats {
  const count = countStats();
  for (const numero of newestFirst) count.add(numero);
  return count.result(ate, desde, doubleZero);
}

function groupsOf(numeros: readonly NumberStats[]): Pick<TableStats, 'cores' | 'duzias' | 'colunas' | 'paridade'> {
  const count = (of: (numero: number) => boolean): number =>
    numeros.reduce((sum, { numero, vezes }) => sum + (of(numero) ? vezes : 0), 0);
  const colour = (cor: Cor): number => count((numero) => colourOf(numero) === cor);
  const dozen = (index: number): number => count((numero) => dozenOf(numero) === index);
  const column = (index: number): number => count((numero) => columnOf(numero) === index);
  return {
    cores: { verde: colour('verde'), vermelho: colour('vermelho'), preto: colour('preto') },
    duzias: [dozen(1), dozen(2), dozen(3)],
    colunas: [column(1), column(2), column(3)],
    paridade: {
      par: count((numero) => isInside(numero) && numero % 2 === 0),
      impar: count((numero) => isInside(numero) && numero % 2 === 1),
      zero: count((numero) => !isInside(numero)),
    },
  };
}

const sectorsIn = (numeros: readonly NumberStats[], total: number, casas: 37 | 38): TableStats['setores'] =>
  sectorsOf(casas).map((sector) => ({
    ...sector,
    vezes: sector.numeros.reduce((sum, numero) => sum + (numeros[numero]?.vezes ?? 0), 0),
    esperado: rounded((total * sector.numeros.length) / casas),
  }));

function streakStats({ current, longest, lengths }: Streak, total: number, p: number): Omit<StreakStats, 'de'> {
  return {
    atual: current ?? 0,
    maior: longest,
    maior_esperada: rounded(expectedLongestRun(total, p)),
    vezes: lengths,
    esperado: expectedRuns(LONGEST_RUN, total, p).map(rounded),
  };
}

const gapStats = (gaps: readonly number[], total: number, casas: number): GapStats[] =>
  GAPS.map((de, at) => {
    const next = GAPS[at + 1];
    const ate = next === undefined ? null : next - 1;
    const esperado = rounded(expectedReturns(de, ate ?? Infinity, total, 1 / casas));
    return { de, ate, vezes: gaps[at] ?? 0, esperado };
  });

function expectationOf(total: number, casas: number): Expectation {
  const of = (pockets: number): number => rounded((total * pockets) / casas);
  const zero = of(casas - 36);
  return {
    numero: of(1),
    ausencia: rounded(expectedAbsence(total, 1 / casas)),
    maior_ausencia: rounded(expectedLongestRun(total, 1 - 1 / casas)),
    cores: { verde: zero, vermelho: of(18), preto: of(18) },
    duzia: of(12),
    coluna: of(12),
    paridade: { par: of(18), impar: of(18), zero },
  };
}
