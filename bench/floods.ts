import { constants, setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { type Child, startProgram } from './harness/child.ts';
import { freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, type Goal, inTurn, median, rowsOf, type Sample } from './harness/outcome.ts';
import { startOurs } from './harness/subject.ts';
import { startCpu } from './harness/usage.ts';
import { FLOODS, type FloodTarget } from './load/flood-kinds.ts';
import { neighboursReport } from './load/orders.ts';

/**
 * What do those who behave notice of somebody who floods the service, under its default limits? The flood runs on the
 * same processors. So that its own work is not taken for the service's, it runs at the lowest priority, and what the
 * flood, the service and MongoDB use stands beside the times, in percent of one processor: that hardly depends on what
 * else the machine does, as the times do.
 */

const ALONE = 'runcash-live, alone';
const BESIDE = 'runcash-live, beside the flood';
const KINDS = ['frames', 'posts', 'reads'] as const;

const SECRET = 'a secret of more than thirty-two bytes';
const KEYS = { flood: 'flood-0123456789abcdef', neighbour: 'neighbour-0123456789ab' };

/** The limits as they are by default: they are what is measured. */
const DEFAULT_LIMITS = {
  AUTH: 'jwt',
  JWT_SECRET: SECRET,
  SOCKETIO: 'true',
  INGEST_KEYS: `flood:${KEYS.flood},neighbour:${KEYS.neighbour}`,
  MAX_CONNECTIONS: '',
  MAX_CONNECTIONS_PER_ADDRESS: '',
  ACCEPTS_PER_SECOND: '',
  ACCEPTS_PER_SECOND_PER_ADDRESS: '',
  INGEST_PER_SECOND: '',
};

/** What a flood does at first, with full buckets, is not what is asked. */
const SETTLE_MS = 1_000;

const tokenOf = (): Promise<string> =>
  new SignJWT({ sub: 'bench' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1 day')
    .sign(Buffer.from(SECRET));

interface Window {
  readonly flood: string;
  readonly variant: string;
  readonly round: number;
  readonly ms: number;
}

/** Reads how much of one processor a process used since now, percent; 0 where there is none. */
function startPercent(pid: number | null): () => number {
  if (pid === null) return () => 0;
  const beganMs = performance.now();
  const usedUs = startCpu([pid]);
  return () => usedUs() / 10 / (performance.now() - beganMs);
}

/** Who is measured, beside those who behave. */
interface Processes {
  readonly service: number;
  readonly mongo: number | null;
}

async function measure(
  { flood, variant, round, ms }: Window,
  target: FloodTarget,
  neighbours: Child,
  { service, mongo }: Processes,
): Promise<Sample> {
  const attack =
    variant === BESIDE
      ? startProgram('bench/load/flood', { args: [JSON.stringify({ kind: flood, ...target })] })
      : null;
  await attack?.line(/flooding/);
  await delay(Math.min(ms, SETTLE_MS));
  const answer = neighbours.message((message) => neighboursReport.parse(message));
  const used = [
    ['service_cpu_percent', startPercent(service)],
    ['mongo_cpu_percent', startPercent(mongo)],
    ['flood_cpu_percent', startPercent(attack?.pid ?? null)],
  ] as const;
  neighbours.send({ ms });
  const { figures: times, failed } = await answer;
  const figures = { ...times, ...Object.fromEntries(used.map(([name, percent]) => [name, percent()])) };
  await attack?.end('SIGKILL');
  // What the flood left in the buffers is read to its end.
  await delay(Math.min(ms, SETTLE_MS) / 2);
  return { variant, setting: flood, round, figures, lost: failed, repeated: 0, disordered: 0 };
}

/** What is measured goes before other work of the machine; that is for root alone to ask. */
function goFirst(pids: readonly (number | null)[]): boolean {
  if (process.getuid?.() !== 0) return false;
  for (const pid of pids) if (pid !== null) setPriority(pid, constants.priority.PRIORITY_HIGH);
  return true;
}

/** The median over the pairs of what the p99 is above that of its neighbour in time by more than a tenth and 5 ms. */
function excessOf(samples: readonly Sample[], flood: string, kind: string): number {
  const rows = rowsOf(samples).filter(({ setting }) => setting === flood);
  const valuesOf = (variant: string): readonly number[] =>
    rows.find((row) => row.variant === variant)?.figures[`${kind}_p99_ms`]?.values ?? [];
  const alone = valuesOf(ALONE);
  return median(
    valuesOf(BESIDE).map((value, at) => {
      const quiet = alone[at] ?? Number.NaN;
      return value - Math.max(quiet * 1.1, quiet + 5);
    }),
  );
}

const goalsOf = (samples: readonly Sample[]): Goal[] =>
  Object.keys(FLOODS).map((flood) => ({
    words: `beside ${flood}: ms of p99 above 10 % or 5 ms, of frames, posts or reads`,
    value: Math.max(...KINDS.map((kind) => excessOf(samples, flood, kind))),
    way: '<=',
    limit: 0,
  }));

export const floods: Bench = {
  name: 'floods',
  question: 'What do those who behave notice of one address or key that floods the service?',
  async run({ smoke, rounds: wanted, mongoUri, say }) {
    const rounds = wanted ?? (smoke ? 1 : 7);
    const ms = smoke ? 200 : 1_500;
    const mongo = await startMongo(mongoUri);
    const live = await startOurs({ uri: mongo.uri, database: freshDatabase() }, DEFAULT_LIMITS);
    await live.ready;
    const place = { port: live.port, token: await tokenOf() };
    const behaving = { ...place, key: KEYS.neighbour };
    const neighbours = startProgram('bench/load/neighbours', { args: [JSON.stringify(behaving)] });
    const measured = { service: live.child.pid, mongo: mongo.pid };
    const samples: Sample[] = [];
    let goesFirst = false;
    try {
      await neighbours.line(/behaving/);
      goesFirst = goFirst([live.child.pid, mongo.pid, neighbours.pid]);
      for (const flood of Object.keys(FLOODS)) {
        for (let round = 0; round < rounds; round++) {
          for (const variant of inTurn([ALONE, BESIDE], round)) {
            say(`${flood}, round ${round + 1}: ${variant}`);
            const target = { ...place, key: KEYS.flood };
            samples.push(await measure({ flood, variant, round, ms }, target, neighbours, measured));
          }
        }
      }
    } finally {
      await neighbours.end();
      await live.child.end();
      await mongo.stop();
    }
    return {
      parameters: {
        pairs: rounds,
        'ms of a window': ms,
        subscribers: 100,
        'posts/s': 67,
        'reads/s': 67,
        priority: goesFirst ? 'above other work' : 'as any',
      },
      mongo: mongo.kind,
      samples,
      goals: goalsOf(samples),
      leftOut: [],
      charts: [],
    };
  },
};
