import { MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalId } from '../../src/roulette/table.ts';
import { directSender } from '../../src/simulator/direct.ts';
import { simulatorOptions } from '../../src/simulator/options.ts';
import type { Stamped } from '../../src/simulator/round.ts';
import { simulate } from '../../src/simulator/run.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';

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

const RECORDING = 'test/data/numbers-2025-04-11.json';

async function run(database: string, ...args: string[]) {
  const defaults = { url: 'http://127.0.0.1:1', key: null, mongodb: mongo.uri };
  const options = simulatorOptions(['--direct', ...args], defaults);
  if (options === null) throw new Error('usage was asked for');
  const result = await simulate(options, {
    print: () => undefined,
    databases: { shared: database, tables: database },
    signal: new AbortController().signal,
  });
  return result.tally;
}

describe('the simulator with --direct', () => {
  it('inserts a recording as it was, with its own identities and times', async () => {
    const name = freshDatabase();
    const args = ['--replay', RECORDING, '--speed', '100000', '--keep-timestamps'];
    expect(await run(name, ...args)).toMatchObject({ sent: 200, acknowledged: 200, errors: 0 });
    const stored = await client.db(name).collection('roleta_numeros').find().sort({ _id: 1 }).toArray();
    expect(stored).toHaveLength(200);
    expect(stored[0]).toMatchObject({
      _id: new ObjectId('67f9538cecd9628823e574ff'),
      roleta_id: '2010097',
      numero: 28,
      cor: 'preto',
      timestamp: new Date('2025-04-11T17:38:20.833Z'),
      criado_em: expect.any(Date),
    });
    expect(await run(name, ...args)).toMatchObject({ sent: 200, acknowledged: 0, duplicates: 200, errors: 0 });
  });

  it('inserts a recording as of now, keeping which scraper process made each number', async () => {
    const name = freshDatabase();
    expect(await run(name, '--replay', RECORDING, '--speed', '100000')).toMatchObject({ acknowledged: 200 });
    const stored = await client.db(name).collection('roleta_numeros').find().toArray();
    const makers = new Set(stored.map(({ _id }) => _id.toHexString().slice(8, 18)));
    expect(makers.size).toBe(2);
    expect(makers).toContain('ecd9628823');
    for (const { timestamp } of stored) expect(Date.now() - Number(timestamp)).toBeLessThan(60_000);
  });

  it('marks every number and state as simulated, in both layouts', async () => {
    const name = freshDatabase();
    const args = ['--rate', '10000', '--count', '150', '--tables', '2010165', '--seed', '3'];
    await run(name, ...args);
    await run(name, ...args, '--layout', 'per-table');
    const db = client.db(name);
    for (const collection of ['roleta_numeros', 'estrategia_historico_novo', '2010165']) {
      const marked = await db.collection(collection).distinct('simulado');
      expect(marked, collection).toEqual([true]);
      expect(await db.collection(collection).countDocuments({ simulado: { $ne: true } }), collection).toBe(0);
    }
    expect(await db.collection('metadados').findOne()).toMatchObject({ estrategia: { simulado: true } });
  });

  it('writes strategies as rows of the shared layout', async () => {
    const name = freshDatabase();
    await run(name, '--rate', '10000', '--count', '150', '--tables', '2', '--seed', '3');
    const rows = await client.db(name).collection('estrategia_historico_novo').find().toArray();
    expect(rows.length).toBeGreaterThan(5);
    expect(rows[0]).toMatchObject({ estado: 'TRIGGER', roleta_id: expect.any(String), timestamp: expect.any(Date) });
  });

  it('writes one collection per table, and the strategy into metadados', async () => {
    const name = freshDatabase();
    const args = ['--layout', 'per-table', '--rate', '10000', '--count', '150', '--tables', '2010165,2010033'];
    await run(name, ...args, '--seed', '3');
    const db = client.db(name);
    const [one, other] = [
      await db.collection('2010165').find().toArray(),
      await db.collection('2010033').find().toArray(),
    ];
    expect(one.length + other.length).toBe(150);
    expect(Object.keys(one[0] ?? {}).sort()).toEqual(['_id', 'cor', 'criado_em', 'numero', 'simulado', 'timestamp']);
    const tables = await db.collection('metadados').find().toArray();
    expect(tables).toHaveLength(2);
    expect(tables[0]).toMatchObject({
      ativa: true,
      colecao: expect.any(String),
      estrategia: { estado: expect.any(String) },
    });
  });

  it('reports a MongoDB that is not there, without an exception', async () => {
    const table = canonicalId('2010165');
    if (table === null) throw new Error('not a table');
    const absent = directSender({
      uri: 'mongodb://127.0.0.1:1/?replicaSet=rs0&serverSelectionTimeoutMS=200',
      database: 'x',
      tablesDatabase: 'x',
      layout: 'shared',
    });
    const fixed = { kind: 'number', name: 'n', numero: 0, cor: 'verde', key: 'k', maker: '0102030405' } as const;
    const item: Stamped = { ...fixed, table, timestampMs: 0, objectId: null };
    expect(await absent.send(item)).toMatchObject({ kind: 'failed', reason: expect.stringMatching(/ECONNREFUSED/) });
    await absent.close();
  });
});
