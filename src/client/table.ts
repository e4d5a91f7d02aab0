import type { EventMessage, NumberItem, Snapshot, StrategyItem } from '../protocol/messages.ts';

/**
 * One table as the client knows it. Immutable: any change makes a new object with a new `numeros`, so that `!==` tells
 * a view that it must draw.
 */
export interface Table {
  /** Canonical 7-digit id. */
  readonly id: string;
  readonly nome: string;
  readonly topic: string;
  /** The last numbers, newest first, as many as were asked for. */
  readonly numeros: readonly NumberItem[];
  readonly estrategia: StrategyItem | null;
  /** True when the truth may have moved on: the server said so, or a reset was not followed by its snapshot yet. */
  readonly stale: boolean;
}

/** Newest first: by timestamp, then by id, which is the order of the server's own list. */
const newestFirst = (a: NumberItem, b: NumberItem): number =>
  Date.parse(b.timestamp) - Date.parse(a.timestamp) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

/** One entry per id, in order, at most `depth`. */
function arrange(items: readonly NumberItem[], depth: number): NumberItem[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  return [...byId.values()].sort(newestFirst).slice(0, depth);
}

/** The table that a snapshot describes; whatever was known before is replaced. */
export const tableOf = (snapshot: Snapshot, depth: number): Table => ({
  id: snapshot.roleta_id,
  nome: snapshot.roleta_nome,
  topic: snapshot.topic,
  numeros: arrange(snapshot.numeros, depth),
  estrategia: snapshot.estrategia,
  stale: snapshot.stale,
});

/** A table that appeared while all tables are watched: its events are all there is of it. */
export const emptyTable = (of: { topic: string; roleta_id: string; roleta_nome: string }): Table => ({
  id: of.roleta_id,
  nome: of.roleta_nome,
  topic: of.topic,
  numeros: [],
  estrategia: null,
  stale: false,
});

/** The fields of a number without those that place it in the stream. */
const itemOf = (event: NumberItem): NumberItem => ({
  id: event.id,
  numero: event.numero,
  cor: event.cor,
  timestamp: event.timestamp,
  ...(event.suspeito ? { suspeito: true } : {}),
});

export interface Applied {
  readonly table: Table;
  /** The list had to give up an entry whose successor is not known: only a snapshot can fill the end of it. */
  readonly thin: boolean;
}

/** The table after one event. `depth` is how many numbers are wanted. */
export function applyEvent(table: Table, event: EventMessage, depth: number): Applied {
  const named = { ...table, nome: event.roleta_nome };
  switch (event.type) {
    case 'new_number':
      return { table: { ...named, numeros: arrange([...table.numeros, itemOf(event)], depth) }, thin: false };
    case 'number_corrected': {
      const full = table.numeros.length >= depth;
      const numeros = arrange([...table.numeros, itemOf(event)], depth);
      // A number that a correction puts last may belong behind others which the list never had.
      return { table: { ...named, numeros }, thin: full && numeros.at(-1)?.id === event.id };
    }
    case 'number_removed': {
      const numeros = table.numeros.filter((item) => item.id !== event.id);
      return {
        table: { ...named, numeros },
        thin: numeros.length < table.numeros.length && table.numeros.length >= depth,
      };
    }
    case 'strategy_update': {
      const { estado, numero_gatilho, terminais_gatilho, vitorias, derrotas, sugestao_display, timestamp } = event;
      const estrategia = { estado, numero_gatilho, terminais_gatilho, vitorias, derrotas, sugestao_display, timestamp };
      return { table: { ...named, estrategia }, thin: false };
    }
    default:
      return event satisfies never;
  }
}
