import { ALL_TABLES, type Frame, frameOf, type NotRecovered, type TopicResult } from '../protocol/messages.ts';
import { isPosition, later, type Position } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import { type Item, resolvedFrame, topicOfItem } from './request.ts';
import type { RingEntry } from './ring.ts';
import type { Timeline } from './timeline.ts';

/** Sends a frame; false asks for a pause. */
export type Send = (frame: Frame) => boolean;

/** How far one table was served within a subscribe. */
interface Cursor {
  readonly item: Item;
  /** Everything of the table at or below was sent; null: a snapshot is to be sent first. */
  at: Position | null;
  reason: NotRecovered | null;
  replayed: number;
  /** The client is still to be told that a topic means this table. */
  announces: boolean;
}

/** Why this position says nothing here, whatever the table; null when it does. */
function positionRefusal({ after, epoch }: Item, timeline: Timeline, delivered: Position, future: boolean) {
  if (after === undefined) return 'new';
  if (!isPosition(after)) return 'malformed';
  if (epoch !== undefined && epoch !== timeline.epoch) return 'epoch';
  if (after > delivered) return future ? 'future' : 'epoch';
  return null;
}

/** Entries looked at in one go; so many of a slow reader's wait at most, whatever the ring lets go of meanwhile. */
const CHUNK = 4_096;

/** A subscribe while it is being served: snapshots, then the events since. */
export interface Replay {
  /**
   * Sends until everything up to D is sent (true) or the link asks for a pause (false). To be called again then, and
   * whenever D or a floor may have moved.
   */
  step(timeline: Timeline, delivered: Position, send: Send, stale: boolean): boolean;
  /** How each topic was taken up, for the ack. */
  results(): TopicResult[];
}

/**
 * Starts serving resolved items. `skip` are tables that the connection already hears, where `roulette:*` need not
 * repeat them. `future`: a position above D was found to lie beyond the database's own time.
 */
export const createReplay = (
  items: readonly Item[],
  timeline: Timeline,
  delivered: Position,
  future: boolean,
  skip: ReadonlySet<TableId>,
): Replay => new ReplayOfRequest(items, timeline, delivered, future, skip);

/**
 * One cursor runs over the ring for all tables, by the number of an entry and not by its position, which two entries may
 * share. One record per connection that is being served, with methods that all of them share.
 */
class ReplayOfRequest implements Replay {
  readonly #items: readonly Item[];
  /** The item of all tables, if there is one. */
  readonly #all: Item | undefined;
  readonly #cursors = new Map<TableId, Cursor>();
  /** Tables that the connection already hears, where `roulette:*` need not repeat them. */
  readonly #skip: ReadonlySet<TableId>;
  readonly #future: boolean;
  /** Why a client of all tables is to forget everything first: it may have tables that nobody here knows. */
  readonly #forgotten: NotRecovered | null;
  #forgets: boolean;
  #timeline: Timeline;
  /** The entries taken from the ring, the place of the next among them, and the number of the one after them. */
  #chunk: readonly RingEntry[] = [];
  #at = 0;
  #next: number | null = null;
  /** Everything up to here was taken from the ring. */
  #taken: Position | null = null;

  constructor(
    items: readonly Item[],
    timeline: Timeline,
    delivered: Position,
    future: boolean,
    skip: ReadonlySet<TableId>,
  ) {
    this.#items = items;
    this.#all = items.find((item) => item.table === null);
    this.#timeline = timeline;
    this.#future = future;
    this.#forgotten = this.#forgetReason(delivered);
    this.#forgets = this.#forgotten !== null;
    this.#skip = this.#forgets ? new Set() : new Set(skip);
    for (const item of items) if (item.table !== null) this.#begin(item, item.table, delivered);
    this.#beginAll(delivered);
  }

  step(timeline: Timeline, delivered: Position, send: Send, stale: boolean): boolean {
    this.#recheck(timeline, delivered);
    if (this.#forgets) {
      this.#forgets = false;
      const { epoch } = timeline;
      if (!send(frameOf({ type: 'reset', topic: ALL_TABLES, reason: 'unknown', epoch }))) return false;
    }
    return this.#snapshots(delivered, send, stale) && this.#events(send);
  }

  results(): TopicResult[] {
    return this.#items.map((item) => this.#resultOf(item));
  }

