import { type Frame, frameOf } from '../protocol/delivery.ts';
import { type Problem, ProtocolError } from '../protocol/errors.ts';
import type { NotRecovered, TopicResult } from '../protocol/messages.ts';
import { isPosition, later, type Position } from '../protocol/position.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import type { TableId } from '../roulette/table.ts';
import { DEFAULT_HISTORY, type Timeline } from './timeline.ts';

/** One topic of a subscribe, resolved: a table, or every table (`null`). */
export interface Item {
  readonly table: TableId | null;
  /** The text that a client gave as its position, valid or not; undefined when it gave none. */
  readonly after: string | undefined;
  readonly epoch: string | undefined;
  readonly history: number;
  readonly owed: boolean;
}

export const topicOfItem = (item: Item): string => (item.table === null ? ALL_TABLES : topicOf(item.table));

/**
 * Resolves the topics of a subscribe. Throws ProtocolError: `unknown_topic` (nothing has that name), `forbidden`
 * (`allowed` does not have the table). Under `allowed`, all tables are each of the allowed ones.
 */
export function itemsOf(
  frame: SubscribeFrame,
  resolve: (reference: string) => readonly TableId[],
  allowed: readonly TableId[] | null,
): Item[] {
  const items = new Map<string, Item>();
  const unknown: Problem[] = [];
  const forbidden: Problem[] = [];
  frame.topics.forEach((entry, at) => {
    const asked = typeof entry === 'string' ? { topic: entry } : entry;
    const reference = tableReference(asked.topic);
    const all = asked.topic === ALL_TABLES;
    const tables: readonly (TableId | null)[] =
      reference === null ? [] : all ? (allowed ?? [null]) : resolve(reference);
    if (tables.length === 0) unknown.push({ path: `topics.${at}`, message: `no table is known as "${asked.topic}"` });
    for (const table of tables) {
      if (table !== null && allowed !== null && !allowed.includes(table)) {
        forbidden.push({ path: `topics.${at}`, message: `not allowed: ${topicOf(table)}` });
        continue;
      }
      const history = asked.history ?? frame.history ?? DEFAULT_HISTORY;
      const item: Item = {
        table,
        after: asked.after ?? frame.after,
        epoch: asked.epoch ?? frame.epoch,
        history: table === null ? Math.min(history, DEFAULT_HISTORY) : history,
        owed: asked.owed ?? false,
      };
      items.set(topicOfItem(item), item);
    }
  });
  if (unknown.length > 0) throw new ProtocolError('unknown_topic', { problems: unknown });
  if (forbidden.length > 0) throw new ProtocolError('forbidden', { problems: forbidden });
  return [...items.values()];
}

/** The highest position that the client says it ever had, if any is well formed. */
export function highestOf(items: readonly Item[], seen: string | undefined): Position | null {
  let highest: Position | null = null;
  for (const text of [seen, ...items.map((item) => item.after)]) {
    if (isPosition(text) && (highest === null || text > highest)) highest = text;
  }
  return highest;
}

/** Where one table stands within a subscribe. `at` null: a snapshot is to be sent first. */
interface Cursor {
  at: Position | null;
  readonly item: Item;
  reason: NotRecovered | null;
  replayed: number;
}

/** A subscribe while it is being served: what was sent, what is still to be sent. */
export interface Replay {
  /**
   * Sends until everything up to D is sent (true) or the link asks for a pause (false). To be called again then, and
   * whenever D or a floor may have moved.
   */
  step(timeline: Timeline, delivered: Position, send: (frame: Frame) => boolean, stale: boolean): boolean;
  /** How each topic was taken up, for the ack. */
  results(): TopicResult[];
}

/** Why this position says nothing here, whatever the table; null when it does. */
function positionRefusal({ after, epoch }: Item, timeline: Timeline, delivered: Position, future: boolean) {
  if (after === undefined) return 'new';
  if (!isPosition(after)) return 'malformed';
  if (epoch !== undefined && epoch !== timeline.epoch) return 'epoch';
  if (after > delivered) return future ? 'future' : 'epoch';
  return null;
}

/** Why this table cannot be replayed from this position, or null when it can. */
function refusal(item: Item, table: TableId, timeline: Timeline, delivered: Position, future: boolean) {
  const reason = positionRefusal(item, timeline, delivered, future);
  if (reason !== null) return reason;
  return item.owed || (item.after ?? '') < timeline.floorOf(table) ? 'too_old' : null;
}

/**
 * Why a client of all tables is told to forget everything before it gets snapshots of all that there is: it may hold
 * tables that have vanished meanwhile and that nobody here knows. Null when it need not.
 */
