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

const DUPLICATE_KEY = 11000;
const WRITE_CONCERN_FAILED = 64;
const MAX_TIME_EXPIRED = 50;
const UNAUTHORIZED: ReadonlySet<unknown> = new Set([13, 18]);

/** No primary, or one that is about to stop being it: nothing was done. Codes of MongoDB's error_codes.yml. */
const UNAVAILABLE: ReadonlySet<unknown> = new Set([91, 189, 10107, 11600, 11602, 13435, 13436]);

/** Classes that the driver does not export: a connection was waited for in vain. */
const NO_CONNECTION: ReadonlySet<string> = new Set(['MongoPoolClearedError', 'MongoWaitQueueTimeoutError']);

/** Errors of the driver that come before anything was sent. */
const notSent = (cause: unknown): boolean =>
  cause instanceof MongoServerSelectionError ||
  cause instanceof MongoNotConnectedError ||
  cause instanceof MongoTopologyClosedError ||
  (cause instanceof MongoError && NO_CONNECTION.has(cause.name));

/** Whether a write error says that a key is taken. */
export const isDuplicateKey = (code: unknown): boolean => code === DUPLICATE_KEY;

/** Whether the server refused for lack of privileges. */
export const isUnauthorized = (cause: unknown): boolean =>
  cause instanceof MongoServerError && UNAUTHORIZED.has(cause.code);

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
  if (cause.code === WRITE_CONCERN_FAILED || cause.code === MAX_TIME_EXPIRED) {
    return new ProtocolError(unknown, { retryMs: RETRY_MS, cause });
  }
  if (isUnauthorized(cause)) {
    return new ProtocolError('internal', { message: 'The service may not do this in MongoDB.', cause });
  }
  return new ProtocolError('internal', { cause });
}

/** Whether doing the same again at once may help: the connection broke, or the primary is another one now. */
export const isWorthRetrying = (cause: unknown): boolean =>
  !notSent(cause) &&
  (cause instanceof MongoNetworkError || (cause instanceof MongoServerError && UNAVAILABLE.has(cause.code)));
