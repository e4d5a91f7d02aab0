import { type Document, Long } from 'bson';
import type { CursorSource } from '../cursors.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { rawBatch } from '../wire/writer.ts';
import type { CommandContext } from './command.ts';
import { snapshotTime } from './concerns.ts';

/** Documents of the first batch when the client does not say how many. */
export const FIRST_BATCH = 101;

/** A source over documents that come in order; `next(limit)` gives fewer than `limit` at the end. */
export function documentSource(
  pull: (limit: number, context: CommandContext['operation']) => Promise<Uint8Array[]>,
  limit: number,
): CursorSource {
  let left = limit;
  let held: Uint8Array[] = [];
  let ended = false;
  return {
    tailing: false,
    changeStream: false,
    async next(wanted, operation) {
      const documents: Uint8Array[] = [];
      let bytes = 0;
      while (documents.length < wanted && left > 0) {
        if (held.length === 0) {
          const ask = Math.min(wanted - documents.length, left, 1000);
          if (ended || ask <= 0) break;
          held = await pull(ask, operation);
          if (held.length < ask) ended = true;
          if (held.length === 0) break;
        }
        let at = 0;
        for (const document of held) {
          if (
            documents.length >= wanted ||
            left <= 0 ||
            (documents.length > 0 && bytes + document.length > MAX_DOCUMENT_BYTES)
          )
            break;
          documents.push(document);
          bytes += document.length;
          left -= 1;
          at += 1;
        }
        held = held.slice(at);
        if (held.length > 0) break;
      }
      return { documents, done: left <= 0 || (ended && held.length === 0) };
    },
  };
}

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
