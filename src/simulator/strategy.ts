import type { Estado } from '../protocol/messages.ts';
import type { Round, StrategyState } from './round.ts';

/** The European wheel, clockwise from 0. */
const WHEEL: readonly number[] = [
  0, 32, 15, 19, 4, 21, 2, 25, 17, 34, 6, 27, 13, 36, 11, 30, 8, 23, 10, 5, 24, 16, 33, 1, 20, 14, 31, 9, 22, 18, 29, 7,
  28, 12, 35, 3, 26,
];

/** How many numbers a final digit must have stayed away for its return to be a trigger. */
const ABSENCE = 6;

interface Analysis {
  estado: Estado;
  trigger: number;
  terminals: readonly number[];
  wins: number;
  losses: number;
  recent: number[];
}

/** Follows the numbers of every table, as RunCash's analyser does. */
export interface Analyser {
  /** Takes one number; the new state, or null when nothing changed. */
  follow(round: Round): StrategyState | null;
}

/**
 * The states of a table: NEUTRAL until a final digit returns after a long absence, then TRIGGER: a bet on three final
 * digits. A hit wins. A miss leads to POST_GALE_NEUTRAL, the second attempt; its hit wins, its miss loses: MORTO, and
 * with the next number NEUTRAL again.
 */
export function createAnalyser(): Analyser {
  const tables = new Map<string, Analysis>();
  return {
    follow(round) {
      const fresh: Analysis = { estado: 'NEUTRAL', trigger: -1, terminals: [], wins: 0, losses: 0, recent: [] };
      const analysis = tables.get(round.table) ?? fresh;
      tables.set(round.table, analysis);
      const before = analysis.estado;
      advance(analysis, round.numero);
      analysis.recent = [round.numero, ...analysis.recent].slice(0, ABSENCE);
      return analysis.estado === before ? null : stateOf(analysis, round);
    },
  };
}

function advance(analysis: Analysis, numero: number): void {
  switch (analysis.estado) {
    case 'NEUTRAL':
      if (isTrigger(analysis.recent, numero)) {
        analysis.estado = 'TRIGGER';
        analysis.trigger = numero;
        analysis.terminals = terminalsAround(numero);
      }
      return;
    case 'TRIGGER':
    case 'POST_GALE_NEUTRAL':
      if (analysis.terminals.includes(numero % 10)) {
        analysis.wins += 1;
        settle(analysis, 'NEUTRAL');
      } else if (analysis.estado === 'TRIGGER') {
        analysis.estado = 'POST_GALE_NEUTRAL';
      } else {
        analysis.losses += 1;
        settle(analysis, 'MORTO');
      }
      return;
    case 'MORTO':
      analysis.estado = 'NEUTRAL';
      return;
    default:
      analysis.estado satisfies never;
  }
}

function settle(analysis: Analysis, estado: Estado): void {
  analysis.estado = estado;
  analysis.trigger = -1;
  analysis.terminals = [];
}

const isTrigger = (recent: readonly number[], numero: number): boolean =>
  recent.length >= ABSENCE && !recent.some((earlier) => earlier % 10 === numero % 10);

/** The final digits of a number and of its two neighbours on the wheel. */
function terminalsAround(numero: number): number[] {
  const place = WHEEL.indexOf(numero);
  const around = [-1, 0, 1].map((step) => WHEEL[(place + step + WHEEL.length) % WHEEL.length] ?? numero);
  return [...new Set(around.map((neighbour) => neighbour % 10))].sort((a, b) => a - b);
}

function stateOf(analysis: Analysis, round: Round): StrategyState {
  return {
    kind: 'strategy',
    table: round.table,
    name: round.name,
    estado: analysis.estado,
    numeroGatilho: analysis.trigger,
    terminaisGatilho: analysis.terminals,
    vitorias: analysis.wins,
    derrotas: analysis.losses,
    sugestaoDisplay: suggestionOf(analysis),
    key: `${round.key}-e`,
  };
}

function suggestionOf({ estado, terminals }: Analysis): string {
  switch (estado) {
    case 'NEUTRAL':
      return 'AGUARDANDO GATILHO';
    case 'TRIGGER':
      return `APOSTAR EM: ${terminals.join(',')}`;
    case 'POST_GALE_NEUTRAL':
      return `GALE EM: ${terminals.join(',')}`;
    case 'MORTO':
      return 'AGUARDANDO PRÓXIMO CICLO';
    default:
      return estado satisfies never;
  }
}
