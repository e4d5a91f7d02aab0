import type { Estado } from '../protocol/messages.ts';
import { isoOf } from '../roulette/bson-value.ts';
import { colourOf } from '../roulette/wheel.ts';
import { below, type Due, makerFrom, type Random, type Stamped } from './round.ts';
import type { Analyser } from './strategy.ts';
import type { KnownTable } from './tables.ts';

/** How many tables the first system's simulation played. */
export const FIRST_TABLES = 6;

const MIN_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 5_000;
const STRATEGY_EVERY = 3;
const STATES: readonly Estado[] = ['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO'];

export interface FirstSimulation {
  readonly tables: readonly KnownTable[];
  readonly random: Random;
  /** Begins every key, so that two runs never share one. */
  readonly runId: string;
}

/** The first system's simulation without end: a random number of a random table every 2 to 5 s. */
export function* firstSimulation({ tables, random, runId }: FirstSimulation): Generator<Due, undefined> {
  const maker = makerFrom(random);
  let atMs = 0;
  for (let count = 1; ; count += 1) {
    const table = tables[below(random, tables.length)];
    if (table === undefined) return;
    const numero = below(random, 37);
    const key = `${runId}-${count}`;
    const fixed = { kind: 'number', timestampMs: null, objectId: null } as const;
    yield { atMs, item: { ...fixed, table: table.id, name: table.name, numero, cor: colourOf(numero), key, maker } };
    atMs += MIN_PAUSE_MS + random() * (MAX_PAUSE_MS - MIN_PAUSE_MS);
  }
}

/** What stood in for an analyser: with every third number a random state of its table. */
export function everyThird(random: Random): Analyser {
  let count = 0;
  let wins = 0;
  let losses = 0;
  return {
    follow({ table, name, numero, key }) {
      count += 1;
      if (count % STRATEGY_EVERY !== 0) return null;
      const estado = STATES[below(random, STATES.length)] ?? 'NEUTRAL';
      if (random() < 0.5) wins += 1;
      else losses += 1;
      const terminals = [...new Set([numero, numero + 1, numero + 9].map((each) => each % 10))].sort((a, b) => a - b);
      return {
        kind: 'strategy',
        table,
        name,
        estado,
        numeroGatilho: numero,
        terminaisGatilho: terminals,
        vitorias: wins,
        derrotas: losses,
        sugestaoDisplay: estado === 'TRIGGER' ? `APOSTAR EM: ${terminals.join(',')}` : 'AGUARDANDO GATILHO',
        key: `${key}-e`,
      };
    },
  };
}

/** What the first scrapers posted to `/emit-event`: times without a zone, which are UTC. */
export function emittedBody(item: Stamped): Readonly<Record<string, unknown>> {
  const timestamp = isoOf(item.timestampMs).replace('Z', '');
  const table = { roleta_id: item.table, roleta_nome: item.name };
  if (item.kind === 'number') {
    return { event: 'new_number', data: { type: 'new_number', ...table, numero: item.numero, timestamp } };
  }
  const strategy = {
    estado: item.estado,
    numero_gatilho: item.numeroGatilho,
    terminais_gatilho: item.terminaisGatilho,
    vitorias: item.vitorias,
    derrotas: item.derrotas,
    display_suggestion: item.sugestaoDisplay,
  };
  return { event: 'strategy_update', data: { type: 'strategy_update', ...table, ...strategy, timestamp } };
}
