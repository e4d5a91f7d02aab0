import type { Binary, Document } from 'bson';
import { type Clock, type ClusterTime, compareTimes } from './clock.ts';

/** One change of one document, as it was made. Documents are raw BSON. */
export interface DocumentOperation {
  readonly kind: 'insert' | 'update' | 'replace' | 'delete';
  readonly db: string;
  readonly coll: string;
  readonly uuid: Binary;
  /** The document after the change; of a deleted one only `{_id}`. */
  readonly after: Buffer;
  /** The document before it, kept only where the collection asks for pre-images. */
  readonly before?: Buffer;
  /** `updatedFields`, `removedFields` and `truncatedArrays` of an update. */
  readonly description?: Document;
}

/** A change of the catalog. `o` is the description that expanded events show. */
export interface CatalogOperation {
  readonly kind: 'create' | 'drop' | 'rename' | 'dropDatabase' | 'createIndexes' | 'dropIndexes' | 'modify';
  readonly db: string;
  readonly coll?: string;
  readonly uuid?: Binary;
  readonly to?: { readonly db: string; readonly coll: string };
  /** The collection that a rename overwrote. */
  readonly droppedTarget?: Binary;
  readonly description?: Document;
}

export interface Noop {
  readonly kind: 'noop';
  readonly message: string;
}

export type OplogOperation = DocumentOperation | CatalogOperation | Noop;

export function isDocumentOperation(operation: OplogOperation): operation is DocumentOperation {
  return 'after' in operation;
}

/** Which session's write it was, so that a retry after a restart finds its first answer. */
export interface WriteOrigin {
  readonly lsid: Document;
  readonly txnNumber: bigint;
  readonly statement: number;
  readonly reply: Document;
}

export interface OplogEntry {
  readonly sequence: number;
  readonly time: ClusterTime;
  readonly term: number;
  /** Milliseconds since 1970. */
  readonly wallTime: number;
  /** More than one for a transaction and, in 8.0, for a batch of inserts: they share the time. */
  readonly operations: readonly OplogOperation[];
  /** Set for transactions: their events carry it. */
  readonly transaction: { readonly lsid: Document; readonly txnNumber: bigint } | undefined;
  readonly origins: readonly WriteOrigin[] | undefined;
  readonly bytes: number;
}

export type NewEntry = Omit<OplogEntry, 'sequence' | 'bytes'>;

/** What an entry has beside its operations. */
export type EntryExtra = Partial<Pick<OplogEntry, 'transaction' | 'origins'>>;

export interface Oplog {
  readonly last: ClusterTime;
  readonly lastWallTime: number;
  /** Time of the oldest entry kept. */
  readonly first: ClusterTime;
  /** Whether entries were ever removed: before that, any start point is within history. */
  readonly truncated: boolean;
  readonly firstSequence: number;
  /** Sequence number that the next entry will get. */
  readonly nextSequence: number;
  readonly bytes: number;
  /**
   * Change streams show what is committed by the majority of the set: on one node what is durable, and without a disk
   * everything. Time of the newest such entry, its wall time, and the sequence after it.
   */
  readonly committed: { readonly time: ClusterTime; readonly wallTime: number; readonly nextSequence: number };
  /** From now on entries are committed by `commit`, not by being appended. */
  hold(): void;
  /** Entries up to that one, inclusive, are committed. */
  commit(entry: OplogEntry): void;
  entry(sequence: number): OplogEntry | undefined;
  append(operations: readonly OplogOperation[], extra?: EntryExtra): OplogEntry;
  /** Puts back an entry read from the journal, with its own time. */
  restore(entry: NewEntry): void;
  /** Sequence of the first entry at or after that time. */
  seek(time: ClusterTime): number;
  /** Removes all but the newest `keep` entries: from now on history does not go back to the beginning. */
  cut(keep: number): void;
  /** Calls back once when there is an entry at or after `sequence`; the returned function gives up waiting. */
  whenAppended(sequence: number, callback: () => void): () => void;
  /** The same for a committed entry. */
  whenCommitted(sequence: number, callback: () => void): () => void;
}

/** What an entry counts against the oplog's capacity. */
export const entryBytes = (operations: readonly OplogOperation[]): number =>
  operations.reduce((sum, one) => sum + operationBytes(one), 0);

/** Objects, times and views of an entry in memory (measured: 400 to 600 bytes). */
const ENTRY_OVERHEAD_BYTES = 400;

