import { type ClusterTime, type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base } from '../store/base.ts';
import type { FollowedTimeline } from './timeline.ts';

/** Tables as they were read at rest; `readAhead` is the majority time asked after that: nothing read is newer. */
interface ReadAgain {
  readonly base: Base;
  readonly readAhead: Position;
}

interface MendingOptions {
  /** Reads these tables at rest, at or after `after`. */
  read(after: ClusterTime, tables: ReadonlySet<TableId>): Promise<ReadAgain>;
  readonly nowMs: () => number;
  /** A table that was read again and still shows less than it should waits so long, in ms, then twice as long, and again. */
  readonly apartMs: number;
}

/** What came of a read. */
interface Mended {
  readonly tables: readonly TableId[];
  /** Documents were read at rest up to here; null when the read failed. */
  readonly readAhead: Position | null;
  /** What came of it, in words. */
  readonly words: string;
}

/** Reads again, beside the stream, the tables that lost too much to show what subscribers may ask for. */
export interface Mending {
  /**
   * To be called between batches: begins a read where tables need it, and puts in place what one has brought. Null while
   * there is nothing to tell. After a read that failed the tables wait for another.
   */
  step(delivered: Position): Mended | null;
}

/** Many malformed documents above the good ones cost the same search each time: it is made less and less often. */
const MOST_APART = 60;

/** Mends the tables of `timeline`, which is read by one connection after the other. */
export function createMending(timeline: FollowedTimeline, options: MendingOptions): Mending {
  const { state } = timeline;
  /** Tables to be read, and when each was read last. */
  const wanted = new Set<TableId>(state.findPartial());
  const last = new Map<TableId, { readonly ms: number; readonly apartMs: number }>();
  let reading: ReadonlySet<TableId> | null = null;
  let brought: ReadAgain | { readonly error: unknown } | null = null;

  const begin = (delivered: Position): void => {
    const now = options.nowMs();
    const due = [...wanted].filter((table) => {
      const { ms, apartMs } = last.get(table) ?? { ms: -Infinity, apartMs: 0 };
      return now - ms >= apartMs;
    });
    if (due.length === 0) return;
    for (const table of due) {
      const apartMs = last.get(table)?.apartMs ?? options.apartMs / 2;
      last.set(table, { ms: now, apartMs: Math.min(apartMs * 2, options.apartMs * MOST_APART) });
    }
    reading = new Set(due);
    state.beginMending();
    options.read(timeOf(delivered), reading).then(
      (read) => {
        brought = read;
      },
      (error: unknown) => {
        brought = { error };
      },
    );
  };

  /** Flags the tables that have less than subscribers may ask for, and keeps looking after them. */
  const look = (tables: readonly TableId[]): TableId[] => {
    const partial = tables.filter(state.isPartial);
    for (const table of tables) wanted.delete(table);
    for (const table of partial) wanted.add(table);
    for (const table of last.keys()) if (!wanted.has(table)) last.delete(table);
    timeline.flag(partial, tables);
    return partial;
  };

  look([...wanted]);

  return {
    step(delivered) {
      for (const table of state.takeExhausted()) wanted.add(table);
      if (wanted.size === 0) return null;
      if (reading === null) {
        // Live numbers may have filled a table meanwhile.
        look([...timeline.partial]);
        begin(delivered);
        return null;
      }
      if (brought === null) return null;
      const tables = [...reading];
      const came = brought;
      reading = null;
      brought = null;
      if ('error' in came || !timeline.mend(new Set(tables), came.base, delivered)) {
        look(tables);
        const words = 'error' in came ? String(came.error) : 'too much was changed while it was read';
        return { tables, readAhead: null, words };
      }
      const partial = look(tables);
      const words =
        partial.length === 0 ? 'complete again' : `${partial.length} of them only as far as they could be read`;
      return { tables, readAhead: came.readAhead, words };
    },
  };
}
