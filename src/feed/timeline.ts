import type { DeliveryObserver, Publish, SkipReason } from '../protocol/delivery.ts';
import {
  ALL_TABLES,
  encodeContent,
  type Frame,
  frameOf,
  type ResetReason,
  snapshotFrame,
  topicOf,
} from '../protocol/messages.ts';
import { type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import { doubleZeroField } from '../roulette/wheel.ts';
import type { Base } from '../store/base.ts';
import { type Change, type ChangeOf, idText } from './change.ts';
import type { Outcome, When } from './outcome.ts';
import { createFloors, createRing, type Ring } from './ring.ts';
import type { State } from './state.ts';
import type { Tally } from './tally.ts';
import type { FeedTimings } from './timings.ts';

/** Snapshots of so many lengths are kept encoded for one table. */
const MAX_LENGTHS = 4;

/** Numbers in a snapshot unless the subscriber asks for another count. */
export const DEFAULT_HISTORY = 20;

/** A table whose subscribers were told to expect a snapshot. Times are of a monotonic clock, in ms. */
interface Owed {
  readonly sinceMs: number;
  readonly lastMs: number;
  /** An import: the snapshot waits longer for its pause. */
  readonly backfill: boolean;
}

/** What subscribers and readers are told of the tables. */
export type ServedState = Pick<
  State,
  'tables' | 'has' | 'nameOf' | 'numbers' | 'strategyItem' | 'isDoubleZero' | 'known' | 'versionOf'
> & {
  readonly directory: Pick<State['directory'], 'resolve' | 'has' | 'nameOf' | 'namesOf'>;
};

/** What a change made of it, with its event encoded: the same entries make the same timeline in another process. */
export type Entry =
  | Exclude<Outcome, { readonly kind: 'event' | 'fresh' | 'skipped' }>
  | { readonly kind: 'frame'; readonly table: TableId; readonly newest: boolean; readonly frame: Frame }
  | { readonly kind: 'skipped'; readonly reason: SkipReason; readonly ns: string; readonly id: string }
  /** Collections went: tables may have vanished that this instance never knew. */
  | { readonly kind: 'vanished' }
  /** These of the tables that were looked at are served only as far as they could be read. */
  | { readonly kind: 'partial'; readonly partial: readonly TableId[]; readonly looked: readonly TableId[] };

/** Where an entry belongs; `committedMs` is when its change was committed, ms since 1970. */
export interface EntryPlace {
  readonly position: Position;
  readonly committedMs: number;
}

/** Told what a timeline takes while it is live, so that others can take the same. */
export interface EntryObserver {
  took(entry: Entry, place: EntryPlace): void;
  /** All entries of one change were taken: these tables changed by it, and whether their numbers did. */
  changed(tables: ReadonlyMap<TableId, boolean>): void;
}

/** State, ring and floors of one epoch: everything that is served until the next fresh state. */
export interface Timeline {
  readonly epoch: string;
  readonly state: ServedState;
  readonly ring: Ring;
  readonly owed: ReadonlyMap<TableId, Owed>;
  /** Where a table appeared; null where that was before this timeline. */
  bornAt(table: TableId): Position | null;
  /** Below it no table is replayed. */
  readonly floor: Position;
  /** Below it a table is not replayed: a client gets a snapshot instead. */
  floorOf(table: TableId): Position;
  /**
   * Everything above it of these tables, or of all (null), is in the ring. A quiet table's does not rise with the ring's,
   * so that who has read its last event has everything, however long ago that was.
   */
  logFloor(tables: ReadonlySet<TableId> | null): Position;
  /** Tables that have floors of their own, also those of which nothing is left. */
  floored(): TableId[];
  /** Below it collections were dropped or renamed: tables may have vanished that this instance never knew. */
  readonly vanished: Position;
  /** Takes an entry; in a rewind nobody is told. */
  take(entry: Entry, place: EntryPlace, when: When): void;
  /** Tables that are served as far as they could be read; their snapshots are marked stale. */
  readonly partial: ReadonlySet<TableId>;
  /** The table's snapshot frame at `position`. */
  snapshot(table: TableId, position: Position, history: number, stale: boolean): Frame;
  /** Publishes the snapshots that are due. */
  settleOwed(position: Position, stale: boolean): void;
}

/**
 * The `recovery_s` of PROTOCOL.md: from the floor of all tables to what is delivered, in seconds of the set's clock. The
 * floor stays where it is while nothing is let go, so that this grows beyond the window of the ring in a quiet time.
 */
export const reachOf = ({ floor }: Pick<Timeline, 'floor'>, delivered: Position): number =>
  Math.max(0, timeOf(delivered).t - timeOf(floor).t);

/** A timeline that follows the changes of the database itself. */
export interface FollowedTimeline extends Timeline {
  readonly state: State;
  /**
   * Applies a change, with its document as it was read later where that was asked for; a reason when the state cannot
   * follow and everything must be read anew.
   */
  apply(change: Change, when: When, reread?: ChangeOf<'reread'>): ResetReason | null;
  /** Puts what was read at rest where these tables lost too much; false when it must be read again. */
  mend(tables: ReadonlySet<TableId>, base: Omit<Base, 'skipped'>, position: Position): boolean;
  /** Flags these tables as served as far as they go, and no others of `looked`. */
  flag(partial: readonly TableId[], looked: Iterable<TableId>): void;
}

export interface TimelineOptions<S extends ServedState = State> {
  readonly epoch: string;
  readonly state: S;
  readonly floor: Position;
  readonly ringSeconds: number;
  readonly ringBytes: number;
  readonly tally: Pick<Tally, 'published' | 'skipped' | 'reset' | 'late' | 'onTime'>;
  readonly observer: DeliveryObserver;
  /** A table appeared, which is not told of yet, or is found by one more name. */
  learnt(table: TableId, name: string, isNew: boolean): void;
  readonly entries?: EntryObserver;
  readonly nowMs: () => number;
  readonly timings: Pick<FeedTimings, 'backfillQuietMs' | 'backfillLatestMs' | 'resetQuietMs' | 'resetLatestMs'>;
}

/** What a snapshot says of a table, encoded once for each time that the table changed. */
function createContents(state: ServedState): (table: TableId, history: number) => string {
  const contents = new Map<TableId, { readonly version: number; readonly texts: Map<number, string> }>();
  return (table, history) => {
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
        ...doubleZeroField(state.isDoubleZero(table)),
      });
    known.texts.set(history, text);
    return text;
  };
}

