import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Runcash, startRuncash } from '../../src/app/start.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/log/log.ts';
import { type Definition, METRICS } from '../../src/metrics/table.ts';
import { type Receiver, startReceiver } from '../alerts/receiver.ts';
import { connectWebsocket } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { readExposition, seriesValue } from './exposition.ts';

const KEY = 'a-key-of-a-scraper-0';

let mongo: TestMongo;
let receiver: Receiver;
let running: Runcash;
let client: MongoClient;
let alerted: Promise<string>;
const database = freshDatabase();

beforeAll(async () => {
  mongo = await startMongo();
  let arrive: (body: string) => void = () => undefined;
  alerted = new Promise((resolve) => {
    arrive = resolve;
  });
  receiver = await startReceiver((res) => {
    res.writeHead(200).end();
    arrive(receiver.deliveries[0]?.body ?? '');
  });
  const { config } = loadConfig({
    PORT: '0',
    MONGODB_DB_NAME: database,
    INGEST_KEYS: `mesa:${KEY}`,
    ALERT_WEBHOOK_URL: receiver.url,
    ALERT_WEBHOOK_SECRET: 'a secret of the webhook',
  });
  const log = await createLog({ level: 'error', pretty: false });
  const pageFolder = 'none';
  const parts = { config, mongoUri: mongo.uri, version: '0.1.0', log, pageFolder, worker: null };
  running = await startRuncash(parts);
  client = new MongoClient(mongo.uri);
  await running.ready;
});

afterAll(async () => {
  await client.close();
  await running.stop(0);
  await receiver.stop();
  await mongo.stop();
});

const url = (path: string): string => `http://127.0.0.1:${running.port}${path}`;

async function post(body: unknown, key: string = KEY): Promise<number> {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` };
  return (await fetch(url('/api/v1/numbers'), { method: 'POST', headers, body: JSON.stringify(body) })).status;
}

async function exposed() {
  const answer = await fetch(url('/metrics'));
  expect(answer.headers.get('content-type')).toContain('version=0.0.4');
  return readExposition(await answer.text());
}

const number = (numero: number) => ({ roleta_id: '2010165', roleta_nome: 'Roulette', numero });

describe('/metrics of the running service', () => {
  it('shows the whole table, and moves with what happens', async () => {
    const socket = await connectWebsocket(`127.0.0.1:${running.port}`);
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await socket.next('subscribed');
    expect(await post(number(17))).toBe(201);
    expect(await post(number(99))).toBe(400);
    await client
      .db(database)
      .collection('roleta_numeros')
      .insertOne({ roleta_id: '2010165', numero: 'x', timestamp: new Date() });
    await client
      .db(database)
      .collection('roleta_numeros')
      .insertOne({ ...number(0), timestamp: new Date() });
    await socket.next(({ type, numero }) => type === 'new_number' && numero === 0);
    socket.socket.close();
    await socket.closed;

    const now = await exposed();
    for (const [name, { type }] of Object.entries<Definition>(METRICS))
      expect([name, now.types.get(name)]).toEqual([name, type]);
    const value = (name: string, labels: Record<string, string> = {}) => seriesValue(now, name, labels);
    expect(value('runcash_published_total', { type: 'new_number' })).toBe(2);
    expect(value('runcash_deliveries_total', { audience: 'all' })).toBeGreaterThanOrEqual(2);
    expect(value('runcash_event_age_seconds_count')).toBe(2);
    expect(value('runcash_skipped_documents_total', { reason: 'bad_number' })).toBe(1);
    expect(value('runcash_ingest_total', { kind: 'number', key: 'mesa', outcome: 'created' })).toBe(1);
    expect(value('runcash_ingest_total', { kind: 'number', key: 'mesa', outcome: 'invalid' })).toBe(1);
    expect(value('runcash_ingest_insert_seconds_count', { kind: 'number' })).toBe(1);
    expect(value('runcash_http_requests_total', { route: '/api/v1/numbers', method: 'POST', status: '201' })).toBe(1);
    expect(value('runcash_recoveries_total', { result: 'new' })).toBeGreaterThanOrEqual(1);
    expect(value('runcash_table_silence_seconds', { table: '2010165' })).toBeLessThan(60);
    expect(value('runcash_feed_phase', { phase: 'live' })).toBe(1);
    expect(value('runcash_database_up')).toBe(1);
    expect(value('runcash_connections_accepted_total', { transport: 'websocket' })).toBe(1);
  });

  it('has an alert delivered to the webhook, shown on /status, and counted', async () => {
    for (let attempt = 0; attempt < 6; attempt++) expect(await post(number(1), 'a wrong key')).toBe(401);
    const message = JSON.parse(await alerted);
    expect(message).toMatchObject({
      service: 'RunCash Live',
      text: expect.stringContaining('6 attempts in a minute to post without valid credentials'),
      alerts: [{ alert: 'ingest_unauthorized', state: 'firing' }],
    });
    expect(receiver.deliveries[0]?.headers['x-runcash-signature']).toMatch(/^sha256=[0-9a-f]{64}$/);
    const status: unknown = await (await fetch(url('/status'))).json();
    expect(status).toMatchObject({ alerts: [{ alert: 'ingest_unauthorized' }], limits: { capacity: 0 } });
    await expect
      .poll(async () => seriesValue(await exposed(), 'runcash_alert_messages_total', { result: 'delivered' }))
      .toBe(1);
    expect(seriesValue(await exposed(), 'runcash_alerts_firing', { alert: 'ingest_unauthorized' })).toBe(1);
    expect(seriesValue(await exposed(), 'runcash_alerts_firing', { alert: 'feed_down' })).toBe(0);
  });
});
