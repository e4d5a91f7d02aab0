import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stage, startStage } from '../docs/stage.ts';
import { startTestFeed } from '../support/feed.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';

let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  stage = await startStage({ INGEST_LAYOUT: 'per-table', TABLE_COLLECTIONS: '^mesa_(.+)$' });
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
});

const collection = (name: string) => mongo.db(stage.database).collection(name, { writeConcern: { w: 'majority' } });
const insert = (name: string, numero: number) => collection(name).insertOne({ numero, timestamp: new Date() });

async function subscribed(id: string): Promise<WebsocketClient> {
  const client = await connectWebsocket(new URL(stage.url).host);
  client.send({ type: 'subscribe', id: 1, topics: [`roulette:${id}`] });
  await client.next('subscribed');
  return client;
}

const snapshotWith = (numero: number) => (message: Readonly<Record<string, unknown>>) => {
  const { type, numeros } = message;
  return type === 'snapshot' && Array.isArray(numeros) && numeros[0]?.numero === numero;
};

describe('a collection of one table', () => {
  it('that metadados names at run time is read from then on, and positions stay what they were', async () => {
    const client = await subscribed('evo-1');
    const before = String(client.all.find(({ type }) => type === 'subscribed')?.['position']);
    await insert('resultados_evo', 1);
    await collection('metadados').insertOne({ roleta_id: 'evo-1', roleta_nome: 'Evo', colecao: 'resultados_evo' });
    const snapshot = await client.next(snapshotWith(1));
    expect(snapshot).toMatchObject({ roleta_id: 'evo-1', roleta_nome: 'Evo' });
    expect(String(snapshot['position']) > before).toBe(true);
    await insert('resultados_evo', 2);
    expect(await client.next('new_number')).toMatchObject({ roleta_id: 'evo-1', numero: 2 });
    client.socket.close();
    expect(await stage.get('/api/v1/tables/evo-1/numbers?limit=500')).toMatchObject({
      numeros: [{ numero: 2 }, { numero: 1 }],
    });
  });

  it('is followed to another one, and takes what is posted', async () => {
    const client = await subscribed('evo-1');
    await insert('outra_evo', 3);
    await collection('metadados').updateOne({ roleta_id: 'evo-1' }, { $set: { colecao: 'outra_evo' } });
    await client.next(snapshotWith(3));
    await stage.post('/api/v1/numbers', { roleta_id: 'evo-1', numero: 4 });
    expect(await client.next('new_number')).toMatchObject({ numero: 4 });
    expect(await collection('outra_evo').countDocuments()).toBe(2);
    await insert('resultados_evo', 9);
    await insert('outra_evo', 5);
    expect(await client.next('new_number')).toMatchObject({ numero: 5 });
    client.socket.close();
  });

  it('whose name the pattern fits is read, at rest and live', async () => {
    await insert('mesa_evo-2', 6);
    const client = await subscribed('evo-2');
    await insert('mesa_evo-2', 7);
    expect(await client.next('new_number')).toMatchObject({ roleta_id: 'evo-2', numero: 7 });
    client.socket.close();
    expect(await stage.get('/api/v1/tables/evo-2/numbers?limit=500')).toMatchObject({
      numeros: [{ numero: 7 }, { numero: 6 }],
    });
  });

  it('is known to an instance that starts later', async () => {
    const other = startTestFeed(stage.mongoUri, stage.database);
    await other.feed.ready;
    const subscriber = other.connect();
    subscriber.subscribe({ topics: ['roulette:evo-1'] });
    expect(await subscriber.next(({ type }) => type === 'snapshot')).toMatchObject({
      numeros: [{ numero: 5 }, { numero: 4 }, { numero: 3 }],
    });
    await other.stop();
  });
});
