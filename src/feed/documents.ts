import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import type { NumberDocument } from '../roulette/number.ts';
import type { Source } from '../roulette/source.ts';
import type { StoredStrategy } from '../roulette/strategy.ts';
import { createDirectory, type Directory, type TableId } from '../roulette/table.ts';
import { DOUBLE_ZERO } from '../roulette/wheel.ts';
import type { Fields, Namespace } from './change.ts';
import { documentOf, type StateDocument, type StrategyDocument, type TableDocument } from './document.ts';
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
  /** The collection may have older documents of the table than those placed so far. */
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
  /** Whether anything is stored of a table. */
  has(table: TableId): boolean;
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
interface TableListener {
  /** A table appeared. `attached`: documents that were known by its UUID alone turned out to be its own. */
  added(table: TableId, name: string, attached: boolean): void;
  /** A table is found by one more name. */
  named(table: TableId, name: string): void;
}

/** What is kept, and what is found by it. */
interface Contents {
  readonly listener: TableListener;
  readonly directory: Directory;
  readonly known: Map<TableId, tables.TableState>;
  /** By collection, then by key: one text for both would be built several times for every change. */
  readonly documents: Map<Namespace, Map<string, StateDocument>>;
  /** Oldest first. */
  readonly malformed: Map<string, StateDocument>;
  /** Documents known by a UUID alone, whose table nobody named yet. */
  readonly nameless: Map<string, TableDocument>;
  changed: Map<TableId, boolean>;
  readonly doubleZeros: Set<TableId>;
  /** The tables that anything is stored of, ascending by id; null when that may have changed. */
  stored: { readonly list: readonly TableId[]; readonly set: ReadonlySet<TableId> } | null;
}

const resolve = ({ directory }: Contents, reference: string): TableId | null => directory.resolve(reference)[0] ?? null;

/** Asks a table that may not be known. */
function ask<T>({ known }: Contents, id: TableId, read: (table: tables.TableState) => T, none: T): T {
  const table = known.get(id);
  return table === undefined ? none : read(table);
}

function forget({ documents, malformed, nameless }: Contents, document: StateDocument): void {
  documents.get(document.ns)?.delete(document.key);
  if (document.kind === 'malformed') malformed.delete(idOf(document.ns, document.key));
  if (document.kind === 'table') nameless.delete(idOf(document.ns, document.key));
}

function remember(contents: Contents, document: StateDocument): void {
  const { documents, malformed } = contents;
  const own = documents.get(document.ns) ?? new Map<string, StateDocument>();
  if (own.size === 0) documents.set(document.ns, own);
  own.set(document.key, document);
  if (document.kind !== 'malformed') return;
  malformed.set(idOf(document.ns, document.key), document);
  const [oldest] = malformed.values();
  if (malformed.size > MAX_MALFORMED && oldest !== undefined) forget(contents, oldest);
}

const note = ({ changed }: Contents, table: TableId, numbers: boolean): void =>
  void changed.set(table, numbers || changed.get(table) === true);

function attach(contents: Contents, table: tables.TableState, document: TableDocument): void {
  table.documents.set(idOf(document.ns, document.key), document);
  table.version++;
  note(contents, table.id, false);
}

function learn({ directory, listener }: Contents, id: TableId, name: string | null): void {
  if (directory.learn(id, name) === 'named' && name !== null) listener.named(id, name);
}

/** A document that was known by its UUID alone finds its table now. True when there was one. */
function attachNameless(contents: Contents, created: tables.TableState): boolean {
  let attached = false;
  for (const [place, document] of contents.nameless) {
    if (document.uuid === null || resolve(contents, document.uuid) !== created.id) continue;
    contents.nameless.delete(place);
    const found = { ...document, table: created.id };
    remember(contents, found);
    attach(contents, created, found);
    attached = true;
    learn(contents, created.id, document.name);
  }
  return attached;
}

/** The table, which appears with this if it was not known. */
function ensure(contents: Contents, id: TableId, name: string | null): tables.TableState {
  const { known, directory, listener } = contents;
  const present = known.get(id);
  if (present !== undefined) {
    learn(contents, id, name);
    return present;
  }
  // Its name is told with its appearance.
  directory.learn(id, name);
  const created = tables.createTable(id);
  known.set(id, created);
  contents.stored = null;
  const attached = attachNameless(contents, created);
  listener.added(id, name ?? tables.nameOf(created), attached);
  return created;
}

/** A table is empty only without any document, and is no table then. */
function touched(contents: Contents, table: tables.TableState, wasEmpty: boolean, kind: StateDocument['kind']): void {
  table.version++;
  note(contents, table.id, kind === 'number');
  if (wasEmpty !== tables.isEmpty(table)) contents.stored = null;
}

function displace(contents: Contents, document: StateDocument): number {
  forget(contents, document);
  const table = document.table === null ? undefined : contents.known.get(document.table);
  if (table === undefined) return -1;
  let at = -1;
  if (document.kind === 'number') at = tables.removeNumber(table, document);
  else if (document.kind === 'strategy') at = tables.removeRow(table, document);
  else if (document.kind === 'table') table.documents.delete(idOf(document.ns, document.key));
  touched(contents, table, false, document.kind);
  return at;
}

