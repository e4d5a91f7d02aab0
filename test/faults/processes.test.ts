import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startInstance } from '../../bench/chaos/instance.ts';
import { startReader } from '../../bench/chaos/reader.ts';
import { socketServer } from '../../bench/chaos/socket.ts';
import { createWriter } from '../../bench/chaos/writer.ts';
import { startRig, TABLES } from '../support/faults.ts';
import { connectWebsocket } from '../support/inbox.ts';
import { freshDatabase } from '../support/mongo.ts';
import { startMongoProcess, startRuncashProcess } from '../support/process.ts';

const FREQUENT = { timeout: 40_000, interval: 20 };
const ROOMY = {
  MAX_CONNECTIONS_PER_ADDRESS: '0',
  ACCEPTS_PER_SECOND_PER_ADDRESS: '0',
  ACCEPTS_PER_SECOND: '0',
  LOG_LEVEL: 'info',
};

describe('processes', () => {
  it('38: all instances killed and started again, 500 clients have everything once', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    const start = () => startRuncashProcess(rig.uri, rig.database, ROOMY);
    let instances = [await start(), await start()];
    onTestFinished(async () => {
      await Promise.all(instances.map((instance) => instance.end('SIGKILL')));
    });
    // Behind a balancer: the address stays, the processes behind it change.
    const servers = [0, 1].map((at) => socketServer(() => instances[at]?.port ?? 0));
    for (let client = 0; client < 500; client++) {
      const wanted = client % 10 === 0 ? null : [TABLES[client % TABLES.length] ?? ''];
      rig.readers.push(startReader(`client ${client}`, wanted, () => servers));
    }
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    const load = rig.writer.start();
    await Promise.all(instances.map((instance) => instance.end('SIGKILL')));
    instances = await Promise.all([start(), start()]);
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await load.stop();
    await rig.writer.rounds(2);
    await rig.verify();
    const recovered = rig.readers.filter(({ follower }) => follower.recoveries.at(-1)?.['recovered'] === true);
    expect(recovered).toHaveLength(500);
  }, 120_000);

  it('39: instances that watch more or less give every event the same position', async () => {
    const rig = await startRig({ instances: 1, follow: false });
    // This one watches two databases, by a stream over the whole cluster.
    await rig.instance({ tablesDatabase: freshDatabase() });
    const [narrow, wide] = rig.instances.map((instance, at) => startReader(`${at}`, null, () => [instance]));
    if (narrow === undefined || wide === undefined) throw new Error('no readers');
    rig.readers.push(narrow, wide);
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await rig.writer.rounds(10);
    await rig.writer.transaction(30);
    await rig.writer.many(50);
    await rig.verify();
    const events = (reader: typeof narrow) =>
      reader.messages.filter(({ type }) => type === 'new_number').map((message) => ({ ...message, prev: null }));
    expect(events(wide)).toEqual(events(narrow));
    narrow.move(rig.instances[1]);
    wide.move(rig.instances[0]);
    await rig.writer.rounds(5);
    await rig.verify();
  });

  it('40: on SIGTERM clients are sent away, the cursor is gone from the server, the process ends in time', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    const openCursors = async (): Promise<number> =>
      Number((await rig.command({ serverStatus: 1 }))['metrics']?.cursor?.open?.total ?? 0);
    const before = await openCursors();
    const live = await startRuncashProcess(rig.uri, rig.database, { ...ROOMY, DRAIN_SECONDS: '1' });
    const socket = await connectWebsocket(new URL(live.url).host);
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await socket.next('subscribed');
    await vi.waitUntil(async () => (await openCursors()) > before, FREQUENT);
    const began = performance.now();
    const code = live.end('SIGTERM');
    expect(await socket.next('bye')).toMatchObject({ code: 4200 });
    expect(await code).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await openCursors()).toBe(before);
  });

  it('27: the same round posted ten times in parallel is stored once and arrives once', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    const live = await startRuncashProcess(rig.uri, rig.database, ROOMY);
    onTestFinished(async () => {
      await live.end('SIGKILL');
    });
    const socket = await connectWebsocket(new URL(live.url).host);
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await socket.next('subscribed');
    const body = JSON.stringify({ roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0 });
    const post = (key: string) =>
      fetch(`${live.url}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body,
      });
    const statuses = await Promise.all(Array.from({ length: 10 }, () => post('rodada-1').then(({ status }) => status)));
    expect(statuses.sort()).toEqual([...Array.from({ length: 9 }, () => 200), 201]);
    expect((await post('rodada-2')).status).toBe(201);
    const isEnd = (message: Readonly<Record<string, unknown>>) => String(message['id']).endsWith('rodada-2');
    await socket.next(isEnd);
    expect(socket.all.filter(({ type }) => type === 'new_number')).toHaveLength(2);
    socket.socket.close();
  });

  it.each([3_600_000, -3_600_000])('46: a host clock that is %i ms off changes nothing', async (offMs) => {
    const mongo = await startMongoProcess();
    onTestFinished(async () => {
      await mongo.end('SIGKILL');
    });
    const database = freshDatabase();
    const trueTime = (): Date => new Date(performance.timeOrigin + performance.now());
    const writer = createWriter(mongo.uri, database, TABLES, trueTime);
    await writer.rounds(10);
    const before = startInstance(mongo.uri, database);
    await before.feed.ready;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + offMs });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const off = startInstance(mongo.uri, database);
    await off.feed.ready;
    const readers = [before, off].map((instance, at) => startReader(`${at}`, null, () => [instance]));
    await vi.waitUntil(() => readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await writer.rounds(5);
    const events = (at: number) => readers[at]?.messages.filter(({ type }) => type === 'new_number') ?? [];
    await vi.waitUntil(() => events(0).length === 15 && events(1).length === 15, FREQUENT);
    expect(events(1)).toEqual(events(0));
    expect(off.feed.status().ring.events).toBe(before.feed.status().ring.events);
    for (const reader of readers) reader.leave();
    await Promise.all([before.stop(), off.stop(), writer.close()]);
  });
});
