import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MongoClient } from 'mongodb';
import { KNOWN_TABLES } from '../src/simulator/tables.ts';
import { type Child, endOnInterrupt, startProgram } from './harness/child.ts';
import { COLLECTING } from './harness/collecting.ts';
import { commandLine, HELP } from './harness/command-line.ts';
import { rssKb } from './harness/usage.ts';
import { growthOf, lowsOf, type Sample, windowsOf } from './soak/memory.ts';
import { crowdReport, type Tally } from './soak/orders.ts';

const USAGE = `runcash-live soak [--minutes 10] [--clients 1000] [--rate 50] [--seed 1]

The whole service as its users run it, under load: the built-in MongoDB, the service, and clients that come, go and
resume, each a process of its own. Memory at the end is compared with memory after the first minute,
each from a garbage collection on: between two of them it goes up and down by tens of MB.
Exit 1 when it grew by more than 10 %, or when a client missed an event or got one twice.`;

/** The events of the last minute can be recovered, so that the ring is full when the first minute is over. */
const WINDOW_SECONDS = 60;
const MOST_GROWTH = 0.1;
const HEAP_EVERY_SECONDS = 2;

/** More than the service keeps of a table: what it holds is full from the start, as on a database in use. */
const STORED_PER_TABLE = 400;
const SPIN_MS = 30_000;

interface Options {
  readonly minutes: number;
  readonly clients: number;
  readonly rate: number;
  readonly seed: number;
}

function readOptions(args: string[]): Options | null {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args,
    options: { minutes: text, clients: text, rate: text, seed: text, help: HELP },
  });
  if (values.help) return null;
  const positive = (name: keyof Options, fallback: number): number => {
    const value = Number(values[name] ?? fallback);
    if (!(value > 0)) throw new Error(`--${name} must be a number above 0`);
    return value;
  };
  return {
    minutes: positive('minutes', 10),
    clients: Math.round(positive('clients', 1_000)),
    rate: positive('rate', 50),
    seed: Math.round(positive('seed', 1)),
  };
}

/** Stores the numbers of the hours before. */
async function fill(uri: string, database: string): Promise<void> {
  const client = await MongoClient.connect(uri);
  const beganMs = Date.now();
  const spins = KNOWN_TABLES.flatMap(({ id, name }) =>
    Array.from({ length: STORED_PER_TABLE }, (_, age) => {
      const timestamp = new Date(beganMs - (age + 1) * SPIN_MS);
      return { roleta_id: id, roleta_nome: name, numero: age % 37, timestamp, criado_em: timestamp };
    }),
  );
  await client.db(database).collection('roleta_numeros').insertMany(spins);
  await client.close();
}

/** Posts numbers at a steady rate until it is stopped; what could not be posted is counted. */
function startPosting(url: string, rate: number) {
  const counts = { stored: 0, failed: 0 };
  let posted = 0;
  let stopped = false;
  const post = async (): Promise<void> => {
    const table = KNOWN_TABLES[posted % KNOWN_TABLES.length];
    const body = JSON.stringify({ roleta_id: table?.id, roleta_nome: table?.name, numero: posted++ % 37 });
    try {
      const answer = await fetch(`${url}/api/v1/numbers`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() },
        body,
      });
      await answer.arrayBuffer();
      if (answer.status === 201) counts.stored++;
      else counts.failed++;
    } catch {
      // The verdict says how many; what the service thought is in its log.
      counts.failed++;
    }
  };
  const run = async (): Promise<void> => {
    const startedMs = performance.now();
    for (let due = 0; !stopped; due++) {
      await delay(Math.max(0, startedMs + (due * 1000) / rate - performance.now()));
      void post();
    }
  };
  return {
    counts,
    done: run(),
    stop() {
      stopped = true;
    },
  };
}

/** What the service's objects take, in KB; between two garbage collections it goes up and down. */
async function heapKb(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const bytes = /^runcash_memory_bytes\{kind="heap_used"\} (\S+)$/m.exec(text)?.[1];
  if (bytes === undefined) throw new Error('/metrics does not show runcash_memory_bytes');
  return Number(bytes) / 1024;
}

async function tallyOf(crowd: Child): Promise<Tally> {
  const answer = crowd.message((raw) => {
    const report = crowdReport.parse(raw);
    return report.report === 'tally' ? report.tally : null;
  });
  crowd.send({ order: 'tell' });
  return await answer;
}

