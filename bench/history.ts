import { MongoClient } from 'mongodb';
import { colourOf } from '../src/roulette/wheel.ts';
import { gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, inTurn, median, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play, type Step } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { OURS, type Subject } from './harness/subject.ts';
import { rssKb } from './harness/usage.ts';
import { startWriter } from './harness/writer.ts';

/** Somebody downloads the whole history of a table: what do subscribers notice, and what does it hold in memory? */

const ALONE = 'nobody reads history';
const BESIDE = 'one reads it all';
const SETTLE_MS = 20_000;
const PORTION = 10_000;
const SAMPLE_MS = 100;

const [watched, stored] = loadTables();
const table = { id: watched?.id ?? '', name: watched?.name ?? '' };
const past = stored?.id ?? '';

/** Stores `rows` numbers of one table, a second apart, the newest a day ago. */
async function store(mongo: BenchMongo, database: string, rows: number): Promise<void> {
  const client = await new MongoClient(mongo.uri).connect();
  const numbers = client.db(database).collection('roleta_numeros');
  const newest = Date.now() - 86_400_000;
  for (let from = 0; from < rows; from += PORTION) {
    const documents = Array.from({ length: Math.min(PORTION, rows - from) }, (_, at) => {
      const timestamp = new Date(newest - (rows - from - at) * 1000);
      const numero = (from + at) % 37;
      return { roleta_id: past, roleta_nome: 'Past', numero, cor: colourOf(numero), timestamp, criado_em: timestamp };
    });
    await numbers.insertMany(documents, { ordered: false });
  }
  await client.close();
}

const rssMb = ({ pids }: Subject): number => pids.reduce((sum, pid) => sum + rssKb(pid), 0) / 1024;

/** Follows the memory of the service; the most of it, megabytes, once it is told to stop. */
function watchMemory(subject: Subject): () => number {
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, rssMb(subject));
  }, SAMPLE_MS);
  return () => {
    clearInterval(sampler);
    return peak;
  };
}

/** Downloads all of it; what came, and how fast. */
async function download(subject: Subject): Promise<Readonly<Record<string, number>>> {
  const startedAt = performance.now();
  let rows = 0;
  const address = `http://${subject.host}:${subject.port}/api/v1/tables/${past}/numbers`;
  const { body } = await fetch(address, { headers: { accept: 'application/x-ndjson' } });
  for await (const chunk of body ?? []) for (const byte of chunk) if (byte === 0x0a) rows++;
  return { rows, rows_per_s: rows / ((performance.now() - startedAt) / 1000) };
}

async function measure(
  variant: string,
  mongo: BenchMongo,
  { rows, clients, steps, round }: { rows: number; clients: number; steps: readonly Step[]; round: number },
): Promise<Sample> {
  const database = freshDatabase();
  await store(mongo, database, rows);
  const writer = await startWriter(mongo.uri, database);
  const subject = await OURS.start({ uri: mongo.uri, database });
  const { dialect, host, port } = subject;
  const crowd = await gather({ dialect, host, port, clients, topics: [`roulette:${table.id}`], processes: 1 });
  await play(subject, writer, 90_000_000, evenly(20, 10, 20_000, [table]));
  const expected = steps.reduce((sum, step) => sum + step.tables.length, 0);
  await crowd.expect(0, expected);
  const peakMb = watchMemory(subject);
  const downloaded = variant === BESIDE ? download(subject) : Promise.resolve({});
  await play(subject, writer, 0, steps);
  await crowd.complete(SETTLE_MS);
  const counted = await crowd.collect();
  const figures = { ...percentiles(counted.histogram), ...(await downloaded), rss_peak_mb: peakMb() };
  await crowd.close();
  await subject.stop();
  await writer.close();
  const { lost, repeated, disordered } = counted;
  return {
    variant: `${OURS.name}, ${variant}`,
    setting: `${clients} clients`,
    round,
    figures,
    lost,
    repeated,
    disordered,
  };
}

export const history: Bench = {
  name: 'history',
  question: 'What do subscribers notice of a download of a million numbers, and what does it hold in memory?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const rows = smoke ? 3_000 : 1_000_000;
    const count = clients?.[0] ?? (smoke ? 20 : 100);
    const rounds = wanted ?? (smoke ? 1 : 3);
    const seconds = smoke ? 0.4 : 20;
    const steps = evenly(seconds * 5, 10, 200_000, [table]);
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const variant of inTurn([ALONE, BESIDE], round)) {
          say(`round ${round + 1}: ${variant}`);
          samples.push(await measure(variant, mongo, { rows, clients: count, steps, round }));
        }
      }
    } finally {
      await mongo.stop();
    }
    const values = (variant: string, figure: string): readonly number[] =>
      rowsOf(samples).find((row) => row.variant === `${OURS.name}, ${variant}`)?.figures[figure]?.values ?? [];
    /** Pairs of one round ran next to each other. */
    const pairs = (figure: string, of: (beside: number, alone: number) => number): number[] =>
      values(BESIDE, figure).map((value, round) => of(value, values(ALONE, figure)[round] ?? Number.NaN));
    const ratios = pairs('p99_ms', (beside, alone) => beside / alone);
    const extra = pairs('rss_peak_mb', (beside, alone) => beside - alone);
    return {
      parameters: { rows, clients: count, rounds, 'numbers/s': 50, seconds },
      mongo: mongo.kind,
      samples,
      goals: [
        { words: 'peak memory above that without a download, MB', value: median(extra), way: '<=', limit: 100 },
        { words: 'p99 beside a download, ratio (median of pairs)', value: median(ratios), way: '<=', limit: 1.1 },
      ],
      leftOut: [],
      charts: [],
    };
  },
};
