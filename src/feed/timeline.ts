import {
  type DeliveryObserver,
  EVERYONE,
  encodeContent,
  type Frame,
  frameOf,
  type Publish,
  snapshotFrame,
} from '../protocol/delivery.ts';
import type { ResetReason } from '../protocol/messages.ts';
import { later, type Position } from '../protocol/position.ts';
import { ALL_TABLES, topicOf } from '../protocol/topic.ts';
import { wheelOf } from '../roulette/colour.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base } from '../store/base.ts';
import { type Change, type ChangeOf, idText } from './change.ts';
import { createRing, type Ring } from './ring.ts';
import type { Outcome, State, When } from './state.ts';
import type { Tally } from './tally.ts';
import type { FeedTimings } from './timings.ts';

/** Snapshots of so many lengths are kept encoded for one table. */
const MAX_LENGTHS = 4;

/** Numbers in a snapshot unless the subscriber asks for another count. */
export const DEFAULT_HISTORY = 20;

/** A table whose subscribers were told to expect a snapshot. Times are of a monotonic clock, in ms. */
export interface Owed {
  readonly sinceMs: number;
  readonly lastMs: number;
  /** An import: the snapshot waits longer for its pause. */
  readonly backfill: boolean;
}

/** State, ring and floors of one epoch: everything that is served until the next fresh state. */
export interface Timeline {
  readonly epoch: string;
  readonly state: State;
  readonly ring: Ring;
  readonly owed: ReadonlyMap<TableId, Owed>;
  /** Where a table appeared; null where that was before this timeline. */
  bornAt(table: TableId): Position | null;
  /** Below it a table is not replayed: a client gets a snapshot instead. */
  floorOf(table: TableId): Position;
  /** Tables that have floors of their own, also those of which nothing is left. */
  floored(): TableId[];
  /** Below it collections were dropped or renamed: tables may have vanished that this instance never knew. */
  readonly vanished: Position;
  /**
   * Applies a change, with its document as it was read later where that was asked for; a reason when the state cannot
   * follow and everything must be read anew.
   */
  apply(change: Change, when: When, reread?: ChangeOf<'reread'>): ResetReason | null;
  /** Tables that are served as far as they could be read; their snapshots are marked stale. */
  readonly partial: ReadonlySet<TableId>;
  /** Puts what was read at rest where these tables lost too much; false when it must be read again. */
  mend(tables: ReadonlySet<TableId>, base: Pick<Base, 'documents' | 'incomplete'>, position: Position): boolean;
  /** Flags these tables as served as far as they go, and no others of `looked`. */
  flag(partial: Iterable<TableId>, looked: Iterable<TableId>): void;
  /** The table's snapshot frame at `position`. */
  snapshot(table: TableId, position: Position, history: number, stale: boolean): Frame;
  /** Publishes the snapshots that are due. */
  settleOwed(position: Position, stale: boolean): void;
}

export interface TimelineOptions {
  readonly epoch: string;
  readonly state: State;
  readonly floor: Position;
  readonly ringSeconds: number;
  readonly ringBytes: number;
  readonly tally: Pick<Tally, 'published' | 'skipped' | 'reset' | 'late' | 'onTime'>;
  readonly observer: DeliveryObserver;
  /** A table appeared, which is not told of yet, or is found by one more name. */
  learnt(table: TableId, name: string, isNew: boolean): void;
  readonly nowMs: () => number;
  readonly timings: Pick<FeedTimings, 'backfillQuietMs' | 'backfillLatestMs' | 'resetQuietMs' | 'resetLatestMs'>;
}

/**
 * INVARIANT one-frame: every change makes at most one frame per table, encoded once, pushed to the ring and published
 * in the same tick, in event order.
 */
