import type { MongoClient } from 'mongodb';
import { type Delivery, EVERYONE, type FeedStatus, frameOf, type Publish } from '../protocol/delivery.ts';
import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { type ClusterTime, compareTimes, endOf, type Position, startOf, timeOf } from '../protocol/position.ts';
import type { Directory } from '../roulette/directory.ts';
import type { TableId } from '../roulette/table.ts';
import { askStanding } from './majority.ts';
import type { Base } from './rewind.ts';
import { createState } from './state.ts';
import { createSubscribers } from './subscribers.ts';
import { type Phase, startSupervisor } from './supervisor.ts';
import { createTimeline, type Tally, type Timeline } from './timeline.ts';
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
}

/** What happened, for the log. */
export interface FeedLog {
  info(event: string, fields: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface FeedParts {
  readonly publish: Publish;
  readonly log: FeedLog;
  /** The read at rest, at or after `after`, with room for `extra` more documents per table than a snapshot shows. */
  readBase(client: MongoClient, after: ClusterTime, extra: number): Promise<Base>;
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

const SYNC_MS = 5_000;
const POLL_MAJORITY_MS = 1_000;
const TICK_MS = 100;
/** D stands still this long while the set commits: the stream is taken for dead. */
const STALL_MS = 30_000;
const BATCH_SIZE = 1_000;

const nowMs = (): number => performance.now();

/** Starts following the database; retries for ever, so that a database that is away at start is no error. */
export function startFeed(options: FeedOptions, { publish, log, readBase }: FeedParts): Feed {
  let phase: Phase = 'connecting';
  let reason: string | null = null;
  let since = new Date().toISOString();
  let timeline: Timeline | null = null;
  let shown: Timeline | null = null;
  let delivered: Position | null = null;
  let movedMs = nowMs();
  let kicked = false;
  let client: MongoClient | null = null;
  let majority: { time: ClusterTime; last: ClusterTime | null; askedMs: number } | null = null;
  let server: string | null = null;
  let stalledPolls = 0;
  let guessing = false;
  let told: 'live' | 'down' = 'live';
  const counts = {
    reopens: {} as Record<string, number>,
    resets: {} as Record<string, number>,
    skipped: {} as Record<string, number>,
    published: {} as Record<string, number>,
  };
  const count = (group: Record<string, number>, name: string): void => {
    group[name] = (group[name] ?? 0) + 1;
  };
  let announceReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    announceReady = resolve;
  });

  const tally: Tally = {
    published: (type) => count(counts.published, type),
    skipped: (why) => count(counts.skipped, why),
    reset: (why) => count(counts.resets, why),
  };

  const subscribers = createSubscribers(
    publish,
    () => (timeline === null || delivered === null ? null : { timeline, delivered, stale: told === 'down', majority }),
    nowMs,
  );

  /** How far D is behind what the set has committed, in ms of its clock; absent when unknown. */
  const lagMs = (): number | undefined => {
    if (majority === null || delivered === null) return undefined;
    if (startOf(majority.time) <= delivered) return 0;
    return Math.max(0, majority.time.t - timeOf(delivered).t) * 1000;
  };

  /** Subscribers hear when what they see stops being the truth, and when it is again. */
  const tell = (now: 'live' | 'down'): void => {
    if (now === told) return;
    told = now;
    publish(EVERYONE, frameOf({ type: 'status', feed: now, since: new Date().toISOString() }));
  };

  const watch = createWatch(options.database, options.tablesDatabase);
  const supervisor = startSupervisor(
    {
      uri: options.uri,
      metaDatabase: options.database,
      watch,
      windowSeconds: options.recoveryWindowSeconds,
      awaitMs: options.awaitMs,
      batchSize: BATCH_SIZE,
      nowMs,
      random: Math.random,
      readBase,
      majority: () => majority?.time ?? null,
      createState: () =>
        createState({
          liveMaxAgeMs: options.liveMaxAgeMs,
          minSpinIntervalMs: options.minSpinIntervalMs,
          sourceOf: watch.sourceOf,
        }),
      createTimeline: (epoch, state, floor) =>
        createTimeline(
          {
            epoch: guessing ? `${epoch}~${Date.now().toString(36)}` : epoch,
            state,
            floor,
            ringSeconds: options.recoveryWindowSeconds,
            ringBytes: options.ringBytes,
            tally,
            nowMs,
          },
          publish,
        ),
      guessing() {
        if (!guessing) log.warn('feed_token_unreadable', { words: 'positions are counted; instances may differ' });
        guessing = true;
      },
    },
    {
      phase(next, words) {
        if (next === phase && words === reason) return;
        if (next !== phase) since = new Date().toISOString();
        phase = next;
        reason = words;
        log.info('feed_phase', { phase, reason });
        if (phase === 'degraded') tell('down');
      },
      fresh(why) {
        if (why === null) return;
        count(counts.resets, why);
        log.warn('feed_fresh', { reason: why });
        subscribers.reset(why, timeline?.epoch ?? '');
        timeline = null;
      },
      standing(next, position) {
        const isFresh = timeline !== next;
        if (isFresh || position !== delivered) movedMs = nowMs();
        timeline = next;
        shown = next;
        delivered = position;
        tell('live');
        if (isFresh) subscribers.refresh();
        next.settleOwed(position, nowMs(), false, false);
        subscribers.advance();
        announceReady();
      },
      reopen(name, words) {
        count(counts.reopens, name);
        log.warn('feed_reopen', { name, words });
      },
      connected(next) {
        client = next;
        if (next === null) majority = null;
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
      if (asked !== client) return;
      majority = standing.majority === null ? null : { time: standing.majority, last: standing.last, askedMs };
      server = `wire version ${standing.maxWireVersion}`;
      const behind = majority?.last != null && compareTimes(majority.last, majority.time) > 0;
      stalledPolls = behind ? stalledPolls + 1 : 0;
    } catch {
      // The stream's own loop reports what is wrong; here it only means that the time is not known.
      majority = null;
    } finally {
      polling = false;
    }
    subscribers.advance();
  };

  /** Replies come, but D stands while the set commits: the same as a dead server, once. */
  const checkStall = (): void => {
    if (phase !== 'live' || majority === null || delivered === null) return;
    if (endOf(majority.time) <= delivered) {
      movedMs = nowMs();
      kicked = false;
    } else if (!kicked && nowMs() - movedMs > STALL_MS) {
      kicked = true;
      supervisor.kick('the stream answers but does not move');
    }
  };

  const timers = [
    setInterval(() => void pollMajority(), POLL_MAJORITY_MS),
    setInterval(() => {
      if (timeline !== null && delivered !== null) {
        publish(EVERYONE, frameOf({ type: 'sync', position: delivered }));
      }
    }, SYNC_MS),
    setInterval(() => {
      checkStall();
      if (timeline !== null && delivered !== null) timeline.settleOwed(delivered, nowMs(), told === 'down', false);
      if (subscribers.held > 0) subscribers.advance();
    }, TICK_MS),
  ];

  return {
    open: subscribers.open,
    standing: subscribers.standing,
    ready,
    tables: () => shown?.state ?? null,
    status() {
      const lag = lagMs();
      return {
        phase,
        ready: timeline !== null,
        reason,
        since,
        epoch: timeline?.epoch ?? null,
        position: delivered,
        floor: timeline?.ring.floor ?? null,
        ...(lag === undefined ? {} : { lagMs: lag }),
        majorityStalled: stalledPolls >= 3,
        server,
        ring: {
          events: timeline?.ring.events ?? 0,
          bytes: timeline?.ring.bytes ?? 0,
          seconds: timeline?.ring.seconds ?? 0,
        },
        tables: shown?.state.tables().length ?? 0,
        ...counts,
      };
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await supervisor.stop();
    },
  };
}
