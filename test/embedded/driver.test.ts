import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

let server: EmbeddedMongo;
let client: MongoClient;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  client = new MongoClient(server.uri);
  await client.connect();
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

test('the official driver connects to it as a replica set', async () => {
  const hello = await client.db('admin').command({ hello: 1 });
  expect(hello).toMatchObject({ setName: 'rs0', isWritablePrimary: true, maxWireVersion: 9 });
});

test('what is inserted is found, in the order asked for', async () => {
  const numbers = client.db('runcash').collection<{ _id: number; numero: number }>('numbers');
  await numbers.insertMany([
    { _id: 1, numero: 7 },
    { _id: 2, numero: 0 },
    { _id: 3, numero: 36 },
  ]);
  expect(
    await numbers
      .find({ numero: { $gte: 7 } })
      .sort({ numero: -1 })
      .toArray(),
  ).toEqual([
    { _id: 3, numero: 36 },
    { _id: 1, numero: 7 },
  ]);
});

test('a change stream of the driver delivers an insert made after it was opened', async () => {
  const db = client.db('watched');
  const stream = db.watch();
  const opened = new Promise((resolve) => stream.once('resumeTokenChanged', resolve));
  const event = new Promise<unknown>((resolve) => stream.once('change', resolve));
  await opened;
  await db.collection<{ _id: number; numero: number }>('numbers').insertOne({ _id: 1, numero: 17 });
  expect(await event).toMatchObject({ operationType: 'insert', fullDocument: { _id: 1, numero: 17 } });
  await stream.close();
});
