import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSources } from '../../src/roulette/source.ts';
import { type Stage, startStage } from '../docs/stage.ts';
import { exportOf } from '../support/export.ts';
import { startTestFeed } from '../support/feed.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';

const EXTRA_FIELDS = ['provider', 'multiplicador'];
const OWN = { provider: 'Evolution', multiplicador: [50, 500] };
const SHARED = 'wheel@shared';
const OF_ITS_OWN = '2010165';

let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  stage = await startStage({ EXTRA_FIELDS: EXTRA_FIELDS.join(','), INGEST_LAYOUT: 'per-table' });
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
});

const collection = (name: string) => mongo.db(stage.database).collection(name, { writeConcern: { w: 'majority' } });

async function subscribed(id: string): Promise<WebsocketClient> {
  const client = await connectWebsocket(new URL(stage.url).host);
  client.send({ type: 'subscribe', id: 1, topics: [`roulette:${id}`] });
  await client.next('subscribed');
  return client;
}

describe.each([SHARED, OF_ITS_OWN])('fields that EXTRA_FIELDS names, of %s', (roleta_id) => {
  it('are stored with all others, and come with events, snapshots and history', async () => {
    const client = await subscribed(roleta_id);
    await stage.post('/api/v1/numbers', { roleta_id, numero: 17, ...OWN, dealer: { nome: 'Ana' } });
    expect(await client.next('new_number')).toMatchObject({ numero: 17, ...OWN });
    const stored = await collection(roleta_id === SHARED ? 'roleta_numeros' : roleta_id).findOne({ numero: 17 });
    expect(stored).toMatchObject({ ...OWN, dealer: { nome: 'Ana' } });

    await stage.post('/api/v1/strategies', { roleta_id, estado: 'TRIGGER', ...OWN });
    expect(await client.next('strategy_update')).toMatchObject({ estado: 'TRIGGER', ...OWN });
    await stage.post('/api/v1/strategies', { roleta_id, estado: 'TRIGGER', provider: 'Pragmatic' });
    expect(await client.next('strategy_update')).toMatchObject({ provider: 'Pragmatic' });
    client.socket.close();

    const later = await connectWebsocket(new URL(stage.url).host);
    later.send({ type: 'subscribe', id: 1, topics: [`roulette:${roleta_id}`] });
    const snapshot = await later.next('snapshot');
    expect(snapshot).toMatchObject({ numeros: [OWN], estrategia: { provider: 'Pragmatic' } });
    later.socket.close();
    expect(await stage.get(`/api/v1/tables/${roleta_id}/numbers?limit=500`)).toMatchObject({ numeros: [OWN] });
  });

  it.each(['numbers', 'strategies'])(
    'are the last columns of the CSV of its %s, and fields of its NDJSON',
    async (kind) => {
      const [csv = '', ndjson = ''] = await Promise.all(
        ['csv', 'ndjson'].map((format) =>
          exportOf([roleta_id, '--format', format, ...(kind === 'strategies' ? ['--strategies'] : [])], stage.url),
        ),
      );
      const [head = '', ...rows] = csv.trimEnd().split('\r\n');
      expect(head.endsWith(',provider,multiplicador')).toBe(true);
      const lines = ndjson
        .trimEnd()
        .split('\n')
        .map((line): Readonly<Record<string, unknown>> => JSON.parse(line));
      expect(rows.map((row) => row.split(',').slice(-2))).toEqual(
        lines.map(({ provider = '', multiplicador = [] }) => [provider, [multiplicador].flat().join(' ')]),
      );
      expect(rows.some((row) => /,(?:Evolution,50 500|Pragmatic,)$/.test(row))).toBe(true);
    },
  );

  it('follow an update of the document, on every instance in the same bytes', async () => {
    const numbers = collection(roleta_id === SHARED ? 'roleta_numeros' : roleta_id);
    const client = await subscribed(roleta_id);
    const document = { roleta_id, numero: 3, timestamp: new Date(), multiplicador: 2 };
    const { insertedId } = await numbers.insertOne(document);
    await client.next('new_number');
    await numbers.updateOne({ _id: insertedId }, { $set: { multiplicador: 9, segredo: 'x' } });
    expect(await client.next('number_corrected')).toMatchObject({ numero: 3, multiplicador: 9 });
    expect(JSON.stringify(client.all)).not.toContain('segredo');
    client.socket.close();

    const other = startTestFeed(stage.mongoUri, stage.database, {
      sources: createSources({ extraFields: EXTRA_FIELDS }),
    });
    await other.feed.ready;
    const again = other.connect();
    again.subscribe({ topics: [`roulette:${roleta_id}`], history: 200 });
    await again.next(({ type }) => type === 'subscribed');
    const served = await connectWebsocket(new URL(stage.url).host);
    served.send({ type: 'subscribe', id: 1, topics: [`roulette:${roleta_id}`], history: 200 });
    const snapshot = await served.next('snapshot');
    const content = ({ numeros, estrategia }: Readonly<Record<string, unknown>>) =>
      JSON.stringify({ numeros, estrategia });
    const [first] = again.frames.filter(({ type }) => type === 'snapshot');
    expect(content(first ?? {})).toBe(content(snapshot));
    served.socket.close();
    await other.stop();
  });
});
