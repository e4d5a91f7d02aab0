import { MongoClient, UUID } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { STATUS_HISTORY } from '../../src/gateway/http/schemas.ts';
import { uuidOf } from '../../src/roulette/table.ts';
import { askedAnew } from '../support/asked-anew.ts';
import { tableId } from '../support/http-deps.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { freePort, type Running, startProcess } from '../support/process.ts';

const database = freshDatabase();
let mongo: TestMongo;
let client: MongoClient;
let processes: Running;
let host: string;

const insert = (numero: number, roleta_id: unknown = '2010165') =>
  client
    .db(database)
    .collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } })
    .insertOne({ roleta_id, roleta_nome: 'Roulette', numero, timestamp: new Date() });

const PAGE = z.object({ clients: z.array(z.object({ id: z.number() })), next: z.number().nullable() });

const PAST = z.object({ numeros: z.array(z.object({ numero: z.number() })) });

const pidsIn = (lines: readonly string[], field = 'workerPid'): number[] =>
  lines.flatMap((line) => new RegExp(`"${field}":(\\d+)`).exec(line)?.slice(1).map(Number) ?? []);

/** Connections to both workers: the kernel spreads them, so as many are opened as that takes. */
async function reachBoth(): Promise<WebsocketClient[]> {
  const byInstance = new Map<unknown, WebsocketClient>();
  await expect
    .poll(
      async () => {
        // A worker that is not ready yet answers 503: asked again.
        const socket = await connectWebsocket(host).catch(() => null);
        if (socket === null) return byInstance.size;
        const { instance } = await socket.next('hello');
        if (byInstance.has(instance)) socket.socket.close();
        else byInstance.set(instance, socket);
        return byInstance.size;
      },
      { timeout: 50_000, interval: 20 },
    )
    .toBe(2);
  return [...byInstance.values()];
}

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  const port = await freePort();
  host = `127.0.0.1:${port}`;
  processes = startProcess('src/main.js', [], {
    PORT: String(port),
    WORKERS: '2',
    MONGODB_URI: mongo.uri,
    MONGODB_DB_NAME: database,
    DRAIN_SECONDS: '0',
  });
  await processes.line(/"event":"ready"/);
});

afterAll(async () => {
  await processes.end();
  await client.close();
  await mongo.stop();
});

