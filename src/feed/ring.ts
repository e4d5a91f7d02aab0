import type { Frame } from '../protocol/delivery.ts';
import { ORIGIN, type Position, timeOf } from '../protocol/position.ts';
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
  /** A position that is older, in seconds, is about to come near the floor: half of what the ring holds, or is to hold. */
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

/**
 * The recent events of all tables in event order, bounded in seconds and in bytes.
 * INVARIANT ring: every event above the floor (its table's or the ring's) and at or below D is here, once.
 */
export function createRing(floor: Position, bounds: { readonly seconds: number; readonly bytes: number }): Ring {
  const all: Queue = { items: [], head: 0 };
  const tables = new Map<TableId, Queue>();
  const evicted = new Map<TableId, Position>();
  let bytes = 0;
  let lowest = floor;
  let pushed = 0;

  const evictOldest = (): void => {
    const entry = all.items[all.head];
    if (entry === undefined) return;
    dropHead(all);
    const own = tables.get(entry.table);
    if (own !== undefined) {
      dropHead(own);
      if (own.head === own.items.length) tables.delete(entry.table);
    }
    bytes -= costOf(entry);
    lowest = entry.position;
    evicted.set(entry.table, entry.position);
  };

  /** Entries of one queue with numbers from `from` up to, not including, `to`. */
  function* between(queue: Queue, from: number, to: number): Generator<Numbered> {
    for (let at = firstBeyond(queue, ({ number }) => number >= from); at < queue.items.length; at++) {
      const entry = queue.items[at];
      if (entry === undefined) continue;
      if (entry.number >= to) return;
      yield entry;
    }
  }

  return {
    get floor() {
      return lowest;
    },
    get events() {
      return all.items.length - all.head;
    },
    get bytes() {
      return bytes;
    },
    get seconds() {
      const first = all.items[all.head]?.position ?? ORIGIN;
      const last = all.items.at(-1)?.position ?? ORIGIN;
      return timeOf(last).t - timeOf(first).t;
    },
    get renewAfterSeconds() {
      const isCrowded = bytes * 2 >= bounds.bytes;
      return (isCrowded ? this.seconds : bounds.seconds) / 2;
    },
    push({ table, position, frame }) {
      const entry = { table, position, frame, number: pushed++ };
      all.items.push(entry);
      const own = tables.get(table);
      if (own === undefined) tables.set(table, { items: [entry], head: 0 });
      else own.items.push(entry);
      bytes += costOf(entry);
    },
    get newest() {
      return all.items.at(-1)?.position ?? null;
    },
    evictedOf: (table) => evicted.get(table) ?? null,
    lastOf: (table) => tables.get(table)?.items.at(-1)?.position ?? null,
    *above(after, table) {
      const queue = table === null ? all : tables.get(table);
      if (queue === undefined) return;
      for (let at = firstBeyond(queue, ({ position }) => position > after); at < queue.items.length; at++) {
        const entry = queue.items[at];
        if (entry !== undefined) yield entry;
      }
    },
    numberAbove(after) {
      return all.items[firstBeyond(all, ({ position }) => position > after)]?.number ?? pushed;
    },
    chunk(from, count, wanted) {
      const oldest = all.items[all.head]?.number ?? pushed;
      const first = Math.max(from, oldest);
      const next = Math.min(first + count, pushed);
      const last = next === first ? null : (all.items[all.head + next - 1 - oldest]?.position ?? null);
      if (wanted === null) return { entries: [...between(all, first, next)], last, next };
      const entries: Numbered[] = [];
      for (const table of wanted) {
        const queue = tables.get(table);
        if (queue !== undefined) entries.push(...between(queue, first, next));
      }
      return { entries: entries.sort((a, b) => a.number - b.number), last, next };
    },
    evict(nowSeconds) {
      for (;;) {
        const oldest = all.items[all.head];
        if (oldest === undefined) return;
        if (bytes <= bounds.bytes && timeOf(oldest.position).t >= nowSeconds - bounds.seconds) return;
        evictOldest();
      }
    },
  };
}
