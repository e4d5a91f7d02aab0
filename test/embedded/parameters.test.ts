import { type Db, type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkMongo } from '../../src/cli/doctor-mongo.ts';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createSources } from '../../src/roulette/source.ts';
import { deletedAfter } from './support/deletions.ts';

interface Row extends Document {
  _id: number;
}

describe.each(['4.4', '8.0'] as const)('the parameters of generation %s', (compat) => {
  let server: EmbeddedMongo;
  let client: MongoClient;
  let admin: Db;

  beforeAll(async () => {
    server = await startEmbeddedMongo({ compat });
    client = await new MongoClient(server.uri).connect();
    admin = client.db('admin');
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  const set = (parameters: Document) => admin.command({ setParameter: 1, ...parameters });

  test('a shorter ttlMonitorSleepSecs lets documents expire now, all but those that a transaction holds', async () => {
    const rows = client.db('parameters').collection<Row>('rows');
    await rows.createIndex({ at: 1 }, { expireAfterSeconds: 1 });
    await rows.insertMany([
      { _id: 1, at: new Date(1000) },
      { _id: 2, at: new Date(2000) },
    ]);
    const session = client.startSession();
    session.startTransaction();
    await rows.updateOne({ _id: 1 }, { $set: { held: true } }, { session });
    const shorten = async () => expect(await set({ ttlMonitorSleepSecs: 1 })).toMatchObject({ was: 60, ok: 1 });
    // The pass comes to the older one first.
    expect(await deletedAfter(rows.watch(), shorten, 1)).toEqual([2]);
    expect(await deletedAfter(rows.watch(), () => session.commitTransaction(), 1)).toEqual([1]);
    await session.endSession();
    expect(await admin.command({ getParameter: 1, ttlMonitorSleepSecs: 1 })).toMatchObject({ ttlMonitorSleepSecs: 1 });
  });

  test('a transaction ends after transactionLifetimeLimitSeconds, and what it held is free', async () => {
    const rows = client.db('parameters').collection<Row>('held');
    await rows.insertOne({ _id: 1 });
    expect(await set({ transactionLifetimeLimitSeconds: 1 })).toMatchObject({ was: 60 });
    const session = client.startSession();
    session.startTransaction();
    await rows.updateOne({ _id: 1 }, { $set: { by: 'transaction' } }, { session });
    // It waits for the end of the transaction.
    await rows.updateOne({ _id: 1 }, { $set: { by: 'another' } });
    await expect(session.commitTransaction()).rejects.toMatchObject({ code: 251 });
    await session.endSession();
    await set({ transactionLifetimeLimitSeconds: 60 });
    expect(await rows.findOne()).toEqual({ _id: 1, by: 'another' });
  });

  test.each<[string, Document, number, RegExp]>([
    ['an unknown name', { nonsense: 1 }, 72, /unrecognized parameter \[nonsense\]/],
    ['no name', {}, 72, /no option found to set/],
    ['one that is fixed', { cursorTimeoutMillis: 1 }, 20, /not allowed to change \[cursorTimeoutMillis\] at runtime/],
    ['a value below its bound', { ttlMonitorSleepSecs: 0 }, 2, /0 is not greater than 0/],
    ['a value that is no number', { ttlMonitorSleepSecs: 'often' }, 2, /ttlMonitorSleepSecs/],
    ['a known name beside an unknown one', { ttlMonitorSleepSecs: 7, nonsense: 1 }, 72, /nonsense/],
  ])('setParameter refuses %s and changes nothing', async (_, parameters, code, message) => {
    const before = await admin.command({ getParameter: '*' });
    await expect(set(parameters)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    const after = await admin.command({ getParameter: '*' });
    expect(after['ttlMonitorSleepSecs']).toBe(before['ttlMonitorSleepSecs']);
  });

  test('getDefaultRWConcern tells what writes without a concern wait for, and the doctor understands it', async () => {
    const defaults = await admin.command({ getDefaultRWConcern: 1 });
    expect(defaults['localUpdateWallClockTime']).toBeInstanceOf(Date);
    expect(defaults['defaultWriteConcern']).toEqual(compat === '8.0' ? { w: 'majority', wtimeout: 0 } : undefined);
    await expect(admin.command({ getDefaultRWConcern: 1, nonsense: 1 })).rejects.toMatchObject({ code: 40415 });
    const findings = await checkMongo({
      readPreference: 'primary',
      client,
      databases: ['parameters'],
      recoveryWindowSeconds: 60,
      sources: createSources(),
      liveMaxAgeMs: 120_000,
    });
    const found = findings.find(({ about }) => about === 'write concern of direct writers');
    expect(found).toMatchObject(
      compat === '8.0' ? { verdict: 'ok', found: 'majority by default' } : { verdict: 'note' },
    );
  });
});

test('a standalone server has no default concerns', async () => {
  const server = await startEmbeddedMongo({ standalone: true });
  const client = await new MongoClient(server.uri).connect();
  await expect(client.db('admin').command({ getDefaultRWConcern: 1 })).rejects.toMatchObject({ code: 51300 });
  await client.close();
  await server.stop();
});