function forgetReason(all: Item, timeline: Timeline, delivered: Position, future: boolean): NotRecovered | null {
  if (all.after === undefined) return null;
  const reason = positionRefusal(all, timeline, delivered, future);
  return reason ?? (all.owed || all.after < timeline.vanished ? 'too_old' : null);
}

const forget = (epoch: string): Frame => frameOf({ type: 'reset', topic: ALL_TABLES, reason: 'unknown', epoch });

/**
 * Starts serving resolved items. `skip` are tables that the connection already hears, where `roulette:*` need not
 * repeat them. `future`: a position above D was found to lie beyond the database's own time.
 */
export function createReplay(
  items: readonly Item[],
  timeline: Timeline,
  delivered: Position,
  future: boolean,
  skip: ReadonlySet<TableId>,
): Replay {
  const cursors = new Map<TableId, Cursor>();
  const all = items.find((item) => item.table === null);
  const forgotten = all === undefined ? null : forgetReason(all, timeline, delivered, future);
  const skipped = forgotten === null ? new Set(skip) : new Set<TableId>();
  let forgets = forgotten !== null;
  let from = timeline;
  /** Every event of these tables up to here was sent, however long ago their own last one was. */
  let scanned: Position | null = null;

  const start = (item: Item, table: TableId, now: Timeline): void => {
    if (cursors.has(table)) return;
    const reason = refusal(item, table, now, delivered, future) ?? (item === all ? forgotten : null);
    const at = reason === null && isPosition(item.after) ? item.after : null;
    cursors.set(table, { at, item, reason, replayed: 0 });
  };
  for (const item of items) if (item.table !== null) start(item, item.table, timeline);
  /** For a client that was here before also tables of which nothing is left: their snapshots are empty. */
  const tablesOf = (now: Timeline): readonly TableId[] =>
    all?.after === undefined ? now.state.tables() : [...new Set([...now.state.tables(), ...now.floored()])];
  if (all !== undefined) for (const table of tablesOf(timeline)) if (!skipped.has(table)) start(all, table, timeline);

  /** A table that rose above what was sent so far, or a fresh state: its snapshot is the only honest answer. */
  const recheck = (now: Timeline): void => {
    for (const [table, cursor] of cursors) {
      const at = cursor.at === null || scanned === null ? cursor.at : later(cursor.at, scanned);
      if (now === from && (at === null || at >= now.floorOf(table))) continue;
      cursor.reason ??= 'too_old';
      cursor.at = null;
    }
    if (all !== undefined) {
      // Those that appeared while this was being served; all that they have lies above what was sent so far.
      for (const table of tablesOf(now)) if (!skipped.has(table)) start(all, table, now);
    }
    if (now !== from) {
      scanned = null;
      forgets = all?.after !== undefined;
    }
    from = now;
  };

  const snapshots = (now: Timeline, delivered_: Position, send: (frame: Frame) => boolean, stale: boolean): boolean => {
    for (const [table, cursor] of cursors) {
      if (cursor.at !== null) continue;
      cursor.at = delivered_;
      if (!send(now.snapshot(table, delivered_, cursor.item.history, stale))) return false;
    }
    return true;
  };

  const events = (now: Timeline, send: (frame: Frame) => boolean): boolean => {
    let lowest: Position | null = null;
    for (const { at } of cursors.values()) if (at !== null && (lowest === null || at < lowest)) lowest = at;
    if (lowest === null) return true;
    if (scanned !== null) lowest = later(lowest, scanned);
    const [only] = cursors.size === 1 ? cursors.keys() : [];
    for (const entry of now.ring.above(lowest, only ?? null)) {
      scanned = entry.position;
      const cursor = cursors.get(entry.table);
      if (cursor === undefined || cursor.at === null || entry.position <= cursor.at) continue;
      cursor.at = entry.position;
      cursor.replayed++;
      if (!send(entry.frame)) return false;
    }
    return true;
  };

  const resultOf = (item: Item): TopicResult => {
    const own = item.table === null ? [...cursors.values()] : [cursors.get(item.table)];
    const topic = topicOfItem(item);
    const found = own.map((cursor) => cursor?.reason ?? null).find((reason) => reason !== null) ?? null;
    const reason = found ?? (item.table === null ? forgotten : null);
    if (reason !== null) return { topic, recovered: false, reason };
    if (item.after === undefined) return { topic, recovered: false, reason: 'new' };
    return { topic, recovered: true, replayed: own.reduce((sum, cursor) => sum + (cursor?.replayed ?? 0), 0) };
  };

  return {
    step(now, delivered_, send, stale) {
      recheck(now);
      if (forgets) {
        forgets = false;
        if (!send(forget(now.epoch))) return false;
      }
      return snapshots(now, delivered_, send, stale) && events(now, send);
    },
    results: () => items.map(resultOf),
  };
}
