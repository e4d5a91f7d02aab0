import { isDocument, type RawDocument } from '../roulette/bson-value.ts';
import { labelOf } from '../roulette/colour.ts';
import type { NumberToStore, StrategyToStore } from '../roulette/ingest.ts';
import { numberFrom } from '../roulette/number.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, sameStrategy, strategyFrom } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import { parseTimestamp } from '../roulette/timestamp.ts';

/** A field that is left out where it has no value. */
const nameField = (name: string | null): { readonly roleta_nome?: string } =>
  name === null ? {} : { roleta_nome: name };

/** A number as both layouts store it. */
export const numberDocument = (item: NumberToStore, nowMs: number) => ({
  _id: item.id,
  roleta_id: item.table,
  ...nameField(item.name),
  numero: item.numero,
  ...labelOf(item.numero),
  cor: item.cor,
  timestamp: new Date(item.timestampMs),
  criado_em: new Date(nowMs),
  ...item.extra,
});

/** The fields of a strategy state, as rows and table documents store them. */
export const stateFields = (item: StrategyToStore) => ({
  estado: item.estado,
  numero_gatilho: item.numeroGatilho,
  terminais_gatilho: [...item.terminaisGatilho],
  vitorias: item.vitorias,
  derrotas: item.derrotas,
  sugestao_display: item.sugestaoDisplay,
  timestamp: new Date(item.timestampMs),
  ...item.extra,
});

/** A row of the strategy history. */
export const strategyDocument = (item: StrategyToStore, nowMs: number) => ({
  _id: item.id,
  roleta_id: item.table,
  ...nameField(item.name),
  ...stateFields(item),
  criado_em: new Date(nowMs),
});

type Given = Pick<NumberToStore, 'name' | 'timestampMs' | 'given'>;

const sameGiven = (
  item: Given,
  stored: { readonly name: string | null; readonly timestampMs: number | null },
): boolean =>
  (!item.given.name || item.name === stored.name) && (!item.given.timestamp || item.timestampMs === stored.timestampMs);

/** Whether a stored document says what the caller gave: then posting it again is a repetition, else a conflict. */
export function sameNumber(stored: RawDocument, source: Source, item: NumberToStore): boolean {
  const parsed = numberFrom(stored, source);
  if (!parsed.ok || parsed.value.numero !== item.numero) return false;
  // As it was given, also where that is too far ahead to be believed.
  return sameGiven(item, { name: parsed.value.name, timestampMs: parseTimestamp(stored['timestamp']) });
}

const asStored = (item: StrategyToStore): StoredStrategy => ({ ...item, key: '' });

/** The same for a strategy state. */
export function sameState(stored: RawDocument, source: Source, item: StrategyToStore, table: TableId): boolean {
  const parsed = strategyFrom(stored, source, () => table);
  if (!parsed.ok || !sameStrategy(parsed.value, asStored(item))) return false;
  const state = source.kind === 'metadados' ? stored['estrategia'] : stored;
  const given = parseTimestamp(isDocument(state) ? state['timestamp'] : null);
  return sameGiven(item, { name: parsed.value.name, timestampMs: given });
}
