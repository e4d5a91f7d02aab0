import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { isSuspect, type NumberDocument, numberItem } from '../roulette/number.ts';
import { NOTED_TABLES } from '../roulette/source.ts';
import { type StoredStrategy, strategyItem } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import { DOUBLE_ZERO } from '../roulette/wheel.ts';
import type { Namespace } from './change.ts';
import type { StrategyDocument, TableDocument } from './document.ts';

/** Numbers that a subscriber can see: the longest history of a snapshot. */
export const VISIBLE = 200;
/** Numbers kept after a trim; the margin lets deletions pass without reading again. */
export const KEPT = 264;
const TRIM_AT = 320;
/** Strategy rows kept after a trim. */
export const ROWS_KEPT = 50;
const ROWS_TRIM_AT = 70;

/** The place of a document among those of its table: newest first, then by `_id`, then by collection. */
interface Ordered {
  readonly ms: number;
  readonly key: string;
  readonly ns: Namespace;
}

const byText = (a: string, b: string): number => (a === b ? 0 : a < b ? 1 : -1);

function newerFirst(a: Ordered, b: Ordered): number {
  return a.ms === b.ms ? byText(a.key, b.key) || byText(a.ns, b.ns) : b.ms - a.ms;
}

const numberOrder = ({ number, key, ns }: NumberDocument): Ordered => ({ ms: number.timestampMs, key, ns });

/** Strategy rows without a timestamp are older than any with one. */
const rowOrder = ({ strategy, key, ns }: StrategyDocument): Ordered => ({
  ms: strategy.timestampMs ?? -Infinity,
  key,
  ns,
});

/** A list kept newest first, with the order of the newest document that it had to let go, per collection. */
interface Window<T> {
  items: T[];
  /** Everything at or older than this may exist in the collection without being kept. */
  readonly bounds: Map<Namespace, Ordered>;
  /** The read at rest gave up before it had all that it wanted: below these there may be any number of others. */
  unfinished: boolean;
}

/** Everything known of one table at one position. */
export interface TableState {
  readonly id: TableId;
  readonly numbers: Window<NumberDocument>;
  readonly rows: Window<StrategyDocument>;
  /** `roletas` and `metadados` documents, by namespace and key. */
  readonly documents: Map<string, TableDocument>;
  /** How many of the numbers give it a name: mostly all or none, and it is asked for with every event. */
  named: number;
  /** How many of the numbers are double zeros. */
  doubleZeros: number;
  /** Counts what was put in or taken out, so that what was made of it can be used again. */
  version: number;
}

export const createTable = (id: TableId): TableState => ({
  id,
  numbers: { items: [], bounds: new Map(), unfinished: false },
  rows: { items: [], bounds: new Map(), unfinished: false },
  documents: new Map(),
  named: 0,
  doubleZeros: 0,
  version: 0,
});

/** Nobody but this service has stored anything of it (any more). */
export const isEmpty = ({ numbers, rows, documents }: TableState): boolean =>
  numbers.items.length === 0 &&
  rows.items.length === 0 &&
  [...documents.values()].every(({ ns }) => ns.endsWith(`.${NOTED_TABLES}`));

