import { randomUUID } from 'node:crypto';
import type { MongoClient } from 'mongodb';
import type { Log } from '../log/log.ts';
import { type Delivery, EVERYONE, type FeedStatus, type Frame, frameOf, type Publish } from '../protocol/delivery.ts';
import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { type ClusterTime, ORIGIN, type Position, startOf } from '../protocol/position.ts';
import type { Directory } from '../roulette/directory.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base } from '../store/base.ts';
import { type Condition, conditionOf, createGauge } from './condition.ts';
import { createCounts } from './counts.ts';
import { askStanding } from './majority.ts';
import type { Progress } from './progress.ts';
import { FreshNeeded } from './reading.ts';
import type { InsertedInto } from './rewind.ts';
import { createState } from './state.ts';
import { createSubscribers } from './subscribers.ts';
import { type Phase, startSupervisor } from './supervisor.ts';
import { createTimeline, type Timeline } from './timeline.ts';
import { FEED_TIMINGS, type FeedTimings } from './timings.ts';
import { createWatch } from './watch.ts';

export interface FeedOptions {
  readonly uri: string;
  /** The database of strategies and `_rt_meta`. */
  readonly database: string;
  /** The database of the per-table collections; the same as `database` in most places. */
  readonly tablesDatabase: string;
  readonly recoveryWindowSeconds: number;
  readonly ringBytes: number;
  readonly liveMaxAgeMs: number;
  readonly minSpinIntervalMs: number;
  /** How long a `getMore` waits for changes; does not delay them. */
  readonly awaitMs: number;
  /** Changes asked for at once; 1,000 by default. */
  readonly batchSize?: number;
  /** Where they differ from the defaults. */
  readonly timings?: Partial<FeedTimings>;
}

export interface FeedParts {
  readonly publish: Publish;
  readonly log: Log;
  /** For the age of events: told before the event at `position` is published, where the server says when it was. */
  committed?(position: Position, wallTimeMs: number): void;
  /** The read at rest, at or after `after`; what was inserted since is asked to be left out. */
  readBase(client: MongoClient, after: ClusterTime, inserted: InsertedInto): Promise<Base>;
}

/** What readers over HTTP see of the state; from memory, also while MongoDB is away. */
export interface FeedTables {
  readonly directory: Pick<Directory, 'resolve'>;
  tables(): readonly TableId[];
  nameOf(table: TableId): string;
  numbers(table: TableId, count: number): NumberItem[];
  strategyItem(table: TableId): StrategyItem | null;
}

