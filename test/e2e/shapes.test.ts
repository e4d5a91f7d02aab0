import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stage, startStage } from '../docs/stage.ts';
import { listenTo } from '../legacy/stage.ts';
import { exportOf } from '../support/export.ts';
import { SHAPES, writeShape } from '../support/shapes.ts';
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

const exported = (id: string, format: string) => exportOf([id, '--format', format], stage.url);

describe.each(Object.entries(SHAPES))('what scrapers write: %s', (_, shape) => {
  const { id, wire } = shape;

  it('goes from a post and from a plain insert to every transport', async () => {
    const url = new URL(stage.url).host;
    const subscribers = await Promise.all(
      TRANSPORTS.map((name) => subscribe(name, url, { topics: [`roulette:${id}`] })),
    );
    const legacy = listenTo(stage.url);
    for (const subscriber of subscribers) await subscriber.next('subscribed');
    expect(await legacy.socket.emitWithAck('subscribe_to_roleta', { roleta_id: id })).toMatchObject({ ok: true });
    const [first, second] = wire;
    await writeShape(stage, mongo, shape, async () => {
      for (const subscriber of subscribers) expect(await subscriber.next('new_number')).toMatchObject(first);
    });
    for (const subscriber of subscribers) {
      expect(await subscriber.next('new_number')).toMatchObject(second);
      subscriber.stop();
    }
    await legacy.heard('new_number', 2);
    const { rotulo: _label, ...known } = second;
    expect(legacy.payloads('new_number')).toMatchObject([{ numero: first['numero'] }, known]);
    legacy.close();
  });

  it('is in the list of tables, in the history and in the export', async () => {
    const numeros = [...wire].reverse().map(({ numero, cor }) => ({ numero, cor }));
    const path = `/api/v1/tables/${encodeURIComponent(id)}`;
    expect(await stage.get(path)).toMatchObject({ roleta_id: id, numeros });
    expect(await stage.get(`${path}/numbers?limit=500`)).toMatchObject({ numeros });
    expect(await stage.get('/api/v1/tables')).toMatchObject({
      tables: expect.arrayContaining([expect.objectContaining({ roleta_id: id })]),
    });
    const rows = (await exported(id, 'ndjson'))
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(rows).toMatchObject(numeros);
    expect((await exported(id, 'csv')).trim().split('\n')).toHaveLength(3);
  });
});
