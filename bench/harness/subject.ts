import type { DialectName } from '../load/dialects.ts';
import { type Child, startProgram } from './child.ts';
import type { Spin } from './spin.ts';

/** A server under measurement: the service, or something that a user would pick instead. */
export interface Subject {
  readonly dialect: DialectName;
  readonly host: string;
  readonly port: number;
  /** Every process whose CPU and memory count. */
  readonly pids: readonly number[];
  /** Publishes without MongoDB, where the subject is fed that way; else null, and it reads the change stream. */
  readonly publish: ((spins: readonly Spin[]) => void) | null;
  stop(): Promise<void>;
}

export interface SubjectKind {
  readonly name: string;
  /** Why it cannot be measured on this machine; null when it can. */
  missing?(): string | null;
  start(place: SubjectPlace): Promise<Subject>;
}

export interface SubjectPlace {
  readonly uri: string;
  readonly database: string;
}

/** Limits out of the way, since a bench comes from one address, and nothing else changed. */
export const OPEN_LIMITS = {
  PORT: '0',
  LOG_LEVEL: 'info',
  DRAIN_SECONDS: '0',
  MAX_CONNECTIONS: '1000000',
  MAX_CONNECTIONS_PER_ADDRESS: '0',
  ACCEPTS_PER_SECOND: '0',
  ACCEPTS_PER_SECOND_PER_ADDRESS: '0',
  INGEST_PER_SECOND: '0',
};

/** A port that no outgoing connection of this machine is given: below the range that Linux takes those from. */
export function fixedPort(): string {
  fixedPorts++;
  return String(20_000 + ((process.pid + fixedPorts) % 10_000));
}

let fixedPorts = 0;

export interface RunningSubject {
  readonly child: Child;
  readonly port: number;
  /** Resolves with the words of its log when subscribers are served. */
  readonly ready: Promise<RegExpMatchArray>;
}

/** Starts the service as its users do. Resolves when it listens. */
export async function startOurs(
  { uri, database }: SubjectPlace,
  env: Readonly<Record<string, string>> = {},
  node: readonly string[] = [],
): Promise<RunningSubject> {
  const child = startProgram('src/main', {
    env: { ...OPEN_LIMITS, MONGODB_URI: uri, MONGODB_DB_NAME: database, ...env },
    node,
  });
  const ready = child.line(/^.*"event":"ready".*$/);
  ready.catch(() => undefined);
  const url = (await child.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
  return { child, port: Number(new URL(url).port), ready };
}

/** The service under some settings. */
function wholeKind(name: string, env: Readonly<Record<string, string>>): SubjectKind {
  return {
    name,
    async start(place) {
      const { child, port, ready } = await startOurs(place, env);
      await ready;
      return {
        dialect: 'runcash',
        host: '127.0.0.1',
        port,
        pids: [child.pid],
        publish: null,
        stop: () => child.end(),
      };
    },
  };
}

/** The service on `node:http` and `ws`. */
export const OURS_ON_NODE: SubjectKind = wholeKind('runcash-live on node:http and ws', { NETWORK: 'node' });

/** The service, whole, as by default. */
export const OURS: SubjectKind = wholeKind('runcash-live', {});

/** The key of a core's operators, which its leaves use too. */
const ADMIN_KEY = 'bench-of-cores-and-leaves';

/** The service without a MongoDB, behind one that has it. */
export const OURS_AS_LEAF: SubjectKind = {
  name: 'runcash-live, through a leaf',
  async start(place) {
    const core = await startOurs(place, { ADMIN_KEY });
    await core.ready;
    const upstream = { UPSTREAM: `ws://127.0.0.1:${core.port}`, UPSTREAM_KEY: ADMIN_KEY };
    const { child, port, ready } = await startOurs({ uri: '', database: place.database }, upstream);
    await ready;
    return {
      dialect: 'runcash',
      host: '127.0.0.1',
      port,
      pids: [core.child.pid, child.pid],
      publish: null,
      async stop() {
        await child.end();
        await core.child.end();
      },
    };
  },
};
