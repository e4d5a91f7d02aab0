import { type Long, MongoClient, type Timestamp } from 'mongodb';
import { z } from 'zod';
import { nowUs } from '../harness/clock.ts';
import { INTENDED_AT, MARK, SEQ_AT, SEQ_DIGITS } from '../harness/spin.ts';
import { contenderOptions, endWithBench } from './options.ts';

/**
 * The limit of hearing of a commit: a change stream pulled by bare `getMore`, which only looks at the id. It notes when
 * it had each spin, and tells when asked.
 */

const reply = z.object({
  cursor: z.object({
    id: z.custom<Long>(),
    nextBatch: z.array(z.object({ documentKey: z.object({ _id: z.string() }) })),
  }),
});
const opened = z.object({ operationTime: z.custom<Timestamp>(), cursor: z.object({ id: z.custom<Long>() }) });

const { uri, database } = contenderOptions();
const client = new MongoClient(uri, { maxPoolSize: 2 });
await client.connect();
const db = client.db(database);
const { cursor } = opened.parse(
  await db.command({
    aggregate: 'roleta_numeros',
    pipeline: [{ $changeStream: {} }, { $match: { operationType: 'insert' } }, { $project: { documentKey: 1 } }],
    cursor: { batchSize: 0 },
  }),
);

const stamps = new Map<number, number>();

async function follow(): Promise<never> {
  for (;;) {
    const { cursor: next } = reply.parse(
      await db.command({ getMore: cursor.id, collection: 'roleta_numeros', batchSize: 1_000, maxTimeMS: 500 }),
    );
    const now = nowUs();
    for (const { documentKey } of next.nextBatch) {
      if (documentKey._id.startsWith(MARK) && documentKey._id.length > INTENDED_AT) {
        stamps.set(Number(documentKey._id.slice(SEQ_AT, SEQ_AT + SEQ_DIGITS)), now);
      }
    }
  }
}

follow().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
process.on('message', () => void process.send?.({ stamps }));
endWithBench();
console.log('following');
