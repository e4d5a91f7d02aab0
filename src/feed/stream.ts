import { type ClientSession, Long, type MongoClient, Timestamp } from 'mongodb';
import type { ClusterTime } from '../protocol/position.ts';
import { DEFAULT_SOURCES, readFields, type Source, type Sources } from '../roulette/source.ts';
import { TOLERANT_REPLY } from '../store/places.ts';
import { fieldsOr, type Namespace } from './change.ts';
import { META } from './epoch.ts';

/** Which databases and collections the stream covers. */
export interface Watch {
  /** The database of the stream; null for one stream over the cluster, when there are two databases. */
  readonly database: string | null;
  /** The stages after `$changeStream`; `split` where the server can send large events in fragments. */
  stages(split: boolean): readonly Readonly<Record<string, unknown>>[];
  /** The same changes without their documents, for passing one that is too large to be sent. */
  leanStages(): readonly Readonly<Record<string, unknown>>[];
  sourceOf(ns: Namespace): Source | null;
  /** Reads the collections that the tables' documents name, and no others that they named before. */
  adopt(named: Parameters<Sources['adopt']>[0]): void;
  /** Whether an update of this path may change anything that is read. */
  isRead(path: string): boolean;
  isMeta(ns: Namespace): boolean;
  /** Whether a `dropDatabase` of this name concerns us and no invalidate will say so. */
  isDropped(database: string): boolean;
}

const LEAN_FIELDS = ['operationType', 'ns', 'to', 'documentKey', 'clusterTime'];

const projection = (fields: readonly string[]) => ({
  $project: Object.fromEntries(fields.map((field) => [field, 1])),
});

/** The watch over one database, or over two (numbers and strategies apart). */
export function createWatch(database: string, tablesDatabase: string, sources: Sources = DEFAULT_SOURCES): Watch {
  const databases = [...new Set([database, tablesDatabase])];
  const cluster = databases.length > 1;
  const pattern = sources.pattern.source;
  const { paths, isRead } = readFields(sources.extraFields);
  // A field that nobody reads never arrives, whatever it holds. Of an update the decoder leaves out the same.
  const document = paths.map((path) => `fullDocument.${path}`);
  const fields = [...LEAN_FIELDS, 'wallTime', ...document, 'updateDescription', 'splitEvent'];
  const named = (field: 'ns' | 'to') =>
    [{ [`${field}.coll`]: { $in: [...sources.names, META] } }, { [`${field}.coll`]: { $regex: pattern } }].map(
      (condition) => (cluster ? { ...condition, [`${field}.db`]: { $in: databases } } : condition),
    );
  // Without this, a filter on names hides dropDatabase and invalidate, and the cursor just ends.
  const ending = { operationType: { $in: ['dropDatabase', 'invalidate'] } };
  const match = () => ({ $match: { $or: [...named('ns'), ...named('to'), ending] } });
  const meta = `${database}.${META}`;
  const known = new Map<Namespace, Source>();
  const split = (ns: Namespace): [string, string] => {
    const dot = ns.indexOf('.');
    return dot < 0 ? [ns, ''] : [ns.slice(0, dot), ns.slice(dot + 1)];
  };
  return {
    database: cluster ? null : database,
    stages: (splits) => [match(), projection(fields), ...(splits ? [{ $changeStreamSplitLargeEvent: {} }] : [])],
    leanStages: () => [match(), projection(LEAN_FIELDS)],
    sourceOf(ns) {
      const found = known.get(ns);
      if (found !== undefined) return found;
      const [name, collection] = split(ns);
      const source = databases.includes(name) ? sources.of(collection) : null;
      // Of the others there may be any number.
      if (source !== null) known.set(ns, source);
      return source;
    },
    adopt(named) {
      sources.adopt(named);
      known.clear();
    },
    isRead,
    isMeta: (ns) => ns === meta,
    // A stream over one database ends with it; one over the cluster goes on.
    isDropped: (name) => cluster && databases.includes(name),
  };
}

/** A start `seconds` before a time, never below the first possible one. */
export const secondsBefore = (time: ClusterTime, seconds: number): ClusterTime => ({
  t: Math.max(1, time.t - seconds),
  i: 1,
});

/** One reply of the server: `aggregate` gives the first, every `getMore` a further one. */
export interface Reply {
  /** Change documents as the server sent them, as bytes, not decoded yet. */
  readonly changes: readonly unknown[];
  /** `_data` of the post-batch resume token, not checked yet. */
  readonly token: unknown;
  /** False when the server closed the cursor, which means invalidate, whatever was seen. */
  readonly open: boolean;
}

export interface ChangeCursor {
  /** Whether `aggregate` left it open: else there is nothing to read. */
  readonly open: boolean;
  /** Waits up to `awaitMs` for changes; resolves with an empty reply when there are none. */
  next(awaitMs: number): Promise<Reply>;
  /** Ends the cursor on the server. Never throws: a server that cannot be told drops it with the session. */
  close(): Promise<void>;
}

interface CursorOptions {
  /** The database to watch, or null for the whole cluster. */
  readonly database: string | null;
  readonly stages: readonly Readonly<Record<string, unknown>>[];
  /** Inclusive. Never a token: after lost history `resumeAfter` answers an empty batch without an error. */
  readonly startAt: ClusterTime;
  readonly batchSize: number;
}

/** A reply that is none of a cursor: a bug of the server, or of something between. */
class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

interface CursorReply {
  readonly id: Long;
  readonly collection: string;
  readonly reply: Reply;
}

function replyOf(answer: unknown): CursorReply {
  const cursor = fieldsOr(fieldsOr(answer)['cursor']);
  const { id, ns } = cursor;
  const changes = cursor['firstBatch'] ?? cursor['nextBatch'];
  if (!(Long.isLong(id) || typeof id === 'number') || typeof ns !== 'string' || !Array.isArray(changes)) {
    throw new ReplyError('MongoDB answered a cursor command with something else than a cursor');
  }
  const long = Long.isLong(id) ? id : Long.fromNumber(id);
  const token = fieldsOr(cursor['postBatchResumeToken'])['_data'];
  return { id: long, collection: ns.slice(ns.indexOf('.') + 1), reply: { changes, token, open: !long.isZero() } };
}

/** The documents of a cursor's reply. Throws ReplyError for what is none. */
export const documentsOf = (answer: unknown): readonly unknown[] => replyOf(answer).reply.changes;

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

  const run = async (command: Readonly<Record<string, unknown>>): Promise<CursorReply> =>
    replyOf(await database.command(command, { session, ...TOLERANT_REPLY }));

  try {
    const { id, collection, reply } = await run({
      aggregate: 1,
      pipeline: [{ $changeStream: changeStream }, ...options.stages],
      // Nothing yet: so that whatever is wrong with an event comes up in `getMore` alone. What this first reply says of
      // the time is not used: its token is the start's own mark, whose events are still to come.
      cursor: { batchSize: 0 },
      readConcern: { level: 'majority' },
    });
    let { open } = reply;
    return {
      get open() {
        return open;
      },
      async next(awaitMs) {
        const next = await run({ getMore: id, collection, batchSize: options.batchSize, maxTimeMS: awaitMs });
        ({ open } = next.reply);
        return next.reply;
      },
      async close() {
        try {
          if (open) await database.command({ killCursors: collection, cursors: [id] }, { session });
          open = false;
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