/** Tables whose subscribers were told to expect a snapshot: told of once, and paid when things are quiet again. */
function createDebts(
  { epoch, nowMs, timings }: Pick<TimelineOptions<ServedState>, 'epoch' | 'nowMs' | 'timings'>,
  publishTable: (table: TableId, frame: Frame) => void,
) {
  const owed = new Map<TableId, Owed>();
  const { backfillQuietMs, backfillLatestMs, resetQuietMs, resetLatestMs } = timings;
  const isDue = ({ backfill, lastMs, sinceMs }: Owed, now: number): boolean =>
    now - lastMs >= (backfill ? backfillQuietMs : resetQuietMs) ||
    now - sinceMs >= (backfill ? backfillLatestMs : resetLatestMs);
  return {
    owed,
    owe(table: TableId, reason: ResetReason): void {
      const now = nowMs();
      const before = owed.get(table);
      // One reset per debt: subscribers that were told once wait for one snapshot.
      if (before === undefined) publishTable(table, frameOf({ type: 'reset', topic: topicOf(table), reason, epoch }));
      const backfill = reason === 'backfill' && (before === undefined || before.backfill);
      owed.set(table, { sinceMs: before?.sinceMs ?? now, lastMs: now, backfill });
    },
    settle(snapshotOf: (table: TableId) => Frame): void {
      const now = nowMs();
      for (const [table, debt] of owed) {
        if (!isDue(debt, now)) continue;
        owed.delete(table);
        publishTable(table, snapshotOf(table));
      }
    },
  };
}

/** Told to all who hear of every table; those who wait for this one begin with it, before its first event. */
function announce(
  { learnt }: Pick<TimelineOptions<ServedState>, 'learnt'>,
  publish: Publish,
  table: TableId,
  name: string,
): void {
  // Whose token names its tables hears none of this topic, and nothing of others.
  publish(ALL_TABLES, frameOf({ type: 'table_added', topic: topicOf(table), roleta_id: table, roleta_nome: name }));
  learnt(table, name, true);
}

/** What takes the entries of a timeline. */
interface Taking {
  readonly options: TimelineOptions<ServedState>;
  readonly publish: Publish;
  readonly ring: Ring;
  readonly floors: ReturnType<typeof createFloors>;
  readonly debts: ReturnType<typeof createDebts>;
  /** Where tables appeared. */
  readonly births: Map<TableId, Position>;
  readonly partial: Set<TableId>;
}

function publishTable(publish: Publish, table: TableId, frame: Frame): void {
  publish(frame.topic ?? topicOf(table), frame);
  publish(ALL_TABLES, frame);
}

function raiseFloor(
  { floors, debts, options }: Taking,
  table: TableId,
  position: Position,
  reason: ResetReason,
  rewinding: boolean,
): void {
  floors.raise(table, position);
  if (rewinding) return;
  options.tally.reset(reason);
  debts.owe(table, reason);
}

function push(
  { ring, publish, options }: Taking,
  table: TableId,
  frame: Frame,
  { position, committedMs }: EntryPlace,
  rewinding: boolean,
): void {
  ring.push({ table, position, frame });
  if (rewinding) return;
  options.observer.publishing(frame, committedMs);
  publishTable(publish, table, frame);
  options.tally.published(frame.type);
  if (frame.type === 'new_number') options.tally.onTime(table);
}