async function run({ minutes, clients, rate, seed }: Options): Promise<number> {
  const mongo = startProgram('src/embedded/main', { args: ['--port', '0'] });
  const uri = (await mongo.line(/listening (mongodb:\S+)/))[1] ?? '';
  await fill(uri, 'soak');
  const live = startProgram('src/main', {
    node: COLLECTING,
    env: {
      PORT: '0',
      MONGODB_URI: uri,
      MONGODB_DB_NAME: 'soak',
      DRAIN_SECONDS: '0',
      LOG_LEVEL: 'info',
      INGEST_KEYS: '',
      RECOVERY_WINDOW_SECONDS: String(WINDOW_SECONDS),
      MAX_CONNECTIONS_PER_ADDRESS: '0',
      ACCEPTS_PER_SECOND_PER_ADDRESS: '0',
      LOG_FILE: '',
      ALERT_WEBHOOK_URL: '',
    },
  });
  const url = (await live.line(/"url":"(http:\/\/[^"]+)"/))[1] ?? '';
  await live.line(/"event":"ready"/);

  const crowd = startProgram('bench/soak/crowd');
  const gathered = crowd.message((raw) => (crowdReport.parse(raw).report === 'gathered' ? true : null));
  crowd.send({ order: 'gather', port: Number(new URL(url).port), clients, seed });
  const posting = startPosting(url, rate);
  await gathered;

  const seconds = minutes * 60;
  const startedMs = performance.now();
  const samples: Sample[] = [];
  const ofMongo: Sample[] = [];
  const ofHeap: Sample[] = [];
  const { before, after } = windowsOf(seconds);
  const collectAt = [before.from, after.from].map(Math.floor);
  for (let second = 1; second <= seconds; second++) {
    await delay(Math.max(0, startedMs + second * 1000 - performance.now()));
    if (collectAt.includes(second)) process.kill(live.pid, 'SIGPWR');
    samples.push({ seconds: second, kb: rssKb(live.pid) });
    ofMongo.push({ seconds: second, kb: rssKb(mongo.pid) });
    if (second % HEAP_EVERY_SECONDS === 0) ofHeap.push({ seconds: second, kb: await heapKb(url) });
    if (second % 60 === 0)
      print(`${second / 60} min: service ${mb(rssKb(live.pid))}, ${JSON.stringify(await tallyOf(crowd))}`);
  }
  const tally = await tallyOf(crowd);
  posting.stop();
  await posting.done;
  await crowd.end('SIGKILL');
  await live.end();
  await mongo.end();
  return verdict({ samples, ofMongo, ofHeap, tally, posted: posting.counts });
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const mb = (kb: number): string => `${(kb / 1024).toFixed(1)} MB`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

interface Figures {
  readonly samples: readonly Sample[];
  readonly ofMongo: readonly Sample[];
  readonly ofHeap: readonly Sample[];
  readonly tally: Tally;
  readonly posted: { readonly stored: number; readonly failed: number };
}

function verdict({ samples, ofMongo, ofHeap, tally, posted }: Figures): number {
  const growth = growthOf(samples);
  const mongoGrowth = growthOf(ofMongo);
  print(`posted: ${posted.stored} stored, ${posted.failed} failed`);
  print(`clients: ${tally.opened} connections, ${tally.refused} refused, ${tally.lost} lost, ${tally.events} events`);
  print(`topics resumed: ${tally.resumed}, with a snapshot instead: ${tally.unrecovered}`);
  print(`missed: ${tally.gaps}, twice: ${tally.repeated}`);
  print(`memory of the service: ${mb(growth.beforeKb)} -> ${mb(growth.afterKb)} (${percent(growth.share)})`);
  const lows = lowsOf(ofHeap);
  print(`the most in between: ${mb(Math.max(...samples.map(({ kb }) => kb)))}`);
  print(`objects alone (lowest of the first minute, middle, end): ${lows.map(mb).join(', ')}`);
  // It keeps every number in memory by design, so that it has no say in the verdict.
  print(`memory of the built-in MongoDB: ${mb(mongoGrowth.beforeKb)} -> ${mb(mongoGrowth.afterKb)}`);
  const problems = [
    ...(growth.share > MOST_GROWTH ? [`memory grew by more than ${percent(MOST_GROWTH)}`] : []),
    ...(tally.gaps + tally.repeated > 0 ? ['events were missed or came twice'] : []),
    ...(posted.failed > 0 ? ['numbers could not be posted'] : []),
    ...(tally.events === 0 ? ['no client got any event'] : []),
  ];
  print(problems.length === 0 ? 'Passed.' : `Failed: ${problems.join('; ')}.`);
  return problems.length === 0 ? 0 : 1;
}

endOnInterrupt();
process.exit(await run(commandLine(USAGE, () => readOptions(process.argv.slice(2)))));
