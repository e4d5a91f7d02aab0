import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Timestamp } from 'bson';
import { type MongoClient, ObjectId } from 'mongodb';
import { decodeReply } from '../../src/feed/change.ts';
import { createProgress, readChanges } from '../../src/feed/reading.ts';
import { createState } from '../../src/feed/state.ts';
import { createWatch, openCursor, type Watch } from '../../src/feed/stream.ts';
import { createTimeline, type Timeline } from '../../src/feed/timeline.ts';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import type { Publish } from '../../src/protocol/delivery.ts';
import { ALL_TABLES } from '../../src/protocol/messages.ts';
import { type ClusterTime, compareTimes, ORIGIN, timeOf } from '../../src/protocol/position.ts';

export const TABLES = Array.from({ length: 39 }, (_, at) => String(2_010_001 + at));
const NUMBERS = 'roleta_numeros';
const INSERTED_AT_ONCE = 1_000;
export const BATCH = 1_000;

const toTime = (value: unknown): ClusterTime => {
  if (!(value instanceof Timestamp)) throw new TypeError('no timestamp in the reply');
  return { t: value.getHighBitsUnsigned(), i: value.getLowBitsUnsigned() };
};

/** Inserts `count` numbers over all tables; the times before the first and of the last. */
export async function load(
  client: MongoClient,
  database: string,
  count: number,
): Promise<{ readonly from: ClusterTime; readonly to: ClusterTime }> {
  const now = async (): Promise<ClusterTime> =>
    toTime(new Timestamp((await client.db('admin').command({ ping: 1 }))['operationTime'].toBigInt()));
  const collection = client.db(database).collection(NUMBERS, { writeConcern: { w: 'majority', j: true } });
  await collection.createIndex({ roleta_id: 1, timestamp: -1, _id: -1 });
  const from = await now();
  for (let done = 0; done < count; done += INSERTED_AT_ONCE) {
    await collection.insertMany(
      Array.from({ length: Math.min(INSERTED_AT_ONCE, count - done) }, (_, at) => ({
        _id: new ObjectId(),
        roleta_id: TABLES[(done + at) % TABLES.length],
        roleta_nome: `Roleta ${(done + at) % TABLES.length}`,
        numero: (done + at) % 37,
        cor: 'preto',
        timestamp: new Date(),
        criado_em: new Date(),
      })),
    );
  }
  return { from, to: await now() };
}

/** Reads the events by a bare loop that only decodes; how many came, and in how many ms. */
export async function bareLoop(
  client: MongoClient,
  database: string,
  { from, to }: { readonly from: ClusterTime; readonly to: ClusterTime },
): Promise<{ readonly events: number; readonly ms: number }> {
  const { stages } = createWatch(database, database);
  const began = performance.now();
  const cursor = await openCursor(client, { database, stages: stages(false), startAt: from, batchSize: BATCH });
  let events = 0;
  for (let reached = false; !reached; ) {
    const { changes } = await cursor.next(20);
    for (const raw of changes) if (decodeReply(raw) !== null) events++;
    const last = changes.at(-1);
    const time = last === undefined ? null : toTime(decodeReply(last)?.['clusterTime']);
    reached = time === null || compareTimes(time, to) >= 0;
  }
  const ms = performance.now() - began;
  await cursor.close();
  return { events, ms };
}

/** A feed's memory that nobody hears of but `publish`. */
export function memoryTimeline(watch: Watch, ringBytes: number, publish: Publish) {
  const { sourceOf, isRead, isDropped } = watch;
  const state = createState({
    liveMaxAgeMs: 1e9,
    minSpinIntervalMs: 15_000,
    sourceOf,
    isRead,
    isForeign: () => false,
    isDropped,
  });
  const ignored = () => undefined;
  const tally = { published: ignored, skipped: ignored, reset: ignored, late: ignored, onTime: ignored };
  const observer = { publishing: ignored, subscribed: ignored, snapshot: ignored };
  const limits = { floor: ORIGIN, ringSeconds: 1e6, ringBytes, timings: FEED_TIMINGS };
  const nowMs = (): number => performance.now();
  return createTimeline({ epoch: 'bench', state, tally, observer, learnt: ignored, nowMs, ...limits }, publish);
}

/** Reads the same by the feed's own loop, into a ring: decoded, positioned, encoded, published to nobody. */
export async function feedLoop(
  client: MongoClient,
  database: string,
  { from, to }: { readonly from: ClusterTime; readonly to: ClusterTime },
  ringBytes = 1e9,
): Promise<{ readonly events: number; readonly ms: number; readonly timeline: Timeline }> {
  const watch = createWatch(database, database);
  let published = 0;
  const timeline = memoryTimeline(watch, ringBytes, (topic) => {
    if (topic === ALL_TABLES) published++;
  });
  const began = performance.now();
  const progress = createProgress(from, ORIGIN);
  const reading = readChanges(
    {
      connection: { client, heard: () => undefined, majority: () => Promise.resolve(to), lastMajority: null },
      watch,
      splits: false,
      batchSize: BATCH,
      awaitMs: () => 20,
      rest: async () => undefined,
      signal: new AbortController().signal,
    },
    progress,
  );
  for await (const { changes, mark } of reading) {
    for (const change of changes) {
      timeline.apply(change, 'live');
      progress.applied(change.position);
    }
    progress.replied(mark);
    if (compareTimes(timeOf(progress.delivered), to) >= 0) break;
  }
  return { events: published, ms: performance.now() - began, timeline };
}

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes of the heap in use after everything that can go is gone. */
export function heapBytes(): number {
  if (typeof collect === 'function') for (let times = 0; times < 3; times++) collect();
  return process.memoryUsage().heapUsed;
}
