import type { NewNumber, NumberCorrected, NumberItem, NumberRemoved, StrategyUpdate } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { topicOf } from '../protocol/topic.ts';
import type { StoredNumber } from './number.ts';
import { type StoredStrategy, strategyItem } from './strategy.ts';
import type { TableId } from './table.ts';
import { isoOf } from './timestamp.ts';

/** Where an event stands, and what its table is called there; a table without a name is called by its id. */
export interface EventPlace {
  readonly position: Position;
  readonly prev: Position | null;
  readonly name: string | null;
}

/** A number as snapshots and history list it. */
export function numberItem(number: StoredNumber, suspect: boolean): NumberItem {
  const { id, numero, cor, timestampMs } = number;
  const item = { id, numero, cor, timestamp: isoOf(timestampMs) };
  return suspect ? { ...item, suspeito: true } : item;
}

const head = (table: TableId, { position, prev }: EventPlace) => ({ topic: topicOf(table), position, prev });

const names = (table: TableId, { name }: EventPlace) => ({ roleta_id: table, roleta_nome: name ?? table });

function numberFields(number: StoredNumber, suspect: boolean, place: EventPlace) {
  const { id, ...rest } = numberItem(number, suspect);
  return { ...head(number.table, place), id, ...names(number.table, place), ...rest };
}

export const newNumber = (number: StoredNumber, suspect: boolean, place: EventPlace): NewNumber => ({
  type: 'new_number',
  ...numberFields(number, suspect, place),
});

export const numberCorrected = (number: StoredNumber, suspect: boolean, place: EventPlace): NumberCorrected => ({
  type: 'number_corrected',
  ...numberFields(number, suspect, place),
});

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
