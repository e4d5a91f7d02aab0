import { type Document, Long, Timestamp, UUID } from 'bson';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { connectWire, messageOf, type WireClient } from './support/wire.ts';

let server: EmbeddedMongo;
let wire: WireClient;
let lsid: Document;

beforeEach(async () => {
  server = await startEmbeddedMongo();
  wire = await connectWire(server.port);
  lsid = { id: new UUID().toBinary() };
});

afterEach(async () => {
  wire.close();
  await server.stop();
});

const numbered = (command: Document, number: number): Document => ({
  ...command,
  lsid,
  txnNumber: Long.fromNumber(number),
  $db: 'd',
});
const plain = (command: Document): Document => ({ ...command, $db: 'd' });
const batch = async (command: Document): Promise<Document[]> =>
  (await wire.command(plain(command)))['cursor'].firstBatch;

describe('a retryable write sent again', () => {
  test('as an insert of several gives the same count and inserts nothing', async () => {
    const insert = numbered({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }] }, 1);
    expect((await wire.command(insert))['n'].value).toBe(2);
    const again = await wire.command(insert);
    expect([again['n'].value, again['writeErrors']]).toEqual([2, undefined]);
  });

  test('carries on where only a part of its statements was done', async () => {
    await wire.command(numbered({ insert: 'c', documents: [{ _id: 1 }] }, 1));
    const whole = await wire.command(numbered({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }] }, 1));
    expect(whole['n'].value).toBe(2);
    expect(await batch({ find: 'c' })).toHaveLength(2);
  });

  test('as an update counts once', async () => {
    await wire.command(plain({ insert: 'c', documents: [{ _id: 1, v: 0 }] }));
    const update = numbered({ update: 'c', updates: [{ q: { _id: 1 }, u: { $inc: { v: 1 } } }] }, 1);
    await wire.command(update);
    expect((await wire.command(update))['nModified'].value).toBe(1);
    expect((await batch({ find: 'c' }))[0]?.['v'].value).toBe(1);
  });

  test('as a findAndModify gives the document that the first answer gave', async () => {
    await wire.command(plain({ insert: 'c', documents: [{ _id: 1, v: 0 }] }));
    const modify = numbered({ findAndModify: 'c', query: { _id: 1 }, update: { $inc: { v: 1 } }, new: true }, 1);
    const first = await wire.command(modify);
    await wire.command(plain({ update: 'c', updates: [{ q: { _id: 1 }, u: { $set: { v: 100 } } }] }));
    expect((await wire.command(modify))['value']).toEqual(first['value']);
  });

  test('as a delete counts once', async () => {
    await wire.command(plain({ insert: 'c', documents: [{ _id: 1 }, { _id: 2 }] }));
    const remove = numbered({ delete: 'c', deletes: [{ q: {}, limit: 1 }] }, 1);
    await wire.command(remove);
    expect((await wire.command(remove))['n'].value).toBe(1);
    expect(await batch({ find: 'c' })).toHaveLength(1);
  });

  test('with an older number than the session has reached is refused', async () => {
    await wire.command(numbered({ insert: 'c', documents: [{ _id: 1 }] }, 5));
    expect(await wire.command(numbered({ insert: 'c', documents: [{ _id: 2 }] }, 4))).toMatchObject({
      codeName: 'TransactionTooOld',
    });
  });

  test('must not touch many documents', async () => {
    const many = numbered({ update: 'c', updates: [{ q: {}, u: { $set: { v: 1 } }, multi: true }] }, 1);
    expect(await wire.command(many)).toMatchObject({ codeName: 'InvalidOptions' });
  });

  test('that fails on the primary’s state is labelled for the driver', async () => {
    await wire.command({
      configureFailPoint: 'failCommand',
      mode: { times: 1 },
      data: { failCommands: ['insert'], errorCode: 91 },
      $db: 'admin',
    });
    const reply = await wire.command(numbered({ insert: 'c', documents: [{ _id: 1 }] }, 1));
    expect(reply).toMatchObject({ errorLabels: ['RetryableWriteError'], codeName: 'ShutdownInProgress' });
  });
});

describe('reads after a cluster time', () => {
  test('wait for nothing that has happened, and refuse what is beyond the clock', async () => {
    const { operationTime } = await wire.command(plain({ insert: 'c', documents: [{ _id: 1 }] }));
    const read = (afterClusterTime: unknown) =>
      wire.command(plain({ find: 'c', readConcern: { level: 'majority', afterClusterTime } }));
    expect((await read(operationTime))['cursor'].firstBatch).toHaveLength(1);
    const future = new Timestamp({ t: operationTime.t + 1000, i: 1 });
    expect(await read(future)).toMatchObject({ codeName: 'InvalidOptions' });
  });

  test('a time heard from the client’s own cluster time is reached by a no-op', async () => {
    const now = await wire.command(plain({ ping: 1 }));
    const later = new Timestamp({ t: now['operationTime'].t + 60, i: 1 });
    const reply = await wire.command({
      ...plain({ find: 'c', readConcern: { afterClusterTime: later } }),
      $clusterTime: { clusterTime: later },
    });
    expect(reply['ok'].value).toBe(1);
    expect(reply['operationTime'].greaterThan(later)).toBe(true);
  });
});

describe('write concern', () => {
  test.each([
    [{ w: 'majority', j: true }, undefined],
    [{ w: 1 }, undefined],
    [{ w: 3, wtimeout: 10 }, 'UnsatisfiableWriteConcern'],
    [{ w: 'elsewhere' }, 'UnknownReplWriteConcern'],
  ])('%j is answered as one node can answer it', async (writeConcern, codeName) => {
    const reply = await wire.command(plain({ insert: 'c', documents: [{}], writeConcern }));
    expect(reply['n'].value).toBe(1);
    expect(reply['writeConcernError']?.codeName).toBe(codeName);
  });

  test('of zero is done and not answered', async () => {
    wire.write(messageOf(plain({ insert: 'c', documents: [{ _id: 1 }], writeConcern: { w: 0 } }), 77, 2));
    const reply = await wire.command(plain({ find: 'c' }));
    expect(reply['cursor'].firstBatch).toHaveLength(1);
  });
});

describe('the fail point onPrimaryTransactionalWrite', () => {
  const configure = (data: Document) =>
    wire.command({ configureFailPoint: 'onPrimaryTransactionalWrite', mode: { times: 1 }, data, $db: 'admin' });

  test('closes the connection after the write, which a retry then finds done', async () => {
    await configure({});
    const insert = numbered({ insert: 'c', documents: [{ _id: 1 }] }, 1);
    await expect(wire.command(insert)).rejects.toThrow(/closed/);
    wire = await connectWire(server.port);
    expect((await wire.command(insert))['n'].value).toBe(1);
    expect(await batch({ find: 'c' })).toHaveLength(1);
  });

  test('prevents the write when it is to fail before its commit', async () => {
    await configure({ failBeforeCommitExceptionCode: 1, closeConnection: false });
    const insert = numbered({ insert: 'c', documents: [{ _id: 1 }] }, 1);
    expect((await wire.command(insert))['writeErrors'][0].code.value).toBe(1);
    expect(await batch({ find: 'c' })).toEqual([]);
  });
});
