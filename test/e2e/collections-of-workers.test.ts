import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { askedAnew } from '../support/asked-anew.ts';
import { connectWebsocket } from '../support/inbox.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { freePort, type Running, startProcess } from '../support/process.ts';

const ADMIN_KEY = 'key-of-operators-and-leaves';
const TABLE = 'evo-1';
const database = freshDatabase();
let mongo: TestMongo;
let client: MongoClient;
let processes: Running[];
let workers: string;
let leaf: string;

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  const ports = [await freePort(), await freePort()];
  [workers = '', leaf = ''] = ports.map((port) => `http://127.0.0.1:${port}`);
  const shared = { DRAIN_SECONDS: '0', ADMIN_KEY, INGEST_LAYOUT: 'per-table', INGEST_OPEN: 'true', WORKERS: '2' };
  const start = (env: Readonly<Record<string, string>>) => startProcess('src/main.js', [], { ...shared, ...env });
  const core = start({ PORT: String(ports[0]), MONGODB_URI: mongo.uri, MONGODB_DB_NAME: database });
  await core.line(/"event":"ready"/);
  const ofLeaf = start({ PORT: String(ports[1]), UPSTREAM: workers.replace('http', 'ws'), UPSTREAM_KEY: ADMIN_KEY });
  await ofLeaf.line(/"event":"ready"/);
  processes = [ofLeaf, core];
});

afterAll(async () => {
  for (const each of processes) await each.end();
  await client.close();
  await mongo.stop();
});

const collection = (name: string) => client.db(database).collection(name, { writeConcern: { w: 'majority' } });
const insert = (name: string, numero: number) => collection(name).insertOne({ numero, timestamp: new Date() });

const page = z.object({ numeros: z.array(z.object({ numero: z.number() })) });

/** So many connections that every worker is given some of them. */
const ASKED = 24;

/** Every worker of the core and of the leaf tells these numbers of the past, newest first. */
async function everyPastIs(numeros: readonly number[]): Promise<void> {
  for (const url of [workers, leaf]) {
    const pasts = async (): Promise<ReadonlySet<string>> => {
      const found = new Set<string>();
      for (let asked = 0; asked < ASKED; asked++) {
        // A table that nobody knows yet is answered 404.
        const { data } = page.safeParse(await askedAnew(`${url}/api/v1/tables/${TABLE}/numbers?limit=50`));
        found.add((data?.numeros ?? []).map(({ numero }) => numero).join(' '));
      }
      return found;
    };
    await expect.poll(pasts, { timeout: 30_000 }).toEqual(new Set([numeros.join(' ')]));
  }
}

/** Subscribed at the workers and at the leaf's. */
const hearing = () =>
  Promise.all(
    [workers, leaf].map(async (url) => {
      const socket = await connectWebsocket(new URL(url).host);
      socket.send({ type: 'subscribe', id: 1, topics: [`roulette:${TABLE}`] });
      await socket.next('subscribed');
      return socket;
    }),
  );

describe('a collection that metadados names at run time', () => {
  it('is heard and read through every worker, of a core and of a leaf', async () => {
    await insert('resultados', 1);
    await collection('metadados').insertOne({ roleta_id: TABLE, colecao: 'resultados' });
    await everyPastIs([1]);
    const sockets = await hearing();
    await insert('resultados', 2);
    for (const socket of sockets) {
      expect(await socket.next('new_number')).toMatchObject({ roleta_id: TABLE, numero: 2 });
      socket.socket.close();
    }
    await everyPastIs([2, 1]);
  });

  it('is followed to another one by workers to whom nobody listens, which store there what is posted', async () => {
    await insert('outra', 3);
    await collection('metadados').updateOne({ roleta_id: TABLE }, { $set: { colecao: 'outra' } });
    await everyPastIs([3]);
    const posts = Array.from({ length: 12 }, (_, n) =>
      fetch(`${n % 2 === 0 ? workers : leaf}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ roleta_id: TABLE, numero: n }),
      }).then(({ status }) => status),
    );
    expect(new Set(await Promise.all(posts))).toEqual(new Set([201]));
    expect(await collection('outra').countDocuments()).toBe(13);
    expect(await collection('resultados').countDocuments()).toBe(2);
  });
});
