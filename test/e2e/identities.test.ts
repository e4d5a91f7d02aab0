import { Double, Int32, Long, MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/connect.ts';
import { type Stage, startStage } from '../docs/stage.ts';
import { subscribe, TRANSPORTS } from '../support/subscribers.ts';

const TABLE = '2010165';
const HEX = new ObjectId().toHexString();
/** As MongoDB keys them apart; the last stand in the table's own collection, under keys that the shared one has too. */
const SHARED = [5, '5', new ObjectId(HEX), HEX, `"${HEX}"`, { a: 1 }, '{"a":1}', true, 'true'];
const OWN = [5, '5', new ObjectId(HEX)];

let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  stage = await startStage();
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
});

interface Keyed {
  readonly _id: string | number | boolean | ObjectId | { readonly a: number };
  readonly [field: string]: unknown;
}

const collection = (name: string) =>
  mongo.db(stage.database).collection<Keyed>(name, { writeConcern: { w: 'majority' } });

describe('documents that MongoDB keys apart', () => {
  it('have ids of their own on every transport, in snapshots, in the history and in the client library', async () => {
    const host = new URL(stage.url).host;
    const subscribers = await Promise.all(
      TRANSPORTS.map((name) => subscribe(name, host, { topics: [`roulette:${TABLE}`] })),
    );
    const clients = TRANSPORTS.map((name) => connect(stage.url, { transports: [name], WebSocket }));
    const followed = clients.map((client) => client.subscribe(`roulette:${TABLE}`, { history: 50 }));
    for (const subscriber of subscribers) await subscriber.next('subscribed');
    await Promise.all(followed.map((subscription) => subscription.ready()));

    const documents = [
      ...SHARED.map((_id) => ({ name: 'roleta_numeros', _id })),
      ...OWN.map((_id) => ({ name: TABLE, _id })),
    ];
    for (const [numero, { name, _id }] of documents.entries()) {
      await collection(name).insertOne({ _id, roleta_id: TABLE, numero, timestamp: new Date() });
    }
    const idsOf: unknown[][] = [];
    for (const subscriber of subscribers) {
      const ids: unknown[] = [];
      for (const numero of documents.keys()) ids.push((await subscriber.next((m) => m['numero'] === numero))['id']);
      idsOf.push(ids);
      subscriber.stop();
    }
    const [ids = []] = idsOf;
    expect(new Set(ids).size).toBe(documents.length);
    for (const others of idsOf) expect(others).toEqual(ids);

    for (const subscription of followed) {
      const shown = () => subscription.tables.get(TABLE)?.numeros.map(({ id }) => id) ?? [];
      await expect.poll(() => shown().toReversed()).toEqual(ids);
    }
    for (const client of clients) client.close();
    const again = await subscribe('websocket', host, { topics: [`roulette:${TABLE}`], history: 50 });
    const newestFirst = { numeros: ids.toReversed().map((id) => ({ id })) };
    expect(await again.next('snapshot')).toMatchObject(newestFirst);
    again.stop();
    expect(await stage.get(`/api/v1/tables/${TABLE}/numbers?limit=50`)).toMatchObject(newestFirst);
  });

  it('are removed each for itself', async () => {
    const host = new URL(stage.url).host;
    const subscriber = await subscribe('websocket', host, { topics: [`roulette:${TABLE}`], history: 50 });
    await subscriber.next('subscribed');
    await collection('roleta_numeros').deleteOne({ _id: '5' });
    expect(await subscriber.next('number_removed')).toMatchObject({ id: '"5"' });
    await collection(TABLE).deleteOne({ _id: new ObjectId(HEX) });
    expect(await subscriber.next('number_removed')).toMatchObject({ id: `${HEX}@${TABLE}` });
    subscriber.stop();
  });
});

describe('an integer id', () => {
  it.each([[221], [new Int32(221)], [new Double(221)], [Long.fromNumber(221)], ['221']])(
    'is one table however it is stored: %j',
    async (roleta_id) => {
      const subscriber = await subscribe('websocket', new URL(stage.url).host, { topics: ['roulette:221'] });
      await subscriber.next('subscribed');
      await collection('roleta_numeros').insertOne({
        _id: new ObjectId(),
        roleta_id,
        numero: 7,
        timestamp: new Date(),
      });
      expect(await subscriber.next('new_number')).toMatchObject({ roleta_id: '221', numero: 7 });
      subscriber.stop();
    },
  );

  it('is read from the history however it is stored', async () => {
    const { numeros } = Object(await stage.get('/api/v1/tables/221/numbers?limit=50'));
    expect(numeros).toHaveLength(5);
  });

  it('is another one than its digits with a zero before them', async () => {
    await stage.post('/api/v1/numbers', { roleta_id: '0221', numero: 9 });
    await expect.poll(() => stage.get('/api/v1/tables/0221')).toMatchObject({ numeros: [{ numero: 9 }] });
    expect(await stage.get('/api/v1/tables/221')).toMatchObject({
      numeros: Array.from({ length: 5 }, () => ({ numero: 7 })),
    });
  });
});
