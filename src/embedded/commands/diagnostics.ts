import os from 'node:os';
import { type Document, Double, Int32, Long } from 'bson';
import { privilegesOf } from '../auth/roles.ts';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { CommandError, location } from '../errors.ts';
import { toTimestamp } from '../oplog/clock.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { type Command, fields } from './command.ts';
import { optionalBoolean } from './fields.ts';

const VERSIONS = { '4.4': [4, 4, 1, 0], '8.0': [8, 0, 0, 0] } as const;

export function versionOf(engine: Engine): string {
  return VERSIONS[engine.options.compat].slice(0, 3).join('.');
}

export function diagnostic(name: string, run: Command['run'], options: Partial<Command> = {}): Command {
  return { name, fields: fields(), always: true, run, ...options };
}

function buildInfo({ engine }: { readonly engine: Engine }): Document {
  return {
    version: versionOf(engine),
    // Says in the one free-text field of this answer which server this is.
    gitVersion: 'runcash-live built-in MongoDB',
    modules: [],
    allocator: 'v8',
    javascriptEngine: 'none',
    sysInfo: 'deprecated',
    versionArray: VERSIONS[engine.options.compat].map((part) => new Int32(part)),
    openssl: { running: 'disabled', compiled: 'disabled' },
    bits: new Int32(64),
    debug: false,
    maxBsonObjectSize: new Int32(MAX_DOCUMENT_BYTES),
    storageEngines: ['memory'],
  };
}

export const buildInfoCommand = diagnostic('buildInfo', buildInfo);
export const buildinfo = diagnostic('buildinfo', buildInfo);

export const connectionStatus = diagnostic('connectionStatus', ({ engine, connection, body }) => {
  const user = engine.users.find(connection.user);
  return {
    authInfo: {
      authenticatedUsers: user === undefined ? [] : [{ user: user.user, db: user.db }],
      authenticatedUserRoles: user?.roles ?? [],
      ...(body['showPrivileges'] === true ? { authenticatedUserPrivileges: privilegesOf(user?.roles ?? []) } : {}),
    },
  };
});

export const serverStatus = diagnostic('serverStatus', ({ engine }) => {
  const uptime = (Date.now() - engine.startedAt) / 1000;
  const memory = process.memoryUsage();
  return {
    host: os.hostname(),
    version: versionOf(engine),
    process: 'mongod',
    pid: Long.fromNumber(process.pid),
    uptime: new Double(Math.floor(uptime)),
    uptimeMillis: Long.fromNumber(Math.floor(uptime * 1000)),
    localTime: new Date(),
    connections: {
      current: new Int32(engine.connections.current),
      available: new Int32(engine.connections.available),
      totalCreated: new Int32(engine.connections.totalCreated),
    },
    logicalSessionRecordCache: { activeSessionsCount: new Int32(engine.sessions.size) },
    mem: {
      bits: new Int32(64),
      resident: new Int32(Math.round(memory.rss / 2 ** 20)),
      virtual: new Int32(Math.round(memory.rss / 2 ** 20)),
      supported: true,
    },
    metrics: { cursor: { open: { total: Long.fromNumber(engine.cursors.size) } } },
    ...(engine.options.standalone
      ? {}
      : {
          repl: {
            setName: 'rs0',
            ismaster: engine.replication.isPrimary,
            secondary: !engine.replication.isPrimary,
            lastWrite: { opTime: { ts: toTimestamp(engine.oplog.last), t: Long.fromNumber(engine.replication.term) } },
          },
          oplog: {
            bytes: new Double(engine.oplog.bytes),
            earliestOptime: toTimestamp(engine.oplog.first),
            latestOptime: toTimestamp(engine.oplog.last),
          },
        }),
    // Of this server only: what an operator asks of a database that is in memory.
    runcash: {
      bytesHeld: Long.fromNumber(engine.bytesHeld()),
      limitBytes: Long.fromNumber(Math.floor(engine.options.maxBytes)),
      oplogBytes: Long.fromNumber(engine.oplog.bytes),
      diskFailure: engine.diskFailure?.message ?? null,
    },
    storageEngine: { name: 'memory', supportsCommittedReads: true, persistent: engine.isPersistent },
  };
});

export const hostInfo = diagnostic(
  'hostInfo',
  () => ({
    system: {
      currentTime: new Date(),
      hostname: os.hostname(),
      cpuAddrSize: new Int32(64),
      numCores: new Int32(os.cpus().length),
      memSizeMB: Long.fromNumber(Math.round(os.totalmem() / 2 ** 20)),
    },
    os: { type: os.type(), name: os.platform(), version: os.release() },
    extra: {},
  }),
  { adminOnly: true },
);

