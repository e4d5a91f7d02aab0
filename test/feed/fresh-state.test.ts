import { MongoClient } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import { QUICK } from '../../bench/chaos/instance.ts';
import type { FeedOptions } from '../../src/feed/feed.ts';
import type { SubscriberLink } from '../../src/protocol/delivery.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import { startTestFeed, type TestFeed } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

const STEADY = { timeout: 30_000, interval: 5 };

async function stage() {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const db = client.db(freshDatabase());
  const numbers = db.collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const start = (options: Partial<FeedOptions>): TestFeed => {
    const feed = startTestFeed(mongo.uri, db.databaseName, options);
    onTestFinished(() => feed.stop());
    return feed;
  };
  return { client, db, numbers, start };
}

/** A link that has room for so many frames at a time. */
function narrowLink(room: number) {
  const frames: Frame[] = [];
  const joined = new Set<string>();
  let left = room;
  let overrun = 0;
  const link: SubscriberLink = {
    send(frame) {
      frames.push(frame);
      left--;
      if (left < 0) overrun++;
      return left > 0;
    },
    join: (topic) => void joined.add(topic),
    leave: (topic) => void joined.delete(topic),
    close: () => undefined,
  };
  return {
    link,
    frames,
    /** Frames that were sent although there was no room. */
    get overrun() {
      return overrun;
    },
    get isFull() {
      return left <= 0;
    },
    drain() {
      left = room;
    },
  };
}

it('closed readers of all tables as slow: the snapshots of 3,000 of them wait for room', async () => {
  const { db, numbers, start } = await stage();
  await numbers.createIndex({ roleta_id: 1, timestamp: -1 });
  const tables = Array.from({ length: 3_000 }, (_, n) => String(2_100_000 + n));
  await numbers.insertMany(tables.map((roleta_id) => ({ roleta_id, numero: 7, timestamp: new Date() })));
  const { feed } = start({});
  await feed.ready;
  const reader = narrowLink(50);
  const subscriber = feed.open(reader.link, { allowed: null, maxTopics: 100 });
  subscriber.subscribe({ type: 'subscribe', id: 1, topics: ['roulette:*'], history: 0 });
  const takeUntil = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      await vi.waitUntil(() => reader.isFull || done(), STEADY);
      reader.drain();
      subscriber.drained();
    }
  };
  await takeUntil(() => reader.frames.some(({ type }) => type === 'subscribed'));
  const before = reader.frames.length;

  // A rename onto a watched name: its documents were never seen, so that all is read anew.
  await db.collection('other').insertOne({ numero: 8, timestamp: new Date() });
  await db.collection('other').rename('2100000');
  const snapshots = (): number => reader.frames.slice(before).filter(({ type }) => type === 'snapshot').length;
  await takeUntil(() => snapshots() === tables.length);
  expect(reader.overrun).toBe(0);
  expect(feed.status().fresh).toEqual({ rename: 1 });
  subscriber.closed();
}, 90_000);

it('was never ready: reads at rest that take longer than the watchdog waits are waited for', async () => {
  const { client, numbers, start } = await stage();
  await numbers.insertOne({ roleta_id: '2010011', numero: 7, timestamp: new Date() });
  await client.db('admin').command({
    configureFailPoint: 'failCommand',
    mode: { times: 1 },
    data: { failCommands: ['find'], appName: 'runcash-live feed', blockConnection: true, blockTimeMS: 2_500 },
  });
  const { feed } = start({ awaitMs: 200, timings: QUICK });
  await feed.ready;
  expect(feed.status()).toMatchObject({ reopens: {}, resets: {}, fresh: {}, tables: 1 });
});
