import {
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  MongoWriteConcernError,
} from 'mongodb';
import { ProtocolError } from '../protocol/errors.ts';

/** How long a caller waits before it tries a database again that is electing or restarting. */
const RETRY_MS = 2_000;

/**
 * Codes of servers by name:
 * https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml, and 8000 of Atlas:
 * https://www.mongodb.com/docs/atlas/reference/unsupported-commands/
 */
export const CODES = {
  HostUnreachable: 6,
  HostNotFound: 7,
  Unauthorized: 13,
  AuthenticationFailed: 18,
  IllegalOperation: 20,
  LockTimeout: 24,
  CursorNotFound: 43,
  MaxTimeMSExpired: 50,
  WriteConcernFailed: 64,
  NetworkTimeout: 89,
  ShutdownInProgress: 91,
  WriteConflict: 112,
  DocumentValidationFailure: 121,
  ReadConcernMajorityNotAvailableYet: 134,
  ExceededMemoryLimit: 146,
  ReadConcernMajorityNotEnabled: 148,
  CommandNotSupportedOnView: 166,
  QueryPlanKilled: 175,
  PrimarySteppedDown: 189,
  SnapshotUnavailable: 246,
  ExceededTimeLimit: 262,
  AtlasError: 8000,
  CannotGrowDocumentInCappedNamespace: 10003,
  NotWritablePrimary: 10107,
  DuplicateKey: 11000,
  InterruptedAtShutdown: 11600,
  Interrupted: 11601,
  InterruptedDueToReplStateChange: 11602,
  NotPrimaryNoSecondaryOk: 13435,
  NotPrimaryOrSecondary: 13436,
  OutOfDiskSpace: 14031,
} as const;

const named = (...names: readonly (keyof typeof CODES)[]): ReadonlySet<unknown> =>
  new Set(names.map((name) => CODES[name]));

/** A setting of the server, of its user or of a collection, which no retry mends; words for an operator. */
const CONFIGURATION: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [CODES.Unauthorized, 'The service may not do this in MongoDB.'],
  [CODES.AuthenticationFailed, 'MongoDB refuses the user or the password of MONGODB_URI.'],
  [CODES.AtlasError, 'Atlas refuses this: the user, its privileges, or the kind of cluster.'],
  [CODES.ReadConcernMajorityNotEnabled, 'This MongoDB has majority reads turned off (enableMajorityReadConcern).'],
  [CODES.DocumentValidationFailure, 'A validator of the collection refuses the document.'],
  [CODES.CommandNotSupportedOnView, 'This is stored in a collection, and MongoDB has a view of that name.'],
  [CODES.IllegalOperation, 'MongoDB does not do this to this collection: is it capped, or a time series?'],
  [CODES.CannotGrowDocumentInCappedNamespace, 'The collection is capped: its documents cannot be changed.'],
]);

const refused = (code: unknown, cause: unknown): ProtocolError => {
  const message = CONFIGURATION.get(code);
  return message === undefined
    ? new ProtocolError('internal', { cause })
    : new ProtocolError('database_refused', { cause, message });
};

/** No primary, one that is about to stop being it, or one without room: nothing was done. */
const UNAVAILABLE = named(
  'ShutdownInProgress',
  'PrimarySteppedDown',
  'NotWritablePrimary',
  'InterruptedAtShutdown',
  'InterruptedDueToReplStateChange',
  'NotPrimaryNoSecondaryOk',
  'NotPrimaryOrSecondary',
  'OutOfDiskSpace',
  'ExceededMemoryLimit',
);

/** Something came in between: of a write it is not known what was done. */
const INTERRUPTED = named(
  'HostUnreachable',
  'HostNotFound',
  'LockTimeout',
  'CursorNotFound',
  'MaxTimeMSExpired',
  'WriteConcernFailed',
  'NetworkTimeout',
  'WriteConflict',
  'ReadConcernMajorityNotAvailableYet',
  'QueryPlanKilled',
  'SnapshotUnavailable',
  'ExceededTimeLimit',
  'Interrupted',
);

/** Classes that the driver does not export: a connection was waited for in vain. */
const POOL_CLEARED = 'MongoPoolClearedError';
const NO_CONNECTION: ReadonlySet<string> = new Set([POOL_CLEARED, 'MongoWaitQueueTimeoutError']);

/** Errors of the driver that come before anything was sent. */
const notSent = (cause: unknown): boolean =>
  cause instanceof MongoServerSelectionError ||
  cause instanceof MongoNotConnectedError ||
  cause instanceof MongoTopologyClosedError ||
  (cause instanceof MongoError && NO_CONNECTION.has(cause.name));

/** Whether the server refused for lack of privileges. */
export const isUnauthorized = (cause: unknown): boolean =>
  cause instanceof MongoServerError && (cause.code === CODES.Unauthorized || cause.code === CODES.AtlasError);

/**
 * An error of the driver as one of our table, with the original as its cause. A write of which no answer came, or whose
 * write concern was not met in time, may have happened: `write_unknown`.
 */
export function toProtocolError(cause: unknown, doing: 'read' | 'write'): ProtocolError {
  if (cause instanceof ProtocolError) return cause;
  const unknown = doing === 'write' ? 'write_unknown' : 'database_unavailable';
  if (notSent(cause)) return new ProtocolError('database_unavailable', { retryMs: RETRY_MS, cause });
  if (cause instanceof MongoNetworkError) return new ProtocolError(unknown, { retryMs: RETRY_MS, cause });
  if (cause instanceof MongoWriteConcernError) return new ProtocolError('write_unknown', { retryMs: RETRY_MS, cause });
  if (!(cause instanceof MongoServerError)) return new ProtocolError('internal', { cause });
  if (UNAVAILABLE.has(cause.code)) return new ProtocolError('database_unavailable', { retryMs: RETRY_MS, cause });
  if (INTERRUPTED.has(cause.code)) return new ProtocolError(unknown, { retryMs: RETRY_MS, cause });
  return refused(cause.code, cause);
}

/** Why one document of a batch was not stored: for want of room, which passes, or for what it is. */
export function documentRefused({ code, errmsg }: { readonly code: number; readonly errmsg: string }): ProtocolError {
  const cause = new Error(`MongoDB refused the document (${code}): ${errmsg}`);
  if (UNAVAILABLE.has(code)) return new ProtocolError('database_unavailable', { retryMs: RETRY_MS, cause });
  return refused(code, cause);
}

/** Whether doing the same again at once may help: the connection broke, or the primary is another one now. */
export const isWorthRetrying = (cause: unknown): boolean =>
  !notSent(cause) &&
  (cause instanceof MongoNetworkError || (cause instanceof MongoServerError && UNAVAILABLE.has(cause.code)));

/** The same of a read, which another connection's break may also have kept from being sent. */
export const isWorthReadingAgain = (cause: unknown): boolean =>
  isWorthRetrying(cause) || (cause instanceof MongoError && cause.name === POOL_CLEARED);
