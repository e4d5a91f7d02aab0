import { MongoClient } from 'mongodb';
import { argsOf, startContender } from './contenders/kinds.ts';
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
  readonly warmUpMs: number;
}

const SINGLY: Load = { setting: 'singly, 64 connections', lanes: 64, batch: 1, warmUpMs: 3_000 };
const BATCHES: Load = { setting: 'batches of 100, 4 connections', lanes: 4, batch: 100, warmUpMs: 3_000 };
/** One write at a time takes long to bring every program to its speed: at 3 s the service takes half as long again. */
const ALONE: Load = { setting: 'one at a time', lanes: 1, batch: 1, warmUpMs: 15_000 };
const LOADS = [SINGLY, BATCHES, ALONE];

const DRIVER = 'bare driver';
/** What following the numbers costs whatever way they come in: the limit of a service that also watches. */
const FOLLOWED = 'bare driver, the service follows';
const OURS = 'runcash-live POST';
/** The limit of whoever takes a POST and inserts it: two messages more than a bare insert, and nothing else. */
const RELAY = 'bare uWebSockets POST, nobody follows';

async function measure(variant: string, load: Load, mongo: BenchMongo, ms: number, round: number): Promise<Sample> {
  const place = { uri: mongo.uri, database: freshDatabase() };
  const { database } = place;
  const client = new MongoClient(mongo.uri);
  const numbers = await client.db(database).createCollection('roleta_numeros');
  const live = await startOurs(place);
  await live.ready;
  const follows = variant === FOLLOWED || variant === OURS;
  // It has made the indexes, which every variant pays for alike.
  if (!follows) await live.child.end();
  const server = follows ? live : variant === RELAY ? await startContender('bare-post', argsOf(place)) : null;
  const pids = [...(server === null ? [] : [server.child.pid]), ...(mongo.pid === null ? [] : [mongo.pid])];
  const writer = startProgram('bench/load/writes');
  const usedUs = startCpu(pids);
  const order: WriteOrder = {
    way: variant === OURS || variant === RELAY ? 'post' : 'driver',
    uri: mongo.uri,
    database,
    port: server?.port ?? 0,
    lanes: load.lanes,
    batch: load.batch,
    warmUpMs: load.warmUpMs,
    ms,
    first: 0,
  };
  writer.send(order);
  const report = await writer.message((message) => writeReport.parse(message));
  const cpu = usedUs();
  if (report.failed > 0) throw new Error(`${variant}, ${load.setting}: ${report.failed} failed: ${report.problem}`);
  const stored = await numbers.countDocuments();
  await client.db(database).dropDatabase();
  await client.close();
  const rss = server === null ? {} : { service_rss_mb: rssKb(server.child.pid) / 1024 };
  await server?.child.end();
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
    const ms = smoke ? 300 : 5_000;
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (const load of smoke ? LOADS.map((whole) => ({ ...whole, warmUpMs: 100 })) : LOADS) {
        for (let round = 0; round < rounds; round++) {
          for (const variant of inTurn([DRIVER, RELAY, FOLLOWED, OURS], round)) {
            say(`${load.setting}, round ${round + 1}: ${variant}`);
            samples.push(await measure(variant, load, mongo, ms, round));
          }
        }
      }
    } finally {
      await mongo.stop();
    }
    return {
      parameters: { rounds, ms, CPU: mongo.pid === null ? 'service only' : 'service and MongoDB' },
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
