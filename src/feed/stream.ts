import { type ClientSession, Long, type MongoClient, Timestamp } from 'mongodb';
import { z } from 'zod';
import type { ClusterTime } from '../protocol/position.ts';

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
  /** What `aggregate` answered. */
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

const cursorId = z.union([z.number(), z.instanceof(Long)]);
const reply = z.object({
  cursor: z.object({
    id: cursorId,
    ns: z.string(),
    firstBatch: z.array(z.unknown()).optional(),
    nextBatch: z.array(z.unknown()).optional(),
    postBatchResumeToken: z.object({ _data: z.unknown() }).optional(),
  }),
});

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

  const run = async (command: Readonly<Record<string, unknown>>): Promise<{ id: Long; ns: string; batch: Batch }> => {
    const { cursor } = reply.parse(await database.command(command, { session }));
    const id = Long.isLong(cursor.id) ? cursor.id : Long.fromNumber(cursor.id);
    const changes = cursor.firstBatch ?? cursor.nextBatch ?? [];
    return { id, ns: cursor.ns, batch: { changes, token: cursor.postBatchResumeToken?._data, open: !id.isZero() } };
  };

  try {
    const opened = await run({
      aggregate: 1,
      pipeline: [{ $changeStream: changeStream }, ...options.stages],
      cursor: { batchSize: options.batchSize },
      readConcern: { level: 'majority' },
    });
    const collection = opened.ns.slice(opened.ns.indexOf('.') + 1);
    let open = opened.batch.open;
    return {
      first: opened.batch,
      async next(awaitMs) {
        const { batch } = await run({
          getMore: opened.id,
          collection,
          batchSize: options.batchSize,
          maxTimeMS: awaitMs,
        });
        open = batch.open;
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
