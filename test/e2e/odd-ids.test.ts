import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/connect.ts';
import { type Stage, startStage } from '../docs/stage.ts';
import { listenTo } from '../legacy/stage.ts';
import { exportOf } from '../support/export.ts';
import { subscribe, TRANSPORTS } from '../support/subscribers.ts';

let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  stage = await startStage({ SOCKETIO: 'true' });
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
});

const insert = (document: Readonly<Record<string, unknown>>) =>
  mongo
    .db(stage.database)
    .collection('roleta_numeros', { writeConcern: { w: 'majority' } })
    .insertOne({ ...document });

/** What public scrapers use, and what means something to a URL, a path, a shell, JavaScript, MongoDB or a spreadsheet. */
const IDS = [
  'x'.repeat(64),
  '🎰'.repeat(64),
  'mesa-🎰-ñ',
  'ruleta/1',
  '...',
  '../../etc/passwd',
  '50%',
  '%2e%2e',
  'a:b',
  'roulette:a',
  'a#b',
  'a?b=c&d',
  'a,b',
  'a+b',
  `"a'b\\c`,
  '<b>',
  'a.b',
  '$where',
  '=1+1',
  'a*',
  '__proto__',
  'constructor',
  'toString',
  'null',
  '-5',
  '1e3',
  '221',
  '0221',
  'e\u0301',
  '\u00e9',
];

describe.each(IDS)('a table of the id %j', (id) => {
  it('is heard on every transport, read, exported, and told to the client library and to Socket.IO', async () => {
    const host = new URL(stage.url).host;
    const topics = [`roulette:${id}`];
    const subscribers = await Promise.all(TRANSPORTS.map((name) => subscribe(name, host, { topics })));
    const client = connect(stage.url, { transports: ['websocket'], WebSocket });
    const heard: number[] = [];
    const subscription = client.subscribe(`roulette:${id}`, { onNumber: ({ numero }) => void heard.push(numero) });
    const legacy = listenTo(stage.url);
    for (const subscriber of subscribers) await subscriber.next('subscribed');
    await subscription.ready();
    expect(await legacy.socket.emitWithAck('subscribe_to_roleta', { roletaId: id })).toMatchObject({ ok: true });

    await stage.post('/api/v1/numbers', { roleta_id: id, numero: 1 });
    for (const subscriber of subscribers) {
      expect(await subscriber.next('new_number')).toMatchObject({ roleta_id: id, numero: 1 });
    }
    await insert({ roleta_id: id, numero: 2, timestamp: new Date() });
    for (const subscriber of subscribers) {
      const frame = await subscriber.next('new_number');
      expect(frame).toMatchObject({ topic: `roulette:${id}`, roleta_id: id, numero: 2 });
      subscriber.stop();
    }
    await expect.poll(() => heard).toEqual([1, 2]);
    expect([...subscription.tables.keys()]).toEqual([id]);
    await legacy.heard('new_number', 2);
    expect(legacy.payloads('new_number')).toMatchObject([1, 2].map((numero) => ({ roleta_id: id, numero })));
    client.close();
    legacy.close();

    const path = `/api/v1/tables/${encodeURIComponent(id)}`;
    const numeros = [{ numero: 2 }, { numero: 1 }];
    expect(await stage.get(path)).toMatchObject({ roleta_id: id, numeros });
    expect(await stage.get(`${path}/numbers?limit=500`)).toMatchObject({ roleta_id: id, numeros });
    expect(await stage.get(`${path}/stats`)).toMatchObject({ roleta_id: id, total: 2 });
    expect(await stage.get(`/api/numbers/byid/${encodeURIComponent(id)}`)).toMatchObject(numeros);
    const lines = (await exportOf(['--format', 'ndjson', '--', id], stage.url)).trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject(
      numeros.map((row) => ({ ...row, roleta_id: id })),
    );
  });
});
