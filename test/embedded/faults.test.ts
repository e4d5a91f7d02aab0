import { type Document, Long, UUID } from 'bson';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { bodyOf, connectWire, messageOf, type WireClient } from './support/wire.ts';

let server: EmbeddedMongo;
let wire: WireClient;
let admin: WireClient;

beforeEach(async () => {
  server = await startEmbeddedMongo();
  wire = await connectWire(server.port);
  admin = await connectWire(server.port);
});

afterEach(async () => {
  wire.close();
  admin.close();
  await server.stop();
});

const failCommand = (mode: unknown, data: Document) =>
  admin.command({ configureFailPoint: 'failCommand', mode, data, $db: 'admin' });
const find = { find: 'c', $db: 'd' };

describe('a slow server', () => {
  const set = (name: string, mode: unknown, data: Document = {}) =>
    admin.command({ configureFailPoint: name, mode, data, $db: 'admin' });
  const insert = (n: number) =>
    admin.command({ insert: 'c', documents: Array.from({ length: n }, (_, i) => ({ i })), $db: 'd' });

  test('holds back aggregate and getMore too, and refuses to hold without a time', async () => {
    await insert(3);
    const block = { blockConnection: true, blockTimeMS: 200 };
    await failCommand('alwaysOn', { failCommands: ['aggregate', 'getMore'], ...block });
    const began = performance.now();
    const opened = await wire.command({ aggregate: 'c', pipeline: [], cursor: { batchSize: 1 }, $db: 'd' });
    await wire.command({ getMore: opened['cursor'].id, collection: 'c', $db: 'd' });
    expect(performance.now() - began).toBeGreaterThanOrEqual(398);
    await failCommand('alwaysOn', { failCommands: ['find'], blockConnection: true });
    expect(await wire.command(find)).toMatchObject({ codeName: 'InvalidOptions' });
  });

  test('lets a find and a getMore of one namespace wait until their fail points are off', async () => {
    await insert(3);
    const cursor = (await wire.command({ ...find, batchSize: 1 }))['cursor'];
    for (const [point, command] of [
      ['waitInFindBeforeMakingBatch', find],
      ['waitAfterPinningCursorBeforeGetMoreBatch', { getMore: cursor.id, collection: 'c', $db: 'd' }],
    ] as const) {
      await set(point, 'alwaysOn', { nss: 'd.other' });
      expect(await admin.command(find)).toMatchObject({ ok: { value: 1 } });
      await set(point, 'alwaysOn', { nss: 'd.c' });
      let answered = false;
      const held = wire.command(command).then((reply) => {
        answered = true;
        return reply;
      });
      for (let turn = 0; turn < 20; turn += 1) await admin.command({ ping: 1, $db: 'd' });
      expect(answered).toBe(false);
      await set(point, 'off');
      expect(await held).toMatchObject({ ok: { value: 1 } });
    }
  });

  test('looks at no more entries of the oplog in a second than it is told, and answers others meanwhile', async () => {
    const opened = await wire.command({ aggregate: 'c', pipeline: [{ $changeStream: {} }], cursor: {}, $db: 'd' });
    await admin.command({ insert: 'c', documents: [{}], $db: 'other' });
    for (let one = 0; one < 150; one += 1) await admin.command({ insert: 'c', documents: [{}], $db: 'other' });
    await insert(1);
    await set('runcashTestScanRate', 'alwaysOn', { entriesPerSecond: 300 });
    const began = performance.now();
    const more = wire.command({ getMore: opened['cursor'].id, collection: 'c', maxTimeMS: 100, $db: 'd' });
    await admin.command({ ping: 1, $db: 'd' });
    expect(performance.now() - began).toBeLessThan(400);
    // maxTimeMS bounds the waiting of a getMore on a stream, not its looking through the log.
    expect((await more)['cursor'].nextBatch).toHaveLength(1);
    expect(performance.now() - began).toBeGreaterThan(400);
    expect(await set('runcashTestScanRate', 'alwaysOn')).toMatchObject({ codeName: 'BadValue' });
  });
});

