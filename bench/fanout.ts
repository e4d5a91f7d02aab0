import { setTimeout as delay } from 'node:timers/promises';
import { BROKERS } from './contenders/brokers.ts';
import { BARE_UWS, BARE_UWS_WATCHING, SOCKET_IO, SOCKET_IO_UWS, WS } from './contenders/kinds.ts';
import { type Crowd, gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, type Goal, inTurn, median, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play, type Step } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { OURS, type Subject, type SubjectKind } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import { startWriter, type Writer } from './harness/writer.ts';

/** One event to many subscribers of one table, singly and in bursts: time to the last of them, CPU per delivery. */

export interface Mode {
  readonly name: 'singly' | 'bursts of 10';
  readonly size: number;
  readonly count: number;
  /** Apart enough for a fan-out to be over before the next, at this many microseconds per delivery. */
  readonly usPerDelivery: number;
}

const SMALLEST_APART_US = 20_000;
const SETTLE_MS = 20_000;
const IDLE_MS = 1_000;
/** They take seconds per event with more, and say nothing new there. */
const LARGEST_FOR_CONTENDERS = 1_000;
const WARM_UP_FROM = 90_000_000;
/** Numbers that come alone take this many until every program has its speed: a service runs for days, not for seconds. */
const WARM_UP = 3_000;
const WARM_UP_APART_US = 1_500;

const settingOf = (clients: number, mode: Mode): string => `${clients} clients, ${mode.name}`;

const [table, other] = loadTables();
if (table === undefined || other === undefined) throw new Error('no tables');
const tables = [table];
/** A table that nobody looks at: its numbers make code warm and cost no delivery. */
const unseen = [other];

interface Place {
  readonly subject: Subject;
  readonly writer: Writer;
  readonly crowd: Crowd;
  readonly clients: number;
}

/** What a server uses while nothing is published, which a fan-out is not to be charged with. */
async function idleUsPerMs({ pids }: Subject): Promise<number> {
  const beganMs = performance.now();
  const usedUs = startCpu(pids);
  await delay(IDLE_MS);
  return usedUs() / (performance.now() - beganMs);
}

async function measure(
  { subject, writer, crowd, clients }: Place,
  mode: Mode,
  first: number,
): Promise<Sample['figures'] & { lost: number; repeated: number; disordered: number }> {
  const apartUs = Math.max(SMALLEST_APART_US, clients * mode.size * mode.usPerDelivery);
  const steps: Step[] = evenly(mode.count, mode.size, apartUs, tables);
  const idleUs = await idleUsPerMs(subject);
  await crowd.expect(first, mode.count * mode.size);
  const beganMs = performance.now();
  const usedUs = startCpu(subject.pids);
  const { spins } = await play(subject, writer, first, steps);
  await crowd.complete(SETTLE_MS);
  const cpu = usedUs();
  const idle = idleUs * (performance.now() - beganMs);
  const counted = await crowd.collect();
  // A broker may put several numbers into one frame.
  const deliveries = Math.max(counted.events, counted.delivered) + counted.notices;
  const toLastMs = Array.from({ length: mode.count }, (_, step) => {
    const of = spins.slice(step * mode.size, (step + 1) * mode.size);
    const last = Math.max(...counted.lastUs.slice(step * mode.size, (step + 1) * mode.size));
    return (last - (of[0]?.intendedUs ?? 0)) / 1e3;
  });
  return {
    cpu_us_per_delivery: cpu / deliveries,
    cpu_us_above_idle: Math.max(0, cpu - idle) / deliveries,
    to_last_p50_ms: median(toLastMs),
    to_last_max_ms: Math.max(...toLastMs),
    ...percentiles(counted.histogram),
    notices: counted.notices,
    payload_bytes: counted.bytes / Math.max(1, counted.events + counted.notices),
    rss_mb: subject.pids.reduce((sum, pid) => sum + rssKb(pid), 0) / 1024,
    closed: counted.closed,
    lost: counted.lost,
    repeated: counted.repeated,
    disordered: counted.disordered,
  };
}

