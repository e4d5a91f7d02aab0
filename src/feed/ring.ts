import type { LogPortion } from '../protocol/delivery.ts';
import type { Frame } from '../protocol/messages.ts';
import { later, ORIGIN, type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';

/** A published event as the ring keeps it. */
export interface RingEntry {
  readonly table: TableId;
  readonly position: Position;
  readonly frame: Frame;
}

/** An entry with its number: counted up by one from entry to entry, also where entries share a position. */
interface Numbered extends RingEntry {
  readonly number: number;
}

/** A first-in, first-out list: a plain array with a moving head, and nothing below it. */
interface Queue {
  items: (Numbered | undefined)[];
  head: number;
}

const COMPACT_AT = 1024;
/** What an entry costs beside its text: three objects, the position, the places in two arrays. Measured, rounded up. */
const ENTRY_OVERHEAD_BYTES = 250;

const costOf = (entry: RingEntry): number => entry.frame.text.length + ENTRY_OVERHEAD_BYTES;

/** The first place in the queue whose entry is beyond something. */
function firstBeyond(queue: Queue, isBeyond: (entry: Numbered) => boolean): number {
  let low = queue.head;
  let high = queue.items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = queue.items[middle];
    if (entry !== undefined && isBeyond(entry)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function dropHead(queue: Queue): void {
  // The array is cut only now and then, and a table may be quiet for long: what was dropped must not wait for that.
  queue.items[queue.head] = undefined;
  queue.head++;
  if (queue.head >= COMPACT_AT && queue.head * 2 >= queue.items.length) {
    queue.items = queue.items.slice(queue.head);
    queue.head = 0;
  }
}

/** Some of the entries in event order, and the number from which the next ones are to be asked for. */
export interface Chunk {
  readonly entries: readonly RingEntry[];
  /** Position of the last entry that was looked at, of whatever table; null when there was none. */
  readonly last: Position | null;
  readonly next: number;
}

export interface Ring {
  /** Everything above this position that is in no table's own floor is here. */
  readonly floor: Position;
  readonly events: number;
  readonly bytes: number;
  /** Seconds between the oldest and the newest event. */
  readonly seconds: number;
  /** A position that is older, in seconds, is about to come near the floor: half of what the ring keeps, or is to keep. */
  readonly renewAfterSeconds: number;
  push(entry: RingEntry): void;
  /** Position of the newest event in the ring, or null. */
  readonly newest: Position | null;
  /** Position of the newest event of the table that the ring let go, or null. */
  evictedOf(table: TableId): Position | null;
  /** Position of the table's newest event in the ring, or null. */
  lastOf(table: TableId): Position | null;
  /** Events above `after` in event order, of one table or of all. Valid until the next push or eviction. */
  above(after: Position, table: TableId | null): Iterable<RingEntry>;
  /** The number of the first entry above a position. */
  numberAbove(after: Position): number;
  /**
   * Entries of some tables, or of all (null), among the next `count` of the ring from number `from` on. Of the others
   * none is looked at.
   */
  chunk(from: number, count: number, tables: Iterable<TableId> | null): Chunk;
  /** Drops what is older than `seconds` before `now` or exceeds the byte cap; raises the floor. */
  evict(nowSeconds: number): void;
}

/** What a ring is made of. */
interface Entries {
  readonly all: Queue;
  readonly tables: Map<TableId, Queue>;
  /** Position of the newest event of a table that was let go. */
  readonly evicted: Map<TableId, Position>;
  bytes: number;
  floor: Position;
  /** How many were ever pushed: the number of the next one. */
  pushed: number;
}

function evictOldest(entries: Entries): void {
  const { all, tables, evicted } = entries;
  const entry = all.items[all.head];
  if (entry === undefined) return;
  dropHead(all);
  const own = tables.get(entry.table);
  if (own !== undefined) {
    dropHead(own);
    if (own.head === own.items.length) tables.delete(entry.table);
  }
  entries.bytes -= costOf(entry);
  entries.floor = entry.position;
  evicted.set(entry.table, entry.position);
}

/** Entries of one queue with numbers from `from` up to, not including, `to`. */
function* between(queue: Queue, from: number, to: number): Generator<Numbered> {
  for (let at = firstBeyond(queue, ({ number }) => number >= from); at < queue.items.length; at++) {
    const entry = queue.items[at];
    if (entry === undefined) continue;
    if (entry.number >= to) return;
    yield entry;
  }
}

function push(entries: Entries, { table, position, frame }: RingEntry): void {
  const entry = { table, position, frame, number: entries.pushed++ };
  entries.all.items.push(entry);
  const own = entries.tables.get(table);
  if (own === undefined) entries.tables.set(table, { items: [entry], head: 0 });
  else own.items.push(entry);
  entries.bytes += costOf(entry);
}

function* entriesAbove({ all, tables }: Entries, after: Position, table: TableId | null): Generator<RingEntry> {
  const queue = table === null ? all : tables.get(table);
  if (queue === undefined) return;
  for (let at = firstBeyond(queue, ({ position }) => position > after); at < queue.items.length; at++) {
    const entry = queue.items[at];
    if (entry !== undefined) yield entry;
  }
}

function chunkOf(
  { all, tables, pushed }: Entries,
  from: number,
  count: number,
  wanted: Iterable<TableId> | null,
): Chunk {
  const oldest = all.items[all.head]?.number ?? pushed;
  const first = Math.max(from, oldest);
  const next = Math.min(first + count, pushed);
  const last = next === first ? null : (all.items[all.head + next - 1 - oldest]?.position ?? null);
  if (wanted === null) return { entries: [...between(all, first, next)], last, next };
  const found: Numbered[] = [];
  for (const table of wanted) {
    const queue = tables.get(table);
    if (queue !== undefined) found.push(...between(queue, first, next));
  }
  return { entries: found.sort((a, b) => a.number - b.number), last, next };
}

/**
 * The recent events of all tables in event order, bounded in seconds and in bytes.
 * INVARIANT ring: every event above the floor (its table's or the ring's) and at or below D is here, once.
 */
export function createRing(floor: Position, bounds: { readonly seconds: number; readonly bytes: number }): Ring {
  const all: Queue = { items: [], head: 0 };
  const entries: Entries = { all, tables: new Map(), evicted: new Map(), bytes: 0, floor, pushed: 0 };
  return {
    get floor() {
      return entries.floor;
    },
    get events() {
      return all.items.length - all.head;
    },
    get bytes() {
      return entries.bytes;
    },
    get seconds() {
      const first = all.items[all.head]?.position ?? ORIGIN;
      const last = all.items.at(-1)?.position ?? ORIGIN;
      return timeOf(last).t - timeOf(first).t;
    },
    get renewAfterSeconds() {
      const isCrowded = entries.bytes * 2 >= bounds.bytes;
      return (isCrowded ? this.seconds : bounds.seconds) / 2;
    },
    push: (entry) => push(entries, entry),
    get newest() {
      return all.items.at(-1)?.position ?? null;
    },
    evictedOf: (table) => entries.evicted.get(table) ?? null,
    lastOf: (table) => entries.tables.get(table)?.items.at(-1)?.position ?? null,
    above: (after, table) => entriesAbove(entries, after, table),
    numberAbove: (after) => all.items[firstBeyond(all, ({ position }) => position > after)]?.number ?? entries.pushed,
    chunk: (from, count, wanted) => chunkOf(entries, from, count, wanted),
    evict(nowSeconds) {
      for (;;) {
        const oldest = all.items[all.head];
        if (oldest === undefined) return;
        if (entries.bytes <= bounds.bytes && timeOf(oldest.position).t >= nowSeconds - bounds.seconds) return;
        evictOldest(entries);
      }
    },
  };
}

/** Below which positions what is not replayed. */
export function createFloors(start: Position, ring: Pick<Ring, 'floor' | 'evictedOf'>) {
  const own = new Map<TableId, Position>();
  /** The floor of every table: what was not known to be of one of them. */
  let ofAll = start;
  let vanished = start;
  const lowest = (): Position => later(ofAll, ring.floor);
  return {
    raise: (table: TableId, position: Position): unknown => own.set(table, position),
    raiseAll(position: Position): void {
      ofAll = position;
    },
    vanish(position: Position): void {
      vanished = position;
    },
    lowest,
    floorOf: (table: TableId): Position => later(own.get(table) ?? ofAll, lowest()),
    logFloor(tables: ReadonlySet<TableId> | null): Position {
      if (tables === null) return [...own.values()].reduce(later, lowest());
      const floors = [...tables].flatMap((table) => [own.get(table) ?? ofAll, ring.evictedOf(table) ?? ofAll]);
      return floors.reduce(later, ofAll);
    },
    floored: (): TableId[] => [...own.keys()],
    vanished: (): Position => later(vanished, lowest()),
  };
}

/** A portion has so many events, or so many bytes, and is then full: it is the same whoever asks, and when. */
const FULL_EVENTS = 500;
const FULL_BYTES = 256 * 1024;

/** What a log is read from. */
interface LogSource {
  readonly epoch: string;
  readonly ring: Pick<Ring, 'newest' | 'lastOf' | 'above'>;
  /** Everything above it that is remembered of these tables, or of all (null), is told. */
  logFloor(tables: ReadonlySet<TableId> | null): Position;
}

/**
 * What is remembered of some tables, or of all (null), after a position (null: of all that there is). Events of one
 * change share a position and are never parted.
 */
export function readLog(
  { epoch, ring, logFloor }: LogSource,
  tables: ReadonlySet<TableId> | null,
  after: Position | null,
): LogPortion {
  const floor = logFloor(tables);
  const [first = null] = tables ?? [];
  const sole = tables?.size === 1 ? first : null;
  const newest = sole === null ? ring.newest : ring.lastOf(sole);
  const frames: Frame[] = [];
  let bytes = 0;
  let more = false;
  let last: Position | null = null;
  for (const { table, position, frame } of ring.above(after ?? floor, sole)) {
    if (tables === null || tables.has(table)) {
      if (position !== last && (frames.length >= FULL_EVENTS || bytes >= FULL_BYTES)) {
        more = true;
        break;
      }
      frames.push(frame);
      bytes += frame.text.length;
    }
    // Of other tables, too: who may see little does not look at the same events again and again.
    last = position;
  }
  return { epoch, floor, tail: newest === null || newest < floor ? floor : newest, frames, last, more };
}
