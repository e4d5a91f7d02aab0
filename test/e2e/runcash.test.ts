import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import recorded from '../data/numbers-2025-04-11.json' with { type: 'json' };
import { connectWebsocket } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startProcess, startRuncashProcess } from '../support/process.ts';

let mongo: TestMongo;
let client: MongoClient;

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
});

afterAll(async () => {
  await client.close();
  await mongo.stop();
});

const numbersOf = (database: string) =>
  client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });

const numberOf = (sequence: number) => ({
  roleta_id: '2010165',
  roleta_nome: 'Roulette',
  numero: sequence % 37,
  timestamp: new Date(),
});

describe('the service as a process', () => {
  it('delivers the replay of the recorded file, all 200 numbers exactly once and in order', async () => {
    const live = await startRuncashProcess(mongo.uri, freshDatabase());
    const socket = await connectWebsocket(new URL(live.url).host);
    await socket.next('hello');
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await socket.next('subscribed');
    const simulator = startProcess('src/simulator/main.js', [
      ...['--url', live.url, '--replay', 'test/data/numbers-2025-04-11.json', '--speed', '200', '--verify'],
    ]);
    expect(await simulator.exited, simulator.lines.join('\n')).toBe(0);
    const received = socket.all.filter((message) => message['type'] === 'new_number');
    expect(received).toHaveLength(200);
    const positions = received.map((message) => String(message['position']));
    expect(positions).toEqual([...positions].sort());
    const values = (table: string, list: readonly Readonly<Record<string, unknown>>[]) =>
      list.filter((number) => number['roleta_id'] === table).map((number) => number['numero']);
    for (const table of new Set(recorded.map((number) => number.roleta_id))) {
      expect(values(table, received), table).toEqual(values(table, recorded));
    }
    socket.socket.close();
    await live.end();
  });

  it('publishes what another process inserts with the plain driver', async () => {
    const database = freshDatabase();
    const live = await startRuncashProcess(mongo.uri, database);
    const socket = await connectWebsocket(new URL(live.url).host);
    await socket.next('hello');
    socket.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165'] });
    await socket.next('subscribed');
    await numbersOf(database).insertOne(numberOf(0));
    expect(await socket.next('new_number')).toMatchObject({ roleta_id: '2010165', numero: 0, cor: 'verde' });
    socket.socket.close();
    await live.end();
  });

  it('loses nothing when it is killed and started again while a writer goes on', async () => {
    const database = freshDatabase();
    const written: string[] = [];
    let writing = true;
    const writer = (async () => {
      while (writing) {
        const { insertedId } = await numbersOf(database).insertOne(numberOf(written.length));
        written.push(insertedId.toHexString());
        // A pace, so that one test does not take the machine: about 200 numbers a second.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const received: string[] = [];
    let after: string | undefined;
    let epoch: string | undefined;

    for (let life = 0; life < 3; life++) {
      const live = await startRuncashProcess(mongo.uri, database);
      const socket = await connectWebsocket(new URL(live.url).host);
      await socket.next('hello');
      socket.send({ type: 'subscribe', id: life, topics: ['roulette:2010165'], after, epoch });
      const first = life === 0 ? await socket.next('snapshot') : null;
      if (first !== null) for (const { id } of listOf(first['numeros'])) received.unshift(id);
      const ack = await socket.next('subscribed');
      epoch = String(ack['epoch']);
      if (life > 0) expect(ack['topics']).toMatchObject([{ recovered: true }]);
      for (let count = 0; count < 30; count++) await socket.next('new_number');
      await live.end('SIGKILL');
      await socket.closed;
      for (const message of socket.all) {
        if (message['type'] !== 'new_number') continue;
        received.push(String(message['id']));
        after = String(message['position']);
      }
    }
    writing = false;
    await writer;
    // The first snapshot shows the last 20; from there on nothing may be missing, doubled or out of order.
    const start = written.indexOf(received[0] ?? '');
    expect(received).toEqual(written.slice(start, start + received.length));
  });

  it('tells balancers that it is about to stop while it still serves, and closes the port only then', async () => {
    const live = await startRuncashProcess(mongo.uri, freshDatabase(), { DRAIN_ANNOUNCE_SECONDS: '3' });
    const socket = await connectWebsocket(new URL(live.url).host);
    await socket.next('hello');
    live.child.kill('SIGTERM');
    await expect.poll(async () => (await fetch(`${live.url}/readyz`)).status).toBe(503);
    expect(await (await fetch(`${live.url}/readyz`)).text()).toContain('This instance is stopping.');
    // New clients and old ones are served as before.
    expect((await fetch(`${live.url}/api/v1/tables`)).status).toBe(200);
    const late = await connectWebsocket(new URL(live.url).host);
    late.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await late.next('subscribed');
    expect(socket.socket.readyState).toBe(socket.socket.OPEN);
    expect(await live.exited).toBe(0);
    await expect(fetch(`${live.url}/healthz`)).rejects.toThrow();
  });
});

function listOf(value: unknown): { id: string }[] {
  return Array.isArray(value) ? value.map((item: unknown) => ({ id: idOf(item) })) : [];
}

function idOf(item: unknown): string {
  return typeof item === 'object' && item !== null && 'id' in item ? String(item.id) : '';
}