/** First place whose item is not newer than `order`. */
function placeOf<T>(items: readonly T[], order: Ordered, orderOf: (item: T) => Ordered): number {
  const [newest] = items;
  // What is inserted is nearly always the newest.
  if (newest === undefined || newerFirst(orderOf(newest), order) >= 0) return 0;
  let low = 1;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && newerFirst(orderOf(item), order) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isKnown<T>(window: Window<T>, order: Ordered): boolean {
  if (window.bounds.size === 0) return true;
  for (const bound of window.bounds.values()) if (newerFirst(order, bound) >= 0) return false;
  return true;
}

/** Lets the oldest go; returns them so that the caller forgets them too. */
function trim<T extends { readonly ns: Namespace }>(
  window: Window<T>,
  orderOf: (item: T) => Ordered,
  kept: number,
  trimAt: number,
): T[] {
  if (window.items.length <= trimAt) return [];
  const gone = window.items.splice(kept);
  for (const item of gone) {
    const bound = window.bounds.get(item.ns);
    if (bound === undefined || newerFirst(orderOf(item), bound) < 0) window.bounds.set(item.ns, orderOf(item));
  }
  return gone;
}

/** Puts an item in its place. False when it is older than what is kept for sure, so that it is not kept. */
function add<T>(window: Window<T>, item: T, orderOf: (item: T) => Ordered): boolean {
  const order = orderOf(item);
  if (!isKnown(window, order)) return false;
  const at = placeOf(window.items, order, orderOf);
  // At the head `splice` costs three times what `unshift` does.
  if (at === 0) window.items.unshift(item);
  else window.items.splice(at, 0, item);
  return true;
}

/** Adds a number. False when it is older than what is kept for sure. */
export function addNumber(table: TableState, document: NumberDocument): boolean {
  table.version++;
  if (!add(table.numbers, document, numberOrder)) return false;
  tally(table, document, 1);
  return true;
}

/** Counts a number that was put in, or taken out. */
function tally(table: TableState, { number }: NumberDocument, by: 1 | -1): void {
  if (number.name !== null) table.named += by;
  if (number.numero === DOUBLE_ZERO) table.doubleZeros += by;
}

/** Adds a strategy row. False when it is older than what is kept for sure. */
export function addRow(table: TableState, document: StrategyDocument): boolean {
  table.version++;
  return add(table.rows, document, rowOrder);
}

export function trimNumbers(table: TableState): NumberDocument[] {
  const gone = trim(table.numbers, numberOrder, KEPT, TRIM_AT);
  for (const document of gone) tally(table, document, -1);
  return gone;
}

export const trimRows = (table: TableState): StrategyDocument[] => trim(table.rows, rowOrder, ROWS_KEPT, ROWS_TRIM_AT);

function removeFrom<T>(window: Window<T>, item: T): number {
  const at = window.items.indexOf(item);
  if (at >= 0) window.items.splice(at, 1);
  return at;
}

/** Removes a number; its place among the newest first, or -1. */
export function removeNumber(table: TableState, document: NumberDocument): number {
  const at = removeFrom(table.numbers, document);
  if (at >= 0) tally(table, document, -1);
  return at;
}

/** Removes a strategy row. */
export const removeRow = (table: TableState, document: StrategyDocument): number => removeFrom(table.rows, document);

/** Whether a document is older than what is kept for sure, so that adding it is refused. */
export const isBelow = (table: TableState, document: NumberDocument | StrategyDocument): boolean =>
  document.kind === 'number'
    ? !isKnown(table.numbers, numberOrder(document))
    : !isKnown(table.rows, rowOrder(document));

/** Forgets up to where documents may be missing: they are about to be added. */
export function unbound(table: TableState): void {
  table.version++;
  table.numbers.bounds.clear();
  table.rows.bounds.clear();
  table.numbers.unfinished = false;
  table.rows.unfinished = false;
}

/** Notes that older documents of the collection than those kept may exist, at or below the oldest kept one. */
export function markIncomplete(table: TableState, ns: Namespace): void {
  table.version++;
  const number = table.numbers.items.findLast((item) => item.ns === ns);
  if (number !== undefined) table.numbers.bounds.set(ns, numberOrder(number));
  const row = table.rows.items.findLast((item) => item.ns === ns);
  if (row !== undefined) table.rows.bounds.set(ns, rowOrder(row));
}

/** How many of the items have no gap before them: below the newest bound, documents that are not kept may lie between. */
function contiguous<T>(window: Window<T>, orderOf: (item: T) => Ordered): number {
  let count = window.items.length;
  for (const bound of window.bounds.values()) {
    for (; count > 0; count--) {
      const item = window.items[count - 1];
      if (item !== undefined && newerFirst(orderOf(item), bound) <= 0) break;
    }
  }
  return count;
}

/**
 * Whether the number at `at` is marked as a probable repeat of the one at `below`, mostly the next; undefined when it is
 * not known which one that is.
 */
export function isMarked(
  { numbers }: TableState,
  at: number,
  below: number,
  minSpinIntervalMs: number,
): boolean | undefined {
  const item = numbers.items[at];
  if (item === undefined) return undefined;
  if (numbers.bounds.size > 0 && below >= contiguous(numbers, numberOrder)) return undefined;
  const before = numbers.items[below];
  return before !== undefined && isSuspect(item.number, before.number, minSpinIntervalMs);
}

/** The numbers that subscribers can see, and which of them are marked. */
export function marksOf(table: TableState, minSpinIntervalMs: number): Map<NumberDocument, boolean | undefined> {
  const visible = table.numbers.items.slice(0, VISIBLE);
  return new Map(visible.map((item, at) => [item, isMarked(table, at, at + 1, minSpinIntervalMs)]));
}

/**
 * Whether fewer numbers are kept than a subscriber may ask for (and the one before them), or not the newest strategy
 * row, although the database may have more.
 */
export const isExhausted = (table: TableState): boolean =>
  (table.numbers.bounds.size > 0 && contiguous(table.numbers, numberOrder) <= VISIBLE) ||
  strategyOf(table) === undefined;

/** Whether subscribers are shown less than they may ask for: what is missing was lost, or could not be read. */
export const isPartial = (table: TableState): boolean =>
  isExhausted(table) ||
  (table.numbers.unfinished && table.numbers.items.length < VISIBLE) ||
  (table.rows.unfinished && table.rows.items.length === 0);

const rank = ({ source }: TableDocument): number => (source.kind === 'metadados' ? 0 : 1);

/** The table's own documents, those of `metadados` first. */
const ownDocuments = ({ documents }: TableState): TableDocument[] =>
  documents.size < 2
    ? [...documents.values()]
    : [...documents.values()].sort((a, b) => rank(a) - rank(b) || byText(b.key, a.key) || byText(b.ns, a.ns));

/**
 * The table's current strategy: the newest by its own timestamp among the newest history row and the states on the
 * table documents; on a tie the row, then `metadados`, then `roletas`. Null when nothing says one, undefined when the
 * row that would say it is not kept.
 */
export function strategyOf(table: TableState): StoredStrategy | null | undefined {
  if (table.rows.bounds.size > 0 && contiguous(table.rows, rowOrder) === 0) return undefined;
  let best: StoredStrategy | null = table.rows.items[0]?.strategy ?? null;
  for (const { strategy } of ownDocuments(table)) {
    if (strategy === null) continue;
    if (best === null || (strategy.timestampMs ?? -Infinity) > (best.timestampMs ?? -Infinity)) best = strategy;
  }
  return best;
}

/**
 * The table's name: as `metadados`, then `roletas`, then the newest of the numbers that a subscriber can see, then the
 * newest strategy row say; its id when none of them does. Never of what is older: how much of that is kept differs
 * between instances.
 */
export function nameOf(table: TableState): string {
  for (const { name } of ownDocuments(table)) if (name !== null) return name;
  const { items } = table.numbers;
  for (let at = 0; table.named > 0 && at < VISIBLE && at < items.length; at++) {
    const name = items[at]?.number.name ?? null;
    if (name !== null) return name;
  }
  return table.rows.items[0]?.strategy.name ?? table.id;
}

/** Whether a document of the table says that its wheel has a double zero. */
export function isNotedDoubleZero({ documents }: TableState): boolean {
  for (const { doubleZero } of documents.values()) if (doubleZero) return true;
  return false;
}

/**
 * Whether its wheel has a double zero: a document of the table says so, or one is among the numbers that a subscriber can
 * see. Never by what is older, as with the name: of that the note speaks which was made when it came.
 */
export function isDoubleZero(table: TableState): boolean {
  const { doubleZeros, numbers } = table;
  if (isNotedDoubleZero(table)) return true;
  return doubleZeros > 0 && numbers.items.findIndex(({ number }) => number.numero === DOUBLE_ZERO) < VISIBLE;
}

/** The last `count` numbers, newest first, as far as none is missing between them. */
export function itemsOf(table: TableState, count: number, minSpinIntervalMs: number): NumberItem[] {
  const most = Math.min(count, VISIBLE, contiguous(table.numbers, numberOrder));
  return table.numbers.items.slice(0, most).map(({ number }, at) => {
    const before = table.numbers.items[at + 1];
    return numberItem(number, before !== undefined && isSuspect(number, before.number, minSpinIntervalMs));
  });
}

/** The current strategy as snapshots show it. */
export function strategyItemOf(table: TableState): StrategyItem | null {
  const strategy = strategyOf(table);
  return strategy === null || strategy === undefined ? null : strategyItem(strategy);
}
