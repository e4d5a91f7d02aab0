import { type ClusterTime, endOf, later, ORIGIN } from '../protocol/position.ts';
import { type Change, idText } from './change.ts';
import { ConfigurationError, type Connection, openConnection, splitsLargeEvents } from './connection.ts';
import { EPOCH_KEY, epochOf } from './epoch.ts';
import { recover, slowDown } from './failures.ts';
import {
  beginFresh,
  closeConnection,
  createFollowing,
  type Followed,
  type Following,
  type FollowOptions,
  NO_FAILURES,
} from './following.ts';
import { createMending } from './mending.ts';
import { type Batch, createProgress, type Progress, readChanges } from './reading.ts';
import { type Doubtful, rereadAll } from './reread.ts';
import {
  afterChange,
  afterTime,
  applyTo,
  type Boot,
  createBoot,
  type Fresh,
  type InsertedInto,
  startOfPlan,
} from './rewind.ts';
import type { Follower, Step } from './step.ts';
import type { Watch } from './stream.ts';
import type { FollowedTimeline } from './timeline.ts';

/** While the past is caught up with, an idle server is not waited for. */
const REWIND_AWAIT_MS = 20;
/** What a stopping service waits for a server to drop its cursor. */
const STOP_MS = 500;

const idsOf = (changes: readonly Change[]): string[] =>
  changes.flatMap((change) => (change.kind === 'reread' ? [idText(change.id)] : []));

/** A table that is read again is read whole. */
const NOTHING_INSERTED: InsertedInto = () => false;

/** One cursor, from its opening to its end. */
interface Session {
  readonly open: Connection;
  readonly progress: Progress;
  /** What it collects while the past is read; null when it is live. */
  boot: Boot | null;
}

/** Whether what positions mean has changed. The epoch's insert is its beginning, which its reader has seen. */
function concernsEpoch(watch: Watch, change: Change): boolean {
  if (change.kind === 'rename') return watch.isMeta(change.ns) || watch.isMeta(change.to);
  if (!watch.isMeta(change.ns) || change.kind === 'insert') return false;
  return !('key' in change) || change.key === EPOCH_KEY;
}

/** Changes of documents that are not kept, with what the database says of those now. */
async function rereadOf(
  open: Connection,
  watch: Watch,
  { state }: Pick<FollowedTimeline, 'state'>,
  changes: readonly Change[],
) {
  const doubtful = changes.filter((change): change is Doubtful => state.isDoubtful(change, 'live'));
  if (doubtful.length === 0) return null;
  const reread = await rereadAll(open.client, watch, doubtful);
  return {
    changes: new Map(reread.map((change) => [change.position, change])),
    readAhead: endOf(await open.majority()),
  };
}

/** Applies a batch to what is served. A fresh state where that cannot follow. */
async function applyBatch(
  options: FollowOptions,
  open: Connection,
  followed: Followed,
  batch: Batch,
): Promise<Fresh | null> {
  const { watch } = options;
  const { progress, timeline } = followed;
  const reread = await rereadOf(open, watch, timeline, batch.changes);
  followed.readAhead = later(followed.readAhead, later(batch.readAhead ?? ORIGIN, reread?.readAhead ?? ORIGIN));
  for (const change of batch.changes) {
    if (concernsEpoch(watch, change)) return { reason: 'restored', plan: afterChange(change) };
    if (watch.isMeta(change.ns)) options.metaChanged();
    const reason = applyTo(timeline, change, 'live', reread?.changes.get(change.position));
    progress.applied(change.position);
    if (reason !== null) return { reason, plan: afterChange(change) };
  }
  progress.replied(batch.mark);
  if (batch.ended) return { reason: 'drop_database', plan: afterTime(progress.delivered) };
  if (progress.delivered >= followed.readAhead) timeline.state.settle();
  return null;
}

/** Reads tables that lost too much, on whatever connection there is by then. */
const createTablesMending = (following: Following, timeline: FollowedTimeline) => {
  const { readBase, nowMs, timings } = following.options;
  return createMending(timeline, {
    async read(after, tables) {
      const open = following.connection;
      if (open === null) throw new ConfigurationError('MongoDB is away');
      const base = await open.atRest((client) => readBase(client, after, NOTHING_INSERTED, tables));
      return { base, readAhead: endOf(await open.majority()) };
    },
    nowMs,
    apartMs: timings.mendApartMs,
  });
};

/** Takes a batch of the past. Null while more is needed. */
async function bootOn(
  following: Following,
  boot: Boot,
  progress: Progress,
  batch: Batch,
): Promise<Followed | Fresh | null> {
  const restored = batch.changes.find((change) => concernsEpoch(following.options.watch, change));
  if (restored !== undefined) return { reason: 'restored', plan: afterChange(restored) };
  const built = await boot.take(batch);
  if (batch.ended) return { reason: 'drop_database', plan: afterTime(progress.delivered) };
  if (built === null) return null;
  if (built.fresh !== null) return built.fresh;
  const { timeline, readAhead } = built;
  return { timeline, progress, readAhead, mending: createTablesMending(following, timeline) };
}

/** Tables that lost too much are read again beside the stream. */
function* mend(followed: Followed): Generator<Step, void> {
  const mended = followed.mending.step(followed.progress.delivered);
  if (mended === null) return;
  followed.readAhead = later(followed.readAhead, mended.readAhead ?? ORIGIN);
  yield { kind: 'mended', tables: mended.tables, words: mended.words };
}

