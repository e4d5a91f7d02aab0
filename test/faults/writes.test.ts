import { Decimal128, Double, Int32, Long, MongoClient, ObjectId } from 'mongodb';
import { describe, expect, it, vi } from 'vitest';
import { startReader } from '../../bench/chaos/reader.ts';
import { createWriter } from '../../bench/chaos/writer.ts';
import { faultServer, startRig, TABLES } from '../support/faults.ts';

const FREQUENT = { timeout: 15_000, interval: 10 };
const [TABLE = ''] = TABLES;
const MAJORITY = { writeConcern: { w: 'majority', j: true } } as const;

describe('what writers do', () => {
  it('19: a transaction over several tables arrives whole and once, also when the stream breaks inside it', async () => {
    const rig = await startRig({ instances: 2, feed: { batchSize: 20 } });
    for (let times = 0; times < 3; times++) await rig.writer.transaction(30);
    await rig.verify();
    // Larger than a batch of the stream, which breaks within it: it is taken up in the middle.
    await rig.failFeed({ skip: 3 }, { failCommands: ['getMore'], errorCode: 11602 });
    const big = rig.writer.transaction(300);
    await vi.waitUntil(() => rig.reopens() >= 1, FREQUENT);
    await rig.failFeed('off', {});
    await big;
    await rig.verify();
  });

  it.each(['4.4', '8.0'] as const)('20: insertMany of 1,000 arrives whole and in order on %s', async (compat) => {
    const rig = await startRig({ server: await faultServer(compat === '4.4' ? {} : { compat }), instances: 2 });
    await rig.writer.many(1_000);
    await rig.failFeed({ times: 2 }, { failCommands: ['getMore'], errorCode: 6 });
    await rig.writer.many(1_000);
    await rig.verify();
    const positions = (rig.readers[1]?.messages ?? [])
      .filter(({ type }) => type === 'new_number')
      .map(({ position }) => String(position));
    const times = new Set(positions.map((position) => position.slice(0, 16)));
    // Since 8.0 the documents of one insertMany share their clusterTime; the operation index tells them apart.
    if (compat === '8.0') expect(times.size).toBeLessThan(positions.length);
    expect(new Set(positions).size).toBe(positions.length);
  });

  it('21: an aborted transaction is silence', async () => {
    const rig = await startRig();
    await rig.writer.round();
    await rig.verify();
    const counts = () => rig.readers.map(({ messages }) => messages.filter(({ type }) => type === 'new_number').length);
    const before = counts();
    await rig.writer.transaction(50, true);
    await rig.writer.round();
    await rig.verify();
    const after = counts();
    expect(after.map((count, at) => count - (before[at] ?? 0))).toEqual([3, 3, 3, 1]);
  });

  it('22: while others write thousands of documents a second, D keeps up', async () => {
    const rig = await startRig();
    const foreign = rig.writer.client.db(rig.database).collection('outra_coisa', { writeConcern: { w: 1 } });
    const documents = () => Array.from({ length: 1_000 }, (_, n) => ({ n, text: 'x'.repeat(20) }));
    for (let batch = 0; batch < 20; batch++) {
      await foreign.insertMany(documents());
      if (batch % 5 === 0) await rig.writer.round();
    }
    await rig.verify();
    const { operationTime } = await rig.command({ ping: 1 });
    const reached = operationTime.toString(16).padStart(16, '0');
    const status = () => rig.instances[0]?.feed.status();
    await vi.waitUntil(() => (status()?.position ?? '') >= reached, FREQUENT);
    expect(status()).toMatchObject({ phase: 'live', resets: {}, reopens: {} });
  });

  it.each(['4.4', '8.0'] as const)(
    '23: an event near 16 MB does not stop the stream of a %s server',
    async (compat) => {
      const rig = await startRig({ server: await faultServer(compat === '4.4' ? {} : { compat }) });
      await rig.writer.rounds(3);
      await rig.verify();
      const size = 16 * 1024 * 1024 - 300;
      const huge = {
        _id: new ObjectId(),
        roleta_id: '2010033',
        numero: 7,
        timestamp: new Date(),
        lixo: 'x'.repeat(size),
      };
      const client = new MongoClient(rig.uri);
      const numbers = client.db(rig.database).collection('roleta_numeros', MAJORITY);
      const reader = startReader('huge', ['2010033'], () => rig.instances);
      await numbers.insertOne(huge);
      await rig.writer.rounds(3);
      const known = () => reader.follower.tables.get('2010033')?.numbers;
      await vi.waitUntil(() => known()?.get(String(huge._id)) === 7, FREQUENT);
      // Its change carries the text again; only the number matters.
      await numbers.updateOne({ _id: huge._id }, { $set: { numero: 8, lixo: 'y'.repeat(size) } });
      await vi.waitUntil(() => known()?.get(String(huge._id)) === 8, FREQUENT);
      await rig.writer.rounds(3);
      expect(rig.instances[0]?.feed.status().resets['history_lost']).toBeUndefined();
      // Who boots now meets both in its rewind.
      await rig.instance();
      reader.move(rig.instances[1]);
      await numbers.insertOne({ roleta_id: '2010033', numero: 9, timestamp: new Date() });
      await vi.waitUntil(() => [...(known()?.values() ?? [])].sort().join() === '8,9', FREQUENT);
      expect(reader.follower.problems).toEqual([]);
      reader.leave();
      await client.close();
      for (const { follower } of rig.readers) expect(follower.problems).toEqual([]);
    },
  );

  it('24: an update and a delete at once arrive as a correction and a removal', async () => {
    const rig = await startRig({ instances: 2 });
    await rig.writer.rounds(2);
    const _id = new ObjectId();
    await rig.writer.numbers.insertOne({ _id, roleta_id: TABLE, numero: 1, timestamp: new Date() });
    await Promise.all([
      rig.writer.numbers.updateOne({ _id }, { $set: { numero: 2 } }).then(() => rig.writer.numbers.deleteOne({ _id })),
      rig.writer.round(),
    ]);
    const each = rig.readers[1];
    await vi.waitUntil(() => each?.messages.some(({ type }) => type === 'number_removed') === true, FREQUENT);
    const ours = each?.messages.filter(({ id }) => id === String(_id)).map(({ type, numero }) => [type, numero]);
    expect(ours).toEqual([
      ['new_number', 1],
      ['number_corrected', 2],
      ['number_removed', undefined],
    ]);
    await rig.verify();
  });

  it('25: of 1,000 rapid updates of one strategy every change arrives, the last one last', async () => {
    const rig = await startRig({ instances: 2 });
    const tables = rig.writer.client.db(rig.database).collection('metadados', MAJORITY);
    const estado = (n: number) => ['NEUTRAL', 'TRIGGER', 'MORTO'][n % 3];
    await tables.insertOne({ roleta_id: TABLE, roleta_nome: 'Mesa', estrategia: { estado: 'NEUTRAL', vitorias: 0 } });
    for (let n = 1; n <= 1_000; n += 20) {
      await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          tables.updateOne(
            { roleta_id: TABLE },
            {
              $set: { 'estrategia.estado': estado(n + at), 'estrategia.timestamp': new Date() },
              $inc: { 'estrategia.vitorias': 1 },
            },
          ),
        ),
      );
    }
    const each = rig.readers[1];
    const wins = () =>
      (each?.messages ?? []).filter(({ type }) => type === 'strategy_update').map(({ vitorias }) => Number(vitorias));
    await vi.waitUntil(() => wins().at(-1) === 1_000, FREQUENT);
    expect(wins()).toEqual(Array.from({ length: 1_001 }, (_, n) => n));
    await rig.verify();
  });

  it('26: invalid documents of every kind are skipped and counted, and the position moves on', async () => {
    const rig = await startRig({ instances: 1 });
    const when = new Date();
    const wrong = [
      { roleta_id: TABLE, numero: 99, timestamp: when },
      { roleta_id: TABLE, numero: Number.NaN, timestamp: when },
      { roleta_id: TABLE, numero: -1, timestamp: when },
      { roleta_id: TABLE, numero: 1.5, timestamp: when },
      { roleta_id: TABLE, numero: 'sete', timestamp: when },
      { roleta_id: TABLE, numero: null, timestamp: when },
      { roleta_id: TABLE, numero: { $numberInt: '3' }, timestamp: when },
      { roleta_id: TABLE, timestamp: when },
      { roleta_id: TABLE, numero: 3, timestamp: 'ontem' },
      { numero: 3, timestamp: when },
      { roleta_id: 'x'.repeat(5e6), numero: 3, timestamp: when },
      { roleta_id: [TABLE], numero: 3, timestamp: when },
    ];
    await rig.writer.numbers.insertMany(wrong);
    const right = [new Long(3), new Int32(4), new Double(5), Decimal128.fromString('6'), '7', 0].map((numero) => ({
      roleta_id: TABLE,
      numero,
      timestamp: when.toISOString(),
    }));
    await rig.writer.numbers.insertMany(right);
    await rig.writer.round();
    const each = rig.readers[1];
    const values = () => each?.messages.filter(({ type }) => type === 'new_number').map(({ numero }) => numero) ?? [];
    await vi.waitUntil(() => values().length >= 9, FREQUENT);
    expect(values().slice(0, 6)).toEqual([3, 4, 5, 6, 7, 0]);
    const skipped = rig.instances[0]?.feed.status().skipped ?? {};
    expect(Object.values(skipped).reduce((sum, count) => sum + count, 0)).toBe(wrong.length);
    expect(rig.instances[0]?.feed.status().reopens).toEqual({});
    for (const { follower } of rig.readers) expect(follower.problems).toEqual([]);
  });

  it('28: a direct insert of another client with w:1 arrives like any other', async () => {
    const rig = await startRig({ instances: 2 });
    const other = new MongoClient(rig.uri, { writeConcern: { w: 1 } });
    const plain = createWriter(rig.uri, rig.database, TABLES);
    await other.db(rig.database).collection('roleta_numeros').insertOne({
      roleta_id: TABLE,
      numero: 5,
      timestamp: new Date(),
    });
    await Promise.all([plain.rounds(20), rig.writer.rounds(20)]);
    await rig.verify();
    await other.close();
    await plain.close();
  });

  it('48: an import while a client is away is in the snapshot that it gets, and is no event', async () => {
    const rig = await startRig({ instances: 2 });
    await rig.writer.rounds(3);
    await rig.verify();
    const [all, each] = rig.readers;
    each?.leave();
    const old = Array.from({ length: 30 }, (_, n) => ({
      _id: new ObjectId(),
      roleta_id: TABLE,
      numero: n,
      timestamp: new Date(Date.now() - 3_600_000 - n * 1000),
    }));
    await rig.writer.numbers.insertMany(old);
    await rig.writer.round();
    each?.come(rig.instances[1]);
    await rig.verify();
    const ids = new Set(old.map(({ _id }) => String(_id)));
    for (const { messages } of rig.readers) {
      expect(messages.filter(({ type, id }) => type === 'new_number' && ids.has(String(id)))).toEqual([]);
    }
    // Who stayed was told, once.
    expect(all?.follower.resets.filter((reset) => reset === `roulette:${TABLE} backfill`)).toHaveLength(1);
    const taken = each?.follower.recoveries.slice(-TABLES.length);
    expect(taken?.map((result) => result['recovered'])).toEqual([false, true, true]);
  });
});