/** Starts a server, gathers its clients, and measures each mode. */
export async function fanoutOf(
  kind: SubjectKind,
  mongo: BenchMongo,
  clients: number,
  modes: readonly Mode[],
  round: number,
  warmUp: number,
): Promise<Sample[]> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const subject = await kind.start({ uri: mongo.uri, database });
  try {
    const { dialect, host, port } = subject;
    const crowd = await gather({
      dialect,
      host,
      port,
      clients,
      mayFail: true,
      topics: [`roulette:${table?.id ?? ''}`],
      processes: Math.max(clients < 100 ? 1 : 2, Math.ceil(clients / 5_000)),
    });
    try {
      const { failed } = crowd.connected;
      let first = 0;
      await play(subject, writer, WARM_UP_FROM, evenly(warmUp, 1, WARM_UP_APART_US, unseen));
      const first30: Mode = { name: 'singly', size: 10, count: 3, usPerDelivery: 100 };
      await measure({ subject, writer, crowd, clients }, first30, first);
      first += 30;
      const samples: Sample[] = [];
      for (const mode of modes) {
        const { lost, repeated, disordered, ...figures } = await measure(
          { subject, writer, crowd, clients },
          mode,
          first,
        );
        first += mode.count * mode.size;
        samples.push({
          variant: kind.name,
          setting: settingOf(clients, mode),
          round,
          figures: { ...figures, not_connected: failed },
          lost,
          repeated,
          disordered,
        });
      }
      return samples;
    } finally {
      await crowd.close();
    }
  } finally {
    await subject.stop();
    await writer.close();
  }
}

const LIMIT: readonly SubjectKind[] = [BARE_UWS, BARE_UWS_WATCHING, OURS];
const installed = BROKERS.filter((kind) => kind.missing?.() === null);
const CONTENDERS: readonly SubjectKind[] = [WS, SOCKET_IO, SOCKET_IO_UWS, ...installed];

export const fanout: Bench = {
  name: 'fanout',
  question: 'What does one event to N subscribers cost, and when does the last one have it?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const sizes = clients ?? (smoke ? [20] : [100, 1_000, 10_000]);
    const rounds = wanted ?? (smoke ? 1 : 3);
    const modes: readonly Mode[] = [
      { name: 'singly', size: 1, count: smoke ? 5 : 40, usPerDelivery: 60 },
      { name: 'bursts of 10', size: 10, count: smoke ? 2 : 12, usPerDelivery: 15 },
    ];
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (const size of sizes) {
        const kinds = size > LARGEST_FOR_CONTENDERS ? LIMIT : [...LIMIT, ...CONTENDERS];
        for (let round = 0; round < rounds; round++) {
          for (const kind of inTurn(kinds, round)) {
            say(`${size} clients, round ${round + 1}: ${kind.name}`);
            samples.push(...(await fanoutOf(kind, mongo, size, modes, round, smoke ? 40 : WARM_UP)));
          }
        }
      }
    } finally {
      await mongo.stop();
    }
    return {
      parameters: {
        clients: sizes.join(', '),
        rounds,
        ...Object.fromEntries(modes.map((mode) => [mode.name, mode.count])),
      },
      mongo: mongo.kind,
      samples,
      goals: goalsOf(samples, sizes, modes),
      leftOut: [
        ...(sizes.some((size) => size > LARGEST_FOR_CONTENDERS)
          ? [`contenders above ${LARGEST_FOR_CONTENDERS} clients: only the limit is measured there`]
          : []),
        ...BROKERS.flatMap((kind) => {
          const why = kind.missing?.() ?? null;
          return why === null ? [] : [`${kind.name}: ${why}`];
        }),
      ],
      charts: [
        { title: 'Server CPU per delivery', figure: 'cpu_us_above_idle', unit: 'us above idle' },
        { title: 'Time until the last client has it (median)', figure: 'to_last_p50_ms', unit: 'ms' },
      ],
    };
  },
};

function goalsOf(samples: readonly Sample[], sizes: readonly number[], modes: readonly Mode[]): Goal[] {
  const rows = rowsOf(samples);
  const goals: Goal[] = [];
  for (const size of sizes) {
    for (const mode of modes) {
      const setting = settingOf(size, mode);
      const cpu = (name: string): number | null => medianOf(rows, setting, name, 'cpu_us_above_idle');
      const last = (name: string): number | null => medianOf(rows, setting, name, 'to_last_p50_ms');
      const words = (text: string): string => `${setting}: ${text}`;
      if (size >= 1_000) {
        goals.push({
          words: words('CPU per delivery over bare uWebSockets'),
          value: ratio(cpu(OURS.name), cpu(BARE_UWS.name)),
          way: '<=',
          limit: 1.1,
        });
      }
      if (size >= 10_000 && mode.size === 1) {
        goals.push({
          words: words('time to the last over bare uWebSockets'),
          value: ratio(last(OURS.name), last(BARE_UWS.name)),
          way: '<=',
          limit: 1.15,
        });
      }
      if (size <= 1_000 && mode.size > 1) {
        goals.push({
          words: words('CPU of Socket.IO on ws over ours'),
          value: ratio(cpu(SOCKET_IO.name), cpu(OURS.name)),
          way: '>=',
          limit: 6,
        });
      }
    }
  }
  return goals;
}
