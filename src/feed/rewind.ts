import type { ResetReason } from '../protocol/messages.ts';
import { canonicalId, type TableId } from '../roulette/table.ts';
import type { Change, Namespace } from './change.ts';
import type { BaseDocument, State } from './state.ts';
import type { Timeline } from './timeline.ts';
import { touchedFields, WHOLE } from './unknowns.ts';

/** The database at rest, read after the stream was opened. */
export interface Base {
  readonly documents: Iterable<BaseDocument>;
  /** Collections that may hold older documents of a table than those read. */
  readonly incomplete: Iterable<{ readonly ns: Namespace; readonly table: TableId }>;
}

const idOf = (change: { readonly ns: Namespace; readonly key: string }): string => `${change.ns}|${change.key}`;

/**
 * Brings a state to where it stood before the first buffered change: the base, less what the rewind inserts, with the
 * fields that the rewind updates marked as unknown until then.
 */
export function rollBack(state: State, base: Base, changes: readonly Change[]): void {
  const inserted = new Set<string>();
  for (const change of changes) if ('key' in change && isInsert(change)) inserted.add(idOf(change));
  // Never taken in and out again: a table holds so many at most, and would let go of those that stood before.
  for (const document of base.documents) if (!inserted.has(idOf(document))) state.load(document);
  for (const { ns, table } of base.incomplete) state.markIncomplete(ns, table);
  const born = new Set<string>();
  for (const change of changes) {
    if (!('key' in change)) continue;
    if (isInsert(change)) {
      born.add(idOf(change));
    } else if (change.kind === 'update' && !born.has(idOf(change))) {
      state.markUnknown(change.ns, change.key, touchedFields(change.update));
    } else if ((change.kind === 'replace' || change.kind === 'oversized') && !born.has(idOf(change))) {
      state.markUnknown(change.ns, change.key, [WHOLE]);
    }
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
 * timeline then stands at the last of them; else the change from which it must be built anew.
 */
export function playBack(timeline: Timeline, changes: readonly Change[]): Interrupted | null {
  for (const change of changes) {
    const reason = timeline.apply(change, true);
    if (reason !== null) return { reason, change };
  }
  timeline.state.settle();
  return null;
}

/** How many documents of each table's window the buffered changes insert, so that the base is read deep enough. */
export function insertedPer(changes: readonly Change[]): number {
  /** Per collection and table; '' for what is named by a UUID or not at all, and may be of any table. */
  const counts = new Map<Namespace, Map<string, number>>();
  for (const change of changes) {
    if (change.kind !== 'insert') continue;
    const table = canonicalId(change.document['roleta_id']) ?? '';
    const own = counts.get(change.ns) ?? new Map<string, number>();
    counts.set(change.ns, own.set(table, (own.get(table) ?? 0) + 1));
  }
  return Math.max(0, ...[...counts.values()].map(mostOfOneTable));
}

function mostOfOneTable(own: ReadonlyMap<string, number>): number {
  const unnamed = own.get('') ?? 0;
  let most = 0;
  for (const [table, count] of own) if (table !== '') most = Math.max(most, count);
  return most + unnamed;
}
