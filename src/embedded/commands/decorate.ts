import { type Document, Double, Long } from 'bson';
import { CODES, codeName, RETRYABLE_WRITE_CODES, STATE_CHANGE_CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import type { CommandError } from '../errors.ts';
import type { Reply } from '../wire/reply.ts';

/** The times that stand at the end of every answer of a replica set. */
function timesOf(engine: Engine): Reply['times'] {
  if (engine.options.standalone) return undefined;
  return { operation: engine.oplog.last, cluster: engine.clock.clusterTime };
}

export function topologyVersion(engine: Engine): Document {
  return { processId: engine.replication.processId, counter: Long.fromNumber(engine.replication.topologyCounter) };
}

const OK: Document = { ok: new Double(1) };

export function succeeded(engine: Engine, reply: Document, concernError?: Document): Reply {
  const documents = concernError === undefined ? [reply, OK] : [reply, OK, { writeConcernError: concernError }];
  return { documents, times: timesOf(engine) };
}

/** Where an error happened, as far as its labels depend on it. */
export interface ErrorPlace {
  readonly inTransaction: boolean;
  readonly isCommitOrAbort: boolean;
  readonly isRetryableWrite: boolean;
  /** Labels that a fail point asks for; they replace the server's own. */
  readonly labels?: readonly string[] | undefined;
}

const TRANSIENT_CODES: ReadonlySet<number> = new Set([
  CODES.LockTimeout,
  CODES.WriteConflict,
  CODES.SnapshotUnavailable,
  CODES.NoSuchTransaction,
  CODES.PreparedTransactionInProgress,
  CODES.HostUnreachable,
  CODES.HostNotFound,
  CODES.NetworkTimeout,
  CODES.ShutdownInProgress,
  CODES.PrimarySteppedDown,
  CODES.ExceededTimeLimit,
  CODES.SocketException,
  CODES.NotWritablePrimary,
  CODES.InterruptedAtShutdown,
  CODES.InterruptedDueToReplStateChange,
  CODES.NotPrimaryNoSecondaryOk,
  CODES.NotPrimaryOrSecondary,
]);

/** After these a transaction is certain not to have been committed. */
const CONFLICT_CODES: ReadonlySet<number> = new Set([
  CODES.LockTimeout,
  CODES.WriteConflict,
  CODES.SnapshotUnavailable,
  CODES.NoSuchTransaction,
  CODES.PreparedTransactionInProgress,
]);

function labelsOf(error: CommandError, place: ErrorPlace): readonly string[] {
  if (place.labels !== undefined) return place.labels;
  const own: unknown = error.extra['errorLabels'];
  const labels = Array.isArray(own) ? own.map(String) : [];
  if (place.inTransaction && !place.isCommitOrAbort && TRANSIENT_CODES.has(error.code))
    labels.push('TransientTransactionError');
  if (place.isCommitOrAbort && CONFLICT_CODES.has(error.code)) labels.push('TransientTransactionError');
  // Refused before anything was done: whoever repeats it later stores it once.
  if (error.code === CODES.OutOfDiskSpace) labels.push('RetryableWriteError');
  else if ((place.isRetryableWrite || place.isCommitOrAbort) && RETRYABLE_WRITE_CODES.has(error.code))
    labels.push('RetryableWriteError');
  return labels;
}

/** The labels of a write that was done but not acknowledged as asked for; a field for its reply, or none. */
export function concernLabels(error: Document, place: ErrorPlace): Document {
  const retryable =
    (place.isRetryableWrite || place.isCommitOrAbort) && RETRYABLE_WRITE_CODES.has(Number(error['code']));
  const labels = place.labels ?? (retryable ? ['RetryableWriteError'] : []);
  return labels.length > 0 ? { errorLabels: labels } : {};
}

export function failed(engine: Engine, error: CommandError, place: ErrorPlace): Reply {
  const { errorLabels: _own, ...extra } = error.extra;
  const labels = labelsOf(error, place);
  const document = {
    ...(labels.length > 0 ? { errorLabels: labels } : {}),
    ...(STATE_CHANGE_CODES.has(error.code) ? { topologyVersion: topologyVersion(engine) } : {}),
    ok: new Double(0),
    errmsg: error.message,
    code: error.code,
    codeName: codeName(error.code, engine.options.compat),
    ...extra,
  };
  return { documents: [document], times: timesOf(engine) };
}
