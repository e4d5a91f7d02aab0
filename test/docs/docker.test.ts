import { existsSync, readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { settingNames } from '../../src/config/load.ts';
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
  secrets: z.array(z.string()).optional(),
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
  'x-follower': z.unknown(),
  'x-live': z.unknown(),
  name: z.string(),
  services: z.record(z.string(), container),
  secrets: z.record(z.string(), z.strictObject({ environment: z.string() })),
  volumes: z.record(z.string(), z.null()),
});

const compose = composeFile.parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }));
const dockerfile = readFileSync('Dockerfile', 'utf8');
const { mongo, live, live2, simulator } = compose.services;
/** Of MongoDB's root, and of nobody else. */
const ROOT = 'COMPOSE_MONGO_ROOT_PASSWORD';
const databases = Object.entries(compose.services).filter(([name]) => name.startsWith('mongo'));

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

  it('makes three nodes and a second instance in a profile, all of one set and one key', () => {
    expect(databases.map(([name]) => name)).toEqual(['mongo', 'mongo2', 'mongo3']);
    for (const [, unit] of databases) {
      expect(unit.entrypoint?.join(' ')).toContain('--replSet rs0 --bind_ip_all --keyFile /data/configdb/keyfile');
      expect(unit.volumes).toContain('mongo-config:/data/configdb');
      expect(unit.image).toBe(mongo?.image);
    }
    const optional = Object.entries(compose.services).filter(([, unit]) => unit.profiles?.includes('three-node'));
    expect(optional.map(([name]) => name)).toEqual(['mongo2', 'mongo3', 'live2']);
    expect(live2?.environment).toEqual(live?.environment);
  });

  it('publishes every port on loopback only, and the service elsewhere by a variable alone', () => {
    const ports = Object.values(compose.services).flatMap((unit) => unit.ports ?? []);
    expect(ports.length).toBeGreaterThan(3);
    for (const port of ports) expect(port).toMatch(/^(127\.0\.0\.1|\$\{COMPOSE_BIND:-127\.0\.0\.1\}):/);
  });

  it("does not give the service the password of MongoDB's root", () => {
    for (const unit of [live, live2]) {
      expect(unit?.environment?.[ROOT]).toBe('');
      expect(unit?.environment?.['MONGODB_URI']).toMatch(/\/\/live:\$\{COMPOSE_MONGO_PASSWORD\}@/);
    }
    expect(simulator?.environment).not.toHaveProperty(ROOT);
    expect(simulator?.env_file).toBeUndefined();
    expect(mongo?.environment?.['LIVE_PASSWORD']).toMatch(/^\$\{COMPOSE_MONGO_PASSWORD:\?/);
  });

  it('lets the simulator and Prometheus in by name where ALLOWED_HOSTS is set', () => {
    expect(live?.environment?.['ALLOWED_HOSTS']).toMatch(/^\$\{ALLOWED_HOSTS:\+\$\{ALLOWED_HOSTS\},live,live2\}$/);
    const [job] = parse(readFileSync('src/ops/prometheus.yml', 'utf8')).scrape_configs;
    expect(job.dns_sd_configs[0].names).toEqual(['live', 'live2']);
    expect(job.relabel_configs).toEqual([
      {
        source_labels: ['__meta_dns_name'],
        regex: '(.+)',
        replacement: expect.stringMatching(/^\$\{1\}:5000$/),
        target_label: '__address__',
      },
    ]);
  });

  it('names every image by its exact version', () => {
    for (const { image, build } of Object.values(compose.services)) {
      if (build === undefined && image !== 'runcash-live') expect(image).toMatch(/:v?\d+\.\d+\.\d+$/);
    }
  });

  it('runs the service without any privilege it does not need', () => {
    for (const unit of [live, live2, simulator]) {
      expect(unit).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    }
    expect(live?.mem_limit).toBe('512m');
  });

  it('sets only variables that exist, and asks for the secrets it needs', () => {
    for (const unit of [live, live2, simulator]) {
      for (const name of Object.keys(unit?.environment ?? {})) expect([...settingNames, ROOT]).toContain(name);
    }
    expect(live?.environment?.['INGEST_KEYS']).toMatch(/^\$\{INGEST_KEYS:\?/);
    expect(mongo?.environment?.['MONGO_INITDB_ROOT_PASSWORD']).toMatch(/^\$\{COMPOSE_MONGO_ROOT_PASSWORD:\?/);
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
    const called = args.map((word) => word.replace(/^\$\{COMPOSE_LIVE_URL:-(.*)\}$/, '$1'));
    expect(simulatorOptions(called, defaults)?.url.href).toBe('http://live:5000/');
  });

  it('mounts files and volumes that exist', () => {
    for (const mount of databases.flatMap(([, unit]) => unit.volumes ?? [])) {
      const [source = ''] = mount.split(':');
      if (source.startsWith('.')) expect(existsSync(source)).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });
});

describe('the health check of MongoDB', () => {
  const script = new Script(readFileSync('src/ops/mongo-health.js', 'utf8'));

  interface Server {
    readonly initiated: boolean;
    readonly primary: 'here' | 'elsewhere' | 'nowhere';
    readonly user: boolean;
    readonly code?: number;
    readonly hosts?: string;
  }

  /** Plays the few functions of mongosh that the script calls. */
  function shell(server: Server): string[] {
    const calls: string[] = [];
    const live = {
      getUser: () => (server.user ? {} : null),
      createUser: (user: { user: string; pwd: string }) => calls.push(`user ${user.user} ${user.pwd}`),
    };
    const hello = {
      isWritablePrimary: server.primary === 'here',
      ...(server.primary === 'nowhere' ? {} : { primary: 'mongo:27017' }),
    };
    script.runInNewContext({
      process: { env: { LIVE_PASSWORD: 'pw', HOSTS: server.hosts ?? 'mongo' } },
      rs: {
        status: () => {
          if (!server.initiated) throw Object.assign(new Error('status'), { code: server.code ?? 94 });
        },
        initiate: (config: { members: { host: string }[] }) =>
          calls.push(`initiate ${config.members.map(({ host }) => host).join(' ')}`),
      },
      db: { hello: () => hello, getSiblingDB: () => live },
    });
    return calls;
  }

  it('initiates a fresh server, which is not healthy before there is a primary', () => {
    expect(() => shell({ initiated: false, primary: 'nowhere', user: false })).toThrow('no primary yet');
    expect(shell({ initiated: false, primary: 'here', user: true })).toEqual(['initiate mongo:27017']);
    expect(shell({ initiated: false, primary: 'here', user: true, hosts: 'mongo,mongo2,mongo3' })).toEqual([
      'initiate mongo:27017 mongo2:27017 mongo3:27017',
    ]);
  });

  it("makes the service's user once, on the primary", () => {
    expect(shell({ initiated: true, primary: 'here', user: false })).toEqual(['user live pw']);
    expect(shell({ initiated: true, primary: 'here', user: true })).toEqual([]);
    expect(shell({ initiated: true, primary: 'elsewhere', user: false })).toEqual([]);
  });

  it('is not healthy for any other error', () => {
    expect(() => shell({ initiated: false, primary: 'here', user: true, code: 13 })).toThrow('status');
  });
});

describe('the Dockerfile', () => {
  it('builds on an exact version of Node, and runs on nothing but what Node links to', () => {
    const bases = instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest);
    expect(bases).toEqual([expect.stringMatching(/^\$\{NODE\} AS build$/), expect.stringMatching(/^\$\{RUNTIME\}$/)]);
    const defaults = instructions.filter(({ name }) => name === 'ARG').map(({ rest }) => rest);
    expect(defaults[0]).toMatch(/^NODE=node:\d+\.\d+\.\d+-trixie-slim$/);
    // Debian 13 in both, for one glibc; this one has no version tags, so that the comment says how to pin it.
    expect(defaults[1]).toBe('RUNTIME=gcr.io/distroless/cc-debian13:nonroot');
    expect(dockerfile).toContain('imagetools inspect');
  });

  it('runs on a Node that the package supports and uWebSockets.js has a binary for', () => {
    const major = /node:(\d+)\./.exec(dockerfile)?.[1];
    const abi = { '22': 127, '24': 137 }[major ?? ''];
    for (const arch of ['x64', 'arm64'])
      expect(existsSync(`node_modules/uWebSockets.js/uws_linux_${arch}_${abi}.node`)).toBe(true);
  });

  it('runs as a user without rights, as a process that gets signals itself', () => {
    const last = instructions.map(({ name }) => name).lastIndexOf('FROM');
    const final = instructions.slice(last);
    expect(final.find(({ name }) => name === 'USER')?.rest).toBe('nonroot');
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
