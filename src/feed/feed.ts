import type { MongoClient, ReadPreferenceMode } from 'mongodb';
import type { Log } from '../log/log.ts';
import {
  type Delivery,
  type DeliveryObserver,
  EVERYONE,
  type FeedStatus,
  frameOf,
  type LogPortion,
  type Publish,
} from '../protocol/delivery.ts';
import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { ORIGIN, type Position } from '../protocol/position.ts';
import type { Directory } from '../roulette/directory.ts';
import { createSources, type Sources } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { collectionsNamed } from '../store/places.ts';
import { createGauge, createHealth, createStall } from './condition.ts';
import { createFollower } from './follow.ts';
import type { FollowOptions } from './following.ts';
import { readLog } from './log.ts';
import { createOutlet, type Outlet } from './outlet.ts';
import type { Progress } from './reading.ts';
import { createReplica, type ReplicaOptions } from './replica.ts';
import type { ReadBase } from './rewind.ts';
import { createState } from './state.ts';
import type { Follower, Phase, Step } from './step.ts';
import type { Served } from './subscriber.ts';
import { createSubscribers } from './subscribers.ts';
import { createSyncPace } from './sync.ts';
import { createTally, type Tally } from './tally.ts';
import {
  createServedTimeline,
  createTimeline,
  type FollowedTimeline,
  type Timeline,
  type TimelineOptions,
} from './timeline.ts';
import { FEED_TIMINGS, type FeedTimings } from './timings.ts';
import { createWatch } from './watch.ts';

export interface FeedOptions {
  readonly uri: string;
  /** Which member of the replica set is read from; the primary by default. */
  readonly readPreference?: ReadPreferenceMode;
  /** The database of strategies and `_rt_meta`. */
  readonly database: string;
  /** The database of the per-table collections; the same as `database` in most places. */
  readonly tablesDatabase: string;
  readonly recoveryWindowSeconds: number;
  readonly ringBytes: number;
  readonly liveMaxAgeMs: number;
  readonly minSpinIntervalMs: number;
  /** Which collections and fields are read; the store is handed the same. */
  readonly sources?: Sources;
  /** How long a `getMore` waits for changes; does not delay them. */
  readonly awaitMs: number;
  /** Changes asked for at once; 1,000 by default. */
  readonly batchSize?: number;
  /** Where they differ from the defaults. */
  readonly timings?: Partial<FeedTimings>;
}

/** Whom every feed tells what it does. */
export interface FeedHearers {
  readonly publish: Publish;
  readonly log: Log;
  /** Told what is published and to whom, for metrics. */
  readonly observer?: DeliveryObserver;
  /** A document of `_rt_meta` changed, the epoch apart, or it is not known what changed: a fresh state is served. */
  metaChanged?(): void;
}

export interface FeedParts extends FeedHearers {
  readonly readBase: ReadBase;
  /** These tables have a double zero, by a number of theirs alone: that is to be noted, before it is forgotten. */
  doubleZeros?(tables: readonly TableId[]): void;
}

/** A feed that follows another one instead of a database. */
export interface ReplicaFeedOptions extends Pick<FeedOptions, 'recoveryWindowSeconds' | 'ringBytes' | 'timings'> {
  readonly connect: ReplicaOptions['connect'];
}

/** What readers over HTTP see of the state; from memory, also while MongoDB is away. */
export interface FeedTables {
  readonly directory: Pick<Directory, 'resolve'>;
  tables(): readonly TableId[];
  nameOf(table: TableId): string;
  numbers(table: TableId, count: number): NumberItem[];
  strategyItem(table: TableId): StrategyItem | null;
  isDoubleZero(table: TableId): boolean;
}

