import { z } from 'zod';
import { BARE_UWS_WATCHING, FIRST_DESIGN, MONGO_ADAPTER, SOCKET_IO, SOCKET_IO_UWS, WS } from './contenders/kinds.ts';
import { startProgram } from './harness/child.ts';
import { type Counted, type Crowd, gather } from './harness/crowd.ts';
import { percentilesOf } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, difference, type Goal, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, type Played, play, type Step } from './harness/play.ts';
import { loadRecording, loadTables } from './harness/spin.ts';
import { OPEN_LIMITS, OURS, OURS_AS_LEAF, type SubjectKind } from './harness/subject.ts';
import { startCpu } from './harness/usage.ts';
import { startWriter, type Writer } from './harness/writer.ts';

/** From MongoDB's acknowledgement of a number to a subscriber that has it, at the real load and at a high one. */

interface Load {
  readonly setting: string;
  readonly steps: readonly Step[];
}

const CLIENTS = 5;
const SETTLE_MS = 15_000;
/** Numbers that come alone take this many until every program has its speed: a service runs for days, not for seconds. */
const WARM_UP = 3_000;
const WARM_UP_APART_US = 2_000;

const RAW = 'raw cursor, no network';
const OBSERVED = 'runcash-live, split by stamps';
const REAL = 'real load';

const tables = loadTables();

/** The recording from its first number on, for so many seconds. */
function recorded(seconds: number): Step[] {
  return loadRecording()
    .filter(({ afterMs }) => afterMs <= seconds * 1e3)
    .map(({ afterMs, table }) => ({ afterUs: afterMs * 1e3, tables: [table] }));
}

const stampsMessage = z.object({ stamps: z.map(z.number(), z.number()) });
const publishedMessage = z.object({ published: z.map(z.number(), z.tuple([z.number(), z.number()])) });

type Part = Pick<Sample, 'figures' | 'lost' | 'repeated' | 'disordered'>;

const commitOf = ({ spins, ackUs }: Played): Record<string, number> =>
  percentilesOf(
    spins.map((spin, index) => (ackUs[index] ?? 0) - spin.intendedUs),
    'commit_',
  );

/** From the acknowledgement to each delivery; one that overtook its acknowledgement counts as at once. */
function heardOf(played: Played, counted: Counted): Record<string, number> {
  const spins = played.spins.length;
  const after: number[] = [];
  for (const [cell, us] of counted.times.entries()) {
    if (us > 0) after.push(us - (played.ackUs[cell % spins] ?? 0));
  }
  return percentilesOf(after);
}

/** Numbers that are not measured, so that code is warm and connections are open: at both ends. */
async function warmUp(writer: Writer, count: number): Promise<void> {
  await play({ publish: null }, writer, 90_000_000, evenly(count, 1, WARM_UP_APART_US, tables));
}

async function measureRaw(mongo: BenchMongo, load: Load, warm: number): Promise<Part> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const cursor = startProgram('bench/contenders/raw-cursor', { args: ['--uri', mongo.uri, '--database', database] });
  await cursor.line(/^following/);
  await warmUp(writer, warm);
  const usedUs = startCpu([cursor.pid]);
  const played = await play({ publish: null }, writer, 0, load.steps);
  let { stamps } = { stamps: new Map<number, number>() };
  const untilMs = performance.now() + SETTLE_MS;
  while (performance.now() < untilMs && !played.spins.every(({ seq }) => stamps.has(seq))) {
    cursor.send({ collect: true });
    ({ stamps } = await cursor.message((message) => stampsMessage.parse(message)));
  }
  const cpu = usedUs();
  await cursor.end();
  await writer.close();
  const heard = played.spins.flatMap(({ seq }, index) => {
    const us = stamps.get(seq);
    return us === undefined ? [] : [us - (played.ackUs[index] ?? 0)];
  });
  return {
    figures: { ...percentilesOf(heard), ...commitOf(played), cpu_us_per_number: cpu / load.steps.length },
    lost: played.spins.length - heard.length,
    repeated: 0,
    disordered: 0,
  };
}

async function listen(crowd: Crowd, writer: Writer, load: Load, warm: number, pids: readonly number[]) {
  await warmUp(writer, warm);
  const spins = load.steps.reduce((sum, step) => sum + step.tables.length, 0);
  await crowd.expect(0, spins, true);
  const usedUs = startCpu(pids);
  const played = await play({ publish: null }, writer, 0, load.steps);
  await crowd.complete(SETTLE_MS);
  const cpu = usedUs();
  const counted = await crowd.collect();
  const part: Part = {
    figures: {
      ...heardOf(played, counted),
      ...commitOf(played),
      frames_per_number: (counted.events + counted.notices) / CLIENTS / spins,
      bytes_per_number: counted.bytes / CLIENTS / spins,
      cpu_us_per_number: cpu / spins,
    },
    lost: counted.lost,
    repeated: counted.repeated,
    disordered: counted.disordered,
  };
  return { part, played, counted };
}

const everyTable = (kind: SubjectKind): readonly string[] =>
  kind === OURS || kind === OURS_AS_LEAF ? ['roulette:*'] : tables.map(({ id }) => `roulette:${id}`);

async function measure(kind: SubjectKind, mongo: BenchMongo, load: Load, warm: number): Promise<Part> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const subject = await kind.start({ uri: mongo.uri, database });
  const { dialect, host, port } = subject;
  const crowd = await gather({ dialect, host, port, clients: CLIENTS, topics: everyTable(kind), processes: 1 });
  const { part } = await listen(crowd, writer, load, warm, subject.pids);
  await crowd.close();
  await subject.stop();
  await writer.close();
  return part;
}