export function createTimeline(options: TimelineOptions, publish: Publish): Timeline {
  const { epoch, state, tally } = options;
  const ring = createRing(options.floor, { seconds: options.ringSeconds, bytes: options.ringBytes });
  const floors = new Map<TableId, Position>();
  /** The floor of every table: what was not known to be of one of them. */
  let floorOfAll = options.floor;
  const owed = new Map<TableId, Owed>();
  const births = new Map<TableId, Position>();
  const partial = new Set<TableId>();
  let vanished = options.floor;
  const contents = new Map<TableId, { readonly version: number; readonly texts: Map<number, string> }>();

  const publishTable = (table: TableId, frame: Frame): void => {
    publish(frame.topic ?? topicOf(table), frame);
    publish(ALL_TABLES, frame);
  };

  const raiseFloor = (table: TableId, position: Position, reason: ResetReason, rewinding: boolean): void => {
    floors.set(table, position);
    if (rewinding) return;
    tally.reset(reason);
    const now = options.nowMs();
    const before = owed.get(table);
    // One reset per debt: subscribers that were told once wait for one snapshot.
    if (before === undefined) publishTable(table, frameOf({ type: 'reset', topic: topicOf(table), reason, epoch }));
    const backfill = reason === 'backfill' && (before === undefined || before.backfill);
    owed.set(table, { sinceMs: before?.sinceMs ?? now, lastMs: now, backfill });
  };

  const take = (outcome: Outcome, change: Change, rewinding: boolean): ResetReason | null => {
    switch (outcome.kind) {
      case 'event': {
        const message = outcome.build(ring.lastOf(outcome.table));
        const frame = frameOf(message);
        ring.push({ table: outcome.table, position: change.position, frame });
        if (!rewinding) {
          options.observer.publishing(message, change.wallTimeMs);
          publishTable(outcome.table, frame);
          tally.published(message.type);
          if (message.type === 'new_number') tally.onTime(outcome.table);
        }
        return null;
      }
      case 'floor':
        raiseFloor(outcome.table, change.position, outcome.reason, rewinding);
        return null;
      case 'backfill':
        raiseFloor(outcome.table, change.position, 'backfill', rewinding);
        if (!rewinding) tally.late(outcome.table, outcome.ageMs);
        return null;
      case 'all_floors':
        // One by one only where they are told: in a rewind there may be as many changes as tables.
        if (rewinding) floorOfAll = change.position;
        else for (const table of state.known()) raiseFloor(table, change.position, outcome.reason, false);
        return null;
      case 'added': {
        const { table, name } = outcome;
        const added = { type: 'table_added', topic: topicOf(table), roleta_id: table, roleta_nome: name } as const;
        births.set(table, change.position);
        if (rewinding) return null;
        publish(EVERYONE, frameOf(added));
        // Before its first event: those who wait for it begin with it.
        options.learnt(table, name, true);
        return null;
      }
      case 'named':
        if (!rewinding) options.learnt(outcome.table, outcome.name, false);
        return null;
      case 'skipped':
        if (!rewinding) tally.skipped(outcome.reason, idText(outcome.id), outcome.ns);
        return null;
      case 'fresh':
        return outcome.reason;
      default:
        return outcome satisfies never;
    }
  };

  /** What a snapshot says of the table, encoded once for each time that the table changed. */
  const contentOf = (table: TableId, history: number): string => {
    const version = state.versionOf(table);
    let known = contents.get(table);
    if (known === undefined || known.version !== version || known.texts.size >= MAX_LENGTHS) {
      known = { version, texts: new Map() };
      contents.set(table, known);
    }
    const text =
      known.texts.get(history) ??
      encodeContent({
        roleta_id: table,
        roleta_nome: state.nameOf(table),
        numeros: state.numbers(table, history),
        estrategia: state.strategyItem(table),
        ...wheelOf(state.isDoubleZero(table)),
      });
    known.texts.set(history, text);
    return text;
  };

  const snapshot: Timeline['snapshot'] = (table, position, history, stale) =>
    snapshotFrame(
      { topic: topicOf(table), epoch, position, stale: stale || partial.has(table) },
      contentOf(table, history),
    );

  const { backfillQuietMs, backfillLatestMs, resetQuietMs, resetLatestMs } = options.timings;
  const isDue = ({ backfill, lastMs, sinceMs }: Owed, now: number): boolean =>
    now - lastMs >= (backfill ? backfillQuietMs : resetQuietMs) ||
    now - sinceMs >= (backfill ? backfillLatestMs : resetLatestMs);

  return {
    epoch,
    state,
    ring,
    owed,
    bornAt: (table) => births.get(table) ?? null,
    floorOf: (table) => later(floors.get(table) ?? floorOfAll, later(floorOfAll, ring.floor)),
    floored: () => [...floors.keys()],
    get vanished() {
      return later(vanished, later(floorOfAll, ring.floor));
    },
    apply(change, when, reread) {
      if (change.kind === 'drop' || change.kind === 'rename') vanished = change.position;
      let fresh: ResetReason | null = null;
      for (const outcome of state.apply(change, when, reread)) fresh = take(outcome, change, when !== 'live') ?? fresh;
      ring.evict(change.time.t);
      return fresh;
    },
    partial,
    mend(tables, base, position) {
      if (!state.mend(tables, base)) return false;
      for (const table of tables) raiseFloor(table, position, 'unknown', false);
      return true;
    },
    flag(flagged, looked) {
      for (const table of looked) partial.delete(table);
      for (const table of flagged) partial.add(table);
    },
    snapshot,
    settleOwed(position, stale) {
      const now = options.nowMs();
      for (const [table, debt] of owed) {
        if (!isDue(debt, now)) continue;
        owed.delete(table);
        publishTable(table, snapshot(table, position, DEFAULT_HISTORY, stale));
      }
    },
  };
}