/** What a fresh state begins with: where, and what it collects. */
function beginBoot({ options, plan }: Following, open: Connection, epoch: string, majority: ClusterTime): Session {
  const { startAt, skip } = startOfPlan(plan, majority);
  const progress = createProgress(startAt, skip);
  const boot = createBoot({
    ...options,
    epoch,
    startAt,
    skip,
    majority,
    progress,
    readBase: (after, inserted) => open.atRest((client) => options.readBase(client, after, inserted, null)),
    majorityNow: () => open.majority(),
    reread: (changes) => rereadAll(open.client, options.watch, changes),
  });
  return { open, progress, boot };
}

/** The past has so long to be read; ends with the session. */
function limitBoot(following: Following, session: Session): NodeJS.Timeout {
  return setTimeout(() => {
    if (session.boot === null || session.boot.isCaughtUp) return;
    following.isLate = true;
    session.open.giveUp('the past could not be read in time');
  }, following.budgetMs);
}

/** What is said after a batch was taken and something is served. */
function* advance(following: Following, batch: Batch): Generator<Step, void> {
  const doubleZeros = following.followed?.timeline.state.takeDoubleZeros() ?? [];
  if (doubleZeros.length > 0) following.options.doubleZeros(doubleZeros);
  following.failures = NO_FAILURES;
  if (batch.readAhead !== null) yield { kind: 'oversized', ids: idsOf(batch.changes) };
  yield { kind: 'advanced' };
}

/** Takes the cursor's batches, those of the past and then those of now, until it ends or a fresh state is needed. */
async function* takeBatches(following: Following, session: Session, version: string): AsyncGenerator<Step, void> {
  const { options, signal } = following;
  const { open, progress } = session;
  const reading = readChanges(
    {
      connection: open,
      watch: options.watch,
      splits: following.splits ?? splitsLargeEvents(version),
      batchSize: options.batchSize,
      awaitMs: () => (session.boot === null ? options.awaitMs : REWIND_AWAIT_MS),
      rest: async () => {
        if (session.boot === null) await options.rest();
      },
      signal,
    },
    progress,
  );
  for await (const batch of reading) {
    if (session.boot !== null) {
      const begun = await bootOn(following, session.boot, progress, batch);
      if (begun === null) continue;
      if ('plan' in begun) return yield* beginFresh(following, begun, 'met while the past was read');
      following.followed = begun;
      session.boot = null;
      following.budgetMs = options.timings.rewindBudgetMs;
      yield { kind: 'serving', timeline: begun.timeline, progress };
    } else if (following.followed !== null) {
      const fresh = await applyBatch(options, open, following.followed, batch);
      if (fresh !== null) return yield* beginFresh(following, fresh, 'a change that no frame tells');
      yield* mend(following.followed);
    }
    yield* advance(following, batch);
  }
}

/** One cursor from its opening to its end, which is an error or the need of a fresh state. */
async function* follow(following: Following): AsyncGenerator<Step, void> {
  const { options, followed } = following;
  following.isLate = false;
  following.connection ??= openConnection(options);
  const open = following.connection;
  const version = await open.version();
  yield { kind: 'connected', version };
  // In this order: an epoch that changes after it was read lies above this time, so that the stream tells it.
  const majority = await open.majority();
  const epoch = await epochOf(open.primary.db(options.metaDatabase));
  if (followed !== null && followed.timeline.epoch !== epoch) {
    const fresh: Fresh = { reason: 'restored', plan: { kind: 'window', seconds: 0 } };
    return yield* beginFresh(following, fresh, 'another epoch');
  }
  if (followed === null) {
    yield { kind: 'phase', phase: 'rewinding', reason: 'reading the recent past and the current numbers' };
    await open.atRest(options.adopt);
  }
  const session =
    followed === null ? beginBoot(following, open, epoch, majority) : { open, progress: followed.progress, boot: null };
  const budget = limitBoot(following, session);
  try {
    if (followed !== null) yield { kind: 'phase', phase: 'live', reason: null };
    yield* takeBatches(following, session, version);
  } finally {
    clearTimeout(budget);
  }
}

async function* stepsOf(following: Following): AsyncGenerator<Step, void> {
  const { signal } = following;
  yield { kind: 'phase', phase: 'connecting', reason: 'connecting to MongoDB' };
  while (!signal.aborted) {
    try {
      yield* follow(following);
      if (!signal.aborted) await slowDown(following);
    } catch (error) {
      if (!signal.aborted) yield* recover(following, error);
    }
  }
  await closeConnection(following);
  yield { kind: 'phase', phase: 'stopped', reason: null };
}

/**
 * Keeps one change stream alive for ever: opens it, reads the past and the database at rest, follows it, classifies what
 * goes wrong, and opens it again. One loop, whose steps the owner takes with `for await`.
 */
export function createFollower(options: FollowOptions): Follower {
  const stopped = new AbortController();
  const following = createFollowing(options, stopped.signal);
  return {
    steps: () => stepsOf(following),
    kick: (reason) => following.connection?.giveUp(reason),
    stop() {
      stopped.abort();
      setTimeout(() => following.connection?.giveUp('the service stops'), STOP_MS).unref();
    },
  };
}
