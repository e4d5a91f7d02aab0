import { MongoError, MongoNetworkError, MongoServerError, MongoServerSelectionError } from 'mongodb';
import { UnreadableStreamError } from './change.ts';
import { ConfigurationError } from './connection.ts';

/** What is done about an error of the stream. */
type ErrorClass =
  /** The server went away or is about to: opened again where it stood, for as long as it takes. */
  | 'away'
  /** Opened again where it stood; at one place so many times and no more. */
  | 'transient'
  | 'token'
  | 'history_gone'
  | 'too_large'
  | 'configuration';

interface Entry {
  readonly class: ErrorClass;
  /** What an operator reads before the server's own message. */
  readonly words?: string;
}

const PRIVILEGES = 'the user lacks a privilege: it needs find and changeStream, and to write _rt_meta and the numbers';
const NO_STREAMS = 'this MongoDB has no change streams';

/**
 * The error policy, one table, by the names of error_codes.yml
 * (https://github.com/mongodb/mongo/blob/v7.0/src/mongo/base/error_codes.yml). Every code that is not here is
 * transient: giving up on an error that nobody foresaw is how a stream stays dead.
 */
const POLICY: Readonly<Record<string, Entry & { readonly code: number }>> = {
  HostUnreachable: { code: 6, class: 'away' },
  HostNotFound: { code: 7, class: 'away' },
  NetworkTimeout: { code: 89, class: 'away' },
  ShutdownInProgress: { code: 91, class: 'away' },
  PrimarySteppedDown: { code: 189, class: 'away' },
  SocketException: { code: 9001, class: 'away' },
  NotWritablePrimary: { code: 10107, class: 'away' },
  InterruptedAtShutdown: { code: 11600, class: 'away' },
  InterruptedDueToReplStateChange: { code: 11602, class: 'away' },
  NotPrimaryNoSecondaryOk: { code: 13435, class: 'away' },
  NotPrimaryOrSecondary: { code: 13436, class: 'away' },
  CappedPositionLost: { code: 136, class: 'history_gone' },
  ChangeStreamHistoryLost: { code: 286, class: 'history_gone' },
  Location40576: { code: 40576, class: 'history_gone' },
  NoMatchingDocument: { code: 47, class: 'token' },
  InvalidResumeToken: { code: 260, class: 'token' },
  ChangeStreamFatalError: { code: 280, class: 'token' },
  Location40585: { code: 40585, class: 'token' },
  BSONObjectTooLarge: { code: 10334, class: 'too_large' },
  UserNotFound: { code: 11, class: 'configuration', words: 'MongoDB does not know the user' },
  Unauthorized: { code: 13, class: 'configuration', words: PRIVILEGES },
  AuthenticationFailed: { code: 18, class: 'configuration', words: 'MongoDB refused the user or password' },
  RoleNotFound: { code: 31, class: 'configuration', words: 'a role of the user does not exist in MongoDB' },
  NotYetInitialized: { code: 94, class: 'configuration', words: 'the replica set is not initiated' },
  CommandNotSupported: { code: 115, class: 'configuration', words: NO_STREAMS },
  NotImplemented: { code: 238, class: 'configuration', words: NO_STREAMS },
  // Amazon DocumentDB and Cosmos DB answer this for stages and options that they do not have.
  FeatureNotSupported: { code: 303, class: 'configuration', words: NO_STREAMS },
  APIStrictError: { code: 323, class: 'configuration', words: 'the address asks for a strict API version' },
  ReadConcernMajorityNotEnabled: {
    code: 148,
    class: 'configuration',
    words: 'the server runs with enableMajorityReadConcern off; change streams need it',
  },
  // Atlas answers this for whatever its proxy refuses: bad credentials, a missing privilege, a command it has not.
  AtlasError: { code: 8000, class: 'configuration', words: 'MongoDB Atlas refused (user, password, privileges?)' },
  Location40573: {
    code: 40573,
    class: 'configuration',
    words: 'this MongoDB is a standalone server; change streams need a replica set (start it with --replSet)',
  },
  Location40324: {
    code: 40324,
    class: 'configuration',
    words: 'this MongoDB does not know a stage of the change stream',
  },
};

const BY_CODE: ReadonlyMap<number, Entry> = new Map(Object.values(POLICY).map((entry) => [entry.code, entry]));

export interface ClassifiedError {
  readonly class: ErrorClass;
  /** The server's code, or null for an error of the client's side. */
  readonly code: number | null;
  /** A short name for counting: the code's name, or the error's own. */
  readonly name: string;
  readonly words: string;
}

/** Errors of the driver that mean that no server was there, not that one answered something wrong. */
const AWAY =
  /^Mongo(?:ServerSelection|ServerClosed|TopologyClosed|PoolClosed|WaitQueue|NotConnected|ClientClosed|ExpiredSession)/;

/** Classifies whatever was thrown while the stream was opened or read, by the driver or by this room. */
export function classify(error: unknown): ClassifiedError {
  if (error instanceof MongoServerError && typeof error.code === 'number') {
    const entry = BY_CODE.get(error.code);
    return {
      class: entry?.class ?? 'transient',
      code: error.code,
      name: typeof error.codeName === 'string' ? error.codeName : `code_${error.code}`,
      words: entry?.words === undefined ? error.message : `${entry.words}: ${error.message}`,
    };
  }
  if (error instanceof MongoServerSelectionError && error.reason?.servers.size === 0) {
    // The driver drops servers that do not fit the address from its list, and says no more about it.
    const words =
      'no member of the replica set was found at this address: is it a standalone server, or the set of another name?';
    return { class: 'configuration', code: null, name: error.name, words };
  }
  if (error instanceof ConfigurationError || error instanceof UnreadableStreamError) {
    return { class: 'configuration', code: null, name: error.name, words: error.message };
  }
  const name = error instanceof Error ? error.name : 'unknown';
  const words = error instanceof Error ? error.message : String(error);
  const isAway = error instanceof MongoNetworkError || (error instanceof MongoError && AWAY.test(error.name));
  return { class: isAway ? 'away' : 'transient', code: null, name, words };
}

/** Whether the server does not know a stage of the pipeline. */
export const isUnknownStage = ({ code }: ClassifiedError): boolean => code === POLICY['Location40324']?.code;

/** Full jitter: uniform in [0, min(cap, base * 2^attempt)], in ms. `random` is in [0, 1). */
export const backoffMs = (attempt: number, random: number, baseMs: number, capMs: number): number =>
  random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16));
