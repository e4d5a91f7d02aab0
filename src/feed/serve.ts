import type { Log } from '../log/log.ts';
import {
  type Delivery,
  type DeliveryObserver,
  EVERYONE,
  type FeedStatus,
  type LogPortion,
  type Publish,
} from '../protocol/delivery.ts';
import { frameOf, type NumberItem, type StrategyItem } from '../protocol/messages.ts';
import { ORIGIN, type Position } from '../protocol/position.ts';
import type { Directory, TableId } from '../roulette/table.ts';
import { createGauge, createHealth, createStall, createSyncPace, type Gauge, type Health } from './condition.ts';
import { createOutlet, type Outlet } from './outlet.ts';
import type { Progress } from './reading.ts';
import type { ReplicaOptions } from './replica.ts';
import type { Served } from './request.ts';
import { readLog } from './ring.ts';
import type { Follower, Phase, Step } from './step.ts';
import { createSubscribers, type Subscribers } from './subscribers.ts';
import { createTally, type Tally } from './tally.ts';
import type { Timeline, TimelineOptions } from './timeline.ts';
import { FEED_TIMINGS, type FeedTimings } from './timings.ts';

/** Whom every feed tells what it does. */
export interface FeedHearers {
  readonly publish: Publish;
  readonly log: Log;
  /** Told what is published and to whom, for metrics. */
  readonly observer?: DeliveryObserver;
  /** Whether anybody but subscribers waits for what is published. */
  isAwaited?(): boolean;
  /** A document of `_rt_meta` changed, the epoch apart, or it is not known what changed: a fresh state is served. */
  metaChanged?(): void;
}

