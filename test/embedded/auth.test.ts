import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Int32, Long, Timestamp, UUID } from 'bson';
import type { Document, MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { rights } from '../../src/cli/doctor-rights.ts';
import { type AuthServer, proofOf, saslContinue, saslStart, startAuthServer } from './support/auth.ts';
import { connectWire } from './support/wire.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'embedded-auth-'));
let server: AuthServer;
const { as, anonymous, root, createUser } = {
  as: (...args: Parameters<AuthServer['as']>) => server.as(...args),
  anonymous: () => server.anonymous(),
  root: () => server.root(),
  createUser: (...args: Parameters<AuthServer['createUser']>) => server.createUser(...args),
};

const refused = (code: number, message: RegExp | string) => ({ code, message: expect.stringMatching(message) });

beforeEach(async () => {
  server = await startAuthServer();
  await server.makeRoot();
});

afterEach(() => server.stop());

afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

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
  });

  test('tells nobody which users there are: a name of none gets a salt too, and fails at its proof', async () => {
    const wire = await connectWire(server.mongo.port);
    const first = async (user: string) => {
      const { ok, payload } = await saslStart(wire, user);
      return {
        ok: Number(ok),
        form: String(payload).replace(/[\w+/]/g, 'x'),
        salt: /s=[^,]*/.exec(String(payload))?.[0],
        payload: String(payload),
      };
    };
    const [known, unknown] = [await first('root'), await first('nobody')];
    expect(unknown.ok).toBe(1);
    expect(unknown.form).toBe(known.form);
    expect((await first('nobody')).salt).toBe(unknown.salt);
    expect((await first('nobody2')).salt).not.toBe(unknown.salt);
    const failures = [];
    for (const user of ['root', 'nobody']) {
      const { payload } = await first(user);
      const { ok, code, errmsg } = await wire.command(saslContinue(proofOf(user, 'guess', payload)));
      failures.push({ ok: Number(ok), code: Number(code), errmsg });
    }
    expect(failures[0]).toEqual({ ok: 0, code: 18, errmsg: 'Authentication failed.' });
    expect(failures[1]).toEqual(failures[0]);
    const mechanismsOf = (user: string) =>
      anonymous()
        .db('admin')
        .command({ hello: 1, saslSupportedMechs: `admin.${user}` });
    const [ofRoot, ofNobody] = [await mechanismsOf('root'), await mechanismsOf('nobody')];
    expect(ofNobody['saslSupportedMechs']).toEqual(ofRoot['saslSupportedMechs']);
    wire.close();
  });

  test('takes no proof twice, and none without a beginning', async () => {
    const wire = await connectWire(server.mongo.port);
    const { payload } = await saslStart(wire, 'root');
    const proof = saslContinue(proofOf('root', 'secret', String(payload)));
    expect(Number((await wire.command(proof))['ok'])).toBe(1);
    expect(await wire.command(proof)).toMatchObject({ code: { value: 18 } });
    await saslStart(wire, 'root');
    expect(await wire.command(proof)).toMatchObject({ code: { value: 18 } });
    wire.close();
    const another = await connectWire(server.mongo.port);
    expect(await another.command(proof)).toMatchObject({ code: { value: 18 } });
    expect(await another.command({ find: 'c', $db: 'shop' })).toMatchObject({ code: { value: 13 } });
    another.close();
  });

  test('lets one first user be made, when two are asked for at the same time', async () => {
    const fresh = await startAuthServer();
    const making = ['one', 'two'].map((createUser) =>
      fresh
        .anonymous()
        .db('admin')
        .command({ createUser, pwd: 'x', roles: ['root'] }),
    );
    const made = await Promise.allSettled(making);
    expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await fresh.stop();
  });

  test('takes the time from root alone: no client moves the clock for all others', async () => {
    await createUser('writer', ['readWrite']);
    const ahead = Math.floor(Date.now() / 1000) + 300 * 86_400;
    const $clusterTime = { clusterTime: new Timestamp({ t: ahead, i: 1 }) };
    const time = async () => (await root().db('admin').command({ ping: 1 }))['$clusterTime'].clusterTime.t;
    const stranger = await connectWire(server.mongo.port);
    expect(Number((await stranger.command({ ping: 1, $db: 'admin', $clusterTime }))['ok'])).toBe(1);
    stranger.close();
    const writer = await server.wireAs('writer');
    const insert = { insert: 'c', documents: [{}], $db: 'shop', $clusterTime };
    expect(Number((await writer.command(insert))['ok'])).toBe(1);
    expect(await time()).toBeLessThan(ahead);
  });
});

