import type { MongoClient } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import {
  type ClusterTime,
  compareTimes,
  endOf,
  later,
  ORIGIN,
  type Position,
  startOf,
  timeOf,
} from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base } from '../store/base.ts';
import type { Change, ChangeOf, Namespace } from './change.ts';
import { touchedFields, WHOLE } from './document.ts';
import type { When } from './outcome.ts';
import type { Batch, Progress } from './reading.ts';
import type { Doubtful } from './reread.ts';
import type { State } from './state.ts';
import { secondsBefore, type Watch } from './stream.ts';
import type { FollowedTimeline } from './timeline.ts';
import { createPace, type Pace } from './timings.ts';

/** Where a fresh state begins. */
export type Plan =
  /** This many seconds before the majority time; 0 is "now". */
  | { readonly kind: 'window'; readonly seconds: number }
  /** At a change that the former state could not follow; that change itself is passed over. */
  | { readonly kind: 'after'; readonly time: ClusterTime; readonly skip: Position };

/** A fresh state is needed, and from where. */
export interface Fresh {
  readonly reason: ResetReason;
  readonly plan: Plan;
}

/** The plan that goes on after a change which could not be followed. */
export const afterChange = ({ time, position }: Pick<Change, 'time' | 'position'>): Plan => ({
  kind: 'after',
  time,
  skip: position,
});

/** The plan that goes on after everything of the clusterTime of a position. */
export function afterTime(position: Position): Plan {
  const time = timeOf(position);
  return { kind: 'after', time: { t: time.t, i: time.i + 1 }, skip: endOf(time) };
}

/** Where a plan opens the stream, and what it skips there. */
export function startOfPlan(
  plan: Plan,
  majority: ClusterTime,
): { readonly startAt: ClusterTime; readonly skip: Position } {
  const wanted =
    plan.kind === 'after' ? plan.time : plan.seconds === 0 ? majority : secondsBefore(majority, plan.seconds);
  // Never above the majority time (a restored clock may have gone back), but for the tick after an invalidate.
  const highest = { t: majority.t, i: majority.i + 1 };
  if (compareTimes(wanted, highest) > 0) return { startAt: majority, skip: ORIGIN };
  return { startAt: wanted, skip: plan.kind === 'after' ? plan.skip : ORIGIN };
}

/**
 * Brings a state to where it stood before the first buffered change: the base, less what the rewind inserts, with the
 * fields that the rewind updates marked as unknown until then. The changes of documents that it does not know are
 * handed back: what they are of must be read.
 * INVARIANT reread: an update of a document that is not kept is read again by its `_id`, so that it raises the floor of
 * its own table and no other.
 */
export async function rollBack(state: State, base: Base, changes: readonly Change[], pace: Pace): Promise<Doubtful[]> {
  /** Per collection: where among the changes a key is first inserted. */
  const inserts = new Map<Namespace, Map<string, number>>();
  for (const [at, change] of changes.entries()) {
    if (!('key' in change) || !isInsert(change)) continue;
    const own = inserts.get(change.ns) ?? new Map<string, number>();
    if (own.size === 0) inserts.set(change.ns, own);
    if (!own.has(change.key)) own.set(change.key, at);
    if (pace.isDue) await pace.rest();
  }
  const bornAt = (ns: Namespace, key: string): number => inserts.get(ns)?.get(key) ?? Number.POSITIVE_INFINITY;
  // Never taken in and out again: a table keeps so many at most, and would let go of those that were there before.
  for (const document of base.documents) {
    if (bornAt(document.ns, document.key) === Number.POSITIVE_INFINITY) state.load(document);
    if (pace.isDue) await pace.rest();
  }
  for (const number of base.numbers) {
    if (bornAt(number.ns, number.key) === Number.POSITIVE_INFINITY) state.loadNumber(number);
    if (pace.isDue) await pace.rest();
  }
  for (const { ns, table } of base.incomplete) state.markIncomplete(ns, table);
  for (const { ns, table } of base.unfinished) state.markUnfinished(ns, table);
  const doubtful: Doubtful[] = [];
  for (const [at, change] of changes.entries()) {
    if (!('key' in change) || isInsert(change)) continue;
    if (bornAt(change.ns, change.key) < at) {
      // By then the table may have let it go.
      if (change.kind === 'update' && state.isDoubtful(change, 'live')) doubtful.push(change);
    } else if (change.kind === 'update') {
      state.markUnknown(change.ns, change.key, touchedFields(change.update));
      if (state.isDoubtful(change, 'rewind')) doubtful.push(change);
    } else if (change.kind !== 'delete') state.markUnknown(change.ns, change.key, [WHOLE]);
    if (pace.isDue) await pace.rest();
  }
  return doubtful;
}

