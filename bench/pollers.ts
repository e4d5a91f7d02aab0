import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { z } from 'zod';
import { type Child, startCommand, startProgram } from './harness/child.ts';
import { merged, percentiles } from './harness/histogram.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, difference, inTurn, medianOf, rowsOf, type Sample } from './harness/outcome.ts';
import { fixedPort, startOurs } from './harness/subject.ts';
import { type PollOrder, type PollReport, pollReport } from './load/pollers.ts';

/** Thousands that wait for the same event: at the service itself, and behind the caches of src/ops/README.md. */

const TABLE = '2010165';
const TOPIC = `roulette:${TABLE}`;
const PATIENCE_MS = 120_000;
const state = z.looseObject({ epoch: z.string(), position: z.string() });

/** A cache before the service, by its guide; null is none. */
interface CacheKind {
  readonly name: string;
  readonly program: string | null;
  /** A word that only its block of the guide has. */
  readonly word: string;
  /** The file of its configuration, and how it is started with that. */
  configure(block: string, folder: string, port: string): string;
  args(file: string, folder: string, port: string): string[];
}

const DIRECT: CacheKind = { name: 'direct', program: null, word: '', configure: () => '', args: () => [] };
const NGINX: CacheKind = {
  name: 'nginx',
  program: 'nginx',
  word: 'proxy_cache_lock',
  configure(block, folder, port) {
    const site = block
      .replace('listen 443 ssl;', `listen 127.0.0.1:${port} backlog=8192;`)
      .replace('/var/cache/nginx/runcash', join(folder, 'cache'))
      .replace(/^ *ssl_.*\n/gm, '');
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((at) => `${at}_temp_path ${folder}/${at};`);
    const main = `daemon off; master_process off; pid ${folder}/pid; worker_rlimit_nofile 20000;`;
    return `${main} events { worker_connections 16000; }\nhttp { access_log off; ${paths.join(' ')}\n${site}\n}\n`;
  },
  args: (file, folder) => ['-c', file, '-p', folder, '-e', 'stderr'],
};
const VARNISH: CacheKind = {
  name: 'Varnish',
  program: 'varnishd',
  word: 'vcl_backend_response',
  configure: (block) => block,
  args: (file, folder, port) => [
    ...['-F', '-j', 'none', '-n', join(folder, 'varnish'), '-f', file],
    ...['-a', `127.0.0.1:${port}`, '-s', 'malloc,64m'],
  ],
};

/** What waits for a condition that is asked for, for as long as there is patience. @throws Error in words */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what} did not come`);
    await delay(20);
  }
}

const statusOf = (url: string): Promise<number> =>
  fetch(url).then(
    ({ status }) => status,
    () => 0,
  );

const blockWith = (word: string): string =>
  readFileSync('src/ops/README.md', 'utf8')
    .split('```')
    .find((block) => block.includes(word))
    ?.replace(/^\w+\n/, '') ?? '';

async function startCache(kind: CacheKind, folder: string, servicePort: string, port: string): Promise<Child> {
  const file = join(folder, 'configuration');
  const block = blockWith(kind.word).replaceAll('127.0.0.1:5000', `127.0.0.1:${servicePort}`);
  writeFileSync(file, kind.configure(block.replace('.port = "5000"', `.port = "${servicePort}"`), folder, port));
  const child = startCommand(kind.program ?? '', kind.args(file, folder, port));
  await until(kind.name, async () => (await statusOf(`http://127.0.0.1:${port}/api/v1/log/none`)) === 404);
  return child;
}