function placeTable(contents: Contents, document: TableDocument): void {
  remember(contents, document);
  if (document.table === null) {
    contents.nameless.set(idOf(document.ns, document.key), document);
    return;
  }
  const table = ensure(contents, document.table, document.name);
  const wasEmpty = tables.isEmpty(table);
  attach(contents, table, document);
  touched(contents, table, wasEmpty, document.kind);
}

function placeRow(contents: Contents, document: NumberDocument | StrategyDocument, trim: boolean): boolean {
  const isNumber = document.kind === 'number';
  const table = ensure(contents, document.table, isNumber ? document.number.name : document.strategy.name);
  const wasEmpty = tables.isEmpty(table);
  if (isNumber && document.number.numero === DOUBLE_ZERO) contents.doubleZeros.add(document.table);
  if (!(isNumber ? tables.addNumber(table, document) : tables.addRow(table, document))) return false;
  remember(contents, document);
  touched(contents, table, wasEmpty, document.kind);
  if (!trim) return true;
  for (const gone of isNumber ? tables.trimNumbers(table) : tables.trimRows(table)) forget(contents, gone);
  return true;
}

function place(contents: Contents, document: StateDocument, trim: boolean): boolean {
  if (document.kind === 'number' || document.kind === 'strategy') return placeRow(contents, document, trim);
  if (document.kind === 'table') placeTable(contents, document);
  else remember(contents, document);
  return true;
}

function clear(contents: Contents, ns: Namespace): void {
  for (const document of [...(contents.documents.get(ns)?.values() ?? [])]) displace(contents, document);
  for (const table of contents.known.values()) {
    table.numbers.bounds.delete(ns);
    table.rows.bounds.delete(ns);
    table.version++;
    note(contents, table.id, true);
  }
  contents.stored = null;
}

function markUnfinished(contents: Contents, id: TableId, { kind }: Source): void {
  const table = ensure(contents, id, null);
  table.version++;
  note(contents, id, kind !== 'strategies');
  (kind === 'strategies' ? table.rows : table.numbers).unfinished = true;
}

function takeDoubleZeros(contents: Contents): TableId[] {
  const { doubleZeros } = contents;
  if (doubleZeros.size === 0) return [];
  const taken = [...doubleZeros].filter((id) => !ask(contents, id, tables.isNotedDoubleZero, false));
  doubleZeros.clear();
  return taken;
}

function takeChanged(contents: Contents): ReadonlyMap<TableId, boolean> {
  const taken = contents.changed;
  contents.changed = new Map();
  return taken;
}

/** The tables that are not empty; found and sorted once until one appears or goes. */
function storedIn(contents: Contents): NonNullable<Contents['stored']> {
  if (contents.stored === null) {
    const list = [...contents.known].flatMap(([id, table]) => (tables.isEmpty(table) ? [] : [id])).sort();
    contents.stored = { list, set: new Set(list) };
  }
  return contents.stored;
}

/** No documents yet. */
export function createDocuments(minSpinIntervalMs: number, listener: TableListener): Documents {
  const contents: Contents = {
    listener,
    directory: createDirectory(),
    known: new Map(),
    documents: new Map(),
    malformed: new Map(),
    nameless: new Map(),
    changed: new Map(),
    doubleZeros: new Set(),
    stored: null,
  };
  const resolveTable = (reference: string): TableId | null => resolve(contents, reference);
  return {
    directory: contents.directory,
    read: (ns, source, key, document) => documentOf(ns, source, key, document, resolveTable),
    get: (ns, key) => contents.documents.get(ns)?.get(key),
    place: (document, trim = true) => place(contents, document, trim),
    displace: (document) => displace(contents, document),
    clear: (ns) => clear(contents, ns),
    markIncomplete(ns, id) {
      note(contents, id, true);
      ask(contents, id, (table) => tables.markIncomplete(table, ns), undefined);
    },
    markUnfinished: (table, source) => markUnfinished(contents, table, source),
    isBelow: (document) =>
      (document.kind === 'number' || document.kind === 'strategy') &&
      ask(contents, document.table, (table) => tables.isBelow(table, document), false),
    unbound(id) {
      note(contents, id, true);
      ask(contents, id, tables.unbound, undefined);
    },
    rank: (document) => ask(contents, document.table, ({ numbers }) => numbers.items.indexOf(document), -1),
    isMarked: (id, at, below) =>
      ask(contents, id, (table) => tables.isMarked(table, at, below, minSpinIntervalMs), undefined),
    marks: (id) => ask(contents, id, (table) => tables.marksOf(table, minSpinIntervalMs), new Map()),
    strategy: (id) => ask<StoredStrategy | null | undefined>(contents, id, tables.strategyOf, null),
    isExhausted: (id) => ask(contents, id, tables.isExhausted, false),
    isPartial: (id) => ask(contents, id, tables.isPartial, false),
    known: () => contents.known.keys(),
    tables: () => storedIn(contents).list,
    has: (id) => storedIn(contents).set.has(id),
    nameOf: (id) => ask(contents, id, tables.nameOf, id),
    numbers: (id, count) => ask(contents, id, (table) => tables.itemsOf(table, count, minSpinIntervalMs), []),
    strategyItem: (id) => ask(contents, id, tables.strategyItemOf, null),
    isDoubleZero: (id) => ask(contents, id, tables.isDoubleZero, false),
    takeDoubleZeros: () => takeDoubleZeros(contents),
    versionOf: (id) => ask(contents, id, ({ version }) => version, 0),
    takeChanged: () => takeChanged(contents),
  };
}
