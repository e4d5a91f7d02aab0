import { type Document, Long } from 'bson';
import type { CursorSource } from '../cursors.ts';
import { type Operation, timeLeft, yieldTurn } from '../operation.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { rawBatch } from '../wire/writer.ts';
import type { CommandContext } from './command.ts';
import { snapshotTime } from './concerns.ts';

/** Documents of the first batch when the client does not say how many. */
export const FIRST_BATCH = 101;

/**
 * A source over what `pull` gives, in order: at most as many as asked for, none at the end. `output` makes documents of
 * it one at a time, so that others have their turns in between.
 */
export function documentSource<T>(
  pull: (limit: number, operation: Operation) => Promise<readonly T[]>,
  output: (item: T) => Uint8Array,
  limit = Number.POSITIVE_INFINITY,
): CursorSource {
  let left = limit;
  let held: readonly T[] = [];
  let at = 0;
  let ready: Uint8Array | undefined;
  let ended = false;

  /** The next document, which stays the next one until it is taken. */
  const peek = async (wanted: number, operation: Operation): Promise<Uint8Array | undefined> => {
    if (ready !== undefined || ended || left <= 0) return ready;
    if (at >= held.length) {
      held = await pull(Math.min(wanted, left, MOST_AT_ONCE), operation);
      at = 0;
      ended = held.length === 0;
    }
    return takeHeld();
  };

  return {
    tailing: false,
    changeStream: false,
    async next(wanted, operation) {
      const documents: Uint8Array[] = [];
      let bytes = 0;
      while (documents.length < wanted && left > 0) {
        const more = at < held.length && ready === undefined && !ended;
        const next = more ? takeHeld() : await peek(wanted - documents.length, operation);
        if (next === undefined) break;
        if (documents.length > 0 && bytes + next.length > MAX_DOCUMENT_BYTES) break;
        documents.push(next);
        bytes += next.length;
        ready = undefined;
        left -= 1;
        const turn = yieldTurn(operation);
        if (turn !== undefined) await turn;
      }
      return { documents, done: left <= 0 || (ended && ready === undefined) };
    },
  };

  /** The same without a promise, which most documents do not need. */
  function takeHeld(): Uint8Array | undefined {
    const item = held[at];
    at += 1;
    ready = item === undefined ? undefined : output(item);
    return ready;
  }
}

/** A source over documents that are all there. */
export function listSource(documents: readonly Uint8Array[]): CursorSource {
  let at = 0;
  return documentSource(
    async (limit) => {
      const part = documents.slice(at, at + limit);
      at += part.length;
      return part;
    },
    (raw) => raw,
  );
}

/** Documents that are found before any of them is sent. */
const MOST_AT_ONCE = 1000;

export interface CursorRequest {
  readonly namespace: string;
  readonly batchSize: number;
  readonly singleBatch: boolean;
  readonly noTimeout: boolean;
}

/** Reads the first batch and keeps a cursor when there is more. */
export async function openCursor(
  context: CommandContext,
  source: CursorSource,
  request: CursorRequest,
): Promise<Document> {
  const batch = await source.next(request.batchSize, context.operation, 0);
  const closes = batch.done || request.singleBatch;
  const id = closes
    ? 0n
    : context.engine.cursors.open({
        namespace: request.namespace,
        source,
        sessionKey: context.session?.key,
        transactionNumber: context.transaction?.number,
        noTimeout: request.noTimeout,
        command: context.shown,
        connection: context.connection,
        needs: context.needs,
        sent: { documents: batch.documents.length, batches: 1 },
        leftMs: timeLeft(context.operation),
      }).id;
  const token =
    batch.postBatchResumeToken === undefined ? {} : { postBatchResumeToken: { _data: batch.postBatchResumeToken } };
  return {
    cursor: {
      firstBatch: rawBatch(batch.documents),
      ...token,
      id: Long.fromBigInt(id),
      ns: request.namespace,
      ...snapshotTime(context),
    },
  };
}
