import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig, type Surroundings } from '../../src/config/load.ts';
import { BuiltinStartError, startBuiltin } from '../../src/mongo/builtin.ts';
import { chooseMongo, findMongod, MongoChoiceError, type MongoStarters, startMongod } from '../../src/mongo/choose.ts';
import { lineLog } from '../support/line-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-choice-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function program(path: string, script = '#!/bin/sh\nexit 1\n'): string {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, script);
  chmodSync(full, 0o755);
  return full;
}

const NOTHING: Surroundings = { searchPath: [join(folder, 'empty')], home: join(folder, 'nobody'), downloadDir: null };

interface Recorded extends MongoStarters {
  readonly calls: string[];
}

/** Those of the service, with the built server. */
function realStarters(): MongoStarters {
  const { log } = lineLog();
  return {
    builtin: (port, dataDir) => startBuiltin({ program: 'dist/src/embedded/main.js', port, dataDir, maxMb: 0, log }),
    mongod: startMongod,
  };
}

/** Starters that note what they were asked for; ports in `taken` are refused as the operating system does. */
function recorder(options: { taken?: number[]; mongodFails?: boolean } = {}): Recorded {
  const calls: string[] = [];
  const started = (name: string, port: number) => ({
    uri: `mongodb://127.0.0.1:${port === 0 ? 40_001 : port}/?replicaSet=rs0`,
    stop: () => Promise.resolve(void calls.push(`stop ${name}`)),
  });
  return {
    calls,
    async builtin(port, dataDir) {
      calls.push(`builtin ${port}${dataDir === null ? '' : ` ${dataDir}`}`);
      if (options.taken?.includes(port)) throw new BuiltinStartError('listen', 'Error', 'EADDRINUSE');
      return started('builtin', port);
    },
    async mongod(binary, port) {
      calls.push(`mongod ${binary} ${port}`);
      if (options.mongodFails) throw new Error('illegal instruction');
      return started('mongod', port);
    },
  };
}

const wish = (environment: Record<string, string>) => loadConfig({ EMBEDDED_DATA_DIR: '', ...environment }).config;