const isInsert = (change: Change): boolean => change.kind === 'insert' || (change.kind === 'reread' && change.inserted);

/** A change whose application threw: a defect, which must not stop what comes after it. */
export class ChangeError extends Error {
  override readonly name = 'ChangeError';
  readonly change: Change;

  constructor(change: Change, cause: unknown) {
    super(`a change could not be applied: ${String(cause)}`, { cause });
    this.change = change;
  }
}

/** Applies a change to a timeline. Throws ChangeError. */
export function applyTo(
  timeline: FollowedTimeline,
  change: Change,
  when: When,
  reread?: ChangeOf<'reread'>,
): ResetReason | null {
  try {
    return timeline.apply(change, when, reread);
  } catch (cause) {
    throw new ChangeError(change, cause);
  }
}

/**
 * Plays the buffered changes over the rolled-back base into the timeline's ring, publishing nothing. Null when the
 * timeline is then at the last of them; else from where it must be built anew: after the last change that asks for
 * it, since what came before is not needed then. Of those in `reread`, the document was read later.
 */
export async function playBack(
  timeline: FollowedTimeline,
  changes: readonly Change[],
  reread: ReadonlyMap<Position, ChangeOf<'reread'>>,
  pace: Pace,
): Promise<Fresh | null> {
  let fresh: Fresh | null = null;
  for (const change of changes) {
    const reason = applyTo(timeline, change, 'rewind', reread.get(change.position));
    if (reason !== null) fresh = { reason, plan: afterChange(change) };
    if (pace.isDue) await pace.rest();
  }
  return fresh;
}

/** What the rewind inserts, so that it need not be read again: by collection, and `keyOf` its `_id`. */
export type InsertedInto = (ns: Namespace, key: string) => boolean;

/** The read at rest, at or after `after`, without what was `inserted` since; of these tables, or of all (null). */
export type ReadBase = (
  client: MongoClient,
  after: ClusterTime,
  inserted: InsertedInto,
  tables: ReadonlySet<TableId> | null,
) => Promise<Base>;

/** Sorts what the buffered changes insert by collection. */
async function insertedBy(changes: readonly Change[], pace: Pace): Promise<InsertedInto> {
  const found = new Map<Namespace, Set<string>>();
  for (const change of changes) {
    if (change.kind !== 'insert') continue;
    const keys = found.get(change.ns) ?? new Set<string>();
    found.set(change.ns, keys.add(change.key));
    if (pace.isDue) await pace.rest();
  }
  return (ns, key) => found.get(ns)?.has(key) ?? false;
}

/** The past as it was buffered, no more of it than the ring could keep. */
interface Buffer {
  /** Everything at or below was let go or never read. */
  readonly floor: Position;
  readonly changes: readonly Change[];
  push(batch: Batch): void;
  /** Lets go of nothing any more: what is at rest is read without what is buffered. */
  freeze(): void;
}

/** What a buffered change costs beside its bytes; the ring's own figure. */
const ENTRY_BYTES = 250;

function createBuffer(start: Position, maxBytes: number): Buffer {
  const batches: Batch[] = [];
  let floor = start;
  let bytes = 0;
  let frozen = false;
  const sizeOf = (batch: Batch): number => batch.bytes + batch.changes.length * ENTRY_BYTES;
  return {
    get floor() {
      return floor;
    },
    get changes() {
      return batches.flatMap(({ changes }) => changes);
    },
    push(batch) {
      if (batch.changes.length === 0) return;
      batches.push(batch);
      bytes += sizeOf(batch);
      while (!frozen && bytes > maxBytes) {
        const oldest = batches.shift();
        if (oldest === undefined) break;
        bytes -= sizeOf(oldest);
        floor = oldest.changes.at(-1)?.position ?? floor;
      }
    },
    freeze() {
      frozen = true;
    },
  };
}

