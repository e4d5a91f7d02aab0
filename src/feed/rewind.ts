import type { ResetReason } from '../protocol/messages.ts';
import { isObjectId } from '../roulette/bson-value.ts';
import type { Source } from '../roulette/source.ts';
import { canonicalId, type TableId } from '../roulette/table.ts';
import type { Base } from '../store/base.ts';
import { type Bracket, bracketOf } from '../store/brackets.ts';
import type { Change, Namespace } from './change.ts';
import type { State } from './state.ts';
import type { Timeline } from './timeline.ts';
import { touchedFields, WHOLE } from './unknowns.ts';

/**
 * Brings a state to where it stood before the first buffered change: the base, less what the rewind inserts, with the
 * fields that the rewind updates marked as unknown until then.
 */
export function rollBack(state: State, base: Base, changes: readonly Change[]): void {
  /** Per collection: where among the changes a key is first inserted. */
  const inserts = new Map<Namespace, Map<string, number>>();
  for (const [at, change] of changes.entries()) {
    if (!('key' in change) || !isInsert(change)) continue;
    const own = inserts.get(change.ns) ?? new Map<string, number>();
    if (own.size === 0) inserts.set(change.ns, own);
    if (!own.has(change.key)) own.set(change.key, at);
  }
  const bornAt = (ns: Namespace, key: string): number => inserts.get(ns)?.get(key) ?? Number.POSITIVE_INFINITY;
  // Never taken in and out again: a table holds so many at most, and would let go of those that stood before.
  for (const document of base.documents) {
    if (bornAt(document.ns, document.key) === Number.POSITIVE_INFINITY) state.load(document);
  }
  for (const { ns, table } of base.incomplete) state.markIncomplete(ns, table);
  for (const [at, change] of changes.entries()) {
    if (!('key' in change) || isInsert(change) || bornAt(change.ns, change.key) < at) continue;
    if (change.kind === 'update') state.markUnknown(change.ns, change.key, touchedFields(change.update));
    else if (change.kind !== 'delete') state.markUnknown(change.ns, change.key, [WHOLE]);
  }
}

const isInsert = (change: Change): boolean =>
  change.kind === 'insert' || (change.kind === 'oversized' && change.inserted);

/** Why the rewind must begin again, and after which change. */
export interface Interrupted {
  readonly reason: ResetReason;
  readonly change: Change;
}

/**
 * Plays the buffered changes over the rolled-back base into the timeline's ring, publishing nothing. Null when the
 * timeline then stands at the last of them; else the last change from which it must be built anew: what came before it
 * is not needed, so that many of them cost one more start and not one each. The base contains the first `beforeRead`
 * changes for sure.
 */
export function playBack(timeline: Timeline, changes: readonly Change[], beforeRead: number): Interrupted | null {
  let interrupted: Interrupted | null = null;
  for (const [at, change] of changes.entries()) {
    const reason = timeline.apply(change, at < beforeRead ? 'before_read' : 'around_read');
    if (reason !== null) interrupted = { reason, change };
  }
  timeline.state.settle();
  return interrupted;
}

/** What the rewind inserts into a table's window of one collection, so that it need not be read again. */
export interface Inserted {
  /** `_id`s that a query for this class of timestamps can leave out. */
  idsIn(bracket: Bracket): readonly unknown[];
  /** How many others there are; the window is to be read so much deeper. */
  readonly others: number;
}

export type InsertedInto = (ns: Namespace, table: TableId) => Inserted;

interface InsertedId {
  readonly id: unknown;
  /** Null when a later change may have given it a timestamp of another class. */
  readonly bracket: Bracket | null;
}

/** `_id`s in one query; with the longest that are named it stays below half of what a command may be. */
const MAX_IDS = 100_000;
const MAX_ID_TEXT = 64;

const isShort = ({ id }: InsertedId): boolean => isObjectId(id) || (typeof id === 'string' && id.length <= MAX_ID_TEXT);

/** Sorts what the buffered changes insert by collection and table. */
export function insertedBy(changes: readonly Change[], sourceOf: (ns: Namespace) => Source | null): InsertedInto {
  const changed = new Set<string>();
  for (const change of changes) {
    if (change.kind === 'update' || change.kind === 'replace') changed.add(change.key);
  }
  /** '' for what may be of any table of its collection: named by a UUID or not at all. */
  const found = new Map<Namespace, Map<string, InsertedId[]>>();
  for (const change of changes) {
    if (change.kind !== 'insert') continue;
    const { ns, key, document } = change;
    const shared = sourceOf(ns)?.kind !== 'table-numbers';
    const table = (shared ? canonicalId(document['roleta_id']) : null) ?? '';
    const tables = found.get(ns) ?? new Map<string, InsertedId[]>();
    if (tables.size === 0) found.set(ns, tables);
    const bracket = changed.has(key) ? null : bracketOf(document['timestamp']);
    const inserted = { id: document['_id'], bracket };
    const own = tables.get(table);
    if (own === undefined) tables.set(table, [inserted]);
    else own.push(inserted);
  }
  return (ns, table) => {
    const tables = found.get(ns);
    const all = [...(tables?.get(table) ?? []), ...(tables?.get('') ?? [])];
    const named = all.filter(isShort).slice(0, MAX_IDS);
    return {
      others: all.length - named.length,
      idsIn: (wanted) => named.filter(({ bracket }) => (bracket ?? wanted) === wanted).map(({ id }) => id),
    };
  };
}
