import { type MongoClient, MongoServerError, type ReadPreferenceMode, Timestamp } from 'mongodb';
import { z } from 'zod';
import type { ClusterTime } from '../protocol/position.ts';
import { fieldsOr } from './change.ts';
import { openMembers } from './member.ts';
import type { FeedTimings } from './timings.ts';

const opTime = z.object({ ts: z.instanceof(Timestamp) });
const helloReply = z.object({
  msg: z.string().optional(),
  lastWrite: z.object({ opTime, majorityOpTime: opTime }).optional(),
});

/** What a member says about the set. Null times: it is no member of a replica set. */
export interface SetTimes {
  /** Everything up to here is majority committed: change streams may show it. */
  readonly majority: ClusterTime | null;
  /** The last write that it took, perhaps not committed yet. */
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

/** Asks the primary, or the one server of a direct connection, by `hello`, or `isMaster` where a server is too old to know it. Throws ConfigurationError. */
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

async function majorityOf(client: MongoClient): Promise<ClusterTime> {
  const { majority } = await askTimes(client);
  if (majority !== null) return majority;
  throw new ConfigurationError('this MongoDB is a standalone server; change streams need a replica set (--replSet)');
}

/** Whether `$changeStreamSplitLargeEvent` exists: from 6.0.9 and 7.0 on. Of text that is no version, nothing follows. */
export function splitsLargeEvents(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && (minor > 0 || patch >= 9));
}

/** The feed's own clients, and whether the server behind them lives. */
export interface Connection {
  /** For the stream and what is read beside it; from `version` on, of one member where `readPreference` asks for that. */
  readonly client: MongoClient;
  /**
   * Reads at rest from the same member, with a client of its own: it may take minutes, and must not keep the stream
   * waiting for a connection.
   */
  readonly atRest: <T>(read: (client: MongoClient) => Promise<T>) => Promise<T>;
  /** For what only the primary can tell or write. */
  readonly primary: MongoClient;
  /** Why this side gave the connection up; null while it did not. */
  readonly givenUp: string | null;
  /** The server's version as `buildInfo` says it; the first command, which finds out whether anybody is there. */
  version(): Promise<string>;
  /** The majority time now, as the server knows it that is read from. Throws ConfigurationError for one that has none. */
  majority(): Promise<ClusterTime>;
  /** The same as last asked in the background; null when it could not be. */
  readonly lastMajority: ClusterTime | null;
  /** The stream brought something, so the server lives. */
  heard(): void;
  /** Ends it by force, whatever is under way, because of `reason`. */
  giveUp(reason: string): void;
  close(): Promise<void>;
}

interface ConnectionOptions {
  readonly uri: string;
  /** Which member of the set the stream and the reads at rest come from. */
  readonly readPreference: ReadPreferenceMode;
  readonly awaitMs: number;
  readonly timings: FeedTimings;
  readonly nowMs: () => number;
  /** What the primary says of the set's times, asked at `askedMs`, every so often; null when it could not be asked. */
  times(times: SetTimes | null, askedMs: number): void;
}

const LOOK_MS = 1_000;
/** A look that is so late means that our own event loop stood still, so that answers may be waiting unread. */
const BLOCKED_MS = 1_000;

/** Calls `dead` when nothing was heard for `limitMs`, unless our own event loop stood still meanwhile. */
function createWatchdog(nowMs: () => number, limitMs: number, dead: () => void) {
  let heardMs = nowMs();
  let lookedMs = heardMs;
  const timer = setInterval(() => {
    const now = nowMs();
    const wasBlocked = now - lookedMs > LOOK_MS + BLOCKED_MS;
    lookedMs = now;
    if (wasBlocked) heardMs = now;
    else if (now - heardMs > limitMs) dead();
  }, LOOK_MS).unref();
  return {
    heard(): void {
      heardMs = nowMs();
    },
    stop: (): void => clearInterval(timer),
  };
}

/**
 * Opens a client for the change stream. Slow is not dead: `maxTimeMS` bounds the waiting of a `getMore`, not its scan of
 * the oplog, so no command has a limit of its own. While any of them or a `hello` beside them is answered the server is
 * waited for; when nothing is answered for the await and a margin, the connection is given up.
 */
export function openConnection(options: ConnectionOptions): Connection {
  const { uri, readPreference, timings, nowMs } = options;
  const limitMs = options.awaitMs + timings.watchdogMarginMs;
  const members = openMembers(uri, readPreference, timings);
  let lastMajority: ClusterTime | null = null;
  let givenUp: string | null = null;
  let isConnected = false;
  let askedMs: number | null = null;

  const close = async (): Promise<void> => {
    watchdog.stop();
    clearInterval(poll);
    options.times(null, nowMs());
    await members.close();
  };

  const giveUp = (reason: string): void => {
    if (givenUp !== null) return;
    givenUp = reason;
    // Whatever is under way rejects now, and says more than this could.
    void close().catch(() => undefined);
  };

  const watchdog = createWatchdog(nowMs, limitMs, () => giveUp('MongoDB did not answer in time'));

  const ask = async (): Promise<void> => {
    const now = nowMs();
    // A question without an answer is not waited for longer than the server itself: its connection may be the dead one.
    if (!isConnected || (askedMs !== null && now - askedMs < limitMs)) return;
    askedMs = now;
    // The stream's own loop reports what is wrong; here it only means that the time is not known.
    const unknown = (): null => null;
    const { set, chosen } = members;
    const own = askTimes(chosen.client).catch(unknown);
    const told = chosen === set ? own : askTimes(set.client).catch(unknown);
    const reached = await own;
    if (reached !== null) watchdog.heard();
    lastMajority = reached?.majority ?? null;
    const times = await told;
    if (givenUp === null) options.times(times, now);
    if (askedMs === now) askedMs = null;
  };
  const poll = setInterval(() => void ask(), timings.majorityPollMs).unref();

  return {
    get client() {
      return members.chosen.client;
    },
    atRest: (read) => members.chosen.atRest(read),
    primary: members.set.client,
    get lastMajority() {
      return lastMajority;
    },
    get givenUp() {
      return givenUp;
    },
    async version() {
      await members.choose();
      const { version } = fieldsOr(await members.chosen.client.db('admin').command({ buildInfo: 1 }));
      isConnected = true;
      watchdog.heard();
      void ask();
      return typeof version === 'string' ? version : '';
    },
    majority: () => majorityOf(members.chosen.client),
    heard: watchdog.heard,
    giveUp,
    close,
  };
}
