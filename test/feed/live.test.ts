import { EventEmitter, once } from 'node:events';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeliveryObserver, Publish } from '../../src/protocol/delivery.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import { positionOf, timeOf } from '../../src/protocol/position.ts';
import { UNOBSERVED } from '../support/fake-feed.ts';
import { startTestFeed, type TestFeed } from '../support/feed.ts';
import { keepingLog } from '../support/gateway.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';

let mongo: TestMongo;
let client: MongoClient;
let feed: TestFeed;
const database = freshDatabase();

const numbers = () => client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
const numberOf = (numero: number, table = '2010165') => ({
  roleta_id: table,
  roleta_nome: `Mesa ${table}`,
  numero,
  timestamp: new Date(),
});
const isNumber = (numero: number) => (frame: Record<string, unknown>) =>
  frame['type'] === 'new_number' && frame['numero'] === numero;

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  await numbers().insertMany([numberOf(1), numberOf(2), numberOf(3)]);
  feed = startTestFeed(mongo.uri, database);
  await feed.feed.ready;
});

afterAll(async () => {
  await feed.stop();
  await client.close();
  await mongo.stop();
});

/** The second of a position, in ms since 1970. */
const secondOf = (position: unknown): number => Number.parseInt(String(position).slice(0, 8), 16) * 1000;

