import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { createDirectory, type Directory } from '../roulette/directory.ts';
import type { Source } from '../roulette/source.ts';
import type { StoredStrategy } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import { DOUBLE_ZERO } from '../roulette/wheel.ts';
import type { NumberDocument } from '../store/base.ts';
import type { Fields, Namespace } from './change.ts';
import { documentOf, type StateDocument, type TableDocument } from './document.ts';
import * as tables from './table-state.ts';

/** The documents that the state keeps, each in its place in its table. */
export interface Documents {
  readonly directory: Directory;
  /** Reads a document of a watched collection into what can be kept. Never throws. */
  read(ns: Namespace, source: Source, key: string, document: Fields): StateDocument;
  get(ns: Namespace, key: string): StateDocument | undefined;
  /**
   * Puts a document in its place; false when it is older than what its table keeps for sure. `trim` lets the oldest go
   * where a table keeps too many.
   */
  place(document: StateDocument, trim?: boolean): boolean;
  /** Takes a document out; its former place among the table's newest first, or -1. */
  displace(document: StateDocument): number;
  /** Takes out every document of a collection. */
  clear(ns: Namespace): void;
  /** The collection may hold older documents of the table than those placed so far. */
  markIncomplete(ns: Namespace, table: TableId): void;
  /** The read at rest of a collection of this kind gave up before it had all of the table that it wanted. */
  markUnfinished(table: TableId, source: Source): void;
  /** Whether a document is older than what its table keeps for sure. */
  isBelow(document: StateDocument): boolean;
  /** Forgets up to where documents of the table may be missing: they are about to be placed. */
  unbound(table: TableId): void;
  /** Place of a number among its table's newest first, or -1. */
  rank(document: NumberDocument): number;
  /** Whether the number at a place is marked as a repeat of the one at another; undefined when that is not known. */
  isMarked(table: TableId, at: number, below: number): boolean | undefined;
  /** The numbers that subscribers can see, and which of them are marked. */
  marks(table: TableId): ReadonlyMap<NumberDocument, boolean | undefined>;
  /** The current strategy: null when there is none, undefined when it is not known. */
  strategy(table: TableId): StoredStrategy | null | undefined;
  /** Whether fewer documents are kept than subscribers may ask for, although the database may have more. */
  isExhausted(table: TableId): boolean;
  /** Whether subscribers are shown less than they may ask for. */
  isPartial(table: TableId): boolean;
  /** Every table that was ever heard of, in no order. */
  known(): Iterable<TableId>;
  /** The tables that anything is stored of, ascending. */
  tables(): readonly TableId[];
  nameOf(table: TableId): string;
  numbers(table: TableId, count: number): NumberItem[];
  strategyItem(table: TableId): StrategyItem | null;
  /** Whether the table's wheel has a double zero. */
  isDoubleZero(table: TableId): boolean;
  /** The tables of which a double zero came since this was last asked, and of which no document says that they have one. */
  takeDoubleZeros(): TableId[];
  /** Counts what happened to a table; what was made of it at this count can be used again. */
  versionOf(table: TableId): number;
  /** The tables that changed since this was last asked, and whether their numbers did. */
  takeChanged(): ReadonlyMap<TableId, boolean>;
}

/** Malformed documents that are remembered; a flood of them must not fill the memory. */
const MAX_MALFORMED = 10_000;

const idOf = (ns: Namespace, key: string): string => `${ns}|${key}`;

/** Told of tables while documents are placed. */
export interface TableListener {
  /** A table appeared. `attached`: documents that were known by its UUID alone turned out to be its own. */
  added(table: TableId, name: string, attached: boolean): void;
  /** A table is found by one more name. */
  named(table: TableId, name: string): void;
}