describe('the fail point failCommand', () => {
  test('fails as often as it is told, and then no more', async () => {
    await failCommand({ times: 2 }, { failCommands: ['find'], errorCode: 11602 });
    expect(await wire.command(find)).toMatchObject({ codeName: 'InterruptedDueToReplStateChange' });
    expect(await wire.command({ ping: 1, $db: 'd' })).toMatchObject({ ok: { value: 1 } });
    expect(await wire.command(find)).toMatchObject({ codeName: 'InterruptedDueToReplStateChange' });
    expect(await wire.command(find)).toMatchObject({ ok: { value: 1 } });
  });

  test('lets the first ones pass with skip', async () => {
    await failCommand({ skip: 1 }, { failCommands: ['find'], errorCode: 99999 });
    expect(await wire.command(find)).toMatchObject({ ok: { value: 1 } });
    expect(await wire.command(find)).toMatchObject({ code: { value: 99999 }, codeName: 'Location99999' });
    await failCommand('off', {});
    expect(await wire.command(find)).toMatchObject({ ok: { value: 1 } });
  });

  test('closes the connection', async () => {
    await failCommand('alwaysOn', { failCommands: ['find'], closeConnection: true });
    await expect(wire.command(find)).rejects.toThrow(/closed/);
    await wire.closed;
  });

  test('holds the command back for the time asked for, and only that connection', async () => {
    await failCommand('alwaysOn', { failCommands: ['find'], blockConnection: true, blockTimeMS: 300 });
    const started = performance.now();
    const held = wire.command(find);
    await admin.command({ ping: 1, $db: 'd' });
    const others = performance.now() - started;
    await held;
    expect(performance.now() - started).toBeGreaterThanOrEqual(299);
    expect(others).toBeLessThan(299);
  });

  test('gives the labels asked for, and adds none of its own then', async () => {
    await failCommand({ times: 1 }, { failCommands: ['insert'], errorCode: 91, errorLabels: ['Mine'] });
    const reply = await wire.command({ insert: 'c', documents: [{}], $db: 'd' });
    expect(reply['errorLabels']).toEqual(['Mine']);
  });

  test('concerns only the application that it names', async () => {
    await failCommand('alwaysOn', { failCommands: ['find'], errorCode: 6, appName: 'scraper' });
    expect(await wire.command(find)).toMatchObject({ ok: { value: 1 } });
    await wire.command({ hello: 1, client: { application: { name: 'scraper' } }, $db: 'admin' });
    expect(await wire.command(find)).toMatchObject({ codeName: 'HostUnreachable' });
  });

  test('does the write before it reports a write concern error', async () => {
    await failCommand({ times: 1 }, { failCommands: ['insert'], writeConcernError: { code: 64, errmsg: 'late' } });
    const reply = await wire.command({ insert: 'c', documents: [{ _id: 1 }], $db: 'd' });
    expect([reply['n'].value, reply['writeConcernError'].code.value]).toEqual([1, 64]);
  });
});

describe('a step-down', () => {
  const stepDown = (settings: Document) => admin.command({ replSetStepDown: 1, $db: 'admin', ...settings });

  test('is refused without force, since there is nobody to take over', async () => {
    expect(await stepDown({})).toMatchObject({ codeName: 'ExceededTimeLimit' });
  });

  test('refuses writes and primary reads until the node is elected again in a new term', async () => {
    const insert = { insert: 'c', documents: [{}], $db: 'd' };
    await wire.command(insert);
    const before = await admin.command({ hello: 1, $db: 'admin' });
    await stepDown({ force: true });
    expect(await wire.command(insert)).toMatchObject({ codeName: 'NotMaster', topologyVersion: {} });
    expect(await wire.command(find)).toMatchObject({ codeName: 'NotMasterNoSlaveOk' });
    expect(await wire.command({ ...find, $readPreference: { mode: 'secondary' } })).toMatchObject({ ok: { value: 1 } });
    expect(await admin.command({ hello: 1, $db: 'admin' })).toMatchObject({
      isWritablePrimary: false,
      secondary: true,
    });
    const elected = await admin.command({
      hello: 1,
      topologyVersion: {
        processId: before['topologyVersion'].processId,
        counter: Long.fromNumber(before['topologyVersion'].counter.toNumber() + 1),
      },
      maxAwaitTimeMS: 10_000,
      $db: 'admin',
    });
    expect(elected).toMatchObject({ isWritablePrimary: true });
    expect(elected['electionId'].toHexString() > before['electionId'].toHexString()).toBe(true);
    expect(await wire.command(insert)).toMatchObject({ ok: { value: 1 } });
  });

  test('leaves change streams open and ends transactions', async () => {
    const lsid = { id: new UUID().toBinary() };
    const txn = { lsid, txnNumber: Long.fromNumber(1), autocommit: false, $db: 'd' };
    await wire.command({ insert: 'c', documents: [{ _id: 1 }], startTransaction: true, ...txn });
    const opened = await wire.command({ aggregate: 1, pipeline: [{ $changeStream: {} }], cursor: {}, $db: 'd' });
    const waiting = wire.command({
      getMore: opened['cursor'].id,
      collection: '$cmd.aggregate',
      maxTimeMS: 60_000,
      $db: 'd',
    });
    await stepDown({ replSetStepDown: 0, force: true });
    const client = new MongoClient(server.uri);
    await client.db('d').collection('c').insertOne({});
    await client.close();
    expect((await waiting)['cursor'].nextBatch).toHaveLength(1);
    expect(await wire.command({ find: 'c', ...txn })).toMatchObject({
      codeName: 'NoSuchTransaction',
      errorLabels: ['TransientTransactionError'],
    });
  });

  test('is told to a driver that waits on an exhaust hello, without being asked', async () => {
    const first = await wire.command({ hello: 1, $db: 'admin' });
    wire.write(
      messageOf(
        { hello: 1, topologyVersion: first['topologyVersion'], maxAwaitTimeMS: 60_000, $db: 'admin' },
        9,
        1 << 16,
      ),
    );
    await stepDown({ replSetStepDown: 0, force: true });
    const told = bodyOf(await wire.nextMessage());
    const again = bodyOf(await wire.nextMessage());
    expect([told['isWritablePrimary'], again['isWritablePrimary']]).toEqual([false, true]);
  });

  test('is survived by a driver that retries', async () => {
    const client = await new MongoClient(server.uri, { heartbeatFrequencyMS: 500 }).connect();
    const rows = client.db('d').collection('rows');
    await rows.insertOne({ n: 0 });
    await stepDown({ force: true });
    await rows.insertOne({ n: 1 });
    expect(await rows.countDocuments()).toBe(2);
    await client.close();
  });
});
