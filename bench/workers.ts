import { gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { fixedPort, OURS, startOurs } from './harness/subject.ts';
import { childrenOf, rssKb, startCpu } from './harness/usage.ts';
import { startWriter } from './harness/writer.ts';

/** The same crowd on one process and on two that share the port. */

const tables = loadTables().slice(0, 1);
const SETTLE_MS = 20_000;

async function measure(
  mongo: BenchMongo,
  workers: number,
  clients: number,
  bursts: number,
  round: number,
): Promise<Sample> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const { child, port, ready } = await startOurs(
    { uri: mongo.uri, database },
    { WORKERS: String(workers), PORT: fixedPort() },
  );
  const [words] = await ready;
  const pid = /"pid":(\d+)/.exec(words)?.[1];
  // A worker that is not ready turns clients away, and which worker gets a client is the system's choice.
  if (workers > 1) await child.line(new RegExp(`"pid":(?!${pid},).*"event":"ready"`));
  const pids = [child.pid, ...childrenOf(child.pid)];
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

export const workers: Bench = {
  name: 'workers',
  question: 'What does a second process on the same port bring?',
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
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const [row] = rows;
    const p50 = (name: string) => medianOf(rows, row?.setting ?? '', `${OURS.name}, ${name}`, 'p50_ms');
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
      ],
      leftOut: [],
      charts: [{ title: 'Latency, median', figure: 'p50_ms', unit: 'ms' }],
    };
  },
};
