import { BARE_UWS, WS } from './contenders/kinds.ts';
import { fanoutOf, type Mode } from './fanout.ts';
import { startProgram } from './harness/child.ts';
import { merged, percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, type Goal, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';
import { OURS, OURS_ON_NODE, startOurs } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import { measureIdle, startWhole } from './idle.ts';
import { type WriteOrder, writeReport } from './load/writes.ts';

/** What does it cost to run without uWebSockets.js? */

const MODES = (smoke: boolean): readonly Mode[] => [
  { name: 'singly', size: 1, count: smoke ? 5 : 40, usPerDelivery: 60 },
  { name: 'bursts of 10', size: 10, count: smoke ? 2 : 12, usPerDelivery: 15 },
];

const NETWORKS = [
  [OURS.name, 'uws'],
  [OURS_ON_NODE.name, 'node'],
] as const;
const KINDS = [BARE_UWS, OURS, OURS_ON_NODE, WS];

/** Numbers posted singly over 64 connections for so long. */
async function measurePosts(name: string, network: string, mongo: BenchMongo, ms: number, round: number) {
  const database = freshDatabase();
  const { child, port, ready } = await startOurs({ uri: mongo.uri, database }, { NETWORK: network });
  await ready;
  const writer = startProgram('bench/load/writes');
  const usedUs = startCpu([child.pid]);
  const order: WriteOrder = {
    way: 'post',
    uri: mongo.uri,
    database,
    port,
    lanes: 64,
    batch: 1,
    warmUpMs: ms / 2,
    ms,
    first: 0,
  };
  writer.send(order);
  const report = await writer.message((message) => writeReport.parse(message));
  const cpu = usedUs();
  if (report.failed > 0) throw new Error(`${name}: ${report.failed} posts failed: ${report.problem}`);
  const figures = {
    numbers_per_s: report.acknowledged / (report.tookUs / 1e6),
    ...percentiles(merged([report.histogram])),
    cpu_us_per_number: cpu / Math.max(1, report.acknowledgedInAll),
    rss_mb: rssKb(child.pid) / 1024,
  };
  await child.end();
  return { variant: name, setting: 'posts, 64 connections', round, figures, lost: 0, repeated: 0, disordered: 0 };
}

async function measureRound(mongo: BenchMongo, clients: number, smoke: boolean, round: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const kind of inTurn(KINDS, round)) {
    samples.push(...(await fanoutOf(kind, mongo, clients, MODES(smoke), round, smoke ? 40 : 2_000)));
  }
  for (const [name, network] of inTurn(NETWORKS, round)) {
    const server = await startWhole(mongo.uri, { NETWORK: network });
    samples.push(await measureIdle(name, server, 4 * clients, smoke ? 100 : 1_000, round));
    await server.end();
    samples.push(await measurePosts(name, network, mongo, smoke ? 300 : 4_000, round));
  }
  return samples;
}

function goalsOf(samples: readonly Sample[], clients: number): Goal[] {
  const rows = rowsOf(samples);
  return MODES(false).map(({ name }) => {
    const cpu = (variant: string) => medianOf(rows, `${clients} clients, ${name}`, variant, 'cpu_us_per_delivery');
    return {
      words: `${name}: CPU per delivery on node:http and ws over ws with a change stream`,
      value: ratio(cpu(OURS_ON_NODE.name), cpu(WS.name)),
      way: '<=',
      limit: 1,
    };
  });
}

export const networks: Bench = {
  name: 'networks',
  question: 'What does it cost to run on node:http and ws instead of uWebSockets.js?',
  async run({ smoke, rounds: wanted, mongoUri, clients: given, say }) {
    const clients = given?.[0] ?? (smoke ? 20 : 1_000);
    const rounds = wanted ?? (smoke ? 1 : 3);
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        say(`round ${round + 1}`);
        samples.push(...(await measureRound(mongo, clients, smoke, round)));
      }
    } finally {
      await mongo.stop();
    }
    return {
      parameters: { clients, rounds, 'idle connections': 4 * clients },
      mongo: mongo.kind,
      samples,
      goals: goalsOf(samples, clients),
      leftOut: [],
      charts: [{ title: 'Server CPU per delivery', figure: 'cpu_us_per_delivery', unit: 'us' }],
    };
  },
};