/** The service's own way of an event in four parts. */
async function measureSplit(mongo: BenchMongo, load: Load, warm: number): Promise<Part> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const observed = startProgram('bench/harness/observed', {
    env: { ...OPEN_LIMITS, MONGODB_URI: mongo.uri, MONGODB_DB_NAME: database },
  });
  const port = Number((await observed.line(/^listening (\d+)/))[1]);
  const crowd = await gather({
    dialect: 'runcash',
    host: '127.0.0.1',
    port,
    clients: CLIENTS,
    topics: ['roulette:*'],
    processes: 1,
  });
  const { part, played, counted } = await listen(crowd, writer, load, warm, [observed.pid]);
  observed.send({ collect: true });
  const { published } = await observed.message((message) => publishedMessage.parse(message));
  const stream: number[] = [];
  const publish: number[] = [];
  const network: number[] = [];
  for (const [index, { seq }] of played.spins.entries()) {
    const stamps = published.get(seq);
    if (stamps === undefined) continue;
    stream.push(stamps[0] - (played.ackUs[index] ?? 0));
    publish.push(stamps[1] - stamps[0]);
    for (let client = 0; client < CLIENTS; client++) {
      const us = counted.times[client * played.spins.length + index] ?? 0;
      if (us > 0) network.push(us - stamps[1]);
    }
  }
  await crowd.close();
  await observed.end();
  await writer.close();
  const parts = {
    ...percentilesOf(stream, 'stream_'),
    ...percentilesOf(publish, 'publish_'),
    ...percentilesOf(network, 'network_'),
  };
  return { ...part, figures: { ...part.figures, ...parts } };
}

export const commitToClient: Bench = {
  name: 'commit-to-client',
  question: 'How long after its commit does a subscriber have a number?',
  async run({ smoke, rounds: wanted, mongoUri, say }) {
    const rounds = wanted ?? (smoke ? 1 : 3);
    const seconds = smoke ? 1 : 60;
    const highSeconds = smoke ? 0.2 : 5;
    const warm = smoke ? 20 : WARM_UP;
    const high: Load = { setting: '1000 numbers/s', steps: evenly(highSeconds * 200, 5, 5_000, tables) };
    const real: Load = { setting: REAL, steps: recorded(seconds) };
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (const load of [real, high]) {
        const limited = [BARE_UWS_WATCHING, OURS, OURS_AS_LEAF];
        // A minute for each variant: at the recorded load only those that a goal is about. Polling every 2 s shows
        // nothing of interest at the high load but its losses.
        const kinds =
          load === real
            ? [...limited, FIRST_DESIGN]
            : smoke
              ? [OURS, OURS_AS_LEAF, MONGO_ADAPTER]
              : [...limited, WS, SOCKET_IO, SOCKET_IO_UWS, MONGO_ADAPTER];
        const variants = [
          { name: RAW, run: () => measureRaw(mongo, load, warm) },
          ...kinds.map((kind) => ({ name: kind.name, run: () => measure(kind, mongo, load, warm) })),
          { name: OBSERVED, run: () => measureSplit(mongo, load, warm) },
        ];
        for (let round = 0; round < rounds; round++) {
          for (const { name, run } of inTurn(variants, round)) {
            say(`${load.setting}, round ${round + 1}: ${name}`);
            samples.push({ variant: name, setting: load.setting, round, ...(await run()) });
          }
        }
      }
    } finally {
      await mongo.stop();
    }
    return {
      parameters: {
        rounds,
        subscribers: CLIENTS,
        'seconds of the recording': seconds,
        'seconds at the high load': highSeconds,
      },
      mongo: mongo.kind,
      samples,
      goals: goalsOf(samples),
      leftOut: [
        'first design at 1000 numbers/s: it looks at the newest number of a table every 2 s',
        'other servers at the recorded load: they are at 1000 numbers/s',
      ],
      charts: [
        { title: 'From the commit to the client, median', figure: 'p50_ms', unit: 'ms' },
        { title: 'Frames for one number', figure: 'frames_per_number', unit: 'frames' },
      ],
    };
  },
};

function goalsOf(samples: readonly Sample[]): Goal[] {
  const rows = rowsOf(samples);
  const real = (variant: string, figure: string) => medianOf(rows, REAL, variant, figure);
  const above = (figure: string): number | null => difference(real(OURS.name, figure), real(RAW, figure));
  return [
    { words: 'real load: p50 above the raw cursor, ms', value: above('p50_ms'), way: '<=', limit: 0.5 },
    {
      words: 'real load: p50 through a leaf above that of its core, ms',
      value: difference(real(OURS_AS_LEAF.name, 'p50_ms'), real(OURS.name, 'p50_ms')),
      way: '<=',
      limit: 0.5,
    },
    { words: 'real load: p99 above the raw cursor, ms', value: above('p99_ms'), way: '<=', limit: 2 },
    {
      words: 'real load: frames of the first design over ours',
      value: ratio(real(FIRST_DESIGN.name, 'frames_per_number'), real(OURS.name, 'frames_per_number')),
      way: '>=',
      limit: 20,
    },
    {
      words: 'real load: median latency of the first design over ours',
      value: ratio(real(FIRST_DESIGN.name, 'p50_ms'), real(OURS.name, 'p50_ms')),
      way: '>=',
      limit: 50,
    },
  ];
}
