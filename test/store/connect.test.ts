import { createServer, connect as dial, type Socket } from 'node:net';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { logTo } from '../../src/log/log.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { ensureIndexes } from '../../src/store/indexes.ts';
import { keepIndexed } from '../../src/store/keep-indexed.ts';
import { NOW, number, startTestStore, TABLE, type TestStore } from './support.ts';

let mongo: TestStore;
beforeAll(async () => {
  mongo = await startTestStore();
});
afterAll(() => mongo.stop());
beforeEach(() => mongo.db.dropDatabase());

const codeOf = (error: unknown): string => (error instanceof ProtocolError ? error.code : String(error));
const keysOf = async (collection: string) => (await mongo.db.collection(collection).indexes()).map(({ key }) => key);

describe('a store', () => {
  it('opens while MongoDB is down, says so, and works once it is up', async () => {
    const first = await startEmbeddedMongo();
    await first.stop();
    const store = mongo.open({ uri: `mongodb://127.0.0.1:${first.port}/?replicaSet=rs0` });
    expect(store.isUp()).toBe(false);
    await expect(store.insertNumbers([number()]).catch(codeOf)).resolves.toBe('database_unavailable');
    const second = await startEmbeddedMongo({ port: first.port });
    expect(await store.insertNumbers([number()])).toEqual([{ status: 'created', id: number().id }]);
    expect(store.isUp()).toBe(true);
    await store.close();
    await second.stop();
  });

  it('refuses an address that is none', () => {
    expect(() => mongo.open({ uri: 'http://x' })).toThrow('Invalid scheme');
  });

  it('calls a number created when the answer to its first attempt was lost', async () => {
    const server = await startEmbeddedMongo({ standalone: true });
    let losses = 0;
    const sockets: Socket[] = [];
    const proxy = createServer((near) => {
      const far = dial(server.port, '127.0.0.1');
      let lost = false;
      sockets.push(near, far);
      near.on('data', (chunk) => {
        if (losses === 0 && chunk.includes('k1')) {
          losses += 1;
          lost = true;
        }
        far.write(chunk);
      });
      far.on('data', (chunk) => (lost ? near.destroy() : near.write(chunk)));
      for (const socket of [near, far]) socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const address = proxy.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port');
    const store = mongo.open({ uri: `mongodb://127.0.0.1:${address.port}/?directConnection=true` });
    expect(await store.insertNumbers([number()])).toEqual([{ status: 'created', id: number().id }]);
    expect(losses).toBe(1);
    expect(await store.insertNumbers([number()])).toEqual([{ status: 'duplicate', id: number().id }]);
    await store.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
    await server.stop();
  });
});

describe('indexes', () => {
  it('are made where they are missing, and only there', async () => {
    await mongo.db.collection(TABLE).insertOne({ numero: 1, timestamp: new Date(NOW) });
    await mongo.db.collection('estatisticas').insertOne({ a: 1 });
    await mongo.db.collection('estrategia_historico_novo').createIndex({ roleta_id: 1, timestamp: 1 });
    await mongo.db.createCollection('roleta_numeros');
    const report = await mongo.store.ensureIndexes();
    const name = mongo.db.databaseName;
    expect([...report.created].sort()).toEqual([
      `${name}.${TABLE} {"timestamp":-1}`,
      `${name}.roleta_numeros {"roleta_id":1,"timestamp":-1}`,
      `${name}.roleta_numeros {"timestamp":-1}`,
    ]);
    expect(report.present).toEqual([`${name}.estrategia_historico_novo {"roleta_id":1,"timestamp":-1}`]);
    expect(await keysOf('roleta_numeros')).toContainEqual({ roleta_id: 1, timestamp: -1 });
    expect(await keysOf('estatisticas')).toEqual([{ _id: 1 }]);
    expect(await mongo.store.ensureIndexes()).toMatchObject({ created: [], refused: [] });
  });

  it('come with the collection that the first posted number makes, and no other collection is made', async () => {
    expect(await mongo.store.ensureIndexes()).toEqual({ created: [], present: [], refused: [] });
    expect(await mongo.db.listCollections().toArray()).toEqual([]);
    await mongo.open().insertNumbers([number()]);
    expect(await keysOf('roleta_numeros')).toContainEqual({ roleta_id: 1, timestamp: -1 });
  });

  it('that cover only some documents do not count', async () => {
    await mongo.db.collection(TABLE).createIndex({ timestamp: -1 }, { sparse: true, name: 'some' });
    await mongo.db.collection(TABLE).createIndex({ timestamp: 1 });
    expect((await mongo.store.ensureIndexes()).present).toContain(`${mongo.db.databaseName}.${TABLE} {"timestamp":-1}`);
  });

  it('that the user may not make are named, with the command to run', async () => {
    await mongo.db.collection(TABLE).insertOne({ numero: 1, timestamp: new Date(NOW) });
    await mongo.fail({ times: 1 }, { failCommands: ['createIndexes'], errorCode: 13 });
    const client = new MongoClient(mongo.uri);
    const databases = {
      client,
      shared: client.db(mongo.db.databaseName),
      tables: client.db(mongo.db.databaseName),
      sources: DEFAULT_SOURCES,
    };
    const { refused } = await ensureIndexes(databases);
    expect(refused).toHaveLength(1);
    expect(refused[0]).toContain('this user may not create indexes');
    expect(refused[0]).toContain(`db.getCollection("${TABLE}").createIndex({"timestamp":-1})`);
    await client.close();
  });
});

describe('keeping the indexes', () => {
  it('lets nobody read before an attempt came to an end, however often it failed', async () => {
    let attempts = 0;
    const store = {
      ensureIndexes: async () => {
        attempts++;
        if (attempts === 1) throw new ProtocolError('database_unavailable');
        return { created: [], present: [], refused: [] };
      },
    };
    const indexing = keepIndexed(
      store,
      logTo(() => undefined),
    );
    await indexing.first;
    indexing.stop();
    expect(attempts).toBe(2);
  });
});
