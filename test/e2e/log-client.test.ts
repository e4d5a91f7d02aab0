import { stream } from '@durable-streams/client';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

const TABLE = '2010165';
const eventShape = z.looseObject({ type: z.string(), id: z.string() });
const stateShape = z.looseObject({ epoch: z.string(), position: z.string() });

let mongo: TestMongo;
let client: MongoClient;
beforeAll(async () => {
  mongo = await startMongo();
  client = await new MongoClient(mongo.uri).connect();
});
afterAll(async () => {
  await client.close();
  await mongo.stop();
});

/** Inserts numbers of one table and gives their ids, in order. */
async function insert(database: string, count: number): Promise<string[]> {
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const document = { roleta_id: TABLE, roleta_nome: 'Roulette', numero: n % 37, timestamp: new Date() };
    ids.push((await numbers.insertOne(document)).insertedId.toHexString());
  }
  return ids;
}

/** Reads with the library, which asks again by itself; where it gives up, it is begun again from its last offset. */
async function follow(
  url: string,
  offset: string,
  live: 'long-poll' | 'sse',
  { signal, take }: { signal: AbortSignal; take: (id: string) => void },
): Promise<void> {
  let at = offset;
  while (!signal.aborted) {
    try {
      const backoffOptions = { initialDelay: 50, maxDelay: 200, multiplier: 1.3 };
      const response = await stream({ url, offset: at, live, signal, backoffOptions });
      response.subscribeJson((batch) => {
        for (const item of batch.items) take(eventShape.parse(item).id);
        at = batch.offset;
      });
      await response.closed;
    } catch {
      // A connection that broke in the middle of a stream of events.
    }
  }
}

describe('a client of Durable Streams', () => {
  it.each(['long-poll', 'sse'] as const)('reads a table exactly once and in order, by %s', async (live) => {
    const database = freshDatabase();
    await insert(database, 3);
    let runcash = await startRuncashProcess(mongo.uri, database);
    const door = await startProxy(() => runcash.port);
    const url = `http://127.0.0.1:${door.port}`;
    // The state of the table, and the log from where that stands.
    const state = stateShape.parse(await (await fetch(`${url}/api/v1/tables/${TABLE}`)).json());
    const ending = new AbortController();
    const received: string[] = [];
    const reading = follow(`${url}/api/v1/log/roulette:${TABLE}`, `${state.epoch}.${state.position}`, live, {
      signal: ending.signal,
      take: (id) => void received.push(id),
    });
    const written: string[] = [];
    const arrived = () => expect.poll(() => received, { timeout: 20_000 }).toEqual(written);
    written.push(...(await insert(database, 10)));
    await arrived();
    door.cut();
    written.push(...(await insert(database, 10)));
    await arrived();
    for (let life = 0; life < 2; life++) {
      await runcash.end('SIGKILL');
      written.push(...(await insert(database, 10)));
      runcash = await startRuncashProcess(mongo.uri, database);
      written.push(...(await insert(database, 5)));
      await arrived();
    }
    ending.abort();
    await reading;
    await door.close();
    await runcash.end();
  });
});