/** What readers over HTTP see of the state; from memory, also while MongoDB is away. */
interface FeedTables {
  readonly directory: Pick<Directory, 'resolve'>;
  tables(): readonly TableId[];
  /** Whether anything is stored of a table: whether `tables` has it. */
  has(table: TableId): boolean;
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

export interface ServeOptions {
  readonly timings?: Partial<FeedTimings>;
  readonly forReplicas?: boolean;
}

/** What is served, and how far it was read. */
interface Serving {
  readonly timeline: Timeline;
  readonly progress: Pick<Progress, 'delivered'>;
}

/** What a follower is built with: where it counts, and whom it tells what. */
export interface Inside extends Pick<ReplicaOptions, 'times' | 'metaChanged' | 'isHeard'> {
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
const MAJORITY_STALLED = 'majority stalled: the replica set takes writes but cannot commit them';

/** Milliseconds of a monotonic clock. */
export const nowMs = (): number => performance.now();

/** A feed that runs: what it is made of, and what it serves now. */
interface Running {
  readonly timings: FeedTimings;
  readonly hearers: Required<FeedHearers>;
  readonly gauge: Gauge;
  readonly health: Health;
  readonly tally: Tally;
  readonly pace: ReturnType<typeof createSyncPace>;
  readonly subscribers: Subscribers;
  readonly outlet: Outlet;
  /** Whether the stream answers but does not move. */
  readonly isStalled: ReturnType<typeof createStall>;
  readonly now: Now;
}

/** What changes with the steps of the follower. */
interface Now {
  /** Null before the feed is ready, and from a fresh state's beginning until it can be served. */
  serving: Serving | null;
  /** What was served last. */
  shown: Timeline | null;
  /** The version of the server. */
  server: string | null;
}

const deliveredOf = ({ serving }: Now): Position | null => serving?.progress.delivered ?? null;

const servedOf = ({ serving }: Now, health: Health, gauge: Gauge): Served | null =>
  serving === null
    ? null
    : {
        timeline: serving.timeline,
        delivered: serving.progress.delivered,
        stale: health.stale,
        status: health.told,
        majority: gauge.majority,
      };

function createRunning(options: ServeOptions, parts: FeedHearers): Running {
  const hearers = { observer: UNOBSERVED, isAwaited: () => false, metaChanged: () => undefined, ...parts };
  const timings: FeedTimings = { ...FEED_TIMINGS, ...options.timings };
  const gauge = createGauge();
  const health = createHealth(gauge, nowMs, timings);
  const now: Now = { serving: null, shown: null, server: null };
  const served = (): Served | null => servedOf(now, health, gauge);
  return {
    timings,
    hearers,
    gauge,
    health,
    tally: createTally(hearers.log, nowMs),
    pace: createSyncPace(nowMs, timings.syncMs),
    subscribers: createSubscribers(hearers.publish, served, nowMs, timings, hearers.observer),
    outlet: createOutlet({ served, nowMs, timings, rests: options.forReplicas === true }),
    isStalled: createStall(nowMs, timings.stallMs),
    now,
  };
}

/** What the follower of a running feed counts with and tells. */
const insideOf = ({ timings, hearers, gauge, tally, subscribers, outlet }: Running): Inside => ({
  timings,
  tally,
  outlet,
  observer: hearers.observer,
  learnt: subscribers.learnt,
  isHeard: () => subscribers.connections > 0 || hearers.isAwaited() || outlet.isHeard,
  times(times, askedMs) {
    gauge.asked(times, askedMs);
    outlet.asked(times, askedMs);
    subscribers.advance();
  },
  metaChanged() {
    outlet.metaChanged();
    hearers.metaChanged();
  },
});

/** Subscribers hear when what they see stops being the truth, and when it is again. */
function tell({ health, hearers, now }: Running): void {
  const news = health.look(deliveredOf(now));
  if (news === null) return;
  hearers.publish(EVERYONE, news.frame);
  hearers.log.info('feed_condition', { condition: news.condition });
}

function enter(running: Running, phase: Phase, reason: string | null): void {
  if (!running.health.enter(phase, reason)) return;
  running.hearers.log.info('feed_phase', { phase, reason });
  if (phase === 'live') tell(running);
}

/** Debts that are due are paid at wherever D is. */
const settle = ({ now: { serving }, health }: Running): void =>
  serving?.timeline.settleOwed(serving.progress.delivered, health.stale);

function sync({ now: { serving }, pace, hearers }: Running): void {
  if (serving === null) return;
  const { timeline, progress } = serving;
  if (pace.isDue(timeline.ring, progress.delivered))
    hearers.publish(EVERYONE, frameOf({ type: 'sync', position: pace.told(progress.delivered) }));
}

/** Nothing is served until the fresh state is there. */
function giveUp({ outlet, hearers, tally, subscribers, now }: Running, step: Extract<Step, { kind: 'fresh' }>): void {
  outlet.flush();
  hearers.log.warn('feed_fresh', { reason: step.reason, words: step.words });
  tally.reset(step.reason);
  tally.fresh(step.reason);
  if (now.serving !== null) subscribers.reset(step.reason, now.serving.timeline.epoch, now.serving.timeline.owed);
  now.serving = null;
}

function begin(running: Running, { timeline, progress }: Serving): void {
  const { now, pace, subscribers } = running;
  now.serving = { timeline, progress };
  pace.told(progress.delivered);
  now.shown = timeline;
  enter(running, 'live', null);
  subscribers.refresh();
  subscribers.advance();
}

function take(running: Running, announceReady: () => void, step: Step): void {
  const { hearers, now, tally } = running;
  const { log } = hearers;
  switch (step.kind) {
    case 'phase':
      enter(running, step.phase, step.reason);
      return;
    case 'connected':
      now.server = step.version;
      return;
    case 'fresh':
      giveUp(running, step);
      return;
    case 'serving':
      begin(running, step);
      announceReady();
      hearers.metaChanged();
      return;
    case 'advanced':
      settle(running);
      running.subscribers.advance();
      return;
    case 'mended':
      log.info('feed_tables_read', { tables: step.tables.join(' '), words: step.words });
      return;
    case 'oversized':
      tally.skipped('oversized', step.ids.join(' '), '');
      log.warn('feed_event_oversized', { position: deliveredOf(now), ids: step.ids });
      return;
    case 'reopened':
      tally.reopened(step.name);
      log.warn('feed_reopen', { name: step.name, words: step.words });
      return;
    default:
      step satisfies never;
  }
}

/** Takes the follower's steps, one after the other, until it is stopped. */
async function run(running: Running, follower: Follower, ticking: Ticking, announceReady: () => void): Promise<void> {
  for await (const step of follower.steps()) {
    take(running, announceReady, step);
    running.outlet.step(step);
    ticking.look();
  }
}

/** What time alone brings. */
function tick(running: Running, follower: Follower): void {
  const { health, isStalled, gauge, now, subscribers } = running;
  if (health.phase === 'live' && isStalled(deliveredOf(now) ?? ORIGIN, gauge.majority)) {
    follower.kick('the stream answers but does not move');
  }
  tell(running);
  settle(running);
  sync(running);
  if (subscribers.waiting > 0) subscribers.advance();
}

/** Whether something is to be told, paid or given up within moments. */
const isUnsettled = ({ now, health, subscribers }: Running): boolean =>
  health.phase !== 'live' || health.stale || subscribers.waiting > 0 || (now.serving?.timeline.owed.size ?? 0) > 0;

interface Ticking {
  /** Something happened: the next tick may be due sooner. */
  look(): void;
  stop(): void;
}

/** Ticks soon while something is unsettled, and seldom else. */
function startTicking(running: Running, follower: Follower): Ticking {
  const { tickMs, restMs } = running.timings;
  let rests = false;
  let isOver = false;
  let timer: NodeJS.Timeout;
  const next = (): void => {
    rests = !isUnsettled(running);
    timer = setTimeout(
      () => {
        tick(running, follower);
        next();
      },
      rests ? restMs : tickMs,
    );
  };
  next();
  return {
    look() {
      if (isOver || !rests || !isUnsettled(running)) return;
      clearTimeout(timer);
      next();
    },
    stop() {
      isOver = true;
      clearTimeout(timer);
    },
  };
}

function statusOf({ now, gauge, health, subscribers, tally }: Running): FeedStatus {
  const { serving, shown, server } = now;
  const ring = serving?.timeline.ring ?? null;
  const lag = gauge.lagMs(deliveredOf(now));
  return {
    phase: health.phase,
    ready: serving !== null,
    reason: health.reason ?? (gauge.majorityStalled ? MAJORITY_STALLED : null),
    since: health.since,
    epoch: serving?.timeline.epoch ?? null,
    position: deliveredOf(now),
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
}

/** Serves what a follower brings. `options`: the timings that differ from the defaults; whether only replicas are served. */
export function serve(options: ServeOptions, hearers: FeedHearers, follow: (inside: Inside) => Follower): Feed {
  const running = createRunning(options, hearers);
  const { subscribers, outlet, now } = running;
  const follower = follow(insideOf(running));
  let announceReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    announceReady = resolve;
  });
  const ticking = startTicking(running, follower);
  const done = run(running, follower, ticking, announceReady);
  return {
    open: subscribers.open,
    reached: subscribers.reached,
    hearing: subscribers.hearing,
    subscriptions: subscribers.subscriptions,
    ready,
    tables: () => now.shown?.state ?? null,
    replicate: outlet.open,
    readLog: (tables, after) => (now.serving === null ? null : readLog(now.serving.timeline, tables, after)),
    status: () => statusOf(running),
    async stop() {
      ticking.stop();
      follower.stop();
      await done;
      outlet.stop();
    },
  };
}