export interface Feed extends Delivery {
  status(): FeedStatus;
  /** What is remembered of some tables, or of all, after a position; null while nothing is served. See `readLog`. */
  readLog(tables: ReadonlySet<TableId> | null, after: Position | null): LogPortion | null;
  /** The state last served; null before the feed was first ready. */
  tables(): FeedTables | null;
  /** Gives a replica all that is served, and everything that happens from then on. */
  readonly replicate: Outlet['open'];
  /** Resolves when the feed is ready for the first time. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** What is served, and how far it was read. */
interface Serving {
  readonly timeline: Timeline;
  readonly progress: Pick<Progress, 'delivered'>;
}

/** What a follower is built with: where it counts, and whom it tells what. */
interface Inside extends Pick<ReplicaOptions, 'times' | 'metaChanged' | 'isHeard'> {
  readonly timings: FeedTimings;
  readonly tally: Tally;
  readonly outlet: Outlet;
  readonly observer: DeliveryObserver;
  readonly learnt: TimelineOptions['learnt'];
}

const UNOBSERVED: DeliveryObserver = {
  publishing: () => undefined,
  subscribed: () => undefined,
  snapshot: () => undefined,
};
const BATCH_SIZE = 1_000;
const MAJORITY_STALLED = 'majority stalled: the replica set takes writes but cannot commit them';

const nowMs = (): number => performance.now();

/** Starts following the database; retries for ever, so that a database that is away at start is no error. */
export const startFeed = (options: FeedOptions, parts: FeedParts): Feed =>
  serve(options.timings, parts, (inside) => createFollower(followed(options, parts, inside)));

/** The same for another feed in place of the database. */
export const startReplica = (options: ReplicaFeedOptions, parts: FeedHearers): Feed =>
  serve(options.timings, parts, (inside) => createReplica(replicated(options, parts, inside)));

/** Serves what a follower brings. */
function serve(changes: FeedOptions['timings'], parts: FeedHearers, follow: (inside: Inside) => Follower): Feed {
  const { publish, log, observer = UNOBSERVED, metaChanged = () => undefined } = parts;
  const timings: FeedTimings = { ...FEED_TIMINGS, ...changes };
  const gauge = createGauge();
  const health = createHealth(gauge, nowMs, timings);
  const isStalled = createStall(nowMs, timings.stallMs);
  const tally = createTally(log, nowMs);
  let serving: Serving | null = null;
  let shown: Timeline | null = null;
  let server: string | null = null;
  let announceReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    announceReady = resolve;
  });
  const delivered = (): Position | null => serving?.progress.delivered ?? null;

  const served = (): Served | null =>
    serving === null
      ? null
      : {
          timeline: serving.timeline,
          delivered: serving.progress.delivered,
          stale: health.stale,
          status: health.told,
          majority: gauge.majority,
        };

  const pace = createSyncPace(nowMs, timings.syncMs);
  const subscribers = createSubscribers(publish, served, nowMs, timings, observer);
  const outlet = createOutlet({ served, nowMs, timings });

  const follower = follow({
    timings,
    tally,
    outlet,
    observer,
    learnt: subscribers.learnt,
    isHeard: () => subscribers.connections > 0 || outlet.isHeard,
    times(times, askedMs) {
      gauge.asked(times, askedMs);
      outlet.asked(times, askedMs);
      subscribers.advance();
    },
    metaChanged() {
      outlet.metaChanged();
      metaChanged();
    },
  });

  /** Subscribers hear when what they see stops being the truth, and when it is again. */
  const tell = (): void => {
    const news = health.look(delivered());
    if (news === null) return;
    publish(EVERYONE, news.frame);
    log.info('feed_condition', { condition: news.condition });
  };

  const enter = (phase: Phase, reason: string | null): void => {
    if (!health.enter(phase, reason)) return;
    log.info('feed_phase', { phase, reason });
    if (phase === 'live') tell();
  };

  /** Debts that are due are paid at wherever D is. */
  const settle = (): void => serving?.timeline.settleOwed(serving.progress.delivered, health.stale);

  const sync = (): void => {
    if (serving === null) return;
    const { timeline, progress } = serving;
    if (pace.isDue(timeline.ring, progress.delivered))
      publish(EVERYONE, frameOf({ type: 'sync', position: pace.told(progress.delivered) }));
  };

  const take = (step: Step): void => {
    switch (step.kind) {
      case 'phase':
        enter(step.phase, step.reason);
        return;
      case 'connected':
        server = step.version;
        return;
      case 'fresh':
        outlet.flush();
        log.warn('feed_fresh', { reason: step.reason, words: step.words });
        tally.reset(step.reason);
        tally.fresh(step.reason);
        if (serving !== null) subscribers.reset(step.reason, serving.timeline.epoch, serving.timeline.owed);
        serving = null;
        return;
      case 'serving':
        serving = { timeline: step.timeline, progress: step.progress };
        pace.told(step.progress.delivered);
        shown = step.timeline;
        enter('live', null);
        subscribers.refresh();
        subscribers.advance();
        announceReady();
        metaChanged();
        return;
      case 'advanced':
        settle();
        subscribers.advance();
        return;
      case 'mended':
        log.info('feed_tables_read', { tables: step.tables.join(' '), words: step.words });
        return;
      case 'oversized':
        tally.skipped('oversized', step.ids.join(' '), '');
        log.warn('feed_event_oversized', { position: delivered(), ids: step.ids });
        return;
      case 'reopened':
        tally.reopened(step.name);
        log.warn('feed_reopen', { name: step.name, words: step.words });
        return;
      default:
        step satisfies never;
    }
  };

  const run = async (): Promise<void> => {
    for await (const step of follower.steps()) {
      take(step);
      outlet.step(step);
    }
  };
  const done = run();

  const timers = [
    setInterval(() => {
      const isLive = health.phase === 'live';
      if (isLive && isStalled(delivered() ?? ORIGIN, gauge.majority)) {
        follower.kick('the stream answers but does not move');
      }
      tell();
      settle();
      sync();
      if (subscribers.waiting > 0) subscribers.advance();
    }, timings.tickMs),
  ];

  return {
    open: subscribers.open,
    reached: subscribers.reached,
    hearing: subscribers.hearing,
    subscriptions: subscribers.subscriptions,
    ready,
    tables: () => shown?.state ?? null,
    replicate: outlet.open,
    readLog: (tables, after) => (serving === null ? null : readLog(serving.timeline, tables, after)),
    status() {
      const ring = serving?.timeline.ring ?? null;
      const lag = gauge.lagMs(delivered());
      return {
        phase: health.phase,
        ready: serving !== null,
        reason: health.reason ?? (gauge.majorityStalled ? MAJORITY_STALLED : null),
        since: health.since,
        epoch: serving?.timeline.epoch ?? null,
        position: delivered(),
        floor: ring?.floor ?? null,
        ...(lag === undefined ? {} : { lagMs: lag }),
        majorityStalled: gauge.majorityStalled,
        server,
        ring: { events: ring?.events ?? 0, bytes: ring?.bytes ?? 0, seconds: ring?.seconds ?? 0 },
        recoverySeconds: subscribers.reached()?.recoverySeconds ?? null,
        partial: [...(serving?.timeline.partial ?? [])],
        tables: shown?.state.tables().length ?? 0,
        ...tally.groups,
        lastSkipped: tally.lastSkipped(),
        late: tally.lateTables(),
      };
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      follower.stop();
      await done;
      outlet.stop();
    },
  };
}

