import type { NewNumber, NumberCorrected, NumberItem, NumberRemoved, StrategyUpdate } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { topicOf } from '../protocol/topic.ts';
import { isoOf } from './bson-value.ts';
import { extraItem } from './fields.ts';
import type { StoredNumber } from './number.ts';
import { type StoredStrategy, strategyItem } from './strategy.ts';
import type { TableId } from './table.ts';
import { DOUBLE_ZERO, labelOf } from './wheel.ts';

/** The position of an event, and what its table is called there; a table without a name is called by its id. */
export interface EventPlace {
  readonly position: Position;
  readonly prev: Position | null;
  readonly name: string | null;
}

const SUSPECT = { suspeito: true } as const;

/** A number as snapshots and history list it. */
export function numberItem(number: StoredNumber, suspect: boolean): NumberItem {
  const { id, numero, cor, timestampMs, extra } = number;
  const item = { id, numero, ...labelOf(numero), cor, timestamp: isoOf(timestampMs) };
  // A writer's own fields come last, so that reading an item by its schema keeps their place.
  return { ...item, ...(suspect ? SUSPECT : {}), ...extraItem(extra) };
}

const head = (table: TableId, { position, prev }: EventPlace) => ({ topic: topicOf(table), position, prev });

const names = (table: TableId, { name }: EventPlace) => ({ roleta_id: table, roleta_nome: name ?? table });

/** Written out field by field: of all messages this one is made most, and spreading objects cost a fifth of it. */
function numberMessage<T extends 'new_number' | 'number_corrected'>(
  type: T,
  { id, table, numero, cor, timestampMs, extra }: StoredNumber,
  suspect: boolean,
  { position, prev, name }: EventPlace,
) {
  const message = {
    type,
    topic: topicOf(table),
    position,
    prev,
    id,
    roleta_id: table,
    roleta_nome: name ?? table,
    numero,
    cor,
    timestamp: isoOf(timestampMs),
  };
  if (numero === DOUBLE_ZERO || extra !== undefined) {
    return { ...message, ...labelOf(numero), ...(suspect ? SUSPECT : {}), ...extraItem(extra) };
  }
  return suspect ? { ...message, ...SUSPECT } : message;
}

export const newNumber = (number: StoredNumber, suspect: boolean, place: EventPlace): NewNumber =>
  numberMessage('new_number', number, suspect, place);

export const numberCorrected = (number: StoredNumber, suspect: boolean, place: EventPlace): NumberCorrected =>
  numberMessage('number_corrected', number, suspect, place);

export const numberRemoved = (number: Pick<StoredNumber, 'id' | 'table'>, place: EventPlace): NumberRemoved => ({
  type: 'number_removed',
  ...head(number.table, place),
  id: number.id,
  ...names(number.table, place),
});

export const strategyUpdate = (strategy: StoredStrategy, place: EventPlace): StrategyUpdate => ({
  type: 'strategy_update',
  ...head(strategy.table, place),
  ...names(strategy.table, place),
  ...strategyItem(strategy),
});
