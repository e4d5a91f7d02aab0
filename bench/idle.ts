import { setTimeout as delay } from 'node:timers/promises';
import { startProgram } from './harness/child.ts';
import { COLLECTING } from './harness/collecting.ts';
import { gather } from './harness/crowd.ts';
import { freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, difference, inTurn, medianOf, rowsOf, type Sample } from './harness/outcome.ts';
import { startOurs } from './harness/subject.ts';
import { rssKb, startCpu } from './harness/usage.ts';
import type { DialectName } from './load/dialects.ts';

/** What a connection costs that only waits: memory of our process, and CPU. */

const BARE = 'bare uWebSockets';
const OURS = 'runcash-live';
/** What the descriptors of one process leave, as the service caps it. */
const MOST = 19_500;

/** A server under measurement, which collects its garbage when told to. */
export interface Server {
  readonly pid: number;
  readonly port: number;
  readonly dialect: DialectName;
  end(): Promise<void>;
}

async function startBare(): Promise<Server> {
  const child = startProgram('bench/contenders/bare-uws', { node: COLLECTING });
  const port = Number((await child.line(/^listening (\d+)/))[1]);
  return { pid: child.pid, port, dialect: 'plain', end: () => child.end() };
}

export async function startWhole(uri: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const { child, port, ready } = await startOurs({ uri, database: freshDatabase() }, env, COLLECTING);
  await ready;
  return { pid: child.pid, port, dialect: 'runcash', end: () => child.end() };
}

/** Times the settling, 28 s: each connection is pinged once in it, after 25 s of silence that are looked at every 4 s. */
const WAITING = 14;
const ALONE = 5;

/** Percent of a core that a process uses, over a while. */
async function cpuPercent(pid: number, ms: number): Promise<number> {
  const usedUs = startCpu([pid]);
  await delay(ms);
  return usedUs() / ms / 10;
}

/** Resident kilobytes without garbage. */
async function settledKb(pid: number, settleMs: number): Promise<number> {
  for (let turn = 0; turn < 2; turn++) {
    process.kill(pid, 'SIGPWR');
    await delay(settleMs);
  }
  return rssKb(pid);
}

export async function measureIdle(
  variant: string,
  server: Server,
  clients: number,
  settleMs: number,
  round: number,
): Promise<Sample> {
  // The first connections pay for what all share: compiled code, hash tables.
  const at = { dialect: server.dialect, host: '127.0.0.1', port: server.port, topics: ['roulette:*'] };
  const first = await gather({ ...at, clients: Math.ceil(clients / 10) });
  await first.close();
  const before = await settledKb(server.pid, settleMs);
  const alone = await cpuPercent(server.pid, settleMs * ALONE);
  const crowd = await gather({ ...at, clients, mayFail: true });
  const after = await settledKb(server.pid, settleMs);
  const percent = await cpuPercent(server.pid, settleMs * WAITING);
  const { failed } = crowd.connected;
  await crowd.close();
  return {
    variant,
    setting: `${clients} connections`,
    round,
    figures: {
      kb_per_connection: (after - before) / clients,
      rss_before_mb: before / 1024,
      rss_mb: after / 1024,
      cpu_percent_alone: alone,
      cpu_percent_idle: percent,
      cpu_us_per_connection_s: (percent / clients) * 1e4,
      not_connected: failed,
    },
    lost: 0,
    repeated: 0,
    disordered: 0,
  };
}

export const idle: Bench = {
  name: 'idle',
  question: 'What does a connection cost that only waits?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const count = Math.min(MOST, clients?.[0] ?? (smoke ? 100 : MOST));
    const rounds = wanted ?? (smoke ? 1 : 3);
    const settleMs = smoke ? 100 : 2_000;
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const variant of inTurn([BARE, OURS], round)) {
          say(`round ${round + 1}: ${count} connections to ${variant}`);
          const server = variant === BARE ? await startBare() : await startWhole(mongo.uri);
          samples.push(await measureIdle(variant, server, count, settleMs, round));
          await server.end();
        }
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const perConnection = (variant: string) => medianOf(rows, `${count} connections`, variant, 'kb_per_connection');
    const cpuUs = (variant: string) => medianOf(rows, `${count} connections`, variant, 'cpu_us_per_connection_s');
    return {
      parameters: { connections: count, rounds },
      mongo: mongo.kind,
      samples,
      goals: [
        {
          words: 'KB per idle connection above bare uWebSockets',
          value: difference(perConnection(OURS), perConnection(BARE)),
          way: '<=',
          limit: 2,
        },
        {
          words: 'us of CPU per connection and second above bare uWebSockets',
          value: difference(cpuUs(OURS), cpuUs(BARE)),
          way: '<=',
          limit: 0.3,
        },
      ],
      leftOut: count < 20_000 ? [`connections above ${count}: the descriptor limit of one process`] : [],
      charts: [{ title: 'Memory per idle connection', figure: 'kb_per_connection', unit: 'KB' }],
    };
  },
};