export interface Feed extends Delivery {
  status(): FeedStatus;
  /** The state last served; null before the feed was first ready. */
  tables(): FeedTables | null;
  /** Resolves when the feed is ready for the first time. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

const BATCH_SIZE = 1_000;
const MAJORITY_STALLED = 'majority stalled: the replica set takes writes but cannot commit them';

const nowMs = (): number => performance.now();

/** Starts following the database; retries for ever, so that a database that is away at start is no error. */
export function startFeed(
  options: FeedOptions,
  { publish, log, committed = () => undefined, readBase }: FeedParts,
): Feed {
  const timings: FeedTimings = { ...FEED_TIMINGS, ...options.timings };
  const gauge = createGauge();
  let phase: Phase = 'connecting';
  let reason: string | null = null;
  let since = new Date().toISOString();
  let leftLiveMs: number | null = null;
  let timeline: Timeline | null = null;
  let shown: Timeline | null = null;
  let progress: Progress | null = null;
  let client: MongoClient | null = null;
  let server: string | null = null;
  let stand = { at: ORIGIN, sinceMs: nowMs(), kicked: false };
  let guess: string | null = null;
  let condition: Condition = 'live';
  let told: Frame | null = null;
  const counts = createCounts();
  let announceReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    announceReady = resolve;
  });

  const delivered = (): Position | null => progress?.delivered ?? null;
  const isStale = (): boolean => condition !== 'live' || leftLiveMs !== null;

  const subscribers = createSubscribers(
    publish,
    () =>
      timeline === null || progress === null
        ? null
        : { timeline, delivered: progress.delivered, stale: isStale(), status: told, majority: gauge.majority },
    nowMs,
    timings,
  );

  /** Subscribers hear when what they see stops being the truth, and when it is again. */
  const tell = (): void => {
    const sinceLiveMs = leftLiveMs === null ? null : nowMs() - leftLiveMs;
    const next = conditionOf(condition, sinceLiveMs, gauge.behindMs(delivered(), nowMs()), timings);
    if (next === condition) return;
    condition = next;
    const lag = next === 'stale' ? gauge.lagMs(delivered()) : undefined;
    const message = { type: 'status', feed: next, since: new Date().toISOString() } as const;
    const frame = frameOf(lag === undefined ? message : { ...message, lag_ms: lag });
    told = next === 'live' ? null : frame;
    publish(EVERYONE, frame);
    log.info('feed_condition', { condition: next });
  };

  /** Debts that are due are paid at wherever D is. */
  const settle = (): void => {
    if (timeline !== null && progress !== null) timeline.settleOwed(progress.delivered, isStale());
  };

  const watch = createWatch(options.database, options.tablesDatabase);
  const supervisor = startSupervisor(
    {
      uri: options.uri,
      metaDatabase: options.database,
      watch,
      windowSeconds: options.recoveryWindowSeconds,
      awaitMs: options.awaitMs,
      batchSize: options.batchSize ?? BATCH_SIZE,
      timings,
      nowMs,
      random: Math.random,
      readBase,
      majority: () => gauge.majority?.time ?? null,
      createState: () =>
        createState({
          liveMaxAgeMs: options.liveMaxAgeMs,
          minSpinIntervalMs: options.minSpinIntervalMs,
          sourceOf: watch.sourceOf,
          isDropped: watch.isDropped,
        }),
      createTimeline: (epoch, state, floor) =>
        createTimeline(
          {
            epoch,
            state,
            floor,
            ringSeconds: options.recoveryWindowSeconds,
            ringBytes: options.ringBytes,
            tally: counts.tally,
            committed,
            nowMs,
            timings,
          },
          publish,
        ),
      epochName: (epoch) => (guess === null ? epoch : `${epoch}~${guess}`),
      guessing() {
        if (guess !== null) return;
        // Another instance may count otherwise: what is counted here is of an epoch of its own, from a fresh state on.
        guess = randomUUID().slice(0, 8);
        log.warn('feed_token_unreadable', { words: 'resume tokens cannot be read: positions are counted instead' });
        throw new FreshNeeded('unknown', { kind: 'window', seconds: options.recoveryWindowSeconds });
      },
      malformed: () => counts.tally.skipped('not_a_change'),
      oversized() {
        counts.tally.skipped('oversized');
        log.warn('feed_event_oversized', { position: delivered() });
      },
    },
    {
      phase(next, words) {
        if (next === phase && words === reason) return;
        if (next !== phase) since = new Date().toISOString();
        phase = next;
        reason = words;
        if (next === 'live') leftLiveMs = null;
        else leftLiveMs ??= nowMs();
        log.info('feed_phase', { phase, reason });
        if (next === 'live') tell();
      },
      fresh(why) {
        log.warn('feed_fresh', { reason: why });
        counts.tally.reset(why);
        subscribers.reset(why, timeline?.epoch ?? '', timeline?.owed ?? new Map());
        timeline = null;
        progress = null;
      },
      standing(next, at) {
        timeline = next;
        shown = next;
        progress = at;
        subscribers.refresh();
        subscribers.advance();
        announceReady();
      },
      advanced() {
        settle();
        subscribers.advance();
      },
      reopen(name, words) {
        counts.reopened(name);
        log.warn('feed_reopen', { name, words });
      },
      connected(next, capabilities) {
        client = next;
        server = capabilities?.version ?? server;
        if (next === null) gauge.asked(null, nowMs());
      },
    },
  );

  let polling = false;
  const pollMajority = async (): Promise<void> => {
    if (client === null || polling) return;
    polling = true;
    const askedMs = nowMs();
    const asked = client;
    try {
      const standing = await askStanding(asked);
      if (asked === client) gauge.asked(standing, askedMs);
    } catch {
      // The stream's own loop reports what is wrong; here it only means that the time is not known.
      gauge.asked(null, askedMs);
    } finally {
      polling = false;
    }
    subscribers.advance();
  };

  /** Replies come, but D stands while the set commits: the same as a dead server, once. */
  const checkStall = (): void => {
    const at = delivered() ?? ORIGIN;
    const { majority } = gauge;
    const isBehind = phase === 'live' && majority !== null && startOf(majority.time) > at;
    if (!isBehind || at !== stand.at) stand = { at, sinceMs: nowMs(), kicked: false };
    else if (!stand.kicked && nowMs() - stand.sinceMs > timings.stallMs) {
      stand.kicked = true;
      supervisor.kick('the stream answers but does not move');
    }
  };

  const timers = [
    setInterval(() => void pollMajority(), timings.majorityPollMs),
    setInterval(() => {
      if (timeline !== null && progress !== null) {
        publish(EVERYONE, frameOf({ type: 'sync', position: progress.delivered }));
      }
    }, timings.syncMs),
    setInterval(() => {
      checkStall();
      tell();
      settle();
      if (subscribers.held > 0) subscribers.advance();
    }, timings.tickMs),
  ];

  return {
    open: subscribers.open,
    standing: subscribers.standing,
    ready,
    tables: () => shown?.state ?? null,
    status() {
      const lag = gauge.lagMs(delivered());
      return {
        phase,
        ready: timeline !== null,
        reason: reason ?? (gauge.majorityStalled ? MAJORITY_STALLED : null),
        since,
        epoch: timeline?.epoch ?? null,
        position: delivered(),
        floor: timeline?.ring.floor ?? null,
        ...(lag === undefined ? {} : { lagMs: lag }),
        majorityStalled: gauge.majorityStalled,
        server,
        ring: {
          events: timeline?.ring.events ?? 0,
          bytes: timeline?.ring.bytes ?? 0,
          seconds: timeline?.ring.seconds ?? 0,
        },
        tables: shown?.state.tables().length ?? 0,
        ...counts.groups,
      };
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await supervisor.stop();
    },
  };
}