export const getCmdLineOpts = diagnostic('getCmdLineOpts', () => ({ argv: process.argv.slice(1), parsed: {} }), {
  adminOnly: true,
});

/** The log goes to the console only: nothing of it is kept. */
export const getLog = diagnostic(
  'getLog',
  ({ body }) => {
    if (body['getLog'] === '*') return { names: ['global', 'startupWarnings'] };
    if (body['getLog'] !== 'global' && body['getLog'] !== 'startupWarnings')
      throw new CommandError(CODES.OperationFailed, `no RecentErrors or log named: ${String(body['getLog'])}`);
    const warning = 'This is the built-in server for development and tests: it is not meant for production.';
    const entry = { t: { $date: new Date().toISOString() }, s: 'W', c: 'CONTROL', id: 1, ctx: 'main', msg: warning };
    return { totalLinesWritten: new Int32(1), log: [JSON.stringify(entry)] };
  },
  { adminOnly: true },
);

/**
 * The concerns of commands that bring none. They cannot be set here: `waitsForDisk` follows the version, since 5.0 the
 * majority is asked for.
 */
export const getDefaultRWConcern: Command = {
  name: 'getDefaultRWConcern',
  fields: fields('inMemory'),
  unknownField: 40415,
  adminOnly: true,
  always: true,
  run({ engine, body }) {
    if (engine.options.standalone) {
      throw location(51300, "'getDefaultRWConcern' is not supported on standalone nodes.");
    }
    const implicit = {
      defaultReadConcern: { level: 'local' },
      defaultWriteConcern: { w: 'majority', wtimeout: new Int32(0) },
      defaultWriteConcernSource: 'implicit',
      defaultReadConcernSource: 'implicit',
    };
    return {
      ...(engine.modern ? implicit : {}),
      localUpdateWallClockTime: new Date(engine.startedAt),
      ...(optionalBoolean(body, 'inMemory') === true ? { inMemory: true } : {}),
    };
  },
};

export const whatsmyuri = diagnostic('whatsmyuri', ({ connection }) => ({ you: connection.clientAddress }));

function requireSet(engine: Engine): void {
  if (engine.options.standalone) throw new CommandError(CODES.NoReplicationEnabled, 'not running with --replSet');
}

export const replSetGetStatus = diagnostic(
  'replSetGetStatus',
  ({ engine, connection }) => {
    requireSet(engine);
    const { replication, oplog } = engine;
    const optime = { ts: toTimestamp(oplog.last), t: Long.fromNumber(replication.term) };
    const committed = { ts: toTimestamp(oplog.committed.time), t: Long.fromNumber(replication.term) };
    const date = new Date(oplog.last.t * 1000);
    const state = new Int32(replication.isPrimary ? 1 : 2);
    return {
      set: 'rs0',
      date: new Date(),
      myState: state,
      term: Long.fromNumber(replication.term),
      heartbeatIntervalMillis: Long.fromNumber(2000),
      majorityVoteCount: new Int32(1),
      writeMajorityCount: new Int32(1),
      optimes: {
        lastCommittedOpTime: committed,
        readConcernMajorityOpTime: committed,
        appliedOpTime: optime,
        durableOpTime: committed,
        lastAppliedWallTime: new Date(oplog.lastWallTime),
        lastDurableWallTime: new Date(oplog.committed.wallTime),
      },
      members: [
        {
          _id: new Int32(0),
          name: connection.serverAddress,
          health: new Double(1),
          state,
          stateStr: replication.isPrimary ? 'PRIMARY' : 'SECONDARY',
          uptime: new Int32(Math.floor((Date.now() - engine.startedAt) / 1000)),
          optime,
          optimeDate: date,
          configVersion: new Int32(1),
          configTerm: new Int32(replication.term),
          self: true,
        },
      ],
    };
  },
  { adminOnly: true },
);

export const replSetGetConfig = diagnostic(
  'replSetGetConfig',
  ({ engine, connection }) => {
    requireSet(engine);
    return {
      config: {
        _id: 'rs0',
        version: new Int32(1),
        term: new Int32(engine.replication.term),
        protocolVersion: Long.fromNumber(1),
        members: [
          {
            _id: new Int32(0),
            host: connection.serverAddress,
            arbiterOnly: false,
            buildIndexes: true,
            hidden: false,
            priority: new Double(1),
            tags: {},
            votes: new Int32(1),
          },
        ],
        settings: {
          chainingAllowed: true,
          heartbeatIntervalMillis: new Int32(2000),
          electionTimeoutMillis: new Int32(10_000),
        },
      },
    };
  },
  { adminOnly: true },
);

export const replSetInitiate = diagnostic(
  'replSetInitiate',
  ({ engine }) => {
    requireSet(engine);
    throw new CommandError(CODES.AlreadyInitialized, 'already initialized');
  },
  { adminOnly: true },
);
