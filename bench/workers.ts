import { setTimeout } from 'node:timers/promises';
import { gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { fixedPort, OURS, startOurs } from './harness/subject.ts';
import { childrenOf, rssKb, startCpu } from './harness/usage.ts';
import { startWriter } from './harness/writer.ts';

/** The same crowd on one process and on two that share the port; and what one to four of them cost that nobody hears. */

const tables = loadTables().slice(0, 1);
const SETTLE_MS = 20_000;

/** What comes without anybody hearing it: so many at once, so many a second. */
const UNHEARD = [
  { size: 1, perSecond: 100 },
  { size: 10, perSecond: 1_000 },
];

const unheard = ({ size, perSecond }: (typeof UNHEARD)[number]): string =>
  `no clients, ${perSecond} events/s, ${size} at once`;

/** The service, once all of its workers are ready: one that is not turns clients away. */
async function startAll(mongo: BenchMongo, database: string, workers: number) {
  const { child, port } = await startOurs(
    { uri: mongo.uri, database },
    { WORKERS: String(workers), PORT: fixedPort() },
  );
  const ready: string[] = [];
  while (ready.length < workers) {
    const others = ready.length === 0 ? '' : `(?!(?:${ready.join('|')}),)`;
    const [, pid = ''] = await child.line(new RegExp(`"pid":${others}(\\d+),.*"event":"ready"`));
    ready.push(pid);
  }
  return { child, port, pids: [child.pid, ...childrenOf(child.pid)] };
}

async function measure(
  mongo: BenchMongo,
  workers: number,
  clients: number,
  bursts: number,
  round: number,
): Promise<Sample> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const { child, port, pids } = await startAll(mongo, database, workers);
  try {
    const topics = tables.map(({ id }) => `roulette:${id}`);
    const crowd = await gather({ dialect: 'runcash', host: '127.0.0.1', port, clients, topics, processes: 2 });
    await play({ publish: null }, writer, 90_000_000, evenly(20, 10, 20_000, tables));
    await crowd.expect(0, bursts * 10);
    const usedUs = startCpu(pids);
    await play({ publish: null }, writer, 0, evenly(bursts, 10, clients * 150, tables));
    await crowd.complete(SETTLE_MS);
    const cpu = usedUs();
    const counted = await crowd.collect();
    await crowd.close();
    return {
      variant: `${OURS.name}, ${workers} process${workers === 1 ? '' : 'es'}`,
      setting: `${clients} clients, bursts of 10`,
      round,
      figures: {
        ...percentiles(counted.histogram),
        cpu_us_per_delivery: cpu / Math.max(1, counted.events + counted.notices),
        rss_mb: pids.reduce((total, pid) => total + rssKb(pid), 0) / 1024,
        processes: pids.length,
      },
      lost: counted.lost,
      repeated: counted.repeated,
      disordered: counted.disordered,
    };
  } finally {
    await child.end();
    await writer.close();
  }
}

/** Code that is not compiled yet costs as much again. */
const WARM_UP_SECONDS = 15;

/** What an event costs that nobody hears: CPU of all processes of the service, their idle costs included. */
async function measureUnheard(
  mongo: BenchMongo,
  workers: number,
  load: (typeof UNHEARD)[number],
  seconds: number,
  round: number,
): Promise<Sample> {
  const { size, perSecond } = load;
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const { child, pids } = await startAll(mongo, database, workers);
  const stepsOf = (lasting: number) => evenly((lasting * perSecond) / size, size, (1e6 * size) / perSecond, tables);
  try {
    await play({ publish: null }, writer, 90_000_000, stepsOf(Math.min(WARM_UP_SECONDS, 5 * seconds)));
    const usedUs = startCpu(pids);
    const { spins } = await play({ publish: null }, writer, 0, stepsOf(seconds));
    await setTimeout(1_000);
    return {
      variant: `${OURS.name}, ${workers} process${workers === 1 ? '' : 'es'}`,
      setting: unheard(load),
      round,
      figures: { cpu_us_per_event: usedUs() / spins.length },
      lost: 0,
      repeated: 0,
      disordered: 0,
    };
  } finally {
    await child.end();
    await writer.close();
  }
}

export const workers: Bench = {
  name: 'workers',
  question: 'What do more processes on the same port bring, and cost?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const count = clients?.[0] ?? (smoke ? 20 : 5_000);
    const rounds = wanted ?? (smoke ? 1 : 3);
    const bursts = smoke ? 2 : 20;
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const processes of inTurn([1, 2], round)) {
          say(`round ${round + 1}: WORKERS=${processes}`);
          samples.push(await measure(mongo, processes, count, bursts, round));
        }
        for (const load of UNHEARD) {
          for (const processes of inTurn([1, 4], round)) {
            say(`round ${round + 1}: WORKERS=${processes}, ${unheard(load)}`);
            samples.push(await measureUnheard(mongo, processes, load, smoke ? 1 : 10, round));
          }
        }
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const [row] = rows;
    const p50 = (name: string) => medianOf(rows, row?.setting ?? '', `${OURS.name}, ${name}`, 'p50_ms');
    const costOf = (name: string, load: (typeof UNHEARD)[number]) =>
      medianOf(rows, unheard(load), `${OURS.name}, ${name}`, 'cpu_us_per_event');
    return {
      parameters: { clients: count, rounds, bursts },
      mongo: mongo.kind,
      samples,
      goals: [
        {
          words: 'two processes: median latency over that of one',
          value: ratio(p50('2 processes'), p50('1 process')),
          way: '<=',
          limit: 1,
        },
        ...UNHEARD.map((load) => ({
          words: `four workers: CPU per event over that of one process, ${unheard(load)}`,
          value: ratio(costOf('4 processes', load), costOf('1 process', load)),
          way: '<=' as const,
          limit: 1.3,
        })),
      ],
      leftOut: [],
      charts: [{ title: 'Latency, median', figure: 'p50_ms', unit: 'ms' }],
    };
  },
};
