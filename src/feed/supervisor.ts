import { MongoClient } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import { askCapabilities, type Capabilities } from './capabilities.ts';
import { backoffMs, classify, isUnknownStage } from './policy.ts';
import type { Progress } from './progress.ts';
import { ConfigurationError, FreshNeeded, type Plan, type Reading, type SessionOptions } from './reading.ts';
import { follow, resume, rewind } from './session.ts';
import type { Timeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';
import { startWatchdog } from './watchdog.ts';

export type Phase = 'connecting' | 'rewinding' | 'live' | 'degraded' | 'stopped';

type FromSupervisor = 'client' | 'sent' | 'answered' | 'advanced' | 'splitsLargeEvents';

export interface SupervisorOptions extends Omit<SessionOptions, FromSupervisor> {
  readonly uri: string;
  readonly timings: FeedTimings;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** What the supervisor tells its owner; all synchronous. */
export interface SupervisorEvents {
  /** Where the stream stands, and why it is not live, in words. */
  phase(phase: Phase, reason: string | null): void;
  /** A fresh state begins; the former one must not be served any more. */
  fresh(reason: ResetReason): void;
  /** A fresh state stands: from now on this is served, at wherever `progress` says. */
  standing(timeline: Timeline, progress: Progress): void;
  /** D moved. */
  advanced(): void;
  /** The stream is opened again because of an error of this name. */
  reopen(name: string, words: string): void;
  connected(client: MongoClient | null, server: Capabilities | null): void;
}

export interface Supervisor {
  /** Ends the loop and its cursor; resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** Closes the connection by force and opens a new one: for a stream that answers but does not move. */
  kick(reason: string): void;
}

/** What a stopping service waits for a server to drop its cursor. */
const STOP_MS = 500;
/** The same error at the same position more often than this needs a fresh state, not another try. */
const MAX_SAME_PLACE = 5;
const MAX_SAME_TOKEN = 3;

/**
 * Keeps one change stream alive for ever: opens it, follows it, classifies what goes wrong, and opens it again.
 * Its own MongoClient, bounded so that a frozen server is noticed.
 */
export function startSupervisor(options: SupervisorOptions, events: SupervisorEvents): Supervisor {
  const { timings, nowMs } = options;
  let stopping = false;
  let client: MongoClient | null = null;
  let server: Capabilities | null = null;
  let timeline: Timeline | null = null;
  let reading: Reading | null = null;
  let plan: Plan = { kind: 'window', seconds: options.windowSeconds };
  let attempt = 0;
  let freshes = 0;
  let freshMs = Number.NEGATIVE_INFINITY;
  let samePlace = { at: '', times: 0 };
  let wake: (() => void) | null = null;

  const connect = (): MongoClient =>
    new MongoClient(options.uri, {
      appName: 'runcash-live feed',
      // The getMore that waits, the question for the majority time beside it, and the end of a cursor.
      maxPoolSize: 3,
      socketTimeoutMS: options.awaitMs + timings.socketMarginMs,
      connectTimeoutMS: timings.connectMs,
      heartbeatFrequencyMS: timings.heartbeatMs,
      serverSelectionTimeoutMS: timings.selectionMs,
      readPreference: 'primary',
      retryReads: false,
    });

  const closeClient = async (): Promise<void> => {
    const old = client;
    client = null;
    events.connected(null, null);
    await old?.close(true);
  };

  const kick = (reason: string): void => {
    events.reopen('watchdog', reason);
    void closeClient().catch((error: unknown) => events.reopen('close_failed', String(error)));
  };

  const watchdog = startWatchdog(options.awaitMs + timings.watchdogMarginMs, nowMs, () =>
    kick('MongoDB did not answer in time'),
  );

  const pauseOf = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (stopping) return resolve();
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const pauseAfterFailure = (): Promise<void> =>
    pause(backoffMs(attempt++, options.random(), timings.backoffBaseMs, timings.backoffCapMs));

  const sessionOptions = (open: MongoClient, known: Capabilities): SessionOptions => ({
    ...options,
    client: open,
    splitsLargeEvents: known.splitsLargeEvents,
    sent: watchdog.sent,
    answered: watchdog.answered,
    advanced() {
      attempt = 0;
      samePlace = { at: '', times: 0 };
      events.advanced();
    },
  });

  const beginFresh = (reason: ResetReason, next: Plan): void => {
    if (timeline !== null) events.fresh(reason);
    timeline = null;
    reading = null;
    plan = next;
  };

  const session = async (): Promise<void> => {
    client ??= connect();
    const open = client;
    const known = server ?? (await askCapabilities(open));
    server = known;
    events.connected(open, known);
    const now = sessionOptions(open, known);
    if (timeline !== null && reading !== null) {
      reading = await resume(now, timeline, reading);
    } else {
      events.phase('rewinding', 'reading the recent past and the current numbers');
      ({ timeline, reading } = await rewind(now, plan));
      events.standing(timeline, reading.progress);
    }
    events.phase('live', null);
    events.advanced();
    await follow(now, timeline, reading);
  };

  /** The window of the next rewind after lost history: halved, and again, down to now. */
  const narrower = (): Plan =>
    plan.kind === 'window' ? { kind: 'window', seconds: Math.floor(plan.seconds / 2) } : { kind: 'window', seconds: 0 };

  /** Counts an error at one place; true when it came there too often. */
  const isStuck = (name: string, limit: number): boolean => {
    const at = `${name} at ${reading?.progress.delivered ?? 'boot'}`;
    samePlace = { at, times: samePlace.at === at ? samePlace.times + 1 : 1 };
    if (samePlace.times <= limit) return false;
    samePlace = { at: '', times: 0 };
    return true;
  };

  /** Decides what to do about an error; resolves when the loop may go on. */
  const recover = async (error: unknown): Promise<void> => {
    if (error instanceof FreshNeeded) {
      beginFresh(error.reason, error.plan);
      // One after the other, as a migration of old documents can ask for, is a failure to be slowed down like one.
      const now = nowMs();
      freshes = now - freshMs < timings.freshApartMs ? freshes + 1 : 0;
      freshMs = now;
      if (freshes > 3) await pause(backoffMs(freshes - 3, 0.5, timings.backoffBaseMs, timings.backoffCapMs));
      return;
    }
    const found = classify(error);
    events.reopen(found.name, found.words);
    events.phase(timeline === null ? 'connecting' : 'degraded', found.words);
    if (found.code === null) {
      // Another server may be there when the network is back; and a client whose first connect failed stays closed.
      server = null;
      await closeClient();
    }
    if (server?.splitsLargeEvents === true && isUnknownStage(found)) {
      server = { ...server, splitsLargeEvents: false };
      return;
    }
    if (error instanceof ConfigurationError || found.class === 'configuration') {
      await closeClient();
      await pause(timings.configurationRetryMs * (1 + 2 * options.random()));
      return;
    }
    if (found.class === 'history_gone') {
      const isLadder = timeline === null && plan.kind === 'window' && plan.seconds > 0;
      beginFresh('history_lost', timeline === null ? narrower() : { kind: 'window', seconds: 0 });
      // The server is well: it only says that its log does not reach back so far. The ladder ends at "now".
      if (isLadder) return;
    } else if (found.code !== null && isStuck(found.name, found.class === 'token' ? MAX_SAME_TOKEN : MAX_SAME_PLACE)) {
      // Only a fresh state gets past an error that stands at one place; a network that is away is no such error.
      beginFresh('history_lost', { kind: 'window', seconds: options.windowSeconds });
    }
    await pauseAfterFailure();
  };

  const run = async (): Promise<void> => {
    events.phase('connecting', 'connecting to MongoDB');
    while (!stopping) {
      try {
        await session();
      } catch (error) {
        if (!stopping) await recover(error);
      }
    }
    watchdog.stop();
    await closeClient();
    events.phase('stopped', null);
  };

  const done = run();
  return {
    kick,
    async stop() {
      stopping = true;
      wake?.();
      // Told first, so that no cursor is left on the server; a server that does not answer is not waited for.
      if (reading !== null) await Promise.race([reading.cursor.close(), pauseOf(STOP_MS)]);
      await closeClient();
      await done;
    },
  };
}