interface BootOptions {
  readonly epoch: string;
  readonly startAt: ClusterTime;
  readonly skip: Position;
  readonly majority: ClusterTime;
  readonly ringBytes: number;
  readonly progress: Progress;
  readonly watch: Watch;
  readonly nowMs: () => number;
  createTimeline(epoch: string, floor: Position): FollowedTimeline;
  /** The database at rest, at or after `after`. */
  readBase(after: ClusterTime, inserted: InsertedInto): Promise<Base>;
  /** The majority time now. */
  majorityNow(): Promise<ClusterTime>;
  reread(changes: readonly Doubtful[]): Promise<ChangeOf<'reread'>[]>;
}

/** A fresh state in the making. */
export interface Boot {
  /** Whether the past was read; then only the database at rest is waited for. */
  readonly isCaughtUp: boolean;
  /** Takes a batch. Null while more is needed. Rejects with the errors of reading at rest. */
  take(batch: Batch): Promise<Built | null>;
}

export interface Built {
  readonly timeline: FollowedTimeline;
  /** Documents were read at rest up to here. */
  readonly readAhead: Position;
  /** When the state cannot be followed from its start on: from where it can. */
  readonly fresh: Fresh | null;
}

/**
 * Builds a fresh state: buffers the past, reads the database at rest while the stream goes on, waits for the stream to
 * come by what was read, and plays the buffer over it.
 */
export function createBoot(options: BootOptions): Boot {
  const { progress } = options;
  const buffer = createBuffer(later(startOf(options.startAt), options.skip), options.ringBytes);
  let reading: Promise<void> | null = null;
  let base: Base | null = null;
  let failed: { readonly error: unknown } | null = null;
  /** All that was read at rest is at or below. */
  let read: ClusterTime | null = null;
  let readAhead: Position = ORIGIN;

  const startReading = (): void => {
    buffer.freeze();
    const { changes } = buffer;
    const reached = timeOf(progress.delivered);
    const after = compareTimes(reached, options.startAt) > 0 ? reached : options.startAt;
    reading = insertedBy(changes, createPace(options.nowMs))
      .then((inserted) => options.readBase(after, inserted))
      .then(
        (found) => {
          base = found;
        },
        (error: unknown) => {
          failed = { error };
        },
      );
  };

  const build = async (found: Base): Promise<Built> => {
    const pace = createPace(options.nowMs);
    const { changes } = buffer;
    const timeline = options.createTimeline(options.epoch, buffer.floor);
    const doubtful = await rollBack(timeline.state, found, changes, pace);
    const reread = doubtful.length === 0 ? [] : await options.reread(doubtful);
    if (doubtful.length > 0) readAhead = endOf(await options.majorityNow());
    const byPosition = new Map(reread.map((change) => [change.position, change]));
    const fresh = await playBack(timeline, changes, byPosition, pace);
    if (progress.delivered >= readAhead) timeline.state.settle();
    return { timeline, readAhead, fresh };
  };

  return {
    get isCaughtUp() {
      return reading !== null;
    },
    async take(batch) {
      buffer.push(batch);
      for (const change of batch.changes) progress.applied(change.position);
      progress.replied(batch.mark);
      if (batch.readAhead !== null) readAhead = later(readAhead, batch.readAhead);
      if (reading === null && progress.delivered >= startOf(options.majority)) startReading();
      if (failed !== null) throw failed.error;
      if (base === null) return null;
      read ??= await options.majorityNow();
      const { delivered } = progress;
      const isPast = delivered >= endOf(read) || compareTimes(timeOf(delivered), read) > 0;
      return isPast && delivered >= readAhead ? await build(base) : null;
    },
  };
}
