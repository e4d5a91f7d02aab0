const LAST = 36;

/** The numbers that a strategy's terminals cover: a final digit stands for all numbers that end in it. */
export function coveredBy(terminals: readonly number[]): number[] {
  return Array.from({ length: LAST + 1 }, (_, numero) => numero).filter((numero) =>
    terminals.some((terminal) => (terminal < 10 ? numero % 10 === terminal : numero === terminal)),
  );
}

/** Chance that one of `attempts` spins hits one of `covered` numbers on a wheel of so many pockets; 0 to 1. */
export const chanceOf = (covered: number, attempts: number, pockets: number): number =>
  1 - (1 - covered / pockets) ** attempts;

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What chance alone makes of bets that cover so many numbers each; both are means. */
export function chanceOfBets(
  covered: readonly number[],
  attempts: number,
  pockets: number,
): { readonly numbers: number; readonly chance: number } {
  return { numbers: meanOf(covered), chance: meanOf(covered.map((count) => chanceOf(count, attempts, pockets))) };
}

/** What the house keeps of every bet on average, 0 to 1: bets pay as if there were no zeros. */
export const houseEdge = (pockets: number): number => (pockets - LAST) / pockets;

/** What a strategy counted, and when; a time is ISO-8601. */
export interface Tallied {
  readonly vitorias: number;
  readonly derrotas: number;
  readonly timestamp: string | null;
}

/** Wins and losses that states, newest first, counted since a time (ms since 1970). A count that fell has begun anew. */
export function ratedSince(
  states: readonly Tallied[],
  sinceMs: number,
): { readonly won: number; readonly lost: number } {
  const grown = (from: number, to: number): number => (to < from ? to : to - from);
  let [won, lost] = [0, 0];
  states.forEach(({ vitorias, derrotas, timestamp }, at) => {
    const before = states[at + 1];
    if (before === undefined || timestamp === null || Date.parse(timestamp) < sinceMs) return;
    won += grown(before.vitorias, vitorias);
    lost += grown(before.derrotas, derrotas);
  });
  return { won, lost };
}

/** Where nine of ten honest wheels lie: the share of spins, 0 to 1, with a chance `p` over `spins`. */
export function expectedBand(p: number, spins: number): readonly [number, number] {
  if (spins === 0) return [0, 1];
  const spread = 1.645 * Math.sqrt((p * (1 - p)) / spins);
  return [Math.max(0, p - spread), Math.min(1, p + spread)];
}