describe('the feed', () => {
  it('gives a snapshot, then the ack, then live events', async () => {
    const subscriber = feed.connect();
    subscriber.subscribe({ topics: ['roulette:2010165'] });
    await numbers().insertOne(numberOf(0));
    const event = await subscriber.next(isNumber(0));
    expect(event).toMatchObject({ roleta_id: '2010165', cor: 'verde', topic: 'roulette:2010165' });
    const types = subscriber.frames.map((frame) => frame['type']).filter((type) => type !== 'sync');
    expect(types).toEqual(['snapshot', 'subscribed', 'new_number']);
    expect(subscriber.frames[0]?.['numeros']).toMatchObject([{ numero: 3 }, { numero: 2 }, { numero: 1 }]);
    subscriber.end();
  });

  it('goes on serving known tables, also by name, when no more references can be waited for', async () => {
    await numbers().insertOne({ ...numberOf(4, '2010077'), roleta_nome: 'Conhecida' });
    const known = feed.connect();
    known.subscribe({ topics: ['roulette:2010077'] });
    await known.next(({ type, numeros }) => type === 'new_number' || (Array.isArray(numeros) && numeros.length > 0));
    const crowd = feed.connect(60_000);
    crowd.subscribe({ topics: Array.from({ length: 50_000 }, (_, n) => `roulette:Ninguem-${n}`) });
    await crowd.next(({ type }) => type === 'subscribed');
    const late = feed.connect();
    late.subscribe({ topics: ['roulette:Conhecida'] });
    expect((await late.next(({ id }) => id === 1))['topics']).toMatchObject([{ topic: 'roulette:2010077' }]);
    late.subscribe({ topics: ['roulette:Ninguem-7', 'roulette:2010077'] });
    expect(await late.next(({ id }) => id === 2)).toMatchObject({ type: 'subscribed' });
    late.subscribe({ topics: ['roulette:Outra', 'roulette:2010077'] });
    expect(await late.next(({ id }) => id === 3)).toMatchObject({ type: 'error', code: 'rate_limited' });
    for (const subscriber of [known, crowd, late]) subscriber.end();
  });

  it('INVARIANT one-tick: replays exactly what a client missed, on this instance and on another', async () => {
    const first = feed.connect();
    first.subscribe({ topics: ['roulette:*'] });
    await numbers().insertOne(numberOf(10));
    const seen = await first.next(isNumber(10));
    first.end();
    await numbers().insertMany([numberOf(11), numberOf(12, '2010033'), numberOf(13)]);

    const other = startTestFeed(mongo.uri, database);
    await other.feed.ready;
    for (const instance of [feed, other]) {
      const again = instance.connect();
      const ack = again.next((frame) => frame['type'] === 'subscribed');
      again.subscribe({
        topics: ['roulette:*'],
        after: String(seen['position']),
        epoch: feed.feed.status().epoch ?? '',
      });
      await again.next(isNumber(13));
      expect(await ack).toMatchObject({ topics: [{ topic: 'roulette:*', recovered: true, replayed: 3 }] });
      const events = again.frames.filter((frame) => frame['type'] === 'new_number');
      expect(events.map((frame) => frame['numero'])).toEqual([11, 12, 13]);
      again.end();
    }
    await other.stop();
  });

  it('INVARIANT one-frame: encodes a change once, and publishes it to its table and to all tables in one turn', async () => {
    let turn = 0;
    const published: { readonly topic: string; readonly frame: Frame; readonly turn: number }[] = [];
    const arrived = new EventEmitter();
    const publish: Publish = (topic, frame) => {
      if (frame.type !== 'new_number') return;
      published.push({ topic, frame, turn });
      setImmediate(() => {
        turn++;
        arrived.emit('turn');
      });
    };
    const other = startTestFeed(mongo.uri, database, {}, { publish });
    await other.feed.ready;
    const over = once(arrived, 'turn');
    await numbers().insertOne(numberOf(30));
    await over;
    await other.stop();
    expect(published).toMatchObject([
      { topic: 'roulette:2010165', turn: 0 },
      { topic: 'roulette:*', turn: 0 },
    ]);
    expect(published[0]?.frame).toBe(published[1]?.frame);
  });

  it('tells when MongoDB committed an event before it publishes that, as far as the server says', async () => {
    const told: { readonly position: string | null; readonly committedMs: number; readonly isOut: boolean }[] = [];
    const observer: DeliveryObserver = {
      ...UNOBSERVED,
      publishing({ position }, committedMs) {
        told.push({ position, committedMs, isOut: subscriber.frames.some(isNumber(20)) });
      },
    };
    const other = startTestFeed(mongo.uri, database, {}, { observer });
    await other.feed.ready;
    const subscriber = other.connect();
    subscriber.subscribe({ topics: ['roulette:2010165'] });
    await subscriber.next((frame) => frame['type'] === 'subscribed');
    const beforeMs = Date.now();
    await numbers().insertOne(numberOf(20));
    const { position } = await subscriber.next(isNumber(20));
    const afterMs = Date.now();
    subscriber.end();
    await other.stop();

    const { version } = await client.db('admin').command({ buildInfo: 1 });
    // What the rewind brought is history and has no age.
    if (Number.parseInt(String(version), 10) < 6)
      return expect(told).toEqual([{ position, committedMs: secondOf(position), isOut: false }]);
    expect(told).toEqual([{ position, committedMs: expect.any(Number), isOut: false }]);
    expect(told[0]?.committedMs).toBeGreaterThanOrEqual(beforeMs);
    expect(told[0]?.committedMs).toBeLessThanOrEqual(afterMs);
  });

  it('said nothing of a scraper in local time: it names the table and the offset, until numbers are on time', async () => {
    const { log, lines } = keepingLog();
    const other = startTestFeed(mongo.uri, database, {}, { log });
    await other.feed.ready;
    const subscriber = other.connect();
    subscriber.subscribe({ topics: ['roulette:*'] });
    await subscriber.next((frame) => frame['type'] === 'subscribed');
    const reached = async (numero: number): Promise<void> => {
      await numbers().insertOne(numberOf(numero));
      await subscriber.next(isNumber(numero));
    };
    const late = (hours: number) => ({
      ...numberOf(1, '2010011'),
      timestamp: new Date(Date.now() - hours * 3_600_000),
    });
    // An import: old rows of different ages, all at once.
    await numbers().insertMany([9, 8, 7, 6, 5, 4].map(late));
    for (let n = 0; n < 4; n++) await numbers().insertOne(late(3));
    await reached(33);
    expect(other.feed.status().late).toEqual([]);
    await numbers().insertOne(late(3));
    await reached(34);
    const [found] = other.feed.status().late;
    expect(found?.roleta_id).toBe('2010011');
    expect(Math.round((found?.offset_ms ?? 0) / 60_000)).toBe(180);
    expect(lines.filter((line) => line.includes('feed_table_late'))).toHaveLength(1);
    // Half of the numbers come from another scraper, whose clock is right.
    for (const numero of [11, 12, 13]) {
      await numbers().insertMany([numberOf(numero, '2010011'), late(3)]);
      await subscriber.next(isNumber(numero));
    }
    await reached(35);
    expect(other.feed.status().late).toHaveLength(1);
    for (const numero of [21, 22, 23, 24, 25]) {
      await numbers().insertOne(numberOf(numero, '2010011'));
      await subscriber.next(isNumber(numero));
    }
    expect(other.feed.status().late).toEqual([]);
    subscriber.end();
    await other.stop();
  });

  it('replays to whoever was away for less than it says that it reaches back, and to nobody who was for longer', async () => {
    const windowSeconds = 30;
    const own = startTestFeed(mongo.uri, database, { recoveryWindowSeconds: windowSeconds });
    await own.feed.ready;
    const { position, recoverySeconds, epoch } = own.feed.status();
    if (position === null || recoverySeconds === null) throw new Error('not ready');
    expect(recoverySeconds).toBeGreaterThanOrEqual(windowSeconds);
    const comeBack = async (awaySeconds: number): Promise<unknown> => {
      const { t } = timeOf(position);
      const after = positionOf({ t: t - awaySeconds, i: 1 }, 0);
      const subscriber = own.connect();
      subscriber.subscribe({ topics: [{ topic: 'roulette:2010165', after }], epoch: String(epoch) });
      const { topics } = await subscriber.next(({ type }) => type === 'subscribed');
      subscriber.end();
      return Array.isArray(topics) ? topics[0]?.recovered : topics;
    };
    expect(await comeBack(recoverySeconds - 1)).toBe(true);
    expect(await comeBack(recoverySeconds + 1)).toBe(false);
    await own.stop();

    const without = startTestFeed(mongo.uri, database, { recoveryWindowSeconds: 0 });
    await without.feed.ready;
    expect(without.feed.status().recoverySeconds).toBeLessThan(windowSeconds);
    await without.stop();
  });
});