  #forgetReason(delivered: Position): NotRecovered | null {
    const all = this.#all;
    if (all?.after === undefined) return null;
    const reason = positionRefusal(all, this.#timeline, delivered, this.#future);
    return reason ?? (all.owed || all.after < this.#timeline.vanished ? 'too_old' : null);
  }

  #begin(item: Item, table: TableId, delivered: Position): void {
    if (this.#cursors.has(table)) return;
    const refused = positionRefusal(item, this.#timeline, delivered, this.#future);
    const isOld = item.owed || (item.after ?? '') < this.#timeline.floorOf(table);
    // Of a table that appeared since, everything comes by events; of another the client never had what came before.
    const announces = item.announced !== null;
    const isNews = announces && (this.#timeline.bornAt(table) ?? '') <= (item.after ?? '');
    const missed = (isOld ? 'too_old' : null) ?? (isNews ? 'new' : null);
    const reason = refused ?? missed ?? (item === this.#all ? this.#forgotten : null);
    const at = reason === null && isPosition(item.after) ? item.after : null;
    this.#cursors.set(table, { item, at, reason, replayed: 0, announces });
  }

  /** Says that a topic means this table; true when nothing asks for a pause. */
  #announce(table: TableId, cursor: Cursor, send: Send, stale: boolean): boolean {
    const { item, at } = cursor;
    if (!cursor.announces) return true;
    cursor.announces = false;
    send(resolvedFrame(item.announced ?? '', table, this.#timeline.state.nameOf(table)));
    return at === null || send(this.#timeline.snapshot(table, at, 0, stale));
  }

  /** For a client that was here before also tables of which nothing is left: their snapshots are empty. */
  #beginAll(delivered: Position): void {
    const all = this.#all;
    if (all === undefined) return;
    const { state } = this.#timeline;
    const floored = all.after === undefined ? [] : this.#timeline.floored();
    for (const tables of [state.tables(), floored]) {
      for (const table of tables) if (!this.#skip.has(table)) this.#begin(all, table, delivered);
    }
  }

  /** A table that rose above what was sent so far, or a fresh state: its snapshot is the only honest answer. */
  #recheck(timeline: Timeline, delivered: Position): void {
    const isOther = timeline !== this.#timeline;
    this.#timeline = timeline;
    for (const [table, cursor] of this.#cursors) {
      const at = cursor.at === null || this.#taken === null ? cursor.at : later(cursor.at, this.#taken);
      if (!isOther && (at === null || at >= timeline.floorOf(table))) continue;
      cursor.reason ??= 'too_old';
      cursor.at = null;
    }
    if (isOther) {
      this.#next = null;
      this.#taken = null;
      this.#chunk = [];
      this.#at = 0;
      this.#forgets = this.#all?.after !== undefined;
    }
    // Those that appeared while this was being served; all that they have lies above what was sent so far.
    this.#beginAll(delivered);
  }

  #snapshots(delivered: Position, send: Send, stale: boolean): boolean {
    for (const [table, cursor] of this.#cursors) {
      if (!this.#announce(table, cursor, send, stale)) return false;
      if (cursor.at !== null) continue;
      cursor.at = delivered;
      if (!send(this.#timeline.snapshot(table, delivered, cursor.item.history, stale))) return false;
    }
    return true;
  }

  #events(send: Send): boolean {
    const { ring } = this.#timeline;
    this.#next ??= ring.numberAbove(this.#lowest());
    for (;;) {
      while (this.#at < this.#chunk.length) {
        const entry = this.#chunk[this.#at++];
        const cursor = entry === undefined ? undefined : this.#cursors.get(entry.table);
        if (entry === undefined || cursor === undefined || cursor.at === null || entry.position <= cursor.at) continue;
        cursor.at = entry.position;
        cursor.replayed++;
        if (!send(entry.frame)) return false;
      }
      const { entries, last, next } = ring.chunk(
        this.#next,
        CHUNK,
        this.#all === undefined ? this.#cursors.keys() : null,
      );
      if (last === null) return true;
      this.#chunk = entries;
      this.#at = 0;
      this.#next = next;
      this.#taken = last;
    }
  }

  #lowest(): Position {
    let lowest: Position | null = null;
    for (const { at } of this.#cursors.values()) if (at !== null && (lowest === null || at < lowest)) lowest = at;
    return lowest ?? this.#timeline.ring.floor;
  }

  #resultOf(item: Item): TopicResult {
    const topic = topicOfItem(item);
    const own = item.table === null ? [...this.#cursors.values()] : [this.#cursors.get(item.table)];
    const found = own.map((cursor) => cursor?.reason ?? null).find((reason) => reason !== null) ?? null;
    const reason = found ?? (item.table === null ? this.#forgotten : null);
    if (reason !== null) return { topic, recovered: false, reason };
    if (item.after === undefined) return { topic, recovered: false, reason: 'new' };
    return { topic, recovered: true, replayed: own.reduce((sum, cursor) => sum + (cursor?.replayed ?? 0), 0) };
  }
}
