import { MongoClient } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { backoffMs, classify, configurationRetryMs } from './policy.ts';
import type { Progress } from './progress.ts';
import {
  ConfigurationError,
  FreshNeeded,
  follow,
  type Plan,
  type Reading,
  resume,
  rewind,
  type SessionOptions,
} from './session.ts';
import type { Timeline } from './timeline.ts';
import { startWatchdog } from './watchdog.ts';

export type Phase = 'connecting' | 'rewinding' | 'live' | 'degraded' | 'stopped';

export interface SupervisorOptions extends Omit<SessionOptions, 'client' | 'sent' | 'answered' | 'advanced'> {
  readonly uri: string;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** What the supervisor tells its owner; all synchronous. */
export interface SupervisorEvents {
  /** Where the stream stands, and why it is not live, in words. */
  phase(phase: Phase, reason: string | null): void;
  /** A fresh state begins; null at boot, when nobody was served yet. */
  fresh(reason: ResetReason | null): void;
  /** A fresh state stands, or D moved. */
  standing(timeline: Timeline, delivered: Position): void;
  /** The stream is opened again because of an error of this name. */
  reopen(name: string, words: string): void;
  connected(client: MongoClient | null): void;
}

export interface Supervisor {
  /** Ends the loop and its cursor; resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** Closes the connection by force and opens a new one: for a stream that answers but does not move. */
  kick(reason: string): void;
}

/** Added to the await of a `getMore`: after that the server is taken for dead. */
const WATCHDOG_MARGIN_MS = 3_000;
const SOCKET_MARGIN_MS = 5_000;
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
  let stopping = false;
  let client: MongoClient | null = null;
  let timeline: Timeline | null = null;
  let progress: Progress | null = null;
  let plan: Plan = { kind: 'window', seconds: options.windowSeconds };
  let attempt = 0;
  let samePlace = { at: '', times: 0 };
  let wake: (() => void) | null = null;
  let current: Reading | null = null;

  const connect = (): MongoClient => {
    const fresh = new MongoClient(options.uri, {
      appName: 'runcash-live feed',
      maxPoolSize: 3,
      socketTimeoutMS: options.awaitMs + SOCKET_MARGIN_MS,
      connectTimeoutMS: 2_000,
      // With the default of 10 s the driver stood still that long after one error, waiting for its monitor.
      heartbeatFrequencyMS: 1_000,
      serverSelectionTimeoutMS: 3_000,
      readPreference: 'primary',
      retryReads: false,
    });
    events.connected(fresh);
    return fresh;
  };

  const closeClient = async (): Promise<void> => {
    const old = client;
    client = null;
    events.connected(null);
    await old?.close(true);
  };

  const kick = (reason: string): void => {
    events.reopen('watchdog', reason);
    void closeClient().catch((error: unknown) => events.reopen('close_failed', String(error)));
  };

  const watchdog = startWatchdog(options.awaitMs + WATCHDOG_MARGIN_MS, options.nowMs, () =>
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

  const sessionOptions = (open: MongoClient): SessionOptions => ({
    ...options,
    client: open,
    sent: watchdog.sent,
    answered: watchdog.answered,
    advanced(now) {
      attempt = 0;
      samePlace = { at: '', times: 0 };
      if (timeline !== null) events.standing(timeline, now.delivered);
    },
  });

  const beginFresh = (reason: ResetReason, next: Plan): void => {
    if (timeline !== null) events.fresh(reason);
    timeline = null;
    progress = null;
    plan = next;
  };

  const session = async (): Promise<void> => {
    client ??= connect();
    const open = sessionOptions(client);
    let reading: Reading;
    if (timeline !== null && progress !== null) {
      reading = await resume(open, timeline, progress);
    } else {
      events.phase('rewinding', 'reading the recent past and the current numbers');
      const caught = await rewind(open, plan);
      ({ reading } = caught);
      ({ timeline } = caught);
      ({ progress } = reading);
    }
    current = reading;
    events.phase('live', null);
    events.standing(timeline, reading.progress.delivered);
    await follow(open, timeline, reading);
  };

  /** The window of the next rewind after lost history: halved, and again, down to now. */
  const narrower = (): Plan =>
    plan.kind === 'window' ? { kind: 'window', seconds: Math.floor(plan.seconds / 2) } : { kind: 'window', seconds: 0 };

  /** Counts an error at one place; true when it came there too often. */
  const isStuck = (name: string, limit: number): boolean => {
    const at = `${name} at ${progress?.delivered ?? 'boot'}`;
    samePlace = { at, times: samePlace.at === at ? samePlace.times + 1 : 1 };
    return samePlace.times > limit;
  };

  /** Decides what to do about an error; resolves when the loop may go on. */
  const recover = async (error: unknown): Promise<void> => {
    if (error instanceof FreshNeeded) {
      beginFresh(error.reason, error.plan);
      return;
    }
    const found = classify(error);
    const configured = error instanceof ConfigurationError || found.class === 'configuration';
    events.reopen(found.name, found.words);
    events.phase(timeline === null ? 'connecting' : 'degraded', found.words);
    if (configured) {
      await closeClient();
      await pause(configurationRetryMs(options.random()));
      return;
    }
    if (found.class === 'history_gone') {
      const next: Plan = timeline === null ? narrower() : { kind: 'window', seconds: 0 };
      beginFresh('history_lost', next);
    } else if (isStuck(found.name, found.class === 'token' ? MAX_SAME_TOKEN : MAX_SAME_PLACE)) {
      // Nothing but a fresh state can get past an error that stands at one place; a network that is away is no such.
      if (found.code !== null) beginFresh('history_lost', { kind: 'window', seconds: options.windowSeconds });
    }
    await pause(backoffMs(attempt++, options.random()));
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
      if (current !== null) await Promise.race([current.cursor.close(), pauseOf(STOP_MS)]);
      await closeClient();
      await done;
    },
  };
}