function takeEntry(taking: Taking, entry: Entry, place: EntryPlace, rewinding: boolean): void {
  const { options, publish, floors, births, partial } = taking;
  const { state, tally } = options;
  const { position } = place;
  switch (entry.kind) {
    case 'frame':
      push(taking, entry.table, entry.frame, place, rewinding);
      return;
    case 'floor':
      raiseFloor(taking, entry.table, position, entry.reason, rewinding);
      return;
    case 'backfill':
      raiseFloor(taking, entry.table, position, 'backfill', rewinding);
      if (!rewinding) tally.late(entry.table, entry.ageMs);
      return;
    case 'all_floors':
      // One by one only where they are told: in a rewind there may be as many changes as tables.
      if (rewinding) floors.raiseAll(position);
      else for (const table of state.known()) raiseFloor(taking, table, position, entry.reason, false);
      return;
    case 'added':
      births.set(entry.table, position);
      if (!rewinding) announce(options, publish, entry.table, entry.name);
      return;
    case 'named':
      if (!rewinding) options.learnt(entry.table, entry.name, false);
      return;
    case 'skipped':
      if (!rewinding) tally.skipped(entry.reason, entry.id, entry.ns);
      return;
    case 'vanished':
      floors.vanish(position);
      return;
    case 'partial':
      for (const table of entry.looked) partial.delete(table);
      for (const table of entry.partial) partial.add(table);
      return;
    default:
      entry satisfies never;
  }
}

/**
 * INVARIANT one-frame: every change makes at most one frame per table, encoded once, pushed to the ring and published
 * in the same tick, in event order.
 */
export function createServedTimeline(options: TimelineOptions<ServedState>, publish: Publish): Timeline {
  const { epoch, state } = options;
  const ring = createRing(options.floor, { seconds: options.ringSeconds, bytes: options.ringBytes });
  const floors = createFloors(options.floor, ring);
  const debts = createDebts(options, (table, frame) => publishTable(publish, table, frame));
  const births = new Map<TableId, Position>();
  const partial = new Set<TableId>();
  const taking: Taking = { options, publish, ring, floors, debts, births, partial };
  const contentOf = createContents(state);

  const snapshot: Timeline['snapshot'] = (table, position, history, stale) =>
    snapshotFrame(
      { topic: topicOf(table), epoch, position, stale: stale || partial.has(table) },
      contentOf(table, history),
    );

  return {
    epoch,
    state,
    ring,
    owed: debts.owed,
    bornAt: (table) => births.get(table) ?? null,
    get floor() {
      return floors.lowest();
    },
    floorOf: floors.floorOf,
    logFloor: floors.logFloor,
    floored: floors.floored,
    get vanished() {
      return floors.vanished();
    },
    take(entry, place, when) {
      const rewinding = when !== 'live';
      if (!rewinding) options.entries?.took(entry, place);
      takeEntry(taking, entry, place, rewinding);
    },
    partial,
    snapshot,
    settleOwed: (position, stale) => debts.settle((table) => snapshot(table, position, DEFAULT_HISTORY, stale)),
  };
}

/** A timeline whose entries follow from the changes of the database. */
export function createTimeline(options: TimelineOptions, publish: Publish): FollowedTimeline {
  const { state, entries } = options;
  const timeline = createServedTimeline(options, publish);
  const { ring, take } = timeline;

  const entryOf = (outcome: Exclude<Outcome, { readonly kind: 'fresh' }>): Entry => {
    if (outcome.kind === 'skipped') return { ...outcome, id: idText(outcome.id) };
    if (outcome.kind !== 'event') return outcome;
    const { table, newest } = outcome;
    return { kind: 'frame', table, newest, frame: frameOf(outcome.build(ring.lastOf(table))) };
  };

  return Object.assign(timeline, {
    state,
    apply(change: Change, when: When, reread?: ChangeOf<'reread'>): ResetReason | null {
      const { position, time } = change;
      const place = { position, committedMs: change.wallTimeMs ?? time.t * 1000 };
      if (change.kind === 'drop' || change.kind === 'rename') take({ kind: 'vanished' }, place, when);
      let fresh: ResetReason | null = null;
      for (const outcome of state.apply(change, when, reread)) {
        if (outcome.kind === 'fresh') fresh = outcome.reason;
        else take(entryOf(outcome), place, when);
      }
      if (when === 'live') entries?.changed(state.takeChanged());
      ring.evict(time.t);
      return fresh;
    },
    mend(tables: ReadonlySet<TableId>, base: Omit<Base, 'skipped'>, position: Position): boolean {
      if (!state.mend(tables, base)) return false;
      const place = { position, committedMs: timeOf(position).t * 1000 };
      for (const table of tables) take({ kind: 'floor', table, reason: 'unknown' }, place, 'live');
      entries?.changed(state.takeChanged());
      return true;
    },
    flag(flagged: readonly TableId[], looked: Iterable<TableId>): void {
      const place = { position: ring.floor, committedMs: 0 };
      const all = [...looked];
      if (all.length > 0) take({ kind: 'partial', partial: flagged, looked: all }, place, 'live');
    },
  });
}
