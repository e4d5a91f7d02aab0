import { gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, inTurn, median, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play, type Step } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { OURS } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import { startWriter } from './harness/writer.ts';

/** One reader of many stops reading: what do the others notice, and what becomes of it? */

const ALONE = 'everybody reads';
const BESIDE = 'one has stalled';
const SETTLE_MS = 20_000;

/** A name of this length makes messages large enough for the backlog of one reader to fill within the time. */
const LONG_NAME = 2_000;

const [real] = loadTables();
const table = { id: real?.id ?? '', name: `${real?.name ?? ''} ${'x'.repeat(LONG_NAME)}` };

async function measure(
  variant: string,
  mongo: BenchMongo,
  clients: number,
  steps: readonly Step[],
  round: number,
): Promise<Sample> {
  const database = freshDatabase();
  const writer = await startWriter(mongo.uri, database);
  const subject = await OURS.start({ uri: mongo.uri, database });
  const { dialect, host, port } = subject;
  const crowd = await gather({ dialect, host, port, clients, topics: [`roulette:${table.id}`], processes: 2 });
  const warm = evenly(20, 10, 20_000, [table]);
  await play(subject, writer, 90_000_000, warm);
  if (variant === BESIDE) crowd.stall(1);
  await crowd.expect(
    0,
    steps.reduce((sum, step) => sum + step.tables.length, 0),
  );
  const usedUs = startCpu(subject.pids);
  await play(subject, writer, 0, steps);
  await crowd.complete(SETTLE_MS);
  const cpu = usedUs();
  const counted = await crowd.collect();
  const rss = subject.pids.reduce((sum, pid) => sum + rssKb(pid), 0) / 1024;
  await crowd.close();
  await subject.stop();
  await writer.close();
  return {
    variant: `${OURS.name}, ${variant}`,
    setting: `${clients} clients`,
    round,
    figures: {
      ...percentiles(counted.histogram),
      cpu_us_per_delivery: cpu / Math.max(1, counted.events + counted.notices),
      rss_mb: rss,
      stalled_closed: counted.stalledClosed,
      others_closed: counted.closed - counted.stalledClosed,
    },
    lost: counted.lost,
    repeated: counted.repeated,
    disordered: counted.disordered,
  };
}

export const stalled: Bench = {
  name: 'stalled',
  question: 'What do a thousand clients notice of one that no longer reads?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const count = clients?.[0] ?? (smoke ? 20 : 1_000);
    const rounds = wanted ?? (smoke ? 1 : 7);
    const seconds = smoke ? 0.4 : 12;
    const steps = evenly(seconds * 5, 10, 200_000, [table]);
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const variant of inTurn([ALONE, BESIDE], round)) {
          say(`round ${round + 1}: ${variant}`);
          samples.push(await measure(variant, mongo, count, steps, round));
        }
      }
    } finally {
      await mongo.stop();
    }
    const values = (variant: string): readonly number[] =>
      rowsOf(samples).find((row) => row.variant === `${OURS.name}, ${variant}`)?.figures['p99_ms']?.values ?? [];
    // Pairs of one round ran next to each other: their ratio says more than that of the medians.
    const alone = values(ALONE);
    const pairs = values(BESIDE).map((value, index) => value / (alone[index] ?? Number.NaN));
    return {
      parameters: { clients: count, rounds, 'numbers/s': 50, seconds },
      mongo: mongo.kind,
      samples,
      goals: [
        {
          words: 'p99 of the others beside a stalled reader, ratio (median of pairs)',
          value: median(pairs),
          way: '<=',
          limit: 1.1,
        },
      ],
      leftOut: [],
      charts: [{ title: 'p99 of those who read', figure: 'p99_ms', unit: 'ms' }],
    };
  },
};
