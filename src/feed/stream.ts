import { type ClientSession, Long, type MongoClient, Timestamp } from 'mongodb';
import type { ClusterTime } from '../protocol/position.ts';
import { fieldsOr } from './fields.ts';

/** One reply of the server: `aggregate` gives the first, every `getMore` a further one. */
export interface Batch {
  /** Change documents as the server sent them, not checked yet. */
  readonly changes: readonly unknown[];
  /** `_data` of the post-batch resume token, not checked yet. */
  readonly token: unknown;
  /** False when the server closed the cursor, which means invalidate, whatever was seen. */
  readonly open: boolean;
}

export interface ChangeCursor {
  /** What `aggregate` answered: never changes, but it may have closed the cursor at once. */
  readonly first: Batch;
  /** Waits up to `awaitMs` for changes; resolves with an empty batch when there are none. */
  next(awaitMs: number): Promise<Batch>;
  /** Ends the cursor on the server. Never throws: a server that cannot be told drops it with the session. */
  close(): Promise<void>;
}

export interface CursorOptions {
  /** The database to watch, or null for the whole cluster. */
  readonly database: string | null;
  readonly stages: readonly Readonly<Record<string, unknown>>[];
  /** Inclusive. Never a token: after lost history `resumeAfter` answers an empty batch without an error. */
  readonly startAt: ClusterTime;
  readonly batchSize: number;
}

/** A reply that is none of a cursor: a bug of the server, or of something between. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

interface Reply {
  readonly id: Long;
  readonly collection: string;
  readonly batch: Batch;
}

function replyOf(answer: unknown): Reply {
  const cursor = fieldsOr(fieldsOr(answer)['cursor']);
  const { id, ns } = cursor;
  const changes = cursor['firstBatch'] ?? cursor['nextBatch'];
  if (!(Long.isLong(id) || typeof id === 'number') || typeof ns !== 'string' || !Array.isArray(changes)) {
    throw new ReplyError('MongoDB answered a cursor command with something else than a cursor');
  }
  const long = Long.isLong(id) ? id : Long.fromNumber(id);
  const token = fieldsOr(cursor['postBatchResumeToken'])['_data'];
  return { id: long, collection: ns.slice(ns.indexOf('.') + 1), batch: { changes, token, open: !long.isZero() } };
}

/** The documents of a cursor's reply. Throws ReplyError for what is none. */
export const batchOf = (answer: unknown): readonly unknown[] => replyOf(answer).batch.changes;

const toTimestamp = (time: ClusterTime): Timestamp => new Timestamp({ t: time.t, i: time.i });

/**
 * Opens a change stream by raw `aggregate` and reads it by raw `getMore`. The driver's ChangeStream is not used: in
 * emitter mode it stays dead after a non-resumable error, and it resumes by token, which can lose history silently.
 * Rejects with the driver's error, for `classify`.
 */
export async function openCursor(client: MongoClient, options: CursorOptions): Promise<ChangeCursor> {
  const database = client.db(options.database ?? 'admin');
  // A cursor belongs to the session that opened it, so all its commands carry the same one.
  const session: ClientSession = client.startSession();
  const start = { startAtOperationTime: toTimestamp(options.startAt) };
  const changeStream = options.database === null ? { ...start, allChangesForCluster: true } : start;

  const run = async (command: Readonly<Record<string, unknown>>): Promise<Reply> =>
    replyOf(await database.command(command, { session }));

  try {
    const opened = await run({
      aggregate: 1,
      pipeline: [{ $changeStream: changeStream }, ...options.stages],
      // Nothing yet: so that whatever is wrong with an event comes up in `getMore` alone.
      cursor: { batchSize: 0 },
      readConcern: { level: 'majority' },
    });
    const { collection } = opened;
    let { open } = opened.batch;
    return {
      first: opened.batch,
      async next(awaitMs) {
        const { batch } = await run({
          getMore: opened.id,
          collection,
          batchSize: options.batchSize,
          maxTimeMS: awaitMs,
        });
        ({ open } = batch);
        return batch;
      },
      async close() {
        try {
          if (open) await database.command({ killCursors: collection, cursors: [opened.id] }, { session });
        } catch {
          // The connection is broken or the cursor is gone already: ending the session below is all that is left.
        } finally {
          await session.endSession();
        }
      },
    };
  } catch (error) {
    await session.endSession();
    throw error;
  }
}