describe('the choice of MongoDB', () => {
  it('takes MONGODB_URI, starts nothing, and shows it without its password', async () => {
    const starters = recorder();
    const uri = 'mongodb://user:hun%40ter2@db1,db2/?replicaSet=rs0';
    const chosen = await chooseMongo(wish({ MONGODB_URI: uri }), NOTHING, starters);
    expect(chosen).toMatchObject({ uri, kind: 'uri' });
    expect(chosen.words[0]).toBe('MONGODB_URI is used: mongodb://db1:27017,db2:27017/?replicaSet=rs0');
    await chosen.stop();
    expect(starters.calls).toEqual([]);
  });

  it('starts a mongod that is in PATH, and ends it with stop', async () => {
    const binary = program('bin/mongod');
    const starters = recorder();
    const chosen = await chooseMongo(wish({}), { ...NOTHING, searchPath: [folder, dirname(binary)] }, starters);
    expect(chosen.kind).toBe('mongod');
    expect(chosen.words.join('\n')).toContain(`mongosh "${chosen.uri}"`);
    await chosen.stop();
    expect(starters.calls).toEqual([`mongod ${binary} 27017`, 'stop mongod']);
  });

  it('starts the built-in one when nothing else is there, and says what it does not give', async () => {
    const starters = recorder();
    const chosen = await chooseMongo(wish({}), NOTHING, starters);
    expect(chosen).toMatchObject({ kind: 'builtin', uri: 'mongodb://127.0.0.1:27017/?replicaSet=rs0' });
    expect(chosen.words.join('\n')).toMatch(/no mongod here.*\nA shell reaches it by: mongosh ".*\n.*in memory only/);
    await chosen.stop();
    expect(starters.calls).toEqual(['builtin 27017', 'stop builtin']);
  });

  it('takes a free port when 27017 is taken, and says so', async () => {
    const starters = recorder({ taken: [27017] });
    const chosen = await chooseMongo(wish({}), NOTHING, starters);
    expect(starters.calls).toEqual(['builtin 27017', 'builtin 0']);
    expect(chosen.uri).toContain(':40001/');
    expect(chosen.words[1]).toMatch(/^Port 27017 is taken/);
  });

  it('takes the built-in one with its data folder before any mongod, also on another port, and says where the data is', async () => {
    const binary = program('bin/mongod');
    const withMongod = { ...NOTHING, searchPath: [dirname(binary)] };
    const starters = recorder({ taken: [27017] });
    const chosen = await chooseMongo(wish({ EMBEDDED_DATA_DIR: '/var/lib/x' }), withMongod, starters);
    expect(starters.calls).toEqual(['builtin 27017 /var/lib/x', 'builtin 0 /var/lib/x']);
    expect(chosen.words.join('\n')).toContain('kept in /var/lib/x');
    expect(chosen.words.join('\n')).not.toContain('memory');
  });

  it('leaves the data folder alone when another MongoDB is asked for, and says so', async () => {
    const file = { EMBEDDED_DATA_DIR: '/var/lib/x' };
    const starters = recorder();
    const uri = { ...file, MONGODB_URI: 'mongodb://db/' };
    expect((await chooseMongo(wish(uri), NOTHING, starters)).kind).toBe('uri');
    expect(starters.calls).toEqual([]);
    expect(loadConfig(uri).warnings).toEqual(['EMBEDDED_DATA_DIR is not used, since MONGODB_URI is set']);
    expect(loadConfig({ ...file, MONGO: 'mongod' }).warnings).toEqual([
      'EMBEDDED_DATA_DIR is not used, since MONGO=mongod',
    ]);
    expect(loadConfig({ ...uri, MONGO: 'uri' }).warnings).toEqual([]);
    expect(loadConfig(file).warnings).toEqual([]);
  });

  it('says what to do about a data folder that is damaged, in whole sentences', async () => {
    const dataDir = join(folder, 'damaged');
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'log-000001'), '');
    await expect(
      chooseMongo(wish({ EMBEDDED_PORT: '0', EMBEDDED_DATA_DIR: dataDir }), NOTHING, realStarters()),
    ).rejects.toThrow('nothing was changed. EMBEDDED_DATA_DIR names another folder');
  });

  it('keeps what was stored in the data folder over a restart', async () => {
    const dataDir = join(folder, 'kept');
    const settings = wish({ EMBEDDED_PORT: '0', EMBEDDED_DATA_DIR: dataDir });
    const starters = realStarters();
    const first = await chooseMongo(settings, NOTHING, starters);
    const writer = await new MongoClient(first.uri).connect();
    await writer.db('runcash').collection('roleta_numeros').insertOne({ numero: 0 });
    await writer.close();
    await first.stop();
    const second = await chooseMongo(settings, NOTHING, starters);
    const reader = await new MongoClient(second.uri).connect();
    expect(await reader.db('runcash').collection('roleta_numeros').findOne()).toMatchObject({ numero: 0 });
    await reader.close();
    await second.stop();
  });

  it('falls back to the built-in one when the mongod found does not start', async () => {
    const binary = program('bin/mongod');
    const chosen = await chooseMongo(
      wish({}),
      { ...NOTHING, searchPath: [dirname(binary)] },
      recorder({ mongodFails: true }),
    );
    expect(chosen.kind).toBe('builtin');
    expect(chosen.words[0]).toBe(
      `${binary} did not start (illegal instruction): the built-in MongoDB is used instead.`,
    );
  });

  it('does as MONGO says, also when another is at hand', async () => {
    const binary = program('bin/mongod');
    const withMongod = { ...NOTHING, searchPath: [dirname(binary)] };
    const uri = { MONGODB_URI: 'mongodb://db/' };
    const kindOf = async (environment: Record<string, string>) =>
      (await chooseMongo(wish(environment), withMongod, recorder())).kind;
    expect(await kindOf({ ...uri, MONGO: 'builtin' })).toBe('builtin');
    expect(await kindOf({ ...uri, MONGO: 'mongod' })).toBe('mongod');
    expect(await kindOf({ ...uri, MONGO: 'uri' })).toBe('uri');
    await expect(chooseMongo(wish({ MONGO: 'mongod' }), NOTHING, recorder())).rejects.toThrow(/there is no mongod/);
    await expect(chooseMongo(wish({ MONGO: 'mongod' }), withMongod, recorder({ mongodFails: true }))).rejects.toThrow(
      /did not start: illegal instruction/,
    );
  });

  it('passes on any failure of the built-in one that is not a taken port', async () => {
    const broken = { ...recorder(), builtin: () => Promise.reject(new Error('out of memory')) };
    await expect(chooseMongo(wish({}), NOTHING, broken)).rejects.toThrow('out of memory');
  });
});

describe('looking for a mongod', () => {
  it('takes the newest of a download folder, by number and not by letter, and no archive', () => {
    const dir = dirname(program('cache/mongod-x64-debian-7.0.9'));
    program('cache/mongod-x64-debian-7.0.14');
    program('cache/mongod-x64-debian-8.0.1.tgz');
    program('cache/mongodump');
    expect(findMongod(null, { ...NOTHING, downloadDir: dir })).toBe(join(dir, 'mongod-x64-debian-7.0.14'));
  });

  it("looks into the home folder's cache", () => {
    const path = program('home/.cache/mongodb-binaries/mongod-x64-debian-7.0.9');
    expect(findMongod(null, { ...NOTHING, home: join(folder, 'home') })).toBe(path);
  });

  it('passes over what cannot be run', () => {
    const path = program('plain/mongod');
    chmodSync(path, 0o644);
    mkdirSync(join(folder, 'directory/mongod'), { recursive: true });
    const searchPath = [dirname(path), join(folder, 'directory')];
    expect(findMongod(null, { ...NOTHING, searchPath })).toBeNull();
  });

  it('says so when MONGOMS_SYSTEM_BINARY names nothing that can be run', () => {
    expect(() => findMongod('/nowhere/mongod', NOTHING)).toThrow(MongoChoiceError);
  });
});

describe('starting a mongod', () => {
  it('rejects in words when the program ends at once, and downloads nothing', async () => {
    const binary = program(
      'bad/mongod',
      '#!/bin/sh\n[ "$1" = --version ] && echo "db version v7.0.14" && exit 0\nexit 14\n',
    );
    await expect(startMongod(binary, 0)).rejects.toThrow(/14/);
  });
});
