import type { SkipReason } from '../protocol/delivery.ts';
import type { EventMessage, ResetReason } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import type { Source } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import type { Namespace } from './change.ts';
import type { Before, StateDocument } from './document.ts';

/** What a change means for subscribers. */
export type Outcome =
  /** One frame, to be positioned; `prev` is filled in by whoever keeps the ring. */
  | {
      readonly kind: 'event';
      readonly table: TableId;
      /** The newest number of its table. */
      readonly newest: boolean;
      build(prev: Position | null): EventMessage;
    }
  /** The table changed in a way that no frame tells: its recovery floor rises, subscribers get a fresh snapshot. */
  | { readonly kind: 'floor'; readonly table: TableId; readonly reason: ResetReason }
  /** A number too old to be live, `ageMs` before its commit: a floor of its table, with reason `backfill`. */
  | { readonly kind: 'backfill'; readonly table: TableId; readonly ageMs: number }
  /** The same for every table. */
  | { readonly kind: 'all_floors'; readonly reason: ResetReason }
  | { readonly kind: 'added'; readonly table: TableId; readonly name: string }
  /** A table that was there before is found by one more name. */
  | { readonly kind: 'named'; readonly table: TableId; readonly name: string }
  /** The state cannot follow from here on: read everything anew. */
  | { readonly kind: 'fresh'; readonly reason: ResetReason }
  | { readonly kind: 'skipped'; readonly reason: SkipReason; readonly ns: Namespace; readonly id: unknown };

/** Where a change comes from: the past, over a base that was read after it, or the stream as it goes on. */
export type When = 'rewind' | 'live';

/** A change of a document that was there before. */
export type Doing = 'update' | 'replace' | 'delete';

/**
 * What follows for subscribers, when this is what is known of a document before a change of it:
 * its frame; the floor of its table; the floor of all tables, since it may have been of any; or nothing.
 */
export type Rule = 'frame' | 'own_floor' | 'all_floors' | 'nothing';

export const RULES: Readonly<Record<Before | 'missing', Readonly<Record<When, Readonly<Record<Doing, Rule>>>>>> = {
  known: {
    rewind: { update: 'frame', replace: 'frame', delete: 'frame' },
    live: { update: 'frame', replace: 'frame', delete: 'frame' },
  },
  // Its table is known, but not what it said: read ahead of the stream, a field was set by an update still to come.
  unknown: {
    rewind: { update: 'own_floor', replace: 'own_floor', delete: 'own_floor' },
    live: { update: 'own_floor', replace: 'own_floor', delete: 'own_floor' },
  },
  // Nor its table.
  unplaced: {
    rewind: { update: 'all_floors', replace: 'all_floors', delete: 'all_floors' },
    live: { update: 'all_floors', replace: 'all_floors', delete: 'all_floors' },
  },
  // Not kept. Live it is older than all that a subscriber sees, or was malformed; in a rewind it may have been deleted
  // between the change and the read, unless the rewind itself inserted it. An update of it is read again, so that the
  // table is known after all.
  missing: {
    rewind: { update: 'all_floors', replace: 'all_floors', delete: 'all_floors' },
    live: { update: 'nothing', replace: 'own_floor', delete: 'nothing' },
  },
};

export const floorOf = (table: TableId, reason: ResetReason): Outcome => ({ kind: 'floor', table, reason });

/** Floors of these tables, each once. */
export const floorsOf = (tables: readonly (TableId | null | undefined)[], reason: ResetReason): Outcome[] =>
  [...new Set(tables)].flatMap((table) => (table === null || table === undefined ? [] : [floorOf(table, reason)]));

/** Floors for every table that a document of this collection may belong to. */
export const allFloors = (source: Source, reason: ResetReason): Outcome[] =>
  source.kind === 'table-numbers' ? [floorOf(source.table, reason)] : [{ kind: 'all_floors', reason }];

/** What is said of a document that says nothing. */
export const skipped = (document: StateDocument): Outcome[] =>
  document.kind === 'malformed' ? [{ kind: 'skipped', reason: document.reason, ns: document.ns, id: document.id }] : [];
