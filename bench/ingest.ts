import { MongoClient } from 'mongodb';
import { startProgram } from './harness/child.ts';
import { merged, percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, difference, type Goal, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { startOurs } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import { type WriteOrder, writeReport } from './load/writes.ts';

/** Numbers posted to the service against the same numbers inserted by the bare driver. */

interface Load {
  readonly setting: string;
  readonly lanes: number;
  readonly batch: number;
}

const SINGLY: Load = { setting: 'singly, 64 connections', lanes: 64, batch: 1 };
const BATCHES: Load = { setting: 'batches of 100, 4 connections', lanes: 4, batch: 100 };
const ALONE: Load = { setting: 'one at a time', lanes: 1, batch: 1 };
const LOADS = [SINGLY, BATCHES, ALONE];

const DRIVER = 'bare driver';
/** What following the numbers costs whatever way they come in: the limit of a service that also watches. */
const FOLLOWED = 'bare driver, the service follows';
const OURS = 'runcash-live POST';

interface Times {
  readonly warmUpMs: number;
  readonly ms: number;
}

async function measure(variant: string, load: Load, mongo: BenchMongo, times: Times, round: number): Promise<Sample> {
  const database = freshDatabase();
  const ours = variant === DRIVER ? null : await startOurs({ uri: mongo.uri, database });
  await ours?.ready;
  const pids = [...(ours === null ? [] : [ours.child.pid]), ...(mongo.pid === null ? [] : [mongo.pid])];
  const writer = startProgram('bench/load/writes');
  const usedUs = startCpu(pids);
  const order: WriteOrder = {
    way: variant === OURS ? 'post' : 'driver',
    uri: mongo.uri,
    database,
    port: ours?.port ?? 0,
    lanes: load.lanes,
    batch: load.batch,
    ...times,
    first: 0,
  };
  writer.send(order);
  const report = await writer.message((message) => writeReport.parse(message));
  const cpu = usedUs();
  if (report.failed > 0) throw new Error(`${variant}, ${load.setting}: ${report.failed} failed: ${report.problem}`);
  const client = new MongoClient(mongo.uri);
  const stored = await client.db(database).collection('roleta_numeros').countDocuments();
  await client.db(database).dropDatabase();
  await client.close();
  const rss = ours === null ? {} : { service_rss_mb: rssKb(ours.child.pid) / 1024 };
  await ours?.child.end();
  return {
    variant,
    setting: load.setting,
    round,
    figures: {
      numbers_per_s: report.acknowledged / (report.tookUs / 1e6),
      ...percentiles(merged([report.histogram])),
      cpu_us_per_number: cpu / Math.max(1, report.acknowledgedInAll),
      ...rss,
    },
    lost: Math.max(0, report.acknowledgedInAll - stored),
    repeated: Math.max(0, stored - report.acknowledgedInAll),
    disordered: 0,
  };
}

export const ingest: Bench = {
  name: 'ingest',
  question: 'How much of what MongoDB takes is left when numbers are posted instead of inserted?',
  async run({ smoke, rounds: wanted, mongoUri, say }) {
    const rounds = wanted ?? (smoke ? 1 : 3);
    const times = smoke ? { warmUpMs: 100, ms: 300 } : { warmUpMs: 2_000, ms: 5_000 };
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (const load of LOADS) {
        for (let round = 0; round < rounds; round++) {
          for (const variant of inTurn([DRIVER, FOLLOWED, OURS], round)) {
            say(`${load.setting}, round ${round + 1}: ${variant}`);
            samples.push(await measure(variant, load, mongo, times, round));
          }
        }
      }
    } finally {
      await mongo.stop();
    }
    return {
      parameters: { rounds, ...times, CPU: mongo.pid === null ? 'service only' : 'service and MongoDB' },
      mongo: mongo.kind,
      samples,
      goals: goalsOf(samples, mongo.pid !== null),
      leftOut: [],
      charts: [{ title: 'Numbers per second', figure: 'numbers_per_s', unit: '1/s' }],
    };
  },
};

function goalsOf(samples: readonly Sample[], isBuiltIn: boolean): Goal[] {
  const rows = rowsOf(samples);
  const rate = (load: Load, variant: string) => medianOf(rows, load.setting, variant, 'numbers_per_s');
  const times = (load: Load): number | null => ratio(rate(load, OURS), rate(load, DRIVER));
  const p50 = (variant: string) => medianOf(rows, ALONE.setting, variant, 'p50_ms');
  return [
    {
      words: `${SINGLY.setting}: of the bare driver's rate`,
      value: times(SINGLY),
      way: '>=',
      limit: isBuiltIn ? 0.7 : 3,
    },
    { words: `${BATCHES.setting}: of the bare driver's rate`, value: times(BATCHES), way: '>=', limit: 0.85 },
    {
      words: 'one at a time: ms above the bare insert (p50)',
      value: difference(p50(OURS), p50(DRIVER)),
      way: '<=',
      limit: 0.5,
    },
  ];
}
