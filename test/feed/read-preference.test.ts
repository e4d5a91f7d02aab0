import { MongoClient } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import type { FeedOptions } from '../../src/feed/feed.ts';
import { addressOf } from '../../src/feed/member.ts';
import { startTestFeed } from '../support/feed.ts';
import { freshDatabase } from '../support/mongo.ts';

const TABLE = '2010011';
const TOPIC = `roulette:${TABLE}`;

/** A set of a primary and a secondary, and feeds on it. */
async function startSet() {
  const server = await startEmbeddedMongo({ secondary: true });
  const client = new MongoClient(server.uri);
  onTestFinished(async () => {
    await client.close();
    await server.stop();
  });
  const database = freshDatabase();
  const admin = client.db('admin');
  let numbers = 0;
  return {
    async insert(): Promise<void> {
      const document = { roleta_id: TABLE, roleta_nome: 'Table', numero: numbers++ % 37, timestamp: new Date() };
      await client
        .db(database)
        .collection('roleta_numeros')
        .insertOne(document, { writeConcern: { w: 'majority' } });
    },
    /** The next `getMore`s of a feed fail with an error after which its connection is kept. */
    failStream: (times: number) =>
      admin.command({
        configureFailPoint: 'failCommand',
        mode: { times },
        data: { failCommands: ['getMore'], errorCode: 11602, appName: 'runcash-live feed' },
      }),
    /** How many connections the server has. */
    async connections(): Promise<number> {
      const { connections } = await admin.command({ serverStatus: 1 });
      return connections.current;
    },
    delay: (mode: 'alwaysOn' | 'off') => admin.command({ configureFailPoint: 'runcashTestDelaySecondary', mode }),
    /** What feeds run now, with where: `primary` or `secondary`. */
    async running(): Promise<{ readonly name: string; readonly member: string; readonly preference: string }[]> {
      const { inprog } = await admin.command({ currentOp: 1, appName: 'runcash-live feed' });
      return inprog.map(({ command, host }: { command: Record<string, unknown>; host: string }) => ({
        name: Object.keys(command)[0],
        member: host === `127.0.0.1:${server.port}` ? 'primary' : 'secondary',
        preference: JSON.stringify(command['$readPreference'] ?? null),
      }));
    },
    async feed(options: Partial<FeedOptions>) {
      const started = startTestFeed(server.uri, database, options);
      onTestFinished(() => started.stop());
      await started.feed.ready;
      return started;
    },
  };
}

it.each(['secondary', 'secondaryPreferred'] as const)(
  'with %s the stream is read from the secondary, and its frames are those of the primary',
  async (readPreference) => {
    const set = await startSet();
    await set.insert();
    const there = (await set.feed({ readPreference })).connect();
    await vi.waitUntil(async () => (await set.running()).some(({ name }) => name === 'getMore'), { interval: 10 });
    const [stream] = (await set.running()).filter(({ name }) => name === 'getMore');
    expect(stream).toEqual({ name: 'getMore', member: 'secondary', preference: '{"mode":"primaryPreferred"}' });

    const here = (await set.feed({})).connect();
    for (const reader of [there, here]) {
      reader.subscribe({ topics: [TOPIC] });
      await reader.next(({ type }) => type === 'subscribed');
    }
    for (let count = 0; count < 5; count++) await set.insert();
    for (const reader of [there, here]) await reader.next(({ numero }) => numero === 5);
    const eventsOf = (texts: readonly string[]) => texts.filter((text) => text.includes('new_number'));
    expect(eventsOf(there.texts)).toHaveLength(5);
    expect(eventsOf(there.texts)).toEqual(eventsOf(here.texts));
  },
);

it.each(['primary', 'primaryPreferred'] as const)(
  'with %s the stream is read from the primary',
  async (readPreference) => {
    const set = await startSet();
    await set.feed({ readPreference });
    await vi.waitUntil(async () => (await set.running()).some(({ name }) => name === 'getMore'), { interval: 10 });
    const members = (await set.running()).filter(({ name }) => name === 'getMore').map(({ member }) => member);
    expect(members).toEqual(['primary']);
  },
);

it('a stream that is opened again and again keeps the connections of one member', async () => {
  const set = await startSet();
  await set.insert();
  const before = await set.connections();
  const { feed, stop } = await set.feed({
    readPreference: 'secondary',
    timings: { backoffBaseMs: 1, backoffCapMs: 1 },
  });
  await set.failStream(4);
  const reopened = () => Object.values(feed.status().reopens).reduce((sum, count) => sum + count, 0);
  await vi.waitUntil(() => reopened() >= 4 && feed.status().phase === 'live', { interval: 10, timeout: 5_000 });
  await stop();
  await vi.waitUntil(async () => (await set.connections()) === before, { interval: 10 });
});

it('a client that is ahead of a delayed secondary is held, and then served exactly what it has not', async () => {
  const set = await startSet();
  await set.insert();
  const behind = await set.feed({ readPreference: 'secondary', timings: { majorityPollMs: 20 } });
  const ahead = (await set.feed({})).connect();
  ahead.subscribe({ topics: [TOPIC] });
  await ahead.next(({ type }) => type === 'subscribed');
  await set.delay('alwaysOn');
  await set.insert();
  const { position } = await ahead.next(({ type }) => type === 'new_number');

  const moved = behind.connect();
  moved.subscribe({ topics: [{ topic: TOPIC, after: String(position) }], epoch: String(behind.feed.status().epoch) });
  expect(moved.frames).toEqual([]);
  await set.delay('off');
  const { topics } = await moved.next(({ type }) => type === 'subscribed');
  expect(topics).toEqual([{ topic: TOPIC, recovered: true, replayed: 0 }]);
});

it('a client that is ahead of a secondary for too long is sent elsewhere', async () => {
  const set = await startSet();
  await set.insert();
  const behind = await set.feed({ readPreference: 'secondary', timings: { majorityPollMs: 20, catchUpMs: 100 } });
  const ahead = (await set.feed({})).connect();
  ahead.subscribe({ topics: [TOPIC] });
  await ahead.next(({ type }) => type === 'subscribed');
  await set.delay('alwaysOn');
  await set.insert();
  const { position } = await ahead.next(({ type }) => type === 'new_number');
  const moved = behind.connect();
  moved.subscribe({ topics: [{ topic: TOPIC, after: String(position) }], epoch: String(behind.feed.status().epoch) });
  await vi.waitUntil(() => moved.closedWith !== null, { interval: 10 });
  expect(moved.closedWith).toBe(4200);
  expect(moved.frames).toEqual([]);
  await set.delay('off');
});

it.each([
  [
    'mongodb://name:p%40ss@a:1,b:2/db?replicaSet=rs0&readPreference=nearest&maxStalenessSeconds=90',
    'mongodb://name:p%40ss@m:3/db?replicaSet=rs0&directConnection=true&tls=false&authSource=db',
  ],
  [
    'mongodb+srv://name:pass@cluster.example.com/?retryWrites=true',
    'mongodb://name:pass@m:3/?retryWrites=true&directConnection=true&tls=true&authSource=admin',
  ],
])('the address of one member of %s has its name, password and options', async (uri, expected) => {
  expect(addressOf('m:3', uri, new MongoClient(uri))).toBe(expected);
});
