import { type Document, Int32, Long } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { waitFor } from '../operation.ts';
import { toTimestamp } from '../oplog/clock.ts';
import type { WriteOrigin } from '../oplog/oplog.ts';
import { createDirectUnit } from '../sessions/direct-unit.ts';
import { snapshotUnit } from '../sessions/snapshot-unit.ts';
import { Locked, type Unit } from '../sessions/unit.ts';
import type { Collection } from '../storage/collection.ts';
import { toInteger } from '../values/numbers.ts';
import type { CommandContext } from './command.ts';

/** `maxWriteBatchSize` of hello. */
export const MAX_BATCH = 100_000;

/** Documents and statements above this are looked over in a turn of their own. */
export const LARGE_BYTES = 1024 * 1024;

/** @throws CommandError 16 InvalidLength */
export function checkBatchSize(count: number): void {
  if (count < 1 || count > MAX_BATCH) {
    throw new CommandError(
      CODES.InvalidLength,
      `Write batch sizes must be between 1 and ${MAX_BATCH}. Got ${count} operations.`,
    );
  }
}

/** How this command writes: inside its transaction, or at once. */
export function unitOf(context: CommandContext, grouped = false): Unit {
  const { engine, transaction, retryNumber, snapshot } = context;
  if (transaction !== undefined) return transaction.unit;
  if (snapshot !== undefined) return snapshotUnit(createDirectUnit(engine, false), snapshot);
  return createDirectUnit(engine, grouped, retryNumber === undefined ? undefined : () => meetFailPoint(context));
}

/** @throws CommandError that the fail point asks for */
function meetFailPoint({ engine, connection }: CommandContext): void {
  const failure = engine.failPoints.forRetryableStatement();
  if (failure === undefined) return;
  if (failure.closeConnection) connection.closing = true;
  if (failure.errorCode === undefined) return;
  throw new CommandError(
    failure.errorCode,
    "Failing write due to 'onPrimaryTransactionalWrite' failpoint. The write must not be reflected.",
  );
}

/** The statement number of each element of the batch, as the driver numbers them for retries. */
export function statementNumber(body: Document, index: number): number {
  const given: unknown = body['stmtIds'];
  if (Array.isArray(given)) return toInteger(given[index]) ?? index;
  return (toInteger(body['stmtId']) ?? 0) + index;
}

/** The first answer to a statement that was sent before. */
export function earlierOutcome(context: CommandContext, statement: number): Document | undefined {
  if (context.retryNumber === undefined) return undefined;
  return context.session?.statements.get(statement)?.reply;
}

/** What goes into the oplog so that the statement's answer can be given again; undefined when not retryable. */
export function originOf(context: CommandContext, statement: number, reply: Document): WriteOrigin | undefined {
  const { session, retryNumber } = context;
  if (session === undefined || retryNumber === undefined) return undefined;
  return { lsid: session.lsid, txnNumber: retryNumber, statement, reply };
}

export function remember(context: CommandContext, statement: number, reply: Document): void {
  if (context.retryNumber !== undefined) context.session?.statements.set(statement, { reply });
}

/** Runs a write, and again whenever the transaction or index build that stood in its way has ended. */
export async function untilUnlocked<T>(context: CommandContext, write: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof Locked)) throw error;
      await waitFor(context.operation, (callback) => error.holder.whenEnded(callback));
    }
  }
}

/** An error of one element of the batch, as the reply lists it. */
export function writeError(index: number, error: CommandError): Document {
  const { errorLabels: _labels, ...extra } = error.extra;
  return { index: new Int32(index), code: new Int32(error.code), ...extra, errmsg: error.message };
}

/** Errors that end the whole command instead of being listed: those that concern more than one document. */
export function endsBatch(context: CommandContext, error: CommandError): boolean {
  return (
    error.code === CODES.MaxTimeMSExpired ||
    error.code === CODES.InterruptedAtShutdown ||
    error.code === CODES.Interrupted ||
    error.code === CODES.InterruptedDueToReplStateChange ||
    error.code === CODES.NotWritablePrimary ||
    (context.transaction !== undefined &&
      (error.code === CODES.WriteConflict ||
        error.code === CODES.SnapshotUnavailable ||
        error.code === CODES.NoSuchTransaction))
  );
}

/** `opTime` and `electionId`, which a replica set member adds to the answers of write commands. */
export function writeFields(context: CommandContext): Document {
  const { engine } = context;
  if (engine.options.standalone) return {};
  return {
    opTime: { ts: toTimestamp(engine.oplog.last), t: Long.fromNumber(engine.replication.term) },
    electionId: engine.replication.electionId,
  };
}

/** @throws CommandError 121 DocumentValidationFailure */
export function checkValidator(collection: Collection, document: Document, bypass: boolean): void {
  const { validator } = collection.options;
  if (validator === undefined || bypass || validator(document)) return;
  throw new CommandError(CODES.DocumentValidationFailure, 'Document failed validation', {
    errInfo: { failingDocumentId: document['_id'] },
  });
}