function operationBytes(operation: OplogOperation): number {
  if (!isDocumentOperation(operation)) return ENTRY_OVERHEAD_BYTES;
  return ENTRY_OVERHEAD_BYTES + operation.after.length + (operation.before?.length ?? 0);
}

/** Callbacks that wait for the next time. */
function createWaiting() {
  let waiting = new Set<() => void>();
  return {
    wake() {
      if (waiting.size === 0) return;
      const woken = waiting;
      waiting = new Set();
      for (const callback of woken) callback();
    },
    wait(isOver: boolean, callback: () => void): () => void {
      if (isOver) {
        callback();
        return () => undefined;
      }
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
  };
}

/** Index of the first entry, at or after `head`, that is not before that time. */
function firstFrom(entries: readonly OplogEntry[], head: number, time: ClusterTime): number {
  let low = head;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = entries[middle]?.time;
    if (at !== undefined && compareTimes(at, time) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The newest entries, in their order; a sequence number is an entry's place since the beginning. */
function createEntries(capacityBytes: number) {
  let entries: OplogEntry[] = [];
  let head = 0;
  const held = { firstSequence: 0, bytes: 0, truncated: false };
  const count = () => entries.length - head;
  const removeOldest = () => {
    const oldest = entries[head];
    if (oldest === undefined) return;
    held.bytes -= oldest.bytes;
    held.firstSequence += 1;
    held.truncated = true;
    head += 1;
    // Dropping the used-up front only now and then keeps removal O(1) on average.
    if (head > 4096 && head > entries.length / 2) {
      entries = entries.slice(head);
      head = 0;
    }
  };
  return {
    held,
    nextSequence: () => held.firstSequence + count(),
    at: (sequence: number) =>
      sequence < held.firstSequence ? undefined : entries[head + sequence - held.firstSequence],
    seek: (time: ClusterTime) => held.firstSequence + firstFrom(entries, head, time) - head,
    add(entry: OplogEntry): void {
      entries.push(entry);
      held.bytes += entry.bytes;
      while (held.bytes > capacityBytes && count() > 1) removeOldest();
    },
    cut(keep: number): void {
      held.truncated = true;
      while (count() > Math.max(1, keep)) removeOldest();
    },
  };
}

/** The bounded log of changes, in memory. `capacityBytes` counts the documents in it plus an estimate for the rest. */
export function createOplog(clock: Clock, term: () => number, capacityBytes: number): Oplog {
  const entries = createEntries(capacityBytes);
  const { nextSequence } = entries;
  const appended = createWaiting();
  const committed = createWaiting();
  let held = false;
  let last = clock.clusterTime;
  let lastWallTime = Date.now();
  let commitPoint = { time: last, wallTime: lastWallTime, nextSequence: 0 };

  const push = (made: NewEntry): OplogEntry => {
    const { time, term: ofTerm, wallTime, operations, transaction, origins } = made;
    const [sequence, size] = [nextSequence(), entryBytes(operations)];
    // Written out: what is put together by spreading takes twice the memory.
    const entry = { sequence, time, term: ofTerm, wallTime, operations, transaction, origins, bytes: size };
    entries.add(entry);
    last = entry.time;
    lastWallTime = entry.wallTime;
    if (!held) commit(entry);
    appended.wake();
    return entry;
  };

  const commit = ({ time, wallTime, sequence }: OplogEntry) => {
    commitPoint = { time, wallTime, nextSequence: sequence + 1 };
    committed.wake();
  };

  return {
    get last() {
      return last;
    },
    get lastWallTime() {
      return lastWallTime;
    },
    get first() {
      return entries.at(entries.held.firstSequence)?.time ?? last;
    },
    get truncated() {
      return entries.held.truncated;
    },
    get firstSequence() {
      return entries.held.firstSequence;
    },
    get nextSequence() {
      return nextSequence();
    },
    get bytes() {
      return entries.held.bytes;
    },
    get committed() {
      return commitPoint;
    },
    hold() {
      held = true;
    },
    commit,
    entry: entries.at,
    append(operations, { transaction, origins } = {}) {
      return push({ time: clock.tick(), term: term(), wallTime: Date.now(), operations, transaction, origins });
    },
    restore(entry) {
      clock.advance(entry.time);
      push(entry);
    },
    seek: entries.seek,
    cut: entries.cut,
    whenAppended: (sequence, callback) => appended.wait(sequence < nextSequence(), callback),
    whenCommitted: (sequence, callback) => committed.wait(sequence < commitPoint.nextSequence, callback),
  };
}