describe('workers', () => {
  it('share a port, and each delivers everything', async () => {
    const sockets = await reachBoth();
    for (const socket of sockets) {
      socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
      await socket.next('subscribed');
    }
    await insert(0);
    const events = await Promise.all(sockets.map((socket) => socket.next('new_number')));
    expect(events[0]).toEqual(events[1]);
    for (const socket of sockets) socket.socket.close();
  });

  it('show the metrics and the positions of all in one answer', async () => {
    const text = await (await fetch(`http://${host}/metrics`)).text();
    expect(text).toMatch(/runcash_build_info\{worker="1"/);
    expect(text).toMatch(/runcash_build_info\{worker="2"/);
    expect(text.match(/# TYPE runcash_build_info /g)).toHaveLength(1);
  });

  it('show operators the connections to all of them, a page at a time', async () => {
    const sockets = await reachBoth();
    const page = async (query: string) =>
      PAGE.parse(await (await fetch(`http://${host}/api/v1/clients${query}`)).json());
    await expect.poll(async () => (await page('')).clients.length).toBe(2);
    const first = await page('?limit=1');
    const second = await page(`?limit=1&after=${first.next}`);
    const ids = [...first.clients, ...second.clients].map(({ id }) => id);
    expect(ids).toEqual((await page('')).clients.map(({ id }) => id));
    // Each worker counts by itself; its number makes the ids differ.
    expect(ids.map((id) => id % 64).sort()).toEqual([0, 1]);
    expect(second.next).toBeNull();
    expect((await page('?sub=nobody')).clients).toEqual([]);
    for (const socket of sockets) socket.socket.close();
  });

  it('have one history of the last hour between them', async () => {
    const sockets = await reachBoth();
    const newest = async () => {
      const history = await (await fetch(`http://${host}/api/v1/status/history?minutes=1`)).json();
      return STATUS_HISTORY.parse(history).samples.at(-1);
    };
    await expect.poll(async () => (await newest())?.connections, { timeout: 25_000 }).toBe(2);
    expect((await newest())?.recovery_seconds).toBeGreaterThan(0);
    for (const socket of sockets) socket.socket.close();
  });

  it('are live as soon as they serve', async () => {
    const answer = await fetch(`http://${host}/readyz`);
    expect(answer.status).toBe(200);
    expect(await (await fetch(`http://${host}/metrics`)).text()).toMatch(
      /runcash_feed_phase\{worker="\d",phase="live"\} 1/,
    );
  });

  it('cost MongoDB one change stream between them', async () => {
    const streams = await client
      .db('admin')
      .aggregate([
        { $currentOp: { allUsers: true, idleCursors: true } },
        {
          $match: {
            ns: new RegExp(`^${database}\\.`),
            'cursor.originatingCommand.pipeline.0.$changeStream': { $exists: true },
          },
        },
      ])
      .toArray();
    expect(streams).toHaveLength(1);
  });

  it('keep their clients while the process that reads MongoDB dies, and miss nothing', async () => {
    const sockets = await reachBoth();
    for (const socket of sockets) {
      socket.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
      await socket.next('subscribed');
    }
    const [reader = 0] = pidsIn(processes.lines, 'readerPid');
    await insert(1);
    process.kill(reader, 'SIGKILL');
    await processes.line(/"event":"reader_died"/);
    for (const numero of [2, 3, 4]) await insert(numero);
    for (const socket of sockets) {
      for (const numero of [1, 2, 3, 4]) expect(await socket.next('new_number')).toMatchObject({ numero });
      expect(socket.all.filter(({ type }) => type === 'reset' || type === 'snapshot')).toHaveLength(1);
    }
    const [first, second] = sockets.map(({ all }) => all.filter(({ type }) => type === 'new_number'));
    expect(first).toEqual(second);
    for (const socket of sockets) socket.socket.close();
  });

  it('are started again when they die', async () => {
    const [victim] = pidsIn(processes.lines);
    if (victim === undefined) throw new Error('no worker was announced');
    process.kill(victim, 'SIGKILL');
    await processes.line(/"event":"worker_died"/);
    await expect.poll(() => pidsIn(processes.lines).length, { timeout: 30_000 }).toBe(3);
    const sockets = await reachBoth();
    for (const socket of sockets) socket.socket.close();
  });

  it('hear and read the same documents, however these spell a table', async () => {
    const sockets = await reachBoth();
    for (const socket of sockets) {
      socket.send({ type: 'subscribe', id: 1, topics: ['roulette:2010033'] });
      await socket.next('subscribed');
    }
    const uuid = uuidOf(tableId('2010033'));
    const own = ['2010033', 2_010_033, '2_2010033', '2010033_2', uuid, new UUID(uuid)];
    const others = [' 2010033 ', '3_2010033', '2010033_1', '02010033', uuid.toUpperCase()];
    for (const [numero, spelling] of [...own, ...others, '2010033'].entries()) await insert(numero, spelling);
    const last = own.length + others.length;
    const wanted = [...own.keys(), last];
    for (const socket of sockets) {
      for (const numero of wanted) expect(await socket.next('new_number')).toMatchObject({ numero });
      socket.socket.close();
    }
    for (let asked = 0; asked < 16; asked++) {
      const numeros = async (table: string): Promise<number[]> =>
        PAST.parse(await askedAnew(`http://${host}/api/v1/tables/${table}/numbers`)).numeros.map(
          ({ numero }) => numero,
        );
      expect(await numeros('2010033')).toEqual(wanted.toReversed());
      expect(await numeros('3_2010033')).toEqual([7]);
      expect(await askedAnew(`http://${host}/api/v1/tables/2010033/stats`)).toMatchObject({ total: wanted.length });
    }
  });

  it('end with the process that started them', async () => {
    const pids = [...pidsIn(processes.lines).slice(1), ...pidsIn(processes.lines, 'readerPid').slice(1)];
    expect(await processes.end()).toBe(0);
    const alive = pids.filter((pid) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    });
    expect(alive).toEqual([]);
  });
});
