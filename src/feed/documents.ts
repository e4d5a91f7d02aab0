import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { createDirectory, type Directory } from '../roulette/directory.ts';
import { isSuspect } from '../roulette/number.ts';
import type { Source } from '../roulette/source.ts';
import type { StoredStrategy } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { Namespace } from './change.ts';
import { type Held, type HeldNumber, holdDocument } from './document.ts';
import type { Fields } from './fields.ts';
import * as tables from './table-state.ts';

/** The documents that the state holds, each in its place in its table. */
export interface Shelf {
  readonly directory: Directory;
  /** Reads a document of a watched collection into what can be held. */
  read(ns: Namespace, source: Source, key: string, document: Fields): Held;
  get(ns: Namespace, key: string): Held | undefined;
  /**
   * Puts a document in its place; false when it is older than what its table holds for sure. `trim` lets the oldest go
   * where a table holds too many.
   */
  place(held: Held, trim?: boolean): boolean;
  /** Takes a document out; its former place among the table's newest first, or -1. */
  displace(held: Held): number;
  /** Takes out every document of a collection. */
  clear(ns: Namespace): void;
  /** The collection may hold older documents of the table than those placed so far. */
  markIncomplete(ns: Namespace, table: TableId): void;
  /** Whether the number is marked as a probable repeat; undefined when the one before it is not known. */
  suspect(held: HeldNumber): boolean | undefined;
  /** Place of a held number among its table's newest first, or -1. */
  rank(held: HeldNumber): number;
  /** The current strategy: null when there is none, undefined when it is not known. */
  strategy(table: TableId): StoredStrategy | null | undefined;
  /** Whether fewer documents are held than subscribers may ask for, although the database may have more. */
  isExhausted(table: TableId): boolean;
  /** Every table that was ever heard of. */
  known(): TableId[];
  /** The tables that anything is stored of. */
  tables(): TableId[];
  nameOf(table: TableId): string;
  numbers(table: TableId, count: number): NumberItem[];
  strategyItem(table: TableId): StrategyItem | null;
}

/** Malformed documents that are remembered; a flood of them must not fill the memory. */
const MAX_MALFORMED = 10_000;

const idOf = (ns: Namespace, key: string): string => `${ns}|${key}`;

/** An empty shelf. `onTable` hears of each table when it first appears. */
export function createShelf(minSpinIntervalMs: number, onTable: (table: TableId, name: string) => void): Shelf {
  const directory = createDirectory();
  const known = new Map<TableId, tables.TableState>();
  /** By collection, then by key: one text for both would be built several times for every change. */
  const documents = new Map<Namespace, Map<string, Held>>();
  /** Oldest first. */
  const malformed = new Map<string, Held>();

  const resolve = (reference: string): TableId | null => directory.resolve(reference)[0] ?? null;

  const forget = (held: Held): void => {
    documents.get(held.ns)?.delete(held.key);
    if (held.kind === 'malformed') malformed.delete(idOf(held.ns, held.key));
  };

  const remember = (held: Held): void => {
    const own = documents.get(held.ns) ?? new Map<string, Held>();
    if (own.size === 0) documents.set(held.ns, own);
    own.set(held.key, held);
    if (held.kind !== 'malformed') return;
    malformed.set(idOf(held.ns, held.key), held);
    const [oldest] = malformed.values();
    if (malformed.size > MAX_MALFORMED && oldest !== undefined) forget(oldest);
  };

  const ensure = (id: TableId, name: string | null): tables.TableState => {
    directory.learn(id, name);
    const present = known.get(id);
    if (present !== undefined) return present;
    const created = tables.createTable(id);
    known.set(id, created);
    for (const held of [...documents.values()].flatMap((own) => [...own.values()])) {
      // A document that was known by its UUID alone finds its table now.
      if (held.kind !== 'table' || held.table !== null || held.uuid === null || resolve(held.uuid) !== id) continue;
      const found = { ...held, table: id };
      remember(found);
      created.documents.set(idOf(held.ns, held.key), found);
      directory.learn(id, held.name);
    }
    onTable(id, name ?? tables.nameOf(created));
    return created;
  };

  const displace = (held: Held): number => {
    forget(held);
    const table = held.table === null ? undefined : known.get(held.table);
    if (table === undefined) return -1;
    if (held.kind === 'number') return tables.removeFrom(table.numbers, held);
    if (held.kind === 'strategy') return tables.removeFrom(table.rows, held);
    if (held.kind === 'table') table.documents.delete(idOf(held.ns, held.key));
    return -1;
  };

  const rank = (held: HeldNumber): number => known.get(held.table)?.numbers.items.indexOf(held) ?? -1;

  return {
    directory,
    read: (ns, source, key, document) => holdDocument(ns, source, key, document, resolve),
    get: (ns, key) => documents.get(ns)?.get(key),
    place(held, trim = true) {
      if (held.kind === 'malformed') {
        remember(held);
        return true;
      }
      if (held.kind === 'table') {
        remember(held);
        if (held.table !== null) ensure(held.table, held.name).documents.set(idOf(held.ns, held.key), held);
        return true;
      }
      const table = ensure(held.table, held.kind === 'number' ? held.number.name : held.strategy.name);
      if (!(held.kind === 'number' ? tables.addNumber(table, held) : tables.addRow(table, held))) return false;
      remember(held);
      if (!trim) return true;
      for (const gone of held.kind === 'number' ? tables.trimNumbers(table) : tables.trimRows(table)) forget(gone);
      return true;
    },
    displace,
    clear(ns) {
      for (const held of [...(documents.get(ns)?.values() ?? [])]) displace(held);
      for (const table of known.values()) {
        table.numbers.bounds.delete(ns);
        table.rows.bounds.delete(ns);
      }
    },
    markIncomplete(ns, id) {
      const table = known.get(id);
      if (table === undefined) return;
      tables.boundNumbers(table, ns);
      tables.boundRows(table, ns);
    },
    rank,
    suspect(held) {
      const table = known.get(held.table);
      const before = table === undefined ? undefined : tables.predecessor(table, rank(held));
      if (before === undefined) return undefined;
      return before !== null && isSuspect(held.number, before.number, minSpinIntervalMs);
    },
    strategy(id) {
      const table = known.get(id);
      return table === undefined ? null : tables.strategyOf(table);
    },
    isExhausted(id) {
      const table = known.get(id);
      return table !== undefined && tables.isExhausted(table);
    },
    known: () => [...known.keys()].sort(),
    tables: () =>
      [...known]
        .filter(([, table]) => !tables.isEmpty(table))
        .map(([id]) => id)
        .sort(),
    nameOf(id) {
      const table = known.get(id);
      return table === undefined ? id : tables.nameOf(table);
    },
    numbers(id, count) {
      const table = known.get(id);
      return table === undefined ? [] : tables.itemsOf(table, count, minSpinIntervalMs);
    },
    strategyItem(id) {
      const table = known.get(id);
      return table === undefined ? null : tables.strategyItemOf(table);
    },
  };
}