/** No documents yet. */
export function createDocuments(minSpinIntervalMs: number, listener: TableListener): Documents {
  const directory = createDirectory();
  const known = new Map<TableId, tables.TableState>();
  /** By collection, then by key: one text for both would be built several times for every change. */
  const documents = new Map<Namespace, Map<string, StateDocument>>();
  /** Oldest first. */
  const malformed = new Map<string, StateDocument>();
  /** Documents known by a UUID alone, whose table nobody named yet. */
  const nameless = new Map<string, TableDocument>();
  let changed = new Map<TableId, boolean>();
  const doubleZeros = new Set<TableId>();
  /** The tables that anything is stored of, sorted; null when that may have changed. */
  let sorted: readonly TableId[] | null = null;

  const resolve = (reference: string): TableId | null => directory.resolve(reference)[0] ?? null;

  const forget = (document: StateDocument): void => {
    documents.get(document.ns)?.delete(document.key);
    if (document.kind === 'malformed') malformed.delete(idOf(document.ns, document.key));
    if (document.kind === 'table') nameless.delete(idOf(document.ns, document.key));
  };

  const remember = (document: StateDocument): void => {
    const own = documents.get(document.ns) ?? new Map<string, StateDocument>();
    if (own.size === 0) documents.set(document.ns, own);
    own.set(document.key, document);
    if (document.kind !== 'malformed') return;
    malformed.set(idOf(document.ns, document.key), document);
    const [oldest] = malformed.values();
    if (malformed.size > MAX_MALFORMED && oldest !== undefined) forget(oldest);
  };

  const note = (table: TableId, numbers: boolean): void =>
    void changed.set(table, numbers || changed.get(table) === true);

  const attach = (table: tables.TableState, document: TableDocument): void => {
    table.documents.set(idOf(document.ns, document.key), document);
    table.version++;
    note(table.id, false);
  };

  const ensure = (id: TableId, name: string | null): tables.TableState => {
    const isNamed = directory.learn(id, name) === 'named';
    const present = known.get(id);
    if (present !== undefined) {
      if (isNamed && name !== null) listener.named(id, name);
      return present;
    }
    const created = tables.createTable(id);
    known.set(id, created);
    sorted = null;
    // A document that was known by its UUID alone finds its table now.
    let attached = false;
    for (const [place, document] of nameless) {
      if (document.uuid === null || resolve(document.uuid) !== id) continue;
      nameless.delete(place);
      const found = { ...document, table: id };
      remember(found);
      attach(created, found);
      attached = true;
      if (directory.learn(id, document.name) === 'named' && document.name !== null) listener.named(id, document.name);
    }
    listener.added(id, name ?? tables.nameOf(created), attached);
    return created;
  };

  /** A table is empty only without any document, and is no table then. */
  const touched = (table: tables.TableState, wasEmpty: boolean, kind: StateDocument['kind']): void => {
    table.version++;
    note(table.id, kind === 'number');
    if (wasEmpty !== tables.isEmpty(table)) sorted = null;
  };

  const displace = (document: StateDocument): number => {
    forget(document);
    const table = document.table === null ? undefined : known.get(document.table);
    if (table === undefined) return -1;
    let at = -1;
    if (document.kind === 'number') at = tables.removeNumber(table, document);
    else if (document.kind === 'strategy') at = tables.removeRow(table, document);
    else if (document.kind === 'table') table.documents.delete(idOf(document.ns, document.key));
    touched(table, false, document.kind);
    return at;
  };

  const placeTable = (document: TableDocument): void => {
    remember(document);
    if (document.table === null) {
      nameless.set(idOf(document.ns, document.key), document);
      return;
    }
    const table = ensure(document.table, document.name);
    const wasEmpty = tables.isEmpty(table);
    attach(table, document);
    touched(table, wasEmpty, document.kind);
  };

  const of = <T>(id: TableId, read: (table: tables.TableState) => T, none: T): T => {
    const table = known.get(id);
    return table === undefined ? none : read(table);
  };

  return {
    directory,
    read: (ns, source, key, document) => documentOf(ns, source, key, document, resolve),
    get: (ns, key) => documents.get(ns)?.get(key),
    place(document, trim = true) {
      if (document.kind === 'malformed') {
        remember(document);
        return true;
      }
      if (document.kind === 'table') {
        placeTable(document);
        return true;
      }
      const isNumber = document.kind === 'number';
      const table = ensure(document.table, isNumber ? document.number.name : document.strategy.name);
      const wasEmpty = tables.isEmpty(table);
      if (isNumber && document.number.numero === DOUBLE_ZERO) doubleZeros.add(document.table);
      if (!(isNumber ? tables.addNumber(table, document) : tables.addRow(table, document))) return false;
      remember(document);
      touched(table, wasEmpty, document.kind);
      if (!trim) return true;
      for (const gone of isNumber ? tables.trimNumbers(table) : tables.trimRows(table)) forget(gone);
      return true;
    },
    displace,
    clear(ns) {
      for (const document of [...(documents.get(ns)?.values() ?? [])]) displace(document);
      for (const table of known.values()) {
        table.numbers.bounds.delete(ns);
        table.rows.bounds.delete(ns);
        table.version++;
        note(table.id, true);
      }
      sorted = null;
    },
    markIncomplete(ns, id) {
      note(id, true);
      of(id, (table) => tables.markIncomplete(table, ns), undefined);
    },
    markUnfinished(id, source) {
      const table = ensure(id, null);
      table.version++;
      note(id, source.kind !== 'strategies');
      (source.kind === 'strategies' ? table.rows : table.numbers).unfinished = true;
    },
    isBelow: (document) =>
      (document.kind === 'number' || document.kind === 'strategy') &&
      of(document.table, (table) => tables.isBelow(table, document), false),
    unbound(id) {
      note(id, true);
      of(id, tables.unbound, undefined);
    },
    rank: (document) => of(document.table, ({ numbers }) => numbers.items.indexOf(document), -1),
    isMarked: (id, at, below) => of(id, (table) => tables.isMarked(table, at, below, minSpinIntervalMs), undefined),
    marks: (id) => of(id, (table) => tables.marksOf(table, minSpinIntervalMs), new Map()),
    strategy: (id) => of<StoredStrategy | null | undefined>(id, tables.strategyOf, null),
    isExhausted: (id) => of(id, tables.isExhausted, false),
    isPartial: (id) => of(id, tables.isPartial, false),
    known: () => known.keys(),
    tables() {
      sorted ??= [...known].flatMap(([id, table]) => (tables.isEmpty(table) ? [] : [id])).sort();
      return sorted;
    },
    nameOf: (id) => of(id, tables.nameOf, id),
    numbers: (id, count) => of(id, (table) => tables.itemsOf(table, count, minSpinIntervalMs), []),
    strategyItem: (id) => of(id, tables.strategyItemOf, null),
    isDoubleZero: (id) => of(id, tables.isDoubleZero, false),
    takeDoubleZeros() {
      if (doubleZeros.size === 0) return [];
      const taken = [...doubleZeros].filter((id) => !of(id, tables.isNotedDoubleZero, false));
      doubleZeros.clear();
      return taken;
    },
    versionOf: (id) => of(id, ({ version }) => version, 0),
    takeChanged() {
      const taken = changed;
      changed = new Map();
      return taken;
    },
  };
}
