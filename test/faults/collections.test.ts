import { describe, expect, it, vi } from 'vitest';
import { startReader } from '../../bench/chaos/reader.ts';
import { needs, startRig, TABLES } from '../support/faults.ts';

const FREQUENT = { timeout: 10_000, interval: 10 };
const NUMBERS = 'roleta_numeros';
const [TABLE = ''] = TABLES;

/** The snapshots and resets of one table that a reader got, from the first reset on. */
function noticesOf(messages: readonly Readonly<Record<string, unknown>>[], table: string): unknown[] {
  const notices = messages
    .filter(({ type, topic }) => (type === 'reset' || type === 'snapshot') && topic === `roulette:${table}`)
    .map(({ type }) => type);
  // Before it, whoever waited for the table had one snapshot more.
  return notices.slice(Math.max(0, notices.indexOf('reset')));
}

describe('collections that go, come and change their names', () => {
  it('13: a dropped collection resets its tables once, and what is inserted later arrives', async () => {
    const rig = await startRig({ instances: 2 });
    await rig.writer.rounds(5);
    await rig.verify();
    await rig.writer.numbers.drop();
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.resets.length > 0), FREQUENT);
    await rig.writer.rounds(5);
    const each = rig.readers.find(({ follower }) => follower.name === 'each');
    await vi.waitUntil(() => each?.follower.tables.get(TABLE)?.owed === false, FREQUENT);
    expect(noticesOf(each?.messages ?? [], TABLE)).toEqual(['reset', 'snapshot']);
    expect(each?.follower.resets).toContain(`roulette:${TABLE} drop`);
    await verifyAfterLoss(rig);
  });

  it('14: a client that was away while a collection was dropped and made anew gets a snapshot', async () => {
    const rig = await startRig();
    await rig.writer.rounds(5);
    await rig.verify();
    for (const reader of rig.readers) reader.leave();
    await rig.writer.numbers.drop();
    await rig.writer.rounds(3);
    for (const reader of rig.readers) reader.come();
    await verifyAfterLoss(rig);
    for (const { follower } of rig.readers) expect(follower.recoveries.at(-1)).toMatchObject({ recovered: false });
  });

  it('15: a rename away and back, and one onto a watched name, show what is there then', async () => {
    const rig = await startRig({ instances: 2 });
    const database = rig.writer.client.db(rig.database);
    const own = database.collection('2010033', { writeConcern: { w: 'majority', j: true } });
    const insert = (numero: number) => own.insertOne({ numero, timestamp: new Date() });
    for (const numero of [1, 2, 3]) await insert(numero);
    const reader = startReader('own', ['2010033'], () => rig.instances);
    const values = () => [...(reader.follower.tables.get('2010033')?.numbers.values() ?? [])].sort();
    await vi.waitUntil(() => values().join() === '1,2,3', FREQUENT);
    await own.rename('guardado');
    await vi.waitUntil(() => values().length === 0, FREQUENT);
    await database.collection('guardado').rename('2010033');
    await vi.waitUntil(() => values().join() === '1,2,3', FREQUENT);
    await insert(4);
    await vi.waitUntil(() => values().join() === '1,2,3,4', FREQUENT);
    reader.move(rig.instances[1]);
    await insert(5);
    await vi.waitUntil(() => values().join() === '1,2,3,4,5', FREQUENT);
    expect(reader.follower.problems).toEqual([]);
    // One that boots now meets the renames in its rewind, and says the same.
    await rig.instance();
    reader.move(rig.instances[2]);
    await insert(6);
    await vi.waitUntil(() => values().join() === '1,2,3,4,5,6', FREQUENT);
    expect(reader.follower.problems).toEqual([]);
    reader.leave();
  });

  it('16: dropDatabase gives exactly one reset and no loop', async () => {
    const rig = await startRig();
    await rig.writer.rounds(5);
    await rig.verify();
    await rig.writer.client.db(rig.database).dropDatabase();
    const each = rig.readers.find(({ follower }) => follower.name === 'each');
    await vi.waitUntil(
      () => each?.follower.tables.get(TABLE)?.owed === false && each.follower.resets.length > 0,
      FREQUENT,
    );
    await rig.writer.rounds(5);
    await verifyAfterLoss(rig);
    expect(noticesOf(each?.messages ?? [], TABLE)).toEqual(['reset', 'snapshot']);
    const phases = rig.instances[0]?.lines.filter((line) => line.startsWith('feed_fresh')).length;
    expect(phases).toBeLessThanOrEqual(3);
    expect(rig.instances[0]?.feed.status()).toMatchObject({ phase: 'live', ready: true });
  });

  it('17: history that was lost while away and at boot is never passed over silently', async (context) => {
    const rig = await startRig({ instances: 2 });
    const cut = async (keep: number): Promise<boolean> =>
      rig.command({ runcashTestCutOplog: 1, keep }).then(
        () => true,
        () => false,
      );
    await rig.writer.rounds(20);
    await rig.verify();
    needs(context, await cut(10_000), 'this server has no command that cuts its oplog');
    // The stream is away while the oplog moves past it.
    await rig.failFeed('alwaysOn', { failCommands: ['aggregate'], errorCode: 91 });
    await rig.command({ killAllSessions: [] });
    await vi.waitUntil(() => rig.reopens() >= 2, FREQUENT);
    for (const reader of rig.readers) reader.leave();
    await rig.writer.rounds(20);
    await cut(3);
    await rig.failFeed('off', {});
    for (const reader of rig.readers) reader.come();
    await rig.writer.rounds(5);
    await rig.verify();
    for (const { feed } of rig.instances) expect(feed.status().resets['history_lost']).toBe(1);
    // At boot the window is halved until the oplog reaches back so far, and no step of that waits.
    const late = await rig.instance({ timings: { backoffBaseMs: 3_600_000, backoffCapMs: 3_600_000 } });
    expect(late.feed.status().reopens['ChangeStreamHistoryLost']).toBeGreaterThan(1);
    for (const reader of rig.readers) reader.move(late);
    await rig.writer.rounds(5);
    await rig.verify();
  });
});

/** After a drop the numbers of before are gone: only what is stored now counts. */
async function verifyAfterLoss(rig: Awaited<ReturnType<typeof startRig>>): Promise<void> {
  const stored = await rig.writer.client
    .db(rig.database)
    .collection(NUMBERS)
    .find({}, { readConcern: 'majority' })
    .toArray();
  const byTable = (table: string): string[] =>
    stored.filter((document) => document['roleta_id'] === table).map((document) => String(document['_id']));
  for (const { follower } of rig.readers) {
    for (const table of follower.wanted ?? TABLES) {
      const known = () => [...(follower.tables.get(table)?.numbers.keys() ?? [])].sort().join();
      await vi.waitUntil(() => known() === byTable(table).sort().join(), { timeout: 5_000, interval: 10 });
    }
    expect(follower.problems).toEqual([]);
  }
}
