import { gather } from './harness/crowd.ts';
import { percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, medianOf, rowsOf, type Sample } from './harness/outcome.ts';
import { evenly, play } from './harness/play.ts';
import { positionOf } from './harness/position-of.ts';
import { dataCommands, startProxy } from './harness/proxy.ts';
import { loadTables } from './harness/spin.ts';
import { OURS, startOurs } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import { startWriter } from './harness/writer.ts';

/** Many clients come back at once, each having missed some numbers: until the last is recovered, and at what cost. */

const [table] = loadTables();
if (table === undefined) throw new Error('no tables');
const topics = [`roulette:${table.id}`];

interface Budget {
  readonly setting: string;
  readonly env: Readonly<Record<string, string>>;
}

async function measure(
  mongo: BenchMongo,
  clients: number,
  missed: number,
  { setting, env }: Budget,
  round: number,
): Promise<Sample> {
  const database = freshDatabase();
  const proxy = await startProxy(mongo.uri);
  const writer = await startWriter(mongo.uri, database);
  const ours = await startOurs({ uri: proxy.uri, database }, env);
  await ours.ready;
  const at = { dialect: 'runcash', host: '127.0.0.1', port: ours.port, topics } as const;
  const witness = await gather({ ...at, clients: 1 });
  const { epoch, position } = await positionOf(ours.port);
  await witness.expect(0, missed);
  await play({ publish: null }, writer, 0, evenly(missed, 1, 1_000, [table ?? { id: '', name: '' }]));
  if (!(await witness.complete(20_000))) throw new Error('the numbers to be missed did not come');
  await witness.close();

  // A new table makes the service look after indexes; that is not what is counted here.
  await proxy.quiet(1_000);
  proxy.reset();
  const usedUs = startCpu([ours.child.pid]);
  const crowd = await gather({
    ...at,
    clients,
    mayFail: true,
    after: position,
    epoch,
    atOnce: 1_000,
    awaited: { first: 0, count: missed },
  });
  const cpu = usedUs();
  const commands = dataCommands(proxy.commands());
  const counted = await crowd.collect();
  const rss = rssKb(ours.child.pid);
  await crowd.close();
  await ours.child.end();
  await writer.close();
  await proxy.stop();
  return {
    variant: OURS.name,
    setting,
    round,
    figures: {
      all_recovered_s: crowd.connected.tookUs / 1e6,
      ...percentiles(crowd.connected.histogram),
      cpu_us_per_recovery: cpu / clients,
      rss_mb: rss / 1024,
      not_recovered: crowd.connected.failed,
      database_queries: commands.reduce((sum, [, count]) => sum + count, 0),
    },
    lost: counted.lost,
    repeated: counted.repeated,
    disordered: counted.disordered,
  };
}

export const recovery: Bench = {
  name: 'recovery',
  question: 'How soon are thousands of clients that come back at once where they would be without the cut?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const count = clients?.[0] ?? (smoke ? 50 : 10_000);
    const missed = smoke ? 10 : 50;
    const rounds = wanted ?? (smoke ? 1 : 3);
    const budgets: Budget[] = [
      { setting: 'replay budget as by default, 64 MB/s', env: {} },
      ...(smoke ? [] : [{ setting: 'replay budget lifted', env: { REPLAY_MB_PER_SECOND: '4096' } }]),
    ];
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const budget of budgets) {
          say(`round ${round + 1}: ${count} clients, ${budget.setting}`);
          samples.push(await measure(mongo, count, missed, budget, round));
        }
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const [usual] = budgets;
    const figure = (name: string) => medianOf(rows, usual?.setting ?? '', OURS.name, name);
    return {
      parameters: { clients: count, missed, rounds },
      mongo: mongo.kind,
      samples,
      goals: [
        { words: `${count} recoveries of ${missed}, seconds`, value: figure('all_recovered_s'), way: '<=', limit: 10 },
        { words: 'queries to the database for them', value: figure('database_queries'), way: '<=', limit: 0 },
      ],
      leftOut: [],
      charts: [{ title: 'Until all are recovered', figure: 'all_recovered_s', unit: 's' }],
    };
  },
};
