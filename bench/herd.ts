import { type Crowd, gather } from './harness/crowd.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, medianOf, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play } from './harness/play.ts';
import { loadTables } from './harness/spin.ts';
import { fixedPort, OURS, startOurs } from './harness/subject.ts';
import { startWriter } from './harness/writer.ts';

/** All clients are cut at once, by the network or by the end of the process, and come back as the client library does. */

const CUT = 'all connections cut';
const KILLED = 'service killed and started again';
const DRAINED = 'planned stop, clients go to a second instance';
const MISSED = 5;

const tables = loadTables().slice(0, 1);
const topics = tables.map(({ id }) => `roulette:${id}`);

type Back = Awaited<ReturnType<Crowd['comeBack']>>;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The most attempts of all clients in any tenth of a second of the common clock. */
function mostInTenth(reports: Back): number {
  const startedUs = Math.min(...reports.map((report) => report.startedUs));
  const tenths = new Map<number, number>();
  for (const report of reports) {
    const shift = Math.round((report.startedUs - startedUs) / 1e5);
    for (const [tenth, count] of report.perTenth.entries()) {
      tenths.set(tenth + shift, (tenths.get(tenth + shift) ?? 0) + (count ?? 0));
    }
  }
  return Math.max(0, ...tenths.values());
}

async function sampleOf(setting: string, clients: number, round: number, crowd: Crowd, back: Back): Promise<Sample> {
  const counted = await crowd.collect();
  return {
    variant: OURS.name,
    setting,
    round,
    figures: {
      all_back_s: Math.max(...back.map(({ tookUs }) => tookUs)) / 1e6,
      attempts_per_client: sum(back.map(({ attempts }) => attempts)) / clients,
      most_attempts_in_100_ms: mostInTenth(back),
      not_recovered: clients - sum(back.map(({ recovered }) => recovered)),
    },
    lost: counted.lost,
    repeated: counted.repeated,
    disordered: counted.disordered,
  };
}

async function measure(
  setting: string,
  mongo: BenchMongo,
  clients: number,
  drainSeconds: number,
  round: number,
): Promise<Sample> {
  const database = freshDatabase();
  const place = { uri: mongo.uri, database };
  const writer = await startWriter(mongo.uri, database);
  const begin = async (env: Readonly<Record<string, string>> = {}) => {
    const started = await startOurs(place, { DRAIN_SECONDS: String(drainSeconds), ...env });
    await started.ready;
    return started;
  };
  const first = await begin(setting === KILLED ? { PORT: fixedPort() } : {});
  const second = setting === DRAINED ? await begin() : null;
  await play({ publish: null }, writer, 90_000_000, evenly(10, 1, 5_000, tables));
  const crowd = await gather({ dialect: 'runcash', host: '127.0.0.1', port: first.port, clients, topics });
  await crowd.expect(0, MISSED);
  const coming = crowd.comeBack({ cut: setting === CUT, port: (second ?? first).port });
  const missing = play({ publish: null }, writer, 0, evenly(MISSED, 1, 5_000, tables));
  let again: Awaited<ReturnType<typeof begin>> | null = null;
  if (setting === KILLED) {
    await first.child.end('SIGKILL');
    again = await begin({ PORT: String(first.port) });
  }
  const ended = setting === DRAINED ? first.child.end() : null;
  const back = await coming;
  await missing;
  await ended;
  await crowd.complete(5_000);
  const sample = await sampleOf(setting, clients, round, crowd, back);
  await crowd.close();
  for (const running of [again ?? first, second]) await running?.child.end('SIGKILL');
  await writer.close();
  return sample;
}

export const herd: Bench = {
  name: 'herd',
  question: 'When are all clients back after a cut, a crash or a planned stop, and how hard do they knock?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const many = clients?.[0] ?? (smoke ? 30 : 10_000);
    const drained = clients?.[1] ?? (smoke ? 30 : 5_000);
    const drainSeconds = smoke ? 1 : 10;
    const rounds = wanted ?? (smoke ? 1 : 3);
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const setting of [CUT, KILLED, DRAINED]) {
          const count = setting === DRAINED ? drained : many;
          say(`round ${round + 1}: ${count} clients, ${setting}`);
          samples.push(await measure(setting, mongo, count, drainSeconds, round));
        }
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const figure = (setting: string, name: string) => medianOf(rows, setting, OURS.name, name);
    return {
      parameters: {
        clients: many,
        'clients of the planned stop': drained,
        DRAIN_SECONDS: drainSeconds,
        missed: MISSED,
        rounds,
      },
      mongo: mongo.kind,
      samples,
      goals: [
        { words: `${CUT}: all back and recovered, seconds`, value: figure(CUT, 'all_back_s'), way: '<=', limit: 15 },
        {
          words: `${KILLED}: all back and recovered, seconds`,
          value: figure(KILLED, 'all_back_s'),
          way: '<=',
          limit: 15,
        },
        {
          words: `${DRAINED}: reconnects in any 100 ms`,
          value: figure(DRAINED, 'most_attempts_in_100_ms'),
          way: '<=',
          limit: 500,
        },
      ],
      leftOut: [],
      charts: [{ title: 'Until all are back', figure: 'all_back_s', unit: 's' }],
    };
  },
};
