import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, MongoClient, type MongoClientOptions } from 'mongodb';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { connectWire } from './support/wire.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'embedded-auth-'));
let server: EmbeddedMongo;
const clients: MongoClient[] = [];

/** A client by its connection string, as an application is given it. */
function as(user: string, password: string, source = 'admin', options: MongoClientOptions = {}): MongoClient {
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  const uri = `${server.uri.replace('//', `//${credentials}`)}&authSource=${source}`;
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 3_000, ...options });
  clients.push(client);
  return client;
}

function anonymous(): MongoClient {
  const client = new MongoClient(server.uri);
  clients.push(client);
  return client;
}

const closeAll = () => Promise.all(clients.splice(0).map((client) => client.close()));
const refused = (code: number, message: RegExp | string) => ({ code, message: expect.stringMatching(message) });

beforeEach(async () => {
  server = await startEmbeddedMongo({ auth: true });
  await anonymous()
    .db('admin')
    .command({ createUser: 'root', pwd: 'secret', roles: ['root'] });
});

afterEach(async () => {
  await closeAll();
  await server.stop();
});

afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

const root = (): MongoClient => as('root', 'secret');
const createUser = (user: string, roles: readonly unknown[], db = 'shop'): Promise<Document> =>
  root().db(db).command({ createUser: user, pwd: 'pass', roles });

describe('a server that was started with auth', () => {
  test('answers to nobody it does not know, in the words of a mongod, but for what a client begins with', async () => {
    const db = anonymous().db('shop');
    const unknown = (name: string) => refused(13, `^command ${name} requires authentication$`);
    await expect(db.collection('c').findOne()).rejects.toMatchObject(unknown('find'));
    await expect(db.collection('c').insertOne({})).rejects.toMatchObject(unknown('insert'));
    await expect(db.collection('c').watch().tryNext()).rejects.toMatchObject(unknown('aggregate'));
    await expect(db.admin().serverStatus()).rejects.toMatchObject(unknown('serverStatus'));
    // Only as long as there is no user may one be made.
    const another = { createUser: 'mallory', pwd: 'x', roles: ['root'] };
    await expect(db.admin().command(another)).rejects.toMatchObject(unknown('createUser'));
    expect(await db.command({ ping: 1 })).toMatchObject({ ok: 1 });
  });

  test.each(['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const)('knows its users by %s', async (authMechanism) => {
    const { authInfo } = await as('root', 'secret', 'admin', { authMechanism }).db().command({ connectionStatus: 1 });
    expect(authInfo).toEqual({
      authenticatedUsers: [{ user: 'root', db: 'admin' }],
      authenticatedUserRoles: [{ role: 'root', db: 'admin' }],
    });
    const wrong = as('root', 'guess', 'admin', { authMechanism }).db().command({ connectionStatus: 1 });
    await expect(wrong).rejects.toMatchObject(refused(18, '^Authentication failed\\.$'));
  });

  test('agrees with the driver on a mechanism, and takes names and passwords of any characters', async () => {
    const [user, pwd] = ['mária=,x', 'pässwörd ½ ,='];
    await root()
      .db('shop')
      .command({ createUser: user, pwd, roles: ['readWrite'] });
    expect(await as(user, pwd, 'shop').db('shop').collection('c').insertOne({})).toMatchObject({ acknowledged: true });
    const only = { createUser: 'old', pwd: 'pass', roles: ['read'], mechanisms: ['SCRAM-SHA-1'] };
    await root().db('shop').command(only);
    expect(await as('old', 'pass', 'shop').db('shop').collection('c').countDocuments()).toBe(1);
  });

  test('tells nobody which users there are', async () => {
    const tried = [as('nobody', 'x'), as('root', 'secret', 'shop')];
    for (const client of tried) {
      await expect(client.db().command({ connectionStatus: 1 })).rejects.toMatchObject(
        refused(18, '^Authentication failed\\.$'),
      );
    }
  });

  test('takes no proof twice, and none without a beginning', async () => {
    const wire = await connectWire(server.port);
    const proof = { saslContinue: 1, conversationId: 1, payload: 'x', $db: 'admin' };
    expect(await wire.command(proof)).toMatchObject({ code: { value: 18 } });
    wire.close();
  });
});

