import { MongoClient, ObjectId } from 'mongodb';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import { startInstance } from '../chaos/instance.ts';
import { TABLES } from './stage.ts';

/** What subscribers got while old rows were imported. */
export interface ImportResult {
  readonly importMs: number;
  readonly live: number;
  /** From MongoDB's acknowledgement of a live number to its subscriber, the longest; 0 where the event came first. */
  readonly maxLiveDelayMs: number;
  /** Frames of one subscriber of all tables from the first old row to the last snapshot, without its live numbers. */
  readonly frames: number;
  /** Live numbers that did not come, and old ones that came as if they were live. */
  readonly wrong: number;
}

const AT_ONCE = 1_000;
const LIVE_EVERY_MS = 50;
const DAY_MS = 86_400_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Imports `rows` numbers of yesterday over all tables as fast as MongoDB takes them, while live ones go on. */
export async function importOldRows(uri: string, database: string, rows: number): Promise<ImportResult> {
  const client = new MongoClient(uri);
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  await numbers.createIndex({ roleta_id: 1, timestamp: -1 });
  const numberOf = (at: number, timestamp: Date) => ({
    _id: new ObjectId(),
    roleta_id: TABLES[at % TABLES.length],
    roleta_nome: `Roleta ${at % TABLES.length}`,
    numero: at % 37,
    timestamp,
  });
  await numbers.insertMany(TABLES.map((_, at) => numberOf(at, new Date())));
  const instance = startInstance(uri, database, { liveMaxAgeMs: 120_000, timings: FEED_TIMINGS });
  await instance.feed.ready;

  const arrived = new Map<string, number>();
  const owed = new Set<unknown>();
  let frames = 0;
  let subscribed = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    subscribed = resolve;
  });
  const wire = instance.connect({
    frame(text) {
      const { type, id, topic }: Record<string, unknown> = JSON.parse(text);
      if (type === 'new_number') arrived.set(String(id), performance.now());
      else if (type === 'subscribed') subscribed();
      else frames++;
      if (type === 'reset') owed.add(topic);
      if (type === 'snapshot') owed.delete(topic);
    },
    closed: () => undefined,
  });
  wire.subscribe({ topics: [{ topic: 'roulette:*' }] });
  await ready;
  frames = 0;

  const acknowledged = new Map<string, number>();
  let importing = true;
  const live = (async () => {
    for (let at = 0; importing; at++) {
      const number = numberOf(at, new Date());
      await numbers.insertOne(number);
      acknowledged.set(String(number._id), performance.now());
      await wait(LIVE_EVERY_MS);
    }
  })();
  const began = performance.now();
  for (let done = 0; done < rows; done += AT_ONCE) {
    const old = Array.from({ length: Math.min(AT_ONCE, rows - done) }, (_, at) =>
      numberOf(done + at, new Date(Date.now() - DAY_MS - (rows - done - at) * 1_000)),
    );
    await numbers.insertMany(old);
  }
  const importMs = performance.now() - began;
  importing = false;
  await live;
  const isOver = (): boolean => owed.size === 0 && [...acknowledged.keys()].every((id) => arrived.has(id));
  for (let patience = 600; patience > 0 && !isOver(); patience--) await wait(FEED_TIMINGS.tickMs);

  const delays = [...acknowledged].map(([id, at]) => (arrived.get(id) ?? Number.POSITIVE_INFINITY) - at);
  const missed = delays.filter((delay) => delay === Number.POSITIVE_INFINITY).length;
  await instance.stop();
  await client.close();
  return {
    importMs,
    live: acknowledged.size,
    maxLiveDelayMs: Math.max(0, ...delays),
    frames,
    wrong: missed + (arrived.size - (acknowledged.size - missed)),
  };
}
