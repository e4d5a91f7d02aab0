import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestFeed, type TestFeed } from '../support/feed.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';

let mongo: TestMongo;
let client: MongoClient;
let feed: TestFeed;
const database = freshDatabase();

const majority = { writeConcern: { w: 'majority', j: true } } as const;
const numbers = () => client.db(database).collection('roleta_numeros', majority);
const metadados = () => client.db(database).collection('metadados', majority);

const BY_NUMBER = 'american-1';
const BY_DOCUMENT = 'american-2';
const isSnapshotOf = (table: string, duploZero: true | undefined) => (frame: Record<string, unknown>) =>
  frame['type'] === 'snapshot' && frame['roleta_id'] === table && frame['duplo_zero'] === duploZero;

/** Waits until the table's note is in the database. */
async function noted(_id: string, name = database): Promise<void> {
  const notes = client.db(name).collection<{ _id: string }>('_rt_tables');
  await expect.poll(() => notes.findOne({ _id }), { timeout: 10_000 }).toEqual({ _id, duplo_zero: true });
}

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  for (const roleta_id of [BY_NUMBER, BY_DOCUMENT]) {
    await numbers().insertOne({ roleta_id, numero: 0, timestamp: new Date() });
  }
  feed = startTestFeed(mongo.uri, database, { timings: { resetQuietMs: 10, tickMs: 10 } });
  await feed.feed.ready;
});

afterAll(async () => {
  await feed.stop();
  await client.close();
  await mongo.stop();
});

describe('a wheel with a double zero', () => {
  it('is told by the first "00", to those who listen and to those who come later', async () => {
    const subscriber = feed.connect();
    subscriber.subscribe({ topics: [`roulette:${BY_NUMBER}`] });
    await subscriber.next(isSnapshotOf(BY_NUMBER, undefined));
    await numbers().insertOne({ roleta_id: BY_NUMBER, numero: '00', timestamp: new Date() });
    const event = await subscriber.next(({ type }) => type === 'new_number');
    expect(event).toMatchObject({ numero: 37, rotulo: '00', cor: 'verde' });
    subscriber.end();

    const later = feed.connect();
    later.subscribe({ topics: [`roulette:${BY_NUMBER}`] });
    await later.next(isSnapshotOf(BY_NUMBER, true));
    later.end();
  });

  it('stays one on every instance when its "00" is old, is deleted, and after a restart', async () => {
    const roleta_id = 'american-3';
    const old = new Date(Date.now() - 3_600_000);
    // An import tells it as well, though nobody is sent it.
    await numbers().insertOne({ roleta_id, numero: '00', timestamp: old });
    const note = feed.connect();
    note.subscribe({ topics: [`roulette:${roleta_id}`] });
    await note.next(isSnapshotOf(roleta_id, true));
    await noted(roleta_id);
    const later = Array.from({ length: 400 }, (_, n) => ({ roleta_id, numero: n % 37, timestamp: new Date() }));
    await numbers().insertMany(later);
    await numbers().deleteMany({ roleta_id, numero: '00' });
    const restarted = startTestFeed(mongo.uri, database);
    await restarted.feed.ready;
    const { position } = restarted.feed.reached() ?? {};
    const snapshots = await Promise.all(
      [feed, restarted].map(async (instance) => {
        const subscriber = instance.connect();
        subscriber.subscribe({
          topics: [`roulette:${roleta_id}`],
          history: 200,
          ...(position ? { seen: position } : {}),
        });
        const { duplo_zero, numeros } = await subscriber.next(({ type }) => type === 'snapshot');
        subscriber.end();
        return JSON.stringify({ duplo_zero, numeros });
      }),
    );
    expect(snapshots[0]).toMatch(/^\{"duplo_zero":true/);
    expect(snapshots[1]).toBe(snapshots[0]);
    note.end();
    await restarted.stop();
  });

  it('is noted when it is found among the numbers that stood there before', async () => {
    const roleta_id = 'american-4';
    await feed.stop();
    await numbers().insertOne({ roleta_id, numero: 37, rotulo: '00', timestamp: new Date() });
    feed = startTestFeed(mongo.uri, database, { timings: { resetQuietMs: 10, tickMs: 10 } });
    await noted(roleta_id);
  });

  it('is noted by the service as soon as MongoDB takes a note, without another "00"', async () => {
    const roleta_id = 'american-6';
    const own = freshDatabase();
    const runcash = await startRuncashProcess(mongo.uri, own);
    const failNotes = (mode: 'alwaysOn' | 'off') =>
      client.db('admin').command({
        configureFailPoint: 'failCommand',
        mode,
        data: { failCommands: ['update'], errorCode: 50 },
      });
    await failNotes('alwaysOn');
    await client
      .db(own)
      .collection('roleta_numeros', majority)
      .insertOne({ roleta_id, numero: '00', timestamp: new Date() });
    await runcash.line(/"event":"double_zero_unnoted"/);
    await failNotes('off');
    await noted(roleta_id, own);
    await runcash.end();
  });

  it('is no table by its note alone', async () => {
    const roleta_id = 'american-5';
    await numbers().insertOne({ roleta_id, numero: '00', timestamp: new Date() });
    await noted(roleta_id);
    const listed = (): boolean =>
      feed.feed
        .tables()
        ?.tables()
        .some((table) => table === roleta_id) ?? false;
    expect(listed()).toBe(true);
    const subscriber = feed.connect();
    subscriber.subscribe({ topics: [`roulette:${roleta_id}`] });
    await subscriber.next(({ type }) => type === 'subscribed');
    await numbers().deleteMany({ roleta_id });
    await subscriber.next(({ type }) => type === 'number_removed');
    expect(listed()).toBe(false);
    subscriber.end();
  });

  it('is told by its document, in a fresh snapshot when that changes', async () => {
    const subscriber = feed.connect();
    subscriber.subscribe({ topics: [`roulette:${BY_DOCUMENT}`] });
    await subscriber.next(isSnapshotOf(BY_DOCUMENT, undefined));
    await metadados().insertOne({ roleta_id: BY_DOCUMENT, duplo_zero: true });
    await subscriber.next(isSnapshotOf(BY_DOCUMENT, true));
    subscriber.end();
  });

  it('is known to an instance that starts later, and is forgotten with its document', async () => {
    const other = startTestFeed(mongo.uri, database, { timings: { resetQuietMs: 10, tickMs: 10 } });
    await other.feed.ready;
    const subscriber = other.connect();
    subscriber.subscribe({ topics: ['roulette:*'] });
    await subscriber.next(isSnapshotOf(BY_NUMBER, true));
    await subscriber.next(isSnapshotOf(BY_DOCUMENT, true));
    await metadados().updateOne({ roleta_id: BY_DOCUMENT }, { $unset: { duplo_zero: '' } });
    await subscriber.next(isSnapshotOf(BY_DOCUMENT, undefined));
    await other.stop();
  });
});
