import { MongoClient, MongoServerError, Timestamp } from 'mongodb';
import { z } from 'zod';
import type { ClusterTime } from '../protocol/position.ts';
import { fieldsOr } from './change.ts';
import type { FeedTimings } from './timings.ts';

const opTime = z.object({ ts: z.instanceof(Timestamp) });
const helloReply = z.object({
  msg: z.string().optional(),
  lastWrite: z.object({ opTime, majorityOpTime: opTime }).optional(),
});

/** What the primary says about the set. Null times: it is no member of a replica set. */
export interface SetTimes {
  /** Everything up to here is majority committed: change streams may show it. */
  readonly majority: ClusterTime | null;
  /** The last write that the primary took, perhaps not committed yet. */
  readonly last: ClusterTime | null;
}

/** A setting of the server that no retry mends; words for an operator. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

const timeOf = (value: { ts: Timestamp } | undefined): ClusterTime | null =>
  value === undefined ? null : { t: value.ts.getHighBitsUnsigned(), i: value.ts.getLowBitsUnsigned() };

/** `hello` is missing in early 4.4. https://github.com/mongodb/mongo/blob/v7.0/src/mongo/base/error_codes.yml */
const COMMAND_NOT_FOUND = 59;

/** Asks the primary by `hello`, or `isMaster` where a server is too old to know it. Throws ConfigurationError. */
async function askTimes(client: MongoClient): Promise<SetTimes> {
  const admin = client.db('admin');
  const answer = await admin.command({ hello: 1 }).catch((error: unknown) => {
    if (error instanceof MongoServerError && error.code === COMMAND_NOT_FOUND) return admin.command({ isMaster: 1 });
    throw error;
  });
  const { msg, lastWrite } = helloReply.parse(answer);
  if (msg === 'isdbgrid') {
    throw new ConfigurationError('this is a mongos; the service needs the address of a replica set');
  }
  return { majority: timeOf(lastWrite?.majorityOpTime), last: timeOf(lastWrite?.opTime) };
}

/** Whether `$changeStreamSplitLargeEvent` exists: from 6.0.9 and 7.0 on. Of text that is no version, nothing follows. */
export function splitsLargeEvents(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && (minor > 0 || patch >= 9));
}

/** The feed's own client, and whether the server behind it lives. */
export interface Connection {
  readonly client: MongoClient;
  /** For reads at rest, which may take minutes and must not keep the stream waiting for a connection. */
  readonly atRest: MongoClient;
  /** Why this side gave the connection up; null while it did not. */
  readonly givenUp: string | null;
  /** The server's version as `buildInfo` says it; the first command, which finds out whether anybody is there. */
  version(): Promise<string>;
  /** The majority time now. Throws ConfigurationError for servers that have none. */
  majority(): Promise<ClusterTime>;
  /** The stream brought something, so the server lives. */
  heard(): void;
  /** Ends it by force, whatever is under way, because of `reason`. */
  giveUp(reason: string): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly uri: string;
  readonly awaitMs: number;
  readonly timings: FeedTimings;
  readonly nowMs: () => number;
  /** What the set says of its times, asked at `askedMs`, every so often; null when it could not be asked. */
  times(times: SetTimes | null, askedMs: number): void;
}

/** A read at rest of a large collection without its index, on a cold cache, takes minutes. */
const AT_REST_MS = 600_000;

const TICK_MS = 250;
/** A tick this late means that our own event loop stood still, so that answers may be waiting unread. */
const BLOCKED_MS = 1_000;

/**
 * Opens a client for the change stream. Slow is not dead: `maxTimeMS` bounds the waiting of a `getMore`, not its scan of
 * the oplog, so no command has a limit of its own. While any of them or a `hello` beside them is answered the server is
 * waited for; when nothing is answered for the await and a margin, the connection is given up.
 */
export function openConnection(options: ConnectionOptions): Connection {
  const { timings, nowMs } = options;
  const limitMs = options.awaitMs + timings.watchdogMarginMs;
  const common = {
    appName: 'runcash-live feed',
    connectTimeoutMS: timings.connectMs,
    heartbeatFrequencyMS: timings.heartbeatMs,
    serverSelectionTimeoutMS: timings.selectionMs,
    readPreference: 'primary',
  } as const;
  // The getMore that waits, the question for the majority time beside it, a read by `_id`, and the end of a cursor.
  const client = new MongoClient(options.uri, { ...common, maxPoolSize: 5, retryReads: false });
  const atRest = new MongoClient(options.uri, { ...common, maxPoolSize: 10, socketTimeoutMS: AT_REST_MS });
  let givenUp: string | null = null;
  let isConnected = false;
  let heardMs = nowMs();
  let tickMs = heardMs;
  let askedMs: number | null = null;

  const stopTimers = (): void => {
    clearInterval(watch);
    clearInterval(poll);
  };

  const close = async (): Promise<void> => {
    stopTimers();
    options.times(null, nowMs());
    await Promise.all([client.close(true), atRest.close(true)]);
  };

  const giveUp = (reason: string): void => {
    if (givenUp !== null) return;
    givenUp = reason;
    // Whatever is under way rejects now, and says more than this could.
    void close().catch(() => undefined);
  };

  const watch = setInterval(() => {
    const now = nowMs();
    const wasBlocked = now - tickMs > TICK_MS + BLOCKED_MS;
    tickMs = now;
    if (wasBlocked) heardMs = now;
    else if (now - heardMs > limitMs) giveUp('MongoDB did not answer in time');
  }, TICK_MS);

  const ask = async (): Promise<void> => {
    const now = nowMs();
    // A question without an answer is not waited for longer than the server itself: its connection may be the dead one.
    if (!isConnected || (askedMs !== null && now - askedMs < limitMs)) return;
    askedMs = now;
    try {
      const times = await askTimes(client);
      heardMs = nowMs();
      if (givenUp === null) options.times(times, now);
    } catch {
      // The stream's own loop reports what is wrong; here it only means that the time is not known.
      if (givenUp === null) options.times(null, now);
    } finally {
      if (askedMs === now) askedMs = null;
    }
  };
  const poll = setInterval(() => void ask(), timings.majorityPollMs);
  watch.unref();
  poll.unref();

  return {
    client,
    atRest,
    get givenUp() {
      return givenUp;
    },
    async version() {
      const { version } = fieldsOr(await client.db('admin').command({ buildInfo: 1 }));
      isConnected = true;
      heardMs = nowMs();
      void ask();
      return typeof version === 'string' ? version : '';
    },
    async majority() {
      const { majority } = await askTimes(client);
      if (majority !== null) return majority;
      throw new ConfigurationError(
        'this MongoDB is a standalone server; change streams need a replica set (--replSet)',
      );
    },
    heard() {
      heardMs = nowMs();
    },
    giveUp,
    close,
  };
}