describe('a role', () => {
  const insertInto = (client: MongoClient, db: string) => client.db(db).collection('c').insertOne({});
  const notIn = (db: string) => refused(13, new RegExp(`^not authorized on ${db} to execute command \\{ `));

  test('read lets its database be read and watched, and nothing be written', async () => {
    await insertInto(root(), 'shop');
    await createUser('reader', ['read', { role: 'readWrite', db: 'writable' }]);
    const reader = as('reader', 'pass', 'shop');
    const numbers = reader.db('shop').collection('c');
    expect(await numbers.countDocuments()).toBe(1);
    const stream = numbers.watch();
    expect(await stream.tryNext()).toBeNull();
    await stream.close();
    await expect(insertInto(reader, 'shop')).rejects.toMatchObject(notIn('shop'));
    // As the stages read them: a target without `into`, and a database that is no text and means the command's own.
    const outputs: Document[] = [
      { $out: 'copy' },
      { $out: { db: ['writable'], coll: 'copy' } },
      { $merge: 'copy' },
      { $merge: { coll: 'copy' } },
      { $merge: { db: 'other', coll: 'copy' } },
      { $merge: { into: { db: 'other', coll: 'copy' } } },
    ];
    for (const stage of outputs)
      await expect(numbers.aggregate([stage]).toArray()).rejects.toMatchObject(notIn('shop'));
    await numbers.aggregate([{ $merge: { into: { db: 'writable', coll: 'copy' } } }]).toArray();
    await expect(numbers.drop()).rejects.toMatchObject(notIn('shop'));
    await expect(reader.db('other').collection('c').findOne()).rejects.toMatchObject(notIn('other'));
    await expect(reader.watch().tryNext()).rejects.toMatchObject(notIn('admin'));
    const { databases } = await reader.db().admin().listDatabases();
    expect(databases.map(({ name }) => name)).toEqual(['shop', 'writable']);
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

  test('of one database on admin is none of all', async () => {
    await createUser('all', ['readWriteAnyDatabase'], 'admin');
    const all = as('all', 'pass');
    await insertInto(all, 'shop');
    await expect(all.db('local').collection('oplog.rs').findOne()).rejects.toMatchObject(notIn('local'));
    await createUser('local', ['readWrite'], 'admin');
    await expect(insertInto(as('local', 'pass'), 'shop')).rejects.toMatchObject(notIn('shop'));
    const unknown = createUser('x', ['readAnyDatabase'], 'shop');
    await expect(unknown).rejects.toMatchObject(refused(31, 'Could not find role: readAnyDatabase@shop'));
  });

  test('but root neither makes users nor reads them', async () => {
    const roles = 'readWrite dbAdmin'.split(' ');
    const everywhere = 'readWriteAnyDatabase dbAdminAnyDatabase clusterMonitor'.split(' ');
    await createUser('all', [...roles, ...everywhere.map((role) => ({ role, db: 'admin' }))]);
    const shop = as('all', 'pass', 'shop').db('shop');
    const evil = [{ role: 'root', db: 'admin' }];
    const commands: Document[] = [
      { createUser: 'evil', pwd: 'x', roles: evil },
      { updateUser: 'all', roles: evil },
      { grantRolesToUser: 'all', roles: evil },
      { revokeRolesFromUser: 'all', roles },
      { usersInfo: { user: 'root', db: 'admin' } },
      { usersInfo: { forAllDBs: true } },
      { dropUser: 'all' },
    ];
    for (const command of commands) await expect(shop.command(command)).rejects.toMatchObject(notIn('shop'));
    for (const role of ['userAdmin', 'dbOwner', 'userAdminAnyDatabase']) {
      const words = `Could not find role: ${role}@admin. This server has read, readWrite, `;
      await expect(createUser('x', [role], 'admin')).rejects.toMatchObject(refused(31, words));
    }
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

  test('taken from a user ends the cursors and streams that it has open', async () => {
    const numbers = root().db('shop').collection<Document>('c');
    await numbers.insertMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await createUser('reader', ['read']);
    const reader = as('reader', 'pass', 'shop').db('shop').collection('c');
    const cursor = reader.find({}, { batchSize: 1 });
    await cursor.next();
    const stream = reader.watch([], { maxAwaitTimeMS: 50 });
    expect(await stream.tryNext()).toBeNull();
    await root()
      .db('shop')
      .command({ revokeRolesFromUser: 'reader', roles: ['read'] });
    await numbers.insertOne({ n: 4 });
    await expect(stream.next()).rejects.toMatchObject(notIn('shop'));
    await expect(cursor.toArray()).rejects.toMatchObject(notIn('shop'));
    await stream.close();
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
  });

  test('are in no collection: no view, stage, log or stream has a credential for root itself', async () => {
    const admin = root().db('admin');
    const stream = root().watch([], { maxAwaitTimeMS: 50 });
    expect(await stream.tryNext()).toBeNull();
    await createUser('service', ['read']);
    await admin.command({ create: 'shown', viewOn: 'system.users', pipeline: [] });
    await admin.collection('c').insertOne({});
    const joins = [
      { $lookup: { from: 'system.users', pipeline: [], as: 'found' } },
      { $graphLookup: { from: 'system.users', startWith: 'x', connectFromField: 'a', connectToField: 'b', as: 'g' } },
      { $unionWith: 'system.users' },
      { $unionWith: 'shown' },
      { $out: 'copy' },
    ];
    await admin.collection('c').aggregate(joins).toArray();
    const read = [
      await admin.collection('system.users').find().toArray(),
      await admin.collection('shown').find().toArray(),
      await admin.collection('copy').find().toArray(),
      await root().db('local').collection('oplog.rs').find().toArray(),
      await admin.aggregate([{ $currentOp: { allUsers: true, idleCursors: true } }]).toArray(),
      await stream.tryNext(),
    ];
    expect(JSON.stringify(read)).toContain('copy');
    expect(JSON.stringify(read)).not.toMatch(/storedKey|serverKey|iterationCount/);
    expect((await admin.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).sort()).toEqual([
      'c',
      'copy',
      'shown',
    ]);
    await stream.close();
  });

  test('are refused what this server does not do for them, instead of seeming to have it', async () => {
    const shop = root().db('shop');
    const make = (more: Document) => shop.command({ createUser: 'x', pwd: 'x', roles: [], ...more });
    const far = { authenticationRestrictions: [{ clientSource: ['10.0.0.1'] }] };
    await expect(make(far)).rejects.toMatchObject(refused(40415, 'authenticationRestrictions'));
    await expect(make({ digestPassword: false })).rejects.toMatchObject({ code: 2 });
    await expect(make({ mechanisms: ['SCRAM-SHA-1'] })).rejects.toMatchObject(refused(40415, 'mechanisms'));
    for (const option of ['filter', 'showCredentials', 'showPrivileges']) {
      const asked = shop.command({ usersInfo: 1, [option]: true });
      await expect(asked).rejects.toMatchObject(refused(40415, option));
    }
    await make({ digestPassword: true });
  });

  test('have no cursor of another: it is neither read nor killed', async () => {
    await root().db('shop').collection('c').insertMany([{}, {}, {}]);
    await createUser('reader', ['read']);
    const cursor = root().db('shop').collection('c').find({}, { batchSize: 1 });
    await cursor.next();
    const other = as('reader', 'pass', 'shop').db('shop');
    const foreign = refused(13, 'was not created by the authenticated user');
    await expect(other.command({ getMore: cursor.id, collection: 'c' })).rejects.toMatchObject(foreign);
    await expect(other.command({ killCursors: 'c', cursors: [cursor.id] })).rejects.toMatchObject(foreign);
    expect(await cursor.toArray()).toHaveLength(2);
  });

  test('have sessions of their own, also under the same id', async () => {
    await createUser('one', ['readWrite']);
    await createUser('two', ['readWrite']);
    const [one, two] = [await server.wireAs('one'), await server.wireAs('two')];
    const of = { lsid: { id: new UUID().toBinary() }, txnNumber: Long.ONE, autocommit: false };
    const insert = { insert: 'c', documents: [{ _id: 1 }], ...of, startTransaction: true, $db: 'shop' };
    expect(Number((await one.command(insert))['ok'])).toBe(1);
    const commit = { commitTransaction: new Int32(1), ...of, $db: 'admin' };
    expect(await two.command(commit)).toMatchObject({ code: { value: 251 } });
    expect(Number((await one.command(commit))['ok'])).toBe(1);
  });

  test('may all that the doctor asks of their roles', async () => {
    await createUser('reader', ['read']);
    await createUser('service', ['readWrite']);
    const looked = (client: MongoClient) => rights((command) => client.db('admin').command(command), ['shop']);
    expect(await looked(root())).toMatchObject({ verdict: 'ok' });
    expect(await looked(as('service', 'pass', 'shop'))).toMatchObject({ verdict: 'ok' });
    expect(await looked(as('reader', 'pass', 'shop'))).toMatchObject({
      verdict: 'bad',
      found: 'reader lacks insert on shop, update on shop',
    });
  });

  test('are there after a restart, as they were last, also when the log was replaced by a base', async () => {
    const restart = async () => {
      await server.stop();
      server = await startAuthServer({ dataDir, compactAboveMb: 0.25 });
    };
    await restart();
    await server.makeRoot();
    await createUser('kept', ['read']);
    await createUser('gone', ['read']);
    await root().db('shop').command({ updateUser: 'kept', pwd: 'new' });
    await root().db('shop').command({ dropUser: 'gone' });
    const check = async () => {
      await restart();
      expect(await as('kept', 'new', 'shop').db('shop').collection('c').countDocuments()).toBe(0);
      await expect(as('gone', 'pass', 'shop').connect()).rejects.toMatchObject({ code: 18 });
    };
    await check();
    const large = { text: 'x'.repeat(300_000) };
    await root().db('other').collection('large').insertOne(large);
    await vi.waitFor(() => expect(readdirSync(dataDir).join(' ')).toMatch(/base-\d+( |$)/), 5_000);
    await check();
  });
});
