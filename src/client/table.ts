import type { EventMessage, NumberItem, ResetReason, Snapshot, StrategyItem } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';

/**
 * One table as the client knows it. Immutable: any change makes a new object with a new `numeros`, so that `!==` tells
 * a view that it must draw.
 */
export interface Table {
  /** Canonical id. */
  readonly id: string;
  readonly nome: string;
  readonly topic: string;
  /** The last numbers, newest first, as many as were asked for. */
  readonly numeros: readonly NumberItem[];
  readonly estrategia: StrategyItem | null;
  /** The wheel has a double zero, and 38 numbers: the table says so, or one was seen. */
  readonly duploZero: boolean;
  /**
   * True when the truth may have moved on: there is no live connection, the server's own source is not live, or a reset
   * was not followed by its snapshot yet.
   */
  readonly stale: boolean;
  /**
   * Pages of numbers from before those of this table, newest first, read over HTTP: 100 on a page unless said
   * otherwise. Throws ClientError.
   */
  older(this: Table, pageSize?: number): AsyncIterable<readonly NumberItem[]>;
}

/** Newest first: by timestamp, then by id, which is the order of the server's own list. */
const newestFirst = (a: NumberItem, b: NumberItem): number =>
  Date.parse(b.timestamp) - Date.parse(a.timestamp) || (a.id < b.id ? 1 : -1);

const arrange = (items: readonly NumberItem[], depth: number): readonly NumberItem[] =>
  [...items].sort(newestFirst).slice(0, depth);

/** The table that a snapshot describes; whatever was known before is replaced. */
export const tableOf = (
  {
    roleta_id,
    roleta_nome,
    topic,
    numeros,
    estrategia,
    duplo_zero,
    stale,
  }: Omit<Snapshot, 'type' | 'epoch' | 'position'>,
  depth: number,
  older: Table['older'],
): Table => ({
  id: roleta_id,
  nome: roleta_nome,
  topic,
  numeros: arrange(numeros, depth),
  estrategia,
  duploZero: duplo_zero === true,
  stale,
  older,
});

/** What an event says, without what places it in the stream. */
function contentOf<E extends EventMessage>({ type, topic, position, prev, roleta_id, roleta_nome, ...content }: E) {
  return content;
}

export interface Applied {
  readonly table: Table;
  /** How many numbers are certain to be the last ones. Fewer than before when what follows an entry is not known. */
  readonly sure: number;
}

/**
 * The table after one event. Its list keeps `depth` numbers, of which `sure` are certain to be the last ones, or all
 * that there are.
 */
export function applyEvent(known: Table, event: EventMessage, depth: number, sure: number): Applied {
  const table: Table = { ...known, nome: event.roleta_nome, duploZero: known.duploZero || 'rotulo' in event };
  if (event.type === 'strategy_update') return { table: { ...table, estrategia: contentOf(event) }, sure };
  const length = table.numeros.length;
  const others = table.numeros.filter((item) => item.id !== event.id);
  const numeros = event.type === 'number_removed' ? others : arrange([...others, contentOf(event)], depth);
  // A number that a correction puts last may belong behind others which the list never had.
  const unsure =
    event.type === 'number_corrected'
      ? numeros.at(-1)?.id === event.id
      : event.type === 'number_removed' && others.length < length;
  return { table: { ...table, numeros }, sure: unsure && length >= sure ? sure - 1 : sure };
}

/** A position, or '' for none, which comes before all of them. */
export type MaybePosition = Position | '';

export const later = (a: MaybePosition, b: MaybePosition): MaybePosition => (a > b ? a : b);

/** What the client has of one topic. `roulette:*` has a state too, without a table. */
export interface TopicState {
  readonly topic: string;
  table: Table | null;
  /** Everything of this topic at or below was received. Resume from here. */
  position: MaybePosition;
  /** Position of the last snapshot: it contains what is at or below, though its request may not be complete yet. */
  mark: MaybePosition;
  /** Why a snapshot is owed: a reset was not followed by it yet. */
  owed: ResetReason | null;
  /** It may exist no more: nothing came of it since a reset of all tables, or in another epoch. */
  doubtful: boolean;
  /** How many numbers of the table are certain to be the last ones, or all that there are. */
  sure: number;
  /** The highest event that waits behind a hole. */
  withheld: MaybePosition;
  /** Requests that did not make the topic whole. */
  tries: number;
}

/** A topic that nothing is known of yet. */
export const NOTHING: Omit<TopicState, 'topic'> = {
  table: null,
  position: '',
  mark: '',
  owed: null,
  doubtful: false,
  sure: 0,
  withheld: '',
  tries: 0,
};
