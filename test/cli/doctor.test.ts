import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runDoctor } from '../../src/cli/doctor.ts';
import { checkMongo } from '../../src/cli/doctor-mongo.ts';
import {
  checkBinary,
  checkDescriptors,
  checkNetwork,
  checkNode,
  ownDescriptorLimit,
  UWS_BINARIES,
  UWS_VERSION,
} from '../../src/cli/doctor-process.ts';
import type { Finding } from '../../src/cli/findings.ts';
import { loadConfig } from '../../src/config/load.ts';
import { OLDEST_NODE, problemOfNode } from '../../src/config/version.ts';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createSources } from '../../src/roulette/source.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';

let mongo: TestMongo;
beforeAll(async () => {
  mongo = await startMongo();
});
afterAll(() => mongo.stop());

const NOWHERE = { searchPath: [], home: null, downloadDir: null };

async function doctor(environment: Record<string, string>): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await runDoctor(
    () => loadConfig(environment),
    NOWHERE,
    (line) => void lines.push(line),
  );
  return { code, text: lines.join('\n') };
}

describe('the doctor', () => {
  it('finds nothing bad on a machine and a replica set that are as they must be', async () => {
    const { code, text } = await doctor({ MONGODB_URI: mongo.uri, MONGODB_DB_NAME: freshDatabase() });
    expect(text).not.toContain('BAD');
    expect(text).toMatch(/^ok {4}Node: \d+/m);
    expect(text).toMatch(/^ok {4}uWebSockets.js: loads \(/m);
    expect(text).toMatch(/^ok {4}replica set: /m);
    expect(text).toMatch(/^ok {4}change streams: can be opened/m);
    expect(text).toMatch(/^ok {4}clocks: /m);
    expect(code).toBe(0);
  });

  it('names a database that is away, with the remedy, and exits 1', async () => {
    const { code, text } = await doctor({ MONGODB_URI: 'mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100' });
    expect(text).toMatch(/^BAD {3}MongoDB: .*ECONNREFUSED.* {2}-> {2}start it/m);
    expect(code).toBe(1);
  });

  it('names a standalone server and how to make it a replica set', async () => {
    const standalone = await startEmbeddedMongo({ standalone: true });
    const { code, text } = await doctor({ MONGODB_URI: standalone.uri });
    await standalone.stop();
    expect(text).toMatch(/^BAD {3}replica set: a standalone server {2}-> {2}start mongod with --replSet/m);
    expect(text).toMatch(/^BAD {3}change streams: need a replica set/m);
    expect(code).toBe(1);
  });

  it('names a table whose scraper writes local time, with the offset, and no import', async () => {
    const client = await new MongoClient(mongo.uri).connect();
    const database = freshDatabase();
    const numbers = client.db(database).collection('roleta_numeros');
    const now = Date.now();
    const dated = (table: string, ageMs: number) => ({ roleta_id: table, numero: 1, timestamp: new Date(now - ageMs) });
    await numbers.insertMany([
      ...Array.from({ length: 6 }, () => dated('2010011', 3 * 3_600_000)),
      ...Array.from({ length: 6 }, () => dated('2010165', 0)),
      // One of its two scrapers, which cuts the seconds off.
      ...Array.from({ length: 10 }, (_, row) => dated('2010016', row % 2 === 0 ? 0 : 2 * 3_600_000 + row * 6_000)),
      ...Array.from({ length: 6 }, (_, row) => dated('2010097', 3 * 3_600_000 + row * 60_000)),
    ]);
    const { text } = await doctor({ MONGODB_URI: mongo.uri, MONGODB_DB_NAME: database });
    await client.close();
    expect(text).toMatch(
      /^note {2}clocks of the scrapers: dated too early: 2010016 by 120 min, 2010011 by 180 min; .* {2}-> {2}write UTC/m,
    );
  });

  it('names a missing index and is content once it is there', async () => {
    const client = await new MongoClient(mongo.uri).connect();
    const database = freshDatabase();
    const checks = {
      client,
      databases: [database],
      recoveryWindowSeconds: 1,
      sources: createSources(),
      liveMaxAgeMs: 120_000,
      readPreference: 'primary' as const,
    };
    const indexes = (findings: Finding[]) => findings.find(({ about }) => about === 'indexes');
    await client.db(database).createCollection('roleta_numeros');
    expect(indexes(await checkMongo(checks))).toMatchObject({
      verdict: 'note',
      found: expect.stringContaining('roleta_numeros'),
    });
    await client.db(database).collection('roleta_numeros').createIndex({ roleta_id: 1, timestamp: -1 });
    expect(indexes(await checkMongo(checks))?.found).toBe(`missing: ${database}.roleta_numeros {timestamp}`);
    await client.db(database).collection('roleta_numeros').createIndex({ timestamp: -1 });
    expect(indexes(await checkMongo(checks))?.verdict).toBe('ok');
    await client.close();
  });

  it('names a collection that is capped, if it is one that is read', async () => {
    const client = await new MongoClient(mongo.uri).connect();
    const database = freshDatabase();
    await client.db(database).createCollection('roleta_numeros', { capped: true, size: 4096 });
    await client.db(database).createCollection('others', { capped: true, size: 4096 });
    const { text } = await doctor({ MONGODB_URI: mongo.uri, MONGODB_DB_NAME: database });
    await client.close();
    expect(text).toContain(`note  capped collections: ${database}.roleta_numeros: what these let go`);
  });

  it('names the member that is read from, and says so when there is none', async () => {
    const set = await startEmbeddedMongo({ secondary: true });
    const member = async (uri: string, preference: string) =>
      (await doctor({ MONGODB_URI: uri, FEED_READ_PREFERENCE: preference })).text.match(
        /.*member that is read from.*/,
      )?.[0];
    expect(await member(set.uri, 'secondary')).toMatch(
      /^ok {4}.*127\.0\.0\.1:\d+, a secondary, 0 s behind the primary$/,
    );
    expect(await member(set.uri, 'primary')).toMatch(/^ok {4}.*the primary$/);
    await set.stop();
  });

  it('looks into the second database too, and at the one stream over both', async () => {
    const client = await new MongoClient(mongo.uri).connect();
    const [shared, tables] = [freshDatabase(), freshDatabase()];
    await client.db(tables).createCollection('2010165');
    await client.db(tables).createCollection('1fa13bd8-47f4-eaeb-1540-f203da568290');
    await client.close();
    const { code, text } = await doctor({
      MONGODB_URI: mongo.uri,
      MONGODB_DB_NAME: shared,
      ROLETAS_MONGODB_DB_NAME: tables,
    });
    expect(text).toContain(`indexes: missing: ${tables}.2010165 {timestamp}  ->`);
    expect(text).toMatch(new RegExp(`^ok {4}change streams: can be opened on ${shared} and ${tables}$`, 'm'));
    expect(code).toBe(0);
  });

  it('says every problem of the configuration and goes no further', async () => {
    const { code, text } = await doctor({ PORT: 'x', MONGO: 'y' });
    expect(text.match(/^BAD {3}configuration: /gm)).toHaveLength(2);
    expect(code).toBe(1);
  });

  it('says what would be used without MONGODB_URI', async () => {
    expect((await doctor({})).text).toContain('the built-in one would be started');
    expect((await doctor({ MONGOMS_SYSTEM_BINARY: '/nowhere' })).text).toMatch(
      /^BAD {3}MongoDB: MONGOMS_SYSTEM_BINARY/m,
    );
  });

  it('knows which Node is old enough', () => {
    expect(['18.20.1', '20.18.3', '20.19.0', '22.1.0'].map((version) => checkNode(version).verdict)).toEqual([
      'bad',
      'bad',
      'ok',
      'ok',
    ]);
  });

  it('compares the descriptor limit with the connections that are allowed', async () => {
    expect(checkDescriptors(1024, 20_000)).toMatchObject({
      verdict: 'note',
      remedy: expect.stringContaining('ulimit -n 21000'),
    });
    expect(checkDescriptors(100_000, 20_000).verdict).toBe('ok');
    expect(checkDescriptors(ownDescriptorLimit(), 1).verdict).toBe('ok');
    expect((await checkNetwork('auto')).verdict).toBe('ok');
    expect(await checkNetwork('node')).toMatchObject({
      verdict: 'note',
      found: expect.stringContaining('NETWORK=node'),
    });
  });
});

describe("the doctor's look at the binary of uWebSockets.js", () => {
  const installed = 'node_modules/uWebSockets.js';
  // CI can run on the official build too, whose hashes its publisher knows.
  const isTested = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).version === UWS_VERSION;
  const folder = mkdtempSync(join(tmpdir(), 'runcash-binary-'));
  const name = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const put = (version: string, bytes: string): void => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ version }));
    writeFileSync(join(folder, name), bytes);
  };

  it.runIf(isTested)('knows the one that is installed', () => {
    expect(checkBinary()).toMatchObject({ verdict: 'ok', found: expect.stringContaining('SHA-256') });
  });

  it.runIf(isTested)('has the hash of every binary that can be loaded, as the package brings them', () => {
    for (const [file, hash] of Object.entries(UWS_BINARIES)) {
      const bytes = readFileSync(join(installed, file));
      expect([file, createHash('sha256').update(bytes).digest('hex')]).toEqual([file, hash]);
    }
  });

  it('says so when the binary is another one', () => {
    put(UWS_VERSION, 'something else');
    expect(checkBinary(folder)).toMatchObject({ verdict: 'bad', remedy: expect.stringContaining('npm ci') });
  });

  it('tells the hash of a version that was not tested', () => {
    put('20.51.0', 'the official build');
    expect(checkBinary(folder)).toMatchObject({
      verdict: 'note',
      found: expect.stringMatching(/20\.51\.0.*[0-9a-f]{64}/),
    });
  });

  it('finds nothing where no binary is', () => {
    expect(checkBinary(join(folder, 'nothing'))).toBeNull();
  });
});

describe('an old Node', () => {
  it('is named with what works at once, at the version that package.json asks for', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(engines.node).toBe(`>=${OLDEST_NODE.join('.')}.0`);
    expect(problemOfNode('20.19.0')).toBeNull();
    expect(problemOfNode('24.0.0')).toBeNull();
    for (const version of ['18.20.8', '20.18.3']) {
      expect(problemOfNode(version)).toMatchObject({
        found: expect.stringContaining(version),
        remedy: expect.stringContaining("npx -y -p node@22 -c 'npm start'"),
      });
    }
  });
});
