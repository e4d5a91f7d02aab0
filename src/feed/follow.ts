import { setTimeout as sleep } from 'node:timers/promises';
import type { MongoClient, ReadPreferenceMode } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import { type ClusterTime, endOf, later, ORIGIN, type Position } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import { type Change, type ChangeOf, idText } from './change.ts';
import { ConfigurationError, type Connection, openConnection, type SetTimes, splitsLargeEvents } from './connection.ts';
import { EPOCH_KEY, epochOf } from './epoch.ts';
import { createMending, type Mending } from './mending.ts';
import { backoffMs, classify, isUnknownStage } from './policy.ts';
import { createProgress, type Progress } from './progress.ts';
import { type Batch, readChanges } from './reading.ts';
import { type Doubtful, rereadAll } from './reread.ts';
import {
  afterChange,
  afterTime,
  type Boot,
  createBoot,
  type Fresh,
  type InsertedInto,
  type Plan,
  type ReadBase,
  startOfPlan,
} from './rewind.ts';
import type { Follower, Step } from './step.ts';
import type { FollowedTimeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';
import type { Watch } from './watch.ts';

export interface FollowOptions {
  readonly uri: string;
  readonly readPreference: ReadPreferenceMode;
  /** The database of `_rt_meta`. */
  readonly metaDatabase: string;
  readonly watch: Watch;
  readonly windowSeconds: number;
  readonly ringBytes: number;
  readonly awaitMs: number;
  readonly batchSize: number;
  readonly timings: FeedTimings;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** What the set says of its times; null when it could not be asked. */
  times(times: SetTimes | null, askedMs: number): void;
  /** A document of `_rt_meta` changed, the epoch apart. */
  metaChanged(): void;
  /** These tables have a double zero, by a number of theirs alone. */
  doubleZeros(tables: readonly TableId[]): void;
  createTimeline(epoch: string, floor: Position): FollowedTimeline;
  /** Learns which collections the tables' own documents name, before a stream that covers them is opened. */
  adopt(client: MongoClient): Promise<void>;
  readonly readBase: ReadBase;
}

/** The same error at the same place more often than this needs a fresh state, not another try. */
const MAX_SAME_ERROR = 5;
const MAX_SAME_TOKEN = 3;
/** And so many errors of any kind there. */
const MAX_SAME_PLACE = 20;
/** While the past is caught up with, an idle server is not waited for. */
const REWIND_AWAIT_MS = 20;
/** What a stopping service waits for a server to drop its cursor. */
const STOP_MS = 500;
/** Fresh states that follow each other go on at once so often, and then like failures. */
const MAX_FRESH_AT_ONCE = 3;

const idsOf = (changes: readonly Change[]): string[] =>
  changes.flatMap((change) => (change.kind === 'reread' ? [idText(change.id)] : []));

/** A table that is read again is read whole. */
const NOTHING_INSERTED: InsertedInto = () => false;

/** A timeline with how far it was read. */
interface Followed {
  readonly timeline: FollowedTimeline;
  readonly progress: Progress;
  readonly mending: Mending;
  /** Documents were read at rest up to here, ahead of the stream. */
  readAhead: Position;
}

/** A change whose application threw: a defect, which must not stop what comes after it. */
class ChangeError extends Error {
  override readonly name = 'ChangeError';
  readonly change: Change;

  constructor(change: Change, cause: unknown) {
    super(`a change could not be applied: ${String(cause)}`, { cause });
    this.change = change;
  }
}

/**
 * Keeps one change stream alive for ever: opens it, reads the past and the database at rest, follows it, classifies what
 * goes wrong, and opens it again. One loop, whose steps the owner takes with `for await`.
 */
export function createFollower(options: FollowOptions): Follower {
  const { timings, nowMs, watch } = options;
  const stopped = new AbortController();
  const { signal } = stopped;
  let connection: Connection | null = null;
  let followed: Followed | null = null;
  /** Whether the server takes the stage that splits large events; null while that was not tried. */
  let splits: boolean | null = null;
  let plan: Plan = { kind: 'window', seconds: options.windowSeconds };
  let budgetMs = timings.rewindBudgetMs;
  let isLate = false;
  let attempt = 0;
  let freshes = 0;
  let freshMs = Number.NEGATIVE_INFINITY;
  /** Where it failed last, and how often by the error's name. */
  let failures = { at: '', times: new Map<string, number>() };

  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);

  const pauseAfterFailure = (): Promise<void> =>
    pause(backoffMs(attempt++, options.random(), timings.backoffBaseMs, timings.backoffCapMs));

  const closeConnection = async (): Promise<void> => {
    const old = connection;
    connection = null;
    await old?.close().catch(() => undefined);
  };

  const withConnection = async <T>(use: (open: Connection) => Promise<T>): Promise<T> => {
    if (connection === null) throw new ConfigurationError('MongoDB is away');
    return await use(connection);
  };

  /** Something was read: whatever failed before is over. */
  const succeeded = (): void => {
    attempt = 0;
    failures = { at: '', times: new Map() };
  };

  function* beginFresh({ reason, plan: next }: Fresh, words: string): Generator<Step> {
    followed = null;
    plan = next;
    yield { kind: 'fresh', reason, words };
  }

  /** Whether what positions mean has changed. The epoch's insert is its beginning, which its reader has seen. */
  const concernsEpoch = (change: Change): boolean => {
    if (change.kind === 'rename') return watch.isMeta(change.ns) || watch.isMeta(change.to);
    if (!watch.isMeta(change.ns) || change.kind === 'insert') return false;
    return !('key' in change) || change.key === EPOCH_KEY;
  };

  /** Changes of documents that are not held, with what the database says of those now. */
  const rereadOf = async (open: Connection, { timeline }: Followed, changes: readonly Change[]) => {
    const doubtful = changes.filter((change): change is Doubtful => timeline.state.isDoubtful(change, 'live'));
    if (doubtful.length === 0) return null;
    const reread = await rereadAll(open.client, watch, doubtful);
    return {
      changes: new Map(reread.map((change) => [change.position, change])),
      readAhead: endOf(await open.majority()),
    };
  };

  const applyTo = (
    { timeline }: Followed,
    change: Change,
    reread: ChangeOf<'reread'> | undefined,
  ): ResetReason | null => {
    try {
      return timeline.apply(change, 'live', reread);
    } catch (cause) {
      throw new ChangeError(change, cause);
    }
  };

  /** Applies a batch to what is served. A fresh state where that cannot follow. */
  const applyBatch = async (open: Connection, now: Followed, batch: Batch): Promise<Fresh | null> => {
    const { progress } = now;
    const reread = await rereadOf(open, now, batch.changes);
    now.readAhead = later(now.readAhead, later(batch.readAhead ?? ORIGIN, reread?.readAhead ?? ORIGIN));
    for (const change of batch.changes) {
      if (concernsEpoch(change)) return { reason: 'restored', plan: afterChange(change) };
      if (watch.isMeta(change.ns)) options.metaChanged();
      const reason = applyTo(now, change, reread?.changes.get(change.position));
      progress.applied(change.position);
      if (reason !== null) return { reason, plan: afterChange(change) };
    }
    progress.replied(batch.mark);
    if (batch.ended) return { reason: 'drop_database', plan: afterTime(progress.delivered) };
    if (progress.delivered >= now.readAhead) now.timeline.state.settle();
    return null;
  };

  /** Takes a batch of the past. Null while more is needed. */
  const bootOn = async (boot: Boot, progress: Progress, batch: Batch): Promise<Followed | Fresh | null> => {
    const restored = batch.changes.find(concernsEpoch);
    if (restored !== undefined) return { reason: 'restored', plan: afterChange(restored) };
    const built = await boot.take(batch);
    if (batch.ended) return { reason: 'drop_database', plan: afterTime(progress.delivered) };
    if (built === null) return null;
    if (built.fresh !== null) return built.fresh;
    const { timeline, readAhead } = built;
    const mending = createMending(timeline, {
      read: (after, tables) =>
        withConnection(async (open) => {
          const base = await options.readBase(open.atRest, after, NOTHING_INSERTED, tables);
          return { base, readAhead: endOf(await open.majority()) };
        }),
      nowMs,
      apartMs: timings.mendApartMs,
    });
    return { timeline, progress, readAhead, mending };
  };

  /** Tables that lost too much are read again beside the stream. */
  function* mend(now: Followed): Generator<Step, void> {
    const mended = now.mending.step(now.progress.delivered);
    if (mended === null) return;
    now.readAhead = later(now.readAhead, mended.readAhead ?? ORIGIN);
    yield { kind: 'mended', tables: mended.tables, words: mended.words };
  }

  /** What a fresh state begins with: where, and what it collects. */
  const beginBoot = (open: Connection, epoch: string, majority: ClusterTime): { boot: Boot; progress: Progress } => {
    const { startAt, skip } = startOfPlan(plan, majority);
    const progress = createProgress(startAt, skip);
    const boot = createBoot({
      ...options,
      epoch,
      startAt,
      skip,
      majority,
      progress,
      readBase: (after, inserted) => options.readBase(open.atRest, after, inserted, null),
      majorityNow: () => open.majority(),
      reread: (changes) => rereadAll(open.client, watch, changes),
    });
    return { boot, progress };
  };

  /** One cursor from its opening to its end, which is an error or the need of a fresh state. */
  async function* session(): AsyncGenerator<Step, void> {
    isLate = false;
    connection ??= openConnection(options);
    const open = connection;
    const version = await open.version();
    yield { kind: 'connected', version };
    // In this order: an epoch that changes after it was read lies above this time, so that the stream tells it.
    const majority = await open.majority();
    const epoch = await epochOf(open.primary.db(options.metaDatabase));
    if (followed !== null && followed.timeline.epoch !== epoch) {
      return yield* beginFresh({ reason: 'restored', plan: { kind: 'window', seconds: 0 } }, 'another epoch');
    }
    if (followed === null)
      yield { kind: 'phase', phase: 'rewinding', reason: 'reading the recent past and the current numbers' };
    if (followed === null) await options.adopt(open.atRest);
    let boot: Boot | null = null;
    let progress: Progress;
    if (followed === null) ({ boot, progress } = beginBoot(open, epoch, majority));
    else ({ progress } = followed);
    const budget = setTimeout(() => {
      if (boot === null || boot.isCaughtUp) return;
      isLate = true;
      open.giveUp('the past could not be read in time');
    }, budgetMs);
    const reading = readChanges(
      {
        connection: open,
        watch,
        splits: splits ?? splitsLargeEvents(version),
        batchSize: options.batchSize,
        awaitMs: () => (boot === null ? options.awaitMs : REWIND_AWAIT_MS),
        signal,
      },
      progress,
    );
    try {
      if (followed !== null) yield { kind: 'phase', phase: 'live', reason: null };
      for await (const batch of reading) {
        if (boot !== null) {
          const begun = await bootOn(boot, progress, batch);
          if (begun === null) continue;
          if ('plan' in begun) return yield* beginFresh(begun, 'met while the past was read');
          followed = begun;
          boot = null;
          budgetMs = timings.rewindBudgetMs;
          yield { kind: 'serving', timeline: begun.timeline, progress };
        } else if (followed !== null) {
          const fresh = await applyBatch(open, followed, batch);
          if (fresh !== null) return yield* beginFresh(fresh, 'a change that no frame tells');
          yield* mend(followed);
        }
        const doubleZeros = followed?.timeline.state.takeDoubleZeros() ?? [];
        if (doubleZeros.length > 0) options.doubleZeros(doubleZeros);
        succeeded();
        if (batch.readAhead !== null) yield { kind: 'oversized', ids: idsOf(batch.changes) };
        yield { kind: 'advanced' };
      }
    } finally {
      clearTimeout(budget);
    }
  }

  /** The window of the next rewind after lost history: halved, and again, down to now. */
  const narrower = (divisor: number): Plan =>
    plan.kind === 'window'
      ? { kind: 'window', seconds: Math.floor(plan.seconds / divisor) }
      : { kind: 'window', seconds: 0 };

  /** Counts a failure at one place; true when it came there too often. */
  const isStuck = (name: string, limit: number): boolean => {
    const at = followed?.progress.delivered ?? 'boot';
    if (failures.at !== at) failures = { at, times: new Map() };
    const { times } = failures;
    times.set(name, (times.get(name) ?? 0) + 1);
    const all = [...times.values()].reduce((sum, count) => sum + count, 0);
    if ((times.get(name) ?? 0) <= limit && all <= MAX_SAME_PLACE) return false;
    succeeded();
    return true;
  };

  /** The past takes longer than it may: a quarter of it with half the time, then none of it. */
  function* recoverLate(): Generator<Step> {
    const isFirst = budgetMs === timings.rewindBudgetMs && plan.kind === 'window';
    const next: Plan = isFirst ? narrower(4) : { kind: 'window', seconds: 0 };
    budgetMs = isFirst ? budgetMs / 2 : budgetMs;
    const reach = next.kind === 'window' ? next.seconds : 0;
    yield* beginFresh({ reason: 'history_lost', plan: next }, `reading the past takes too long: ${reach} s of it now`);
  }

  /** Decides what to do about an error; ends when the loop may go on. */
  async function* recover(error: unknown): AsyncGenerator<Step, void> {
    const givenUp = connection?.givenUp ?? null;
    if (isLate) {
      await closeConnection();
      return yield* recoverLate();
    }
    const found = classify(error);
    yield { kind: 'reopened', name: givenUp === null ? found.name : 'watchdog', words: givenUp ?? found.words };
    yield { kind: 'phase', phase: followed === null ? 'connecting' : 'degraded', reason: givenUp ?? found.words };
    // Another server may be there when the network is back; and a client whose first connect failed stays closed.
    if (found.code === null || givenUp !== null) await closeConnection();
    if (splits !== false && isUnknownStage(found)) {
      splits = false;
      return;
    }
    if (found.class === 'configuration') {
      await closeConnection();
      return await pause(timings.configurationRetryMs * (1 + 2 * options.random()));
    }
    if (found.class === 'history_gone') {
      const isLadder = followed === null && plan.kind === 'window' && plan.seconds > 0;
      const next = followed === null ? narrower(2) : ({ kind: 'window', seconds: 0 } as const);
      yield* beginFresh({ reason: 'history_lost', plan: next }, found.words);
      // The server is well: it only says that its log does not reach back so far. The ladder ends at "now".
      if (isLadder) return;
    } else if (
      found.class !== 'away' &&
      isStuck(found.name, found.class === 'token' ? MAX_SAME_TOKEN : MAX_SAME_ERROR)
    ) {
      // Only a fresh state gets past an error that stands at one place, and only one that begins above it.
      const past: Plan = error instanceof ChangeError ? afterChange(error.change) : { kind: 'window', seconds: 0 };
      yield* beginFresh({ reason: 'history_lost', plan: past }, `failed too often at one place: ${found.words}`);
    }
    await pauseAfterFailure();
  }

  /** One fresh state after the other is slowed down like a failure. */
  const slowDown = async (): Promise<void> => {
    const now = nowMs();
    freshes = now - freshMs < timings.freshApartMs ? freshes + 1 : 0;
    freshMs = now;
    if (freshes <= MAX_FRESH_AT_ONCE) return;
    await pause(backoffMs(freshes - MAX_FRESH_AT_ONCE, 0.5, timings.backoffBaseMs, timings.backoffCapMs));
  };

  async function* steps(): AsyncGenerator<Step, void> {
    yield { kind: 'phase', phase: 'connecting', reason: 'connecting to MongoDB' };
    while (!signal.aborted) {
      try {
        yield* session();
        if (!signal.aborted) await slowDown();
      } catch (error) {
        if (!signal.aborted) yield* recover(error);
      }
    }
    await closeConnection();
    yield { kind: 'phase', phase: 'stopped', reason: null };
  }

  return {
    steps,
    kick: (reason) => connection?.giveUp(reason),
    stop() {
      stopped.abort();
      setTimeout(() => connection?.giveUp('the service stops'), STOP_MS).unref();
    },
  };
}
