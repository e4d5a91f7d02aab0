import { Binary, type Document, Double, Long, serialize, Timestamp } from 'bson';
import { codeName, RETRYABLE_WRITE_CODES, STATE_CHANGE_CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import type { CommandError } from '../errors.ts';
import { type ClusterTime, toTimestamp } from '../oplog/clock.ts';
import type { RawDocument } from '../wire/reply.ts';

/** `$clusterTime` with a time of zero. It stands in every answer: its bytes are copied, not encoded again. */
const CLUSTER_TIME = serialize({
  clusterTime: new Timestamp(0n),
  signature: { hash: new Binary(Buffer.alloc(20)), keyId: Long.ZERO },
});
/** The length of the document, the type and the name stand before the timestamp: its ordinal, then its seconds. */
const TIME_AT = 4 + 1 + 'clusterTime'.length + 1;

function clusterTime({ t, i }: ClusterTime): RawDocument {
  const rawDocument = Buffer.from(CLUSTER_TIME);
  rawDocument.writeUInt32LE(i, TIME_AT);
  rawDocument.writeUInt32LE(t, TIME_AT + 4);
  return { rawDocument };
}

/** `operationTime` and `$clusterTime`, which a replica set puts into every answer. */
export function clusterFields(engine: Engine): Document {
  if (engine.options.standalone) return {};
  return {
    operationTime: toTimestamp(engine.oplog.last),
    $clusterTime: clusterTime(engine.clock.clusterTime),
  };
}

export function topologyVersion(engine: Engine): Document {
  return { processId: engine.replication.processId, counter: Long.fromNumber(engine.replication.topologyCounter) };
}

export function succeeded(engine: Engine, reply: Document): Document {
  // Taking a field out of an object costs more than all else here; most replies have no such field.
  if (reply['writeConcernError'] === undefined) return { ...reply, ok: new Double(1), ...clusterFields(engine) };
  const { writeConcernError, ...rest } = reply;
  return {
    ...rest,
    ok: new Double(1),
    writeConcernError,
    ...clusterFields(engine),
  };
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
  24, 112, 246, 251, 267, 6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
]);

/** After these a transaction is certain not to have been committed. */
const CONFLICT_CODES: ReadonlySet<number> = new Set([24, 112, 246, 251, 267]);

function labelsOf(error: CommandError, place: ErrorPlace): readonly string[] {
  if (place.labels !== undefined) return place.labels;
  const own: unknown = error.extra['errorLabels'];
  const labels = Array.isArray(own) ? own.map(String) : [];
  if (place.inTransaction && !place.isCommitOrAbort && TRANSIENT_CODES.has(error.code))
    labels.push('TransientTransactionError');
  if (place.isCommitOrAbort && CONFLICT_CODES.has(error.code)) labels.push('TransientTransactionError');
  if ((place.isRetryableWrite || place.isCommitOrAbort) && RETRYABLE_WRITE_CODES.has(error.code))
    labels.push('RetryableWriteError');
  return labels;
}

/** A reply whose write was done but not acknowledged as asked for. */
export function withConcernError(reply: Document, error: Document, place: ErrorPlace): Document {
  const retryable =
    (place.isRetryableWrite || place.isCommitOrAbort) && RETRYABLE_WRITE_CODES.has(Number(error['code']));
  const labels = place.labels ?? (retryable ? ['RetryableWriteError'] : []);
  return { ...reply, ...(labels.length > 0 ? { errorLabels: labels } : {}), writeConcernError: error };
}

export function failed(engine: Engine, error: CommandError, place: ErrorPlace): Document {
  const { errorLabels: _own, ...extra } = error.extra;
  const labels = labelsOf(error, place);
  return {
    ...(labels.length > 0 ? { errorLabels: labels } : {}),
    ...(STATE_CHANGE_CODES.has(error.code) ? { topologyVersion: topologyVersion(engine) } : {}),
    ok: new Double(0),
    errmsg: error.message,
    code: error.code,
    codeName: codeName(error.code, engine.options.compat),
    ...extra,
    ...clusterFields(engine),
  };
}
