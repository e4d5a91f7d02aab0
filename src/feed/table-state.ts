import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { numberItem } from '../roulette/messages.ts';
import { isSuspect, newerFirst } from '../roulette/number.ts';
import { type StoredStrategy, strategyItem } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { Namespace } from './change.ts';
import type { HeldNumber, HeldStrategy, HeldTable } from './document.ts';

/** Numbers that a subscriber can see: the longest history of a snapshot. */
export const VISIBLE = 200;
/** Numbers kept after a trim; the margin lets deletions pass without reading again. */
export const KEPT = 264;
const TRIM_AT = 320;
/** Strategy rows kept after a trim. */
export const ROWS_KEPT = 50;
const ROWS_TRIM_AT = 70;

/** Where two documents of one table stand to each other: newest first. */
interface Ordered {
  readonly timestampMs: number;
  readonly key: string;
}

/** Strategy rows without a timestamp are older than any with one. */
const rowOrder = (row: StoredStrategy): Ordered => ({ timestampMs: row.timestampMs ?? -Infinity, key: row.key });

/** A list kept newest first, with the order of the newest document that it had to let go, per collection. */
interface Window<T> {
  items: T[];
  /** Everything at or older than this may exist in the collection without being held. */
  readonly bounds: Map<Namespace, Ordered>;
}

/** Everything known of one table at one position. */
export interface TableState {
  readonly id: TableId;
  readonly numbers: Window<HeldNumber>;
  readonly rows: Window<HeldStrategy>;
  /** `roletas` and `metadados` documents, by namespace and key. */
  readonly documents: Map<string, HeldTable>;
}

export const createTable = (id: TableId): TableState => ({
  id,
  numbers: { items: [], bounds: new Map() },
  rows: { items: [], bounds: new Map() },
  documents: new Map(),
});

/** Nothing is stored of it (any more). */
export const isEmpty = ({ numbers, rows, documents }: TableState): boolean =>
  numbers.items.length === 0 && rows.items.length === 0 && documents.size === 0;

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

const numberOrder = (held: HeldNumber): Ordered => held.number;
const heldRowOrder = (held: HeldStrategy): Ordered => rowOrder(held.strategy);

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

/** Puts an item in its place. At the head `splice` costs three times what `unshift` does. */
function put<T>(items: T[], at: number, item: T): void {
  if (at === 0) items.unshift(item);
  else items.splice(at, 0, item);
}

/** Adds a number. False when it is older than what is held for sure, so that it is not kept. */
export function addNumber(table: TableState, held: HeldNumber): boolean {
  if (!isKnown(table.numbers, held.number)) return false;
  put(table.numbers.items, placeOf(table.numbers.items, held.number, numberOrder), held);
  return true;
}

export const trimNumbers = (table: TableState): HeldNumber[] => trim(table.numbers, numberOrder, KEPT, TRIM_AT);

export function addRow(table: TableState, held: HeldStrategy): boolean {
  const order = rowOrder(held.strategy);
  if (!isKnown(table.rows, order)) return false;
  put(table.rows.items, placeOf(table.rows.items, order, heldRowOrder), held);
  return true;
}

export const trimRows = (table: TableState): HeldStrategy[] => trim(table.rows, heldRowOrder, ROWS_KEPT, ROWS_TRIM_AT);

function bound<T extends { readonly ns: Namespace }>(window: Window<T>, ns: Namespace, orderOf: (item: T) => Ordered) {
  const oldest = window.items.findLast((item) => item.ns === ns);
  if (oldest !== undefined) window.bounds.set(ns, orderOf(oldest));
}

/** Numbers of the collection that are older than those held may exist. */
export const boundNumbers = (table: TableState, ns: Namespace): void => bound(table.numbers, ns, numberOrder);

/** The same for strategy rows. */
export const boundRows = (table: TableState, ns: Namespace): void => bound(table.rows, ns, heldRowOrder);

/** Removes a held number or row; its place among the newest first, or -1. */
export function removeFrom<T>(window: Window<T>, item: T): number {
  const at = window.items.indexOf(item);
  if (at >= 0) window.items.splice(at, 1);
  return at;
}

/** How many of the items have no gap before them: below the newest bound, documents that are not held may lie between. */
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

/** The number before the one at `at` in the table's order: null when there is none, undefined when unknown. */
export function predecessor({ numbers }: TableState, at: number): HeldNumber | null | undefined {
  if (numbers.bounds.size > 0 && at + 1 >= contiguous(numbers, numberOrder)) return undefined;
  return numbers.items[at + 1] ?? null;
}

/**
 * Whether fewer numbers are held than a subscriber may ask for (and the one before them), or not the newest strategy
 * row, although the database may have more.
 */
export const isExhausted = (table: TableState): boolean =>
  (table.numbers.bounds.size > 0 && contiguous(table.numbers, numberOrder) <= VISIBLE) ||
  strategyOf(table) === undefined;

/**
 * The table's current strategy: the newest by its own timestamp among the newest history row and the states on the
 * table documents; on a tie the row, then `metadados`, then `roletas`. Null when nothing says one, undefined when the
 * row that would say it is not held.
 */
export function strategyOf(table: TableState): StoredStrategy | null | undefined {
  const row = table.rows.items[0]?.strategy;
  if (table.rows.bounds.size > 0 && contiguous(table.rows, heldRowOrder) === 0) return undefined;
  let best: StoredStrategy | null = row ?? null;
  const documents = [...table.documents.values()].sort((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
  for (const { strategy } of documents) {
    if (strategy === null) continue;
    if (best === null || (strategy.timestampMs ?? -Infinity) > (best.timestampMs ?? -Infinity)) best = strategy;
  }
  return best;
}

const rank = (held: HeldTable): number => (held.source.kind === 'metadados' ? 0 : 1);

/** The table's name: as `metadados`, then `roletas`, then its newest documents say; its id when nobody named it. */
export function nameOf(table: TableState): string {
  const documents = [...table.documents.values()].sort((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
  for (const document of documents) if (document.name !== null) return document.name;
  for (const { number } of table.numbers.items) if (number.name !== null) return number.name;
  for (const { strategy } of table.rows.items) if (strategy.name !== null) return strategy.name;
  return table.id;
}

/** The item at `at`, marked by comparison with the number before it. */
export function itemAt(table: TableState, at: number, minSpinIntervalMs: number): NumberItem | null {
  const held = table.numbers.items[at];
  if (held === undefined) return null;
  const before = table.numbers.items[at + 1]?.number ?? null;
  return numberItem(held.number, before !== null && isSuspect(held.number, before, minSpinIntervalMs));
}

/** The last `count` numbers, newest first. */
export function itemsOf(table: TableState, count: number, minSpinIntervalMs: number): NumberItem[] {
  const items: NumberItem[] = [];
  for (let at = 0; at < count; at++) {
    const item = itemAt(table, at, minSpinIntervalMs);
    if (item === null) break;
    items.push(item);
  }
  return items;
}

/** The current strategy as snapshots show it. */
export function strategyItemOf(table: TableState): StrategyItem | null {
  const strategy = strategyOf(table);
  return strategy === null || strategy === undefined ? null : strategyItem(strategy);
}
