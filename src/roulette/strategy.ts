import { type Estado, type StrategyItem, type StrategyUpdate, topicOf } from '../protocol/messages.ts';
import {
  integerOf,
  isDocument,
  isoOf,
  isTooLong,
  keyOf,
  nameOf,
  parseTimestamp,
  type RawDocument,
  textOf,
} from './bson-value.ts';
import { type EventPlace, instantOf } from './number.ts';
import { accept, extraItem, extraOf, type Parsed, type Source, skip, tableOf } from './source.ts';
import type { ResolveTable, TableId } from './table.ts';
import { isOnWheel } from './wheel.ts';

/** A strategy state, read. */
export interface StoredStrategy {
  /** Identity of the `_id` of the document that holds it (`keyOf`). */
  readonly key: string;
  readonly table: TableId;
  readonly name: string | null;
  readonly estado: Estado;
  /** -1 is none, 0 is the number 0. */
  readonly numeroGatilho: number;
  readonly terminaisGatilho: readonly number[];
  readonly vitorias: number;
  readonly derrotas: number;
  readonly sugestaoDisplay: string;
  /** Epoch milliseconds; null when the writer gave none. */
  readonly timestampMs: number | null;
  /** Fields of the writer's own that are passed through. */
  readonly extra?: RawDocument;
}

const STATES: Readonly<Record<Estado, Estado>> = {
  NEUTRAL: 'NEUTRAL',
  TRIGGER: 'TRIGGER',
  POST_GALE_NEUTRAL: 'POST_GALE_NEUTRAL',
  MORTO: 'MORTO',
};

/** The state that a text names, in any case; null for another text. */
export function stateOf(text: string): Estado | null {
  const upper = text.toUpperCase();
  return Object.values(STATES).find((estado) => estado === upper) ?? null;
}

const firstGiven = (...values: readonly unknown[]): unknown =>
  values.find((value) => value !== undefined && value !== null && value !== '');

/** The trigger number: -1 where none is given, null where it is no number of the wheel. */
export function triggerOf(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return -1;
  const integer = integerOf(value);
  return integer !== null && (integer === -1 || isOnWheel(integer)) ? integer : null;
}

const MAX_TERMINALS = 3;

/** Up to three numbers of the wheel; empty where none are given, null where they are something else. */
export function terminalsOf(value: unknown): readonly number[] | null {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > MAX_TERMINALS) return null;
  const terminals = value.map(integerOf).filter((numero) => numero !== null && isOnWheel(numero));
  return terminals.length === value.length ? terminals.filter((numero) => numero !== null) : null;
}

/** A count of wins or losses: 0 where none is given, null where it is no count. */
export function countOf(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return 0;
  const integer = integerOf(value);
  return integer !== null && integer >= 0 ? integer : null;
}

/** Where a source keeps the state and what names its table; null where it keeps none. */
function partsOf(
  document: RawDocument,
  source: Source,
): { state: RawDocument; reference: unknown; name: unknown } | null {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
      return null;
    case 'strategies':
      return { state: document, reference: document['roleta_id'], name: document['roleta_nome'] };
    case 'roletas':
      return {
        state: document,
        reference: firstGiven(document['roleta_id'], document['_id']),
        name: firstGiven(document['nome'], document['roleta_nome']),
      };
    case 'metadados': {
      const state = document['estrategia'];
      return {
        state: isDocument(state) ? state : {},
        reference: document['roleta_id'],
        name: firstGiven(document['roleta_nome'], document['nome']),
      };
    }
    default:
      return source satisfies never;
  }
}

/**
 * Reads a strategy state from a row of `estrategia_historico_novo`, a document of `roletas`, or `metadados.estrategia`.
 * Without a state it is none (`no_state`), and none is ever assumed. Never throws. `resolve` is asked for UUIDs.
 */
export function strategyFrom(document: RawDocument, source: Source, resolve?: ResolveTable): Parsed<StoredStrategy> {
  const parts = partsOf(document, source);
  if (parts === null) return skip('wrong_source');
  const { state } = parts;
  // On a table's own document a bare `estado` may be the table's, so the longer name goes first there.
  const names = source.kind === 'roletas' ? ['estado_estrategia', 'estado'] : ['estado', 'estado_estrategia'];
  const stateValue = firstGiven(...names.map((name) => state[name]));
  const stateText = textOf(stateValue);
  if (stateText === null) return skip('no_state');
  if (isTooLong(stateValue)) return skip('bad_state');
  const estado = stateOf(stateText);
  if (estado === null) return skip('bad_state');
  const table = tableOf(parts.reference, resolve);
  if (!table.ok) return table;
  const numeroGatilho = triggerOf(state['numero_gatilho']);
  const terminaisGatilho = terminalsOf(state['terminais_gatilho'] ?? state['terminais']);
  const vitorias = countOf(state['vitorias']);
  const derrotas = countOf(state['derrotas']);
  const sugestao = firstGiven(state['sugestao_display'], state['display_suggestion']);
  const at = state['timestamp'];
  // A row is made with its state; a table's own document long before it.
  const timestampMs = source.kind === 'strategies' ? instantOf(state) : parseTimestamp(at);
  if (timestampMs === null && at !== undefined && at !== null) return skip('bad_timestamp');
  if (numeroGatilho === null || terminaisGatilho === null) return skip('bad_strategy');
  if (vitorias === null || derrotas === null || isTooLong(sugestao)) return skip('bad_strategy');
  const extra = extraOf(state, source.extraFields);
  return accept({
    key: keyOf(document['_id']),
    table: table.value,
    name: nameOf(parts.name),
    estado,
    numeroGatilho,
    terminaisGatilho,
    vitorias,
    derrotas,
    sugestaoDisplay: textOf(sugestao) ?? '',
    timestampMs,
    ...(extra === undefined ? {} : { extra }),
  });
}

/** Whether two states of one table say the same, whatever their timestamps: then there is nothing to publish. */
export function sameStrategy(a: StoredStrategy, b: StoredStrategy): boolean {
  return (
    a.estado === b.estado &&
    a.numeroGatilho === b.numeroGatilho &&
    a.vitorias === b.vitorias &&
    a.derrotas === b.derrotas &&
    a.sugestaoDisplay === b.sugestaoDisplay &&
    a.terminaisGatilho.length === b.terminaisGatilho.length &&
    a.terminaisGatilho.every((numero, index) => numero === b.terminaisGatilho[index]) &&
    (a.extra === b.extra || JSON.stringify(extraItem(a.extra)) === JSON.stringify(extraItem(b.extra)))
  );
}

/** A state as the wire carries it. */
export function strategyItem(strategy: StoredStrategy): StrategyItem {
  return {
    estado: strategy.estado,
    numero_gatilho: strategy.numeroGatilho,
    terminais_gatilho: strategy.terminaisGatilho,
    vitorias: strategy.vitorias,
    derrotas: strategy.derrotas,
    sugestao_display: strategy.sugestaoDisplay,
    timestamp: strategy.timestampMs === null ? null : isoOf(strategy.timestampMs),
    ...extraItem(strategy.extra),
  };
}

export const strategyUpdate = (strategy: StoredStrategy, { position, prev, name }: EventPlace): StrategyUpdate => ({
  type: 'strategy_update',
  topic: topicOf(strategy.table),
  position,
  prev,
  roleta_id: strategy.table,
  roleta_nome: name ?? strategy.table,
  ...strategyItem(strategy),
});
