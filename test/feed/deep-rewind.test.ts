import { MongoClient } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import { compare } from '../../bench/chaos/equality.ts';
import { startInstance } from '../../bench/chaos/instance.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

it('an instance that rewinds over more numbers than a table holds sends what a live one sends', async () => {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const client = new MongoClient(mongo.uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  // Pairs of equal numbers within the time of a spin: every other one is marked as a probable repeat.
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      roleta_id: '2010011',
      numero: Math.floor(n / 2) % 37,
      timestamp: new Date(Date.now() - count + n),
    }));
  await numbers.insertMany(many(400));
  const live = startInstance(mongo.uri, database);
  onTestFinished(() => live.stop());
  await live.feed.ready;
  const from = live.feed.status().position ?? '';
  await numbers.insertMany(many(900));
  await vi.waitUntil(() => live.feed.status().ring.events >= 900, { timeout: 15_000, interval: 20 });
  const late = startInstance(mongo.uri, database);
  onTestFinished(() => late.stop());
  await late.feed.ready;
  const { compared, differences } = await compare(live, late, ['roulette:2010011', 'roulette:*'], [from]);
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThan(1_800);
});
