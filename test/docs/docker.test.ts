import { existsSync, readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { settingNames } from '../../src/config.ts';
import { simulatorOptions } from '../../src/simulator/options.ts';

/** The part of the Compose specification that this file uses; an unknown key is a mistake. */
const container = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  profiles: z.array(z.string()).optional(),
  init: z.boolean().optional(),
  entrypoint: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.enum(['service_started', 'service_healthy']) }))
    .optional(),
  env_file: z.array(z.strictObject({ path: z.string(), required: z.boolean() })).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  healthcheck: z
    .union([
      z.strictObject({ disable: z.literal(true) }),
      z.strictObject({
        test: z.tuple([z.enum(['CMD', 'CMD-SHELL'])], z.string()),
        interval: z.string(),
        timeout: z.string(),
        retries: z.number(),
        start_period: z.string(),
      }),
    ])
    .optional(),
  volumes: z.array(z.string()).optional(),
  ports: z.array(z.string()).optional(),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  mem_limit: z.string().optional(),
  ulimits: z.record(z.string(), z.number()).optional(),
  stop_grace_period: z.string().optional(),
  restart: z.string().optional(),
});
const composeFile = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), container),
  volumes: z.record(z.string(), z.null()),
});

const compose = composeFile.parse(parse(readFileSync('docker-compose.yml', 'utf8')));
const dockerfile = readFileSync('Dockerfile', 'utf8');
const { mongo, live, simulator } = compose.services;

const instructions = dockerfile
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  .map((line) => ({ name: line.split(/\s+/, 1)[0] ?? '', rest: line.replace(/^\S+\s+/, '').trim() }));

describe('docker-compose.yml', () => {
  it('starts a replica set that initiates itself by its health check', () => {
    expect(mongo?.entrypoint?.join(' ')).toContain('--replSet rs0');
    expect(JSON.stringify(mongo?.healthcheck)).toContain('/ops/mongo-health.js');
    expect(live?.depends_on).toEqual({ mongo: { condition: 'service_healthy' } });
    expect(live?.environment?.['MONGODB_URI']).toContain('@mongo:27017/runcash?replicaSet=rs0');
  });

  it('publishes the database on loopback only', () => {
    for (const port of mongo?.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('runs the service without any privilege it does not need', () => {
    for (const unit of [live, simulator]) {
      expect(unit).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    }
    expect(live?.mem_limit).toBe('512m');
  });

  it('sets only variables that exist, and asks for the secrets it needs', () => {
    for (const unit of [live, simulator]) {
      for (const name of Object.keys(unit?.environment ?? {})) expect(settingNames).toContain(name);
    }
    expect(live?.environment?.['INGEST_KEYS']).toMatch(/^\$\{INGEST_KEYS:\?/);
    expect(mongo?.environment?.['MONGO_INITDB_ROOT_PASSWORD']).toMatch(/^\$\{COMPOSE_MONGO_PASSWORD:\?/);
  });

  it('gives the service the time to drain that its configuration asks for', () => {
    const grace = Number.parseInt(live?.stop_grace_period ?? '0', 10);
    expect(grace).toBeGreaterThanOrEqual(10 + 2);
  });

  it('runs the simulator only in its profile, with options that exist', () => {
    expect(simulator?.profiles).toEqual(['simulator']);
    const [node, program, ...args] = simulator?.command ?? [];
    expect([node, program]).toEqual(['node', 'dist/src/simulator/main.js']);
    const defaults = { url: 'http://x', key: null, mongodb: '' };
    expect(simulatorOptions(args, defaults)?.url.href).toBe('http://live:5000/');
  });

  it('mounts files and volumes that exist', () => {
    for (const mount of mongo?.volumes ?? []) {
      const [source = ''] = mount.split(':');
      if (source.startsWith('.')) expect(existsSync(source)).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });
});

describe('the health check of MongoDB', () => {
  const script = new Script(readFileSync('src/ops/mongo-health.js', 'utf8'));

  /** Plays the few functions of mongosh that the script calls. */
  function shell(server: { initiated: boolean; primary: boolean; user: boolean; code?: number }): string[] {
    const calls: string[] = [];
    const live = {
      getUser: () => (server.user ? {} : null),
      createUser: (user: { user: string; pwd: string }) => calls.push(`user ${user.user} ${user.pwd}`),
    };
    script.runInNewContext({
      process: { env: { LIVE_PASSWORD: 'pw' } },
      rs: {
        status: () => {
          if (!server.initiated) throw Object.assign(new Error('status'), { code: server.code ?? 94 });
        },
        initiate: (config: { members: { host: string }[] }) => calls.push(`initiate ${config.members[0]?.host}`),
      },
      db: { hello: () => ({ isWritablePrimary: server.primary }), getSiblingDB: () => live },
    });
    return calls;
  }

  it('initiates a fresh server, which is not healthy before it is primary', () => {
    expect(() => shell({ initiated: false, primary: false, user: false })).toThrow('not primary yet');
    expect(shell({ initiated: false, primary: true, user: true })).toEqual(['initiate mongo:27017']);
  });

  it("makes the service's user once", () => {
    expect(shell({ initiated: true, primary: true, user: false })).toEqual(['user live pw']);
    expect(shell({ initiated: true, primary: true, user: true })).toEqual([]);
  });

  it('is not healthy for any other error', () => {
    expect(() => shell({ initiated: false, primary: true, user: true, code: 13 })).toThrow('status');
  });
});

describe('the Dockerfile', () => {
  it('builds in one stage and runs in another, both on Debian trixie slim', () => {
    const bases = instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest);
    expect(bases).toHaveLength(2);
    for (const base of bases) expect(base).toMatch(/^node:\d+-trixie-slim( AS build)?$/);
  });

  it('runs on a Node that the package supports and uWebSockets.js has a binary for', () => {
    const major = /node:(\d+)-/.exec(dockerfile)?.[1];
    const abi = { '22': 127, '24': 137 }[major ?? ''];
    for (const arch of ['x64', 'arm64'])
      expect(existsSync(`node_modules/uWebSockets.js/uws_linux_${arch}_${abi}.node`)).toBe(true);
  });

  it('runs as a user without rights, as a process that gets signals itself', () => {
    const last = instructions.map(({ name }) => name).lastIndexOf('FROM');
    const final = instructions.slice(last);
    expect(final.find(({ name }) => name === 'USER')?.rest).toBe('node');
    expect(final.at(-1)).toEqual({ name: 'CMD', rest: '["node", "dist/src/main.js"]' });
  });

  it('copies only what is there and not ignored', () => {
    const admitted = readFileSync('.dockerignore', 'utf8')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    const copied = instructions
      .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'))
      .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));
    expect(copied.length).toBeGreaterThan(4);
    for (const path of copied) expect([path, existsSync(path), admitted.includes(path)]).toEqual([path, true, true]);
  });
});