/** What the loop needs to know and to build, from what the feed was given. */
function followed(options: FeedOptions, parts: FeedParts, inside: Inside): FollowOptions {
  const { publish, readBase, doubleZeros = () => undefined } = parts;
  const { timings, tally, observer, outlet, learnt } = inside;
  const { sources = createSources() } = options;
  const databases = [...new Set([options.database, options.tablesDatabase])];
  const watch = createWatch(options.database, options.tablesDatabase, sources);
  const { sourceOf, isRead, isDropped } = watch;
  const { isForeign } = sources;
  return {
    ...inside,
    uri: options.uri,
    readPreference: options.readPreference ?? 'primary',
    metaDatabase: options.database,
    watch,
    windowSeconds: options.recoveryWindowSeconds,
    ringBytes: options.ringBytes,
    awaitMs: options.awaitMs,
    batchSize: options.batchSize ?? BATCH_SIZE,
    nowMs,
    random: Math.random,
    readBase,
    doubleZeros,
    adopt: async (client: MongoClient) => watch.adopt(await collectionsNamed(client, databases, sources)),
    createTimeline(epoch: string, floor: Position): FollowedTimeline {
      const { liveMaxAgeMs, minSpinIntervalMs, ringBytes } = options;
      const state = createState({ liveMaxAgeMs, minSpinIntervalMs, sourceOf, isRead, isForeign, isDropped });
      const ringSeconds = options.recoveryWindowSeconds;
      const told = { tally, observer, learnt, entries: outlet.entries };
      return createTimeline({ epoch, state, floor, ringSeconds, ringBytes, ...told, nowMs, timings }, publish);
    },
  };
}

/** The same for a replica. */
function replicated(options: ReplicaFeedOptions, { publish }: FeedHearers, inside: Inside): ReplicaOptions {
  const { timings, tally, observer, outlet, learnt } = inside;
  return {
    ...inside,
    nowMs,
    random: Math.random,
    changed: outlet.entries.changed,
    connect: options.connect,
    createTimeline(epoch, floor, state) {
      const { ringBytes, recoveryWindowSeconds: ringSeconds } = options;
      const told = { tally, observer, learnt, entries: outlet.entries };
      return createServedTimeline({ epoch, state, floor, ringSeconds, ringBytes, ...told, nowMs, timings }, publish);
    },
  };
}