/** Requests of the log that the service got in this life. */
async function askedOf(port: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counts = text.matchAll(/^runcash_http_requests_total\{[^}]*route="\/api\/v1\/log\/:topic"[^}]*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** The readers, in two processes. */
function startReaders() {
  const children = [0, 1].map(() => startProgram('bench/load/pollers'));
  const send = (child: Child, message: PollOrder): void => child.send(message);
  return {
    start(port: string, offset: string, count: number): void {
      for (const child of children) {
        send(child, { type: 'start', port: Number(port), topic: TOPIC, offset, count: count / children.length });
      }
    },
    measure(on: boolean): void {
      for (const child of children) send(child, { type: 'measure', on });
    },
    async tell(): Promise<PollReport[]> {
      return await Promise.all(
        children.map((child) => {
          const report = child.message((message) => pollReport.safeParse(message).data ?? null);
          send(child, { type: 'tell' });
          return report;
        }),
      );
    },
    end: () => Promise.all(children.map((child) => child.end('SIGKILL'))),
  };
}

async function measure(
  kind: CacheKind,
  mongo: BenchMongo,
  { count, calm, round }: { readonly count: number; readonly calm: number; readonly round: number },
): Promise<Sample> {
  const database = freshDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'runcash-pollers-'));
  const [servicePort, cachePort] = [fixedPort(), fixedPort()];
  const client = await new MongoClient(mongo.uri).connect();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  let written = -1;
  const insert = async (): Promise<void> => {
    written++;
    await numbers.insertOne({ roleta_id: TABLE, roleta_nome: 'Roulette', numero: 7, timestamp: new Date() });
  };
  const start = async (): Promise<Child> => {
    const env = { PORT: servicePort, TRUSTED_PROXIES: '127.0.0.1', READS_PER_SECOND_PER_ADDRESS: '0' };
    const { child, ready } = await startOurs({ uri: mongo.uri, database }, env);
    await ready;
    return child;
  };
  const cacheOf = (): Promise<Child> => startCache(kind, folder, servicePort, cachePort);
  const readers = startReaders();
  let running = await start();
  let cache = kind.program === null ? null : await cacheOf();
  const url = `http://127.0.0.1:${servicePort}/api/v1/tables/${TABLE}`;
  const haveAll = async (isWaiting: boolean): Promise<boolean> => {
    const reports = await readers.tell();
    const waiting = reports.reduce((sum, each) => sum + each.waiting, 0);
    return reports.every(({ least }) => least === written) && (!isWaiting || waiting === count);
  };
  try {
    await insert();
    await until('the table', async () => (await statusOf(url)) === 200);
    const { epoch, position } = state.parse(await (await fetch(url)).json());
    readers.start(kind.program === null ? servicePort : cachePort, `${epoch}.${position}`, count);
    await until('everybody', async () => (await haveAll(true)) && (await askedOf(servicePort)) > 0);
    await delay(1_000);
    const before = await askedOf(servicePort);
    readers.measure(true);
    for (let at = 0; at < calm; at++) {
      await insert();
      await until('an event', () => haveAll(true));
    }
    readers.measure(false);
    const asked = (await askedOf(servicePort)) - before;
    await running.end('SIGKILL');
    await insert();
    running = await start();
    await insert();
    if (cache !== null) {
      await cache.end('SIGKILL');
      await insert();
      cache = await cacheOf();
    }
    await insert();
    await until('what was missed', () => haveAll(false));
    const reports = await readers.tell();
    return {
      variant: kind.name,
      setting: `${count} long-pollers`,
      round,
      figures: {
        requests_per_event: asked / calm,
        ...percentiles(merged(reports.map(({ histogram }) => histogram))),
      },
      lost: reports.reduce((sum, { events }) => sum - events, written * count),
      repeated: reports.reduce((sum, { repeated }) => sum + repeated, 0),
      disordered: 0,
    };
  } finally {
    await readers.end();
    await cache?.end('SIGKILL');
    await running.end('SIGKILL');
    await client.db(database).dropDatabase();
    await client.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether a program of this name is in the usual folders. */
const isHere = ({ program }: CacheKind): boolean =>
  program === null ||
  [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'].some((at) => existsSync(join(at, program)));

export const pollers: Bench = {
  name: 'pollers',
  question: 'What do thousands cost that wait for the same event behind a cache, and when do they get it?',
  async run({ smoke, rounds: wanted, mongoUri, clients, say }) {
    const count = clients?.[0] ?? (smoke ? 50 : 5_000);
    const rounds = wanted ?? 1;
    const calm = smoke ? 3 : 20;
    const kinds = [DIRECT, NGINX, VARNISH];
    const mongo = await startMongo(mongoUri);
    const samples: Sample[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        for (const kind of inTurn(kinds.filter(isHere), round)) {
          say(`round ${round + 1}: ${count} long-pollers, ${kind.name}`);
          samples.push(await measure(kind, mongo, { count, calm, round }));
        }
      }
    } finally {
      await mongo.stop();
    }
    const rows = rowsOf(samples);
    const figure = (kind: CacheKind, name: string) => medianOf(rows, `${count} long-pollers`, kind.name, name);
    return {
      parameters: { clients: count, rounds, events: calm },
      mongo: mongo.kind,
      samples,
      goals: [NGINX, VARNISH].flatMap((kind) => [
        {
          words: `${kind.name}: requests at the service per event and table`,
          value: figure(kind, 'requests_per_event'),
          way: '<=' as const,
          limit: 1.05,
        },
        {
          words: `${kind.name}: p99 above direct, ms`,
          value: difference(figure(kind, 'p99_ms'), figure(DIRECT, 'p99_ms')),
          way: '<=' as const,
          limit: 20,
        },
      ]),
      leftOut: kinds.filter((kind) => !isHere(kind)).map(({ name }) => `${name}: it is not installed`),
      charts: [{ title: 'From the number to the poller, median', figure: 'p50_ms', unit: 'ms' }],
    };
  },
};
