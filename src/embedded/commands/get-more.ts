import { type Document, Long } from 'bson';
import { checkNeeds } from '../auth/authorize.ts';
import { CODES, RESUMABLE_STREAM_CODES } from '../codes.ts';
import type { Connection } from '../connection.ts';
import { cursorNotFound, type ServerCursor } from '../cursors.ts';
import type { Engine } from '../engine.ts';
import { CommandError, location } from '../errors.ts';
import { pause, timeLeft } from '../operation.ts';
import { rawBatch } from '../wire/writer.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { untilDurable } from './concerns.ts';
import { missingField, optionalCount, optionalString, wrongType } from './fields.ts';
import { passWaitPoint } from './testing.ts';

/** How long a getMore on a stream waits when the client does not say. */
const DEFAULT_AWAIT_MS = 1000;

/** Members of a set do not know each other's cursors. */
const isOfSameMember = ({ members }: Engine, one: Connection, other: Connection): boolean =>
  members === null || one.serverAddress === other.serverAddress;

/** Undefined when there is none. @throws CommandError 13 when it is another user's */
function ownCursor({ engine, connection }: CommandContext, id: bigint): ServerCursor | undefined {
  const cursor = engine.cursors.find(id);
  if (cursor !== undefined && cursor.connection.uid.toString('hex') !== connection.uid.toString('hex'))
    throw new CommandError(CODES.Unauthorized, `cursor id ${id} was not created by the authenticated user`);
  return cursor;
}

function checkout(context: CommandContext, id: bigint, namespace: string): ServerCursor {
  const { engine, session, transaction, connection } = context;
  const cursor = ownCursor(context, id);
  if (cursor === undefined || !isOfSameMember(engine, cursor.connection, connection)) throw cursorNotFound(id);
  if (cursor.namespace !== namespace) {
    throw new CommandError(
      CODES.Unauthorized,
      `Requested getMore on namespace '${namespace}', but cursor belongs to a different namespace ${cursor.namespace}`,
    );
  }
  if (cursor.sessionKey !== session?.key) {
    throw location(50736, `Cannot run getMore on cursor ${id}, which was not created in this session`);
  }
  if (cursor.transactionNumber !== transaction?.number) {
    throw location(50740, `Cannot run getMore on cursor ${id}, which was created in another transaction`);
  }
  if (cursor.user !== undefined) throw new CommandError(CODES.CursorInUse, `cursor with id ${id} is already in use`);
  return cursor;
}

async function run(context: CommandContext): Promise<Document> {
  const { engine, body, connection, db, operation } = context;
  const rawId: unknown = body['getMore'];
  if (!(rawId instanceof Long)) throw wrongType('getMore.getMore', rawId, 'long');
  const name = optionalString(body, 'collection');
  if (name === undefined) throw missingField('getMore.collection');
  const id = rawId.toBigInt();
  const namespace = `${db}.${name}`;
  const batchSize = optionalCount(body, 'batchSize');
  const cursor = checkout(context, id, namespace);
  cursor.user = operation;
  cursor.lastUse = Date.now();
  const { source } = cursor;
  const maxTimeMs = optionalCount(body, 'maxTimeMS') ?? 0;
  const limitMs = maxTimeMs > 0 ? maxTimeMs : cursor.leftMs;
  if (limitMs !== undefined && !source.tailing) operation.deadline = operation.startedAt + limitMs;
  try {
    const failure = engine.failPoints.forGetMore();
    if (failure !== undefined && failure.blockMs > 0) await pause(operation, failure.blockMs);
    if (failure?.errorCode !== undefined) {
      throw new CommandError(failure.errorCode, "Hit the 'failGetMoreAfterCursorCheckout' failpoint");
    }
    await passWaitPoint(engine, 'waitAfterPinningCursorBeforeGetMoreBatch', namespace, operation);
    const limit = batchSize === undefined || batchSize === 0 ? Number.POSITIVE_INFINITY : batchSize;
    const batch = await source.next(limit, operation, maxTimeMs > 0 ? maxTimeMs : DEFAULT_AWAIT_MS);
    // After the wait: rights may have been taken from the user meanwhile.
    checkNeeds(engine, connection, { name: 'getMore', db, shown: context.shown }, cursor.needs);
    if (connection.serverAddress === engine.members?.secondary) {
      await passWaitPoint(engine, 'runcashTestDelaySecondary', namespace, operation);
    }
    // A cursor does not remember what its find asked for: its batches are held to the strictest. What a change stream
    // shows is durable by itself.
    if (!source.changeStream) await untilDurable(engine, operation, undefined);
    cursor.sent.documents += batch.documents.length;
    cursor.sent.batches += 1;
    if (batch.done) engine.cursors.kill(id);
    const token =
      batch.postBatchResumeToken === undefined ? {} : { postBatchResumeToken: { _data: batch.postBatchResumeToken } };
    return {
      cursor: { nextBatch: rawBatch(batch.documents), ...token, id: batch.done ? Long.ZERO : rawId, ns: namespace },
    };
  } catch (error) {
    // As on the server: a cursor that failed is gone.
    cursor.user = undefined;
    engine.cursors.kill(id);
    throw source.changeStream ? labelled(error) : error;
  } finally {
    cursor.user = undefined;
    cursor.lastUse = Date.now();
    if (maxTimeMs === 0) cursor.leftMs = timeLeft(operation);
  }
}

/** Errors of change streams say whether they may be resumed from. */
export function labelled(error: unknown): unknown {
  if (!(error instanceof CommandError) || error.extra['errorLabels'] !== undefined) return error;
  const label = RESUMABLE_STREAM_CODES.has(error.code)
    ? 'ResumableChangeStreamError'
    : error.code === CODES.ChangeStreamFatalError
      ? 'NonResumableChangeStreamError'
      : undefined;
  if (label === undefined) return error;
  return new CommandError(error.code, error.message, { ...error.extra, errorLabels: [label] });
}

export const getMore: Command = {
  name: 'getMore',
  fields: fields('collection', 'batchSize', 'term', 'lastKnownCommittedOpTime'),
  unknownField: 9,
  inTransaction: true,
  always: true,
  run,
};

export const killCursors: Command = {
  name: 'killCursors',
  fields: fields('cursors'),
  unknownField: 40415,
  inTransaction: true,
  always: true,
  run(context) {
    const { engine, body } = context;
    const ids: unknown = body['cursors'];
    if (ids === undefined) throw missingField('killCursors.cursors');
    if (!Array.isArray(ids)) throw wrongType('killCursors.cursors', ids, 'array');
    const killed: Long[] = [];
    const notFound: Long[] = [];
    for (const id of ids) {
      if (!(id instanceof Long)) throw wrongType('killCursors.cursors.0', id, 'long');
      const cursor = ownCursor(context, id.toBigInt());
      (cursor !== undefined && engine.cursors.kill(cursor.id) ? killed : notFound).push(id);
    }
    return { cursorsKilled: killed, cursorsNotFound: notFound, cursorsAlive: [], cursorsUnknown: [] };
  },
};