describe('a role', () => {
  const insertInto = (client: MongoClient, db: string) => client.db(db).collection('c').insertOne({});
  const notIn = (db: string) => refused(13, new RegExp(`^not authorized on ${db} to execute command \\{ `));

  test('read lets its database be read and watched, and nothing be written', async () => {
    await insertInto(root(), 'shop');
    await createUser('reader', ['read']);
    const reader = as('reader', 'pass', 'shop');
    const numbers = reader.db('shop').collection('c');
    expect(await numbers.countDocuments()).toBe(1);
    const stream = numbers.watch();
    expect(await stream.tryNext()).toBeNull();
    await stream.close();
    await expect(insertInto(reader, 'shop')).rejects.toMatchObject(notIn('shop'));
    await expect(numbers.aggregate([{ $out: 'copy' }]).toArray()).rejects.toMatchObject(notIn('shop'));
    await expect(numbers.drop()).rejects.toMatchObject(notIn('shop'));
    await expect(reader.db('other').collection('c').findOne()).rejects.toMatchObject(notIn('other'));
    await expect(reader.watch().tryNext()).rejects.toMatchObject(notIn('admin'));
    const { databases } = await reader.db().admin().listDatabases();
    expect(databases.map(({ name }) => name)).toEqual(['shop']);
  });

  test('readWrite lets a service do its work, and read its database alone', async () => {
    await createUser('service', ['readWrite']);
    const shopkeeper = as('service', 'pass', 'shop');
    const numbers = shopkeeper.db('shop').collection<Document>('c');
    await numbers.createIndex({ n: 1 });
    const session = shopkeeper.startSession();
    await session.withTransaction(() => numbers.insertOne({ n: 1 }, { session }));
    await session.endSession();
    expect(await numbers.findOneAndUpdate({ n: 1 }, { $inc: { n: 1 } })).toMatchObject({ n: 1 });
    await expect(shopkeeper.db('shop').dropDatabase()).rejects.toMatchObject(notIn('shop'));
    await expect(shopkeeper.db('shop').command({ collMod: 'c' })).rejects.toMatchObject(notIn('shop'));
    await expect(numbers.aggregate([{ $out: { db: 'other', coll: 'c' } }]).toArray()).rejects.toMatchObject(
      notIn('shop'),
    );
    await expect(shopkeeper.db('admin').command({ serverStatus: 1 })).rejects.toMatchObject(notIn('admin'));
  });

  test('dbAdmin runs a database without reading it', async () => {
    await insertInto(root(), 'shop');
    await createUser('keeper', ['dbAdmin']);
    const shop = as('keeper', 'pass', 'shop').db('shop');
    expect(await shop.command({ collStats: 'c' })).toMatchObject({ count: 1 });
    expect(await shop.command({ validate: 'c' })).toMatchObject({ valid: true });
    await expect(shop.collection('c').findOne()).rejects.toMatchObject(notIn('shop'));
    expect(await shop.dropDatabase()).toBe(true);
  });

  test('of one database on admin is none of all, and none reads or changes users but by their commands', async () => {
    await createUser('all', ['readWriteAnyDatabase'], 'admin');
    const all = as('all', 'pass');
    await insertInto(all, 'shop');
    const users = all.db('admin').collection<Document>('system.users');
    await expect(users.findOne()).rejects.toMatchObject(notIn('admin'));
    await expect(users.updateMany({}, { $set: { roles: [] } })).rejects.toMatchObject(notIn('admin'));
    const join = { $lookup: { from: 'system.users', pipeline: [], as: 'users' } };
    await expect(all.db('admin').collection('c').aggregate([join]).toArray()).rejects.toMatchObject(notIn('admin'));
    await expect(all.db('local').collection('oplog.rs').findOne()).rejects.toMatchObject(notIn('local'));
    await expect(root().db('admin').collection('system.users').deleteMany({})).rejects.toMatchObject(notIn('admin'));
    await createUser('local', ['readWrite'], 'admin');
    await expect(insertInto(as('local', 'pass'), 'shop')).rejects.toMatchObject(notIn('shop'));
    const unknown = createUser('x', ['readAnyDatabase'], 'shop');
    await expect(unknown).rejects.toMatchObject(refused(31, 'Could not find role: readAnyDatabase@shop'));
  });

  test('taken from a user is taken from its open connections', async () => {
    await createUser('service', ['readWrite']);
    const shopkeeper = as('service', 'pass', 'shop');
    await insertInto(shopkeeper, 'shop');
    const shop = root().db('shop');
    await shop.command({ revokeRolesFromUser: 'service', roles: ['readWrite'] });
    await expect(insertInto(shopkeeper, 'shop')).rejects.toMatchObject(notIn('shop'));
    await shop.command({ grantRolesToUser: 'service', roles: [{ role: 'readWrite', db: 'shop' }] });
    await insertInto(shopkeeper, 'shop');
    await shop.command({ dropUser: 'service' });
    await expect(insertInto(shopkeeper, 'shop')).rejects.toMatchObject(refused(13, 'insert requires authentication'));
    await expect(shop.command({ dropUser: 'service' })).rejects.toMatchObject(refused(11, "'service@shop' not found"));
  });
});

describe('users', () => {
  test('are shown without their credentials, and change their passwords', async () => {
    await createUser('service', [{ role: 'read', db: 'other' }]);
    const shop = root().db('shop');
    const { users } = await shop.command({ usersInfo: 'service' });
    expect(users).toEqual([
      {
        _id: 'shop.service',
        userId: expect.anything(),
        user: 'service',
        db: 'shop',
        roles: [{ role: 'read', db: 'other' }],
        mechanisms: ['SCRAM-SHA-1', 'SCRAM-SHA-256'],
      },
    ]);
    await expect(createUser('service', [])).rejects.toMatchObject(refused(51003, 'already exists'));
    await shop.command({ updateUser: 'service', pwd: 'new' });
    await expect(as('service', 'pass', 'shop').connect()).rejects.toMatchObject({ code: 18 });
    await as('service', 'new', 'shop').connect();
    expect((await shop.command({ usersInfo: 1 }))['users']).toHaveLength(1);
    expect(await shop.command({ dropAllUsersFromDatabase: 1 })).toMatchObject({ n: 1 });
  });

  test('have sessions of their own, and no cursor of another', async () => {
    await root().db('shop').collection('c').insertMany([{}, {}, {}]);
    await createUser('reader', ['read']);
    const cursor = root().db('shop').collection('c').find({}, { batchSize: 1 });
    await cursor.next();
    const other = as('reader', 'pass', 'shop').db('shop').command({ getMore: cursor.id, collection: 'c' });
    await expect(other).rejects.toMatchObject(refused(13, 'was not created by the authenticated user'));
    await cursor.close();
  });

  test('are there after a restart', async () => {
    await closeAll();
    await server.stop();
    server = await startEmbeddedMongo({ auth: true, dataDir });
    await anonymous()
      .db('admin')
      .command({ createUser: 'kept', pwd: 'x', roles: ['root'] });
    await closeAll();
    await server.stop();
    server = await startEmbeddedMongo({ auth: true, dataDir });
    expect(await as('kept', 'x').db('shop').collection('c').countDocuments()).toBe(0);
  });
});
