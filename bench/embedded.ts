import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, Long } from 'bson';
import { connectBench, insertMessages, insertsPerSecond, messageOf } from './embedded-wire.ts';
import { type Child, startProgram } from './harness/child.ts';
import { percentilesOf } from './harness/histogram.ts';
import {
  type Bench,
  type Goal,
  inTurn,
  medianOf,
  type Outcome,
  ratio,
  rowsOf,
  type Sample,
  type Settings,
} from './harness/outcome.ts';
import { rssKb } from './harness/usage.ts';

/** The built-in MongoDB: inserts, events, searches, and a million documents, in memory and on disk. */

const BARE = 'decodes and answers ok';
const MEMORY = 'in memory';
const WRITTEN = 'on disk, w: 1';
const DURABLE = 'on disk, majority';
const GIVEN = 'mongod';
const INSERTS = '16 connections, 16 inserts under way on each';
const EVENTS = 'one insert at a time';
const SEARCHES = 400;
const RANGE = 20;
const BATCH = 2_000;
const COLLECTING = [
  '--expose-gc',
  '--import',
  fileURLToPath(new URL('./harness/collect-on-signal.js', import.meta.url)),
];

interface Variant {
  readonly name: string;
  readonly writeConcern: Document;
}

const VARIANTS: readonly Variant[] = [
  { name: BARE, writeConcern: { w: 1 } },
  { name: MEMORY, writeConcern: { w: 1 } },
  { name: WRITTEN, writeConcern: { w: 1 } },
  { name: DURABLE, writeConcern: { w: 'majority' } },
  { name: GIVEN, writeConcern: { w: 1 } },
];

interface Server {
  readonly port: number;
  readonly child: Child | null;
  end(): Promise<void>;
}

async function startServer(args: readonly string[], node: readonly string[] = []): Promise<Server> {
  return await listening(startProgram('src/embedded/main', { args: ['--port', '0', ...args], node }));
}

async function listening(child: Child): Promise<Server> {
  const uri = (await child.line(/listening (mongodb:\S+)/))[1] ?? '';
  return { port: portOf(uri), child, end: () => child.end() };
}

const portOf = (uri: string): number => Number(/:(\d+)\//.exec(uri)?.[1] ?? 27017);

/** Starts the variant's server with data of its own; null for a mongod that was not given. */
async function startVariant(name: string, folder: string, uri: string | null): Promise<Server | null> {
  if (name === BARE) return await listening(startProgram('bench/embedded-bare'));
  if (name === GIVEN) return uri === null ? null : { port: portOf(uri), child: null, end: () => Promise.resolve() };
  return await startServer(name === MEMORY ? [] : ['--data', mkdtempSync(join(folder, 'data-'))]);
}

function sample(variant: string, setting: string, round: number, figures: Record<string, number>): Sample {
  return { variant, setting, round, figures, lost: 0, repeated: 0, disordered: 0 };
}

async function dropNumbers(port: number): Promise<void> {
  const wire = await connectBench(port);
  await wire.command({ dropDatabase: 1, $db: 'bench' });
  wire.close();
}

async function measureInserts(variant: Variant, server: Server, round: number, milliseconds: number): Promise<Sample> {
  await insertsPerSecond(server.port, variant.writeConcern, { milliseconds: milliseconds / 2 });
  const perSecond = await insertsPerSecond(server.port, variant.writeConcern, { milliseconds });
  return sample(variant.name, INSERTS, round, { inserts_per_s: perSecond });
}

/** From sending an insert to its event on a stream of another connection, and round trips of ping in between. */
async function measureEvents(variant: Variant, server: Server, round: number, count: number): Promise<Sample> {
  const [writer, watcher] = [await connectBench(server.port), await connectBench(server.port)];
  await writer.command({ create: 'numbers', $db: 'bench' });
  const pipeline = [{ $changeStream: {} }];
  const opened = await watcher.command({ aggregate: 'numbers', pipeline, cursor: {}, $db: 'bench' });
  const id: unknown = opened['cursor'].id;
  if (!(id instanceof Long)) throw new Error('the stream has no cursor');
  const next = insertMessages(variant.writeConcern);
  const ping = messageOf({ ping: 1, $db: 'admin' });
  const events: number[] = [];
  const pings: number[] = [];
  for (let at = 0; at < 2 * count; at += 1) {
    const event = watcher.command({ getMore: id, collection: 'numbers', maxTimeMS: 10_000, $db: 'bench' });
    // The getMore waits at the server when a ping sent after it is back.
    const waiting = performance.now();
    await new Promise<void>((resolve) => writer.send(ping, () => resolve()));
    const pinged = performance.now() - waiting;
    const started = performance.now();
    writer.send(next(), () => undefined);
    if ((await event)['cursor'].nextBatch.length !== 1) throw new Error('an insert is without its event');
    // The first half warms up.
    if (at < count) continue;
    pings.push(pinged * 1000);
    events.push((performance.now() - started) * 1000);
  }
  writer.close();
  watcher.close();
  const figures = { ...percentilesOf(events, 'event_'), ...percentilesOf(pings, 'ping_') };
  return sample(variant.name, EVENTS, round, figures);
}

async function fill(port: number, documents: number): Promise<number> {
  const wire = await connectBench(port);
  await wire.command({ createIndexes: 'numbers', indexes: [{ key: { seq: 1 }, name: 'seq' }], $db: 'bench' });
  const started = performance.now();
  for (let at = 0; at < documents; at += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, documents - at) }, (_, n) => ({
      _id: at + n,
      seq: at + n,
      roleta_id: `20100${(at + n) % 39}`,
      numero: (at + n) % 37,
      cor: 'preto',
      timestamp: new Date(),
    }));
    await wire.command({ insert: 'numbers', documents: rows, writeConcern: { w: 1 }, $db: 'bench' });
  }
  const perSecond = documents / ((performance.now() - started) / 1000);
  // The log on disk is whole when a majority write is acknowledged.
  await wire.command({ insert: 'end', documents: [{ end: 1 }], writeConcern: { w: 'majority' }, $db: 'bench' });
  wire.close();
  return perSecond;
}

/** Searches take turns, so that what disturbs the machine disturbs them alike. Microseconds by name. */
async function searchTimes(port: number, documents: number): Promise<Record<string, number>> {
  const wire = await connectBench(port);
  // Spread over the whole collection by a step that shares no factor with its size.
  const place = (index: number) => (index * 7919) % Math.max(1, documents - RANGE);
  const filters: Readonly<Record<string, (index: number) => Document>> = {
    find_by_id_: (index) => ({ _id: place(index) }),
    find_by_index_: (index) => ({ seq: place(index) }),
    find_range_: (index) => ({ seq: { $gte: place(index), $lt: place(index) + RANGE } }),
  };
  const times: Record<string, number[]> = {};
  for (let index = 0; index < 2 * SEARCHES; index += 1) {
    for (const [name, filterOf] of Object.entries(filters)) {
      const started = performance.now();
      const found = await wire.command({ find: 'numbers', filter: filterOf(index), $db: 'bench' });
      if (found['cursor'].firstBatch.length === 0) throw new Error('a document was not found');
      // The first half warms up.
      const taken = times[name] ?? [];
      times[name] = taken;
      if (index >= SEARCHES) taken.push((performance.now() - started) * 1000);
    }
  }
  wire.close();
  const figures: Record<string, number> = {};
  for (const [name, taken] of Object.entries(times)) {
    const { [`${name}p50_ms`]: p50 } = percentilesOf(taken, name);
    if (p50 !== undefined) figures[`${name}p50_us`] = p50 * 1000;
  }
  return figures;
}

const folderMb = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 2 ** 20;

/** Fills a server on disk, searches it, starts it again from its log, and looks at its memory. */
async function measureSize(documents: number, folder: string, round: number): Promise<Sample> {
  const data = mkdtempSync(join(folder, 'data-'));
  const first = await startServer(['--data', data]);
  const inserted = await fill(first.port, documents);
  const searches = await searchTimes(first.port, documents);
  await first.end();
  const started = performance.now();
  const again = await startServer(['--data', data], COLLECTING);
  const bootSeconds = (performance.now() - started) / 1000;
  const pid = again.child?.pid ?? 0;
  process.kill(pid, 'SIGPWR');
  // Answered only after the collection that the signal asked for.
  const wire = await connectBench(again.port);
  const { n } = await wire.command({ count: 'numbers', $db: 'bench' });
  wire.close();
  if (Number(n) !== documents) throw new Error(`${documents} documents were stored, and ${n} are there again`);
  const residentMb = rssKb(pid) / 1024;
  const logMb = folderMb(data);
  await again.end();
  rmSync(data, { recursive: true });
  return sample(`${documents} documents`, 'on disk', round, {
    inserted_in_batches_per_s: inserted,
    ...searches,
    boot_s: bootSeconds,
    log_mb: logMb,
    resident_mb: residentMb,
  });
}

async function run({ smoke, rounds, mongoUri, say }: Settings): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-bench-embedded-'));
  const milliseconds = smoke ? 300 : 5000;
  const events = smoke ? 50 : 2000;
  const sizes = smoke ? [1000, 2000] : [1000, 100_000, 1_000_000];
  const times = rounds ?? (smoke ? 1 : 3);
  const samples: Sample[] = [];
  try {
    for (let round = 0; round < times; round += 1) {
      for (const variant of inTurn(VARIANTS, round)) {
        const server = await startVariant(variant.name, folder, mongoUri);
        if (server === null) continue;
        say(`round ${round + 1}: ${variant.name}`);
        if (variant.name !== BARE) {
          await dropNumbers(server.port);
          samples.push(await measureEvents(variant, server, round, events));
        }
        samples.push(await measureInserts(variant, server, round, milliseconds));
        await server.end();
      }
    }
    for (const size of sizes) {
      say(`${size} documents`);
      samples.push(await measureSize(size, folder, 0));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    parameters: { rounds: times, 'seconds of inserts': milliseconds / 1000, events },
    mongo: mongoUri === null ? 'built-in' : 'built-in and mongod',
    samples,
    goals: goalsOf(samples, sizes),
    leftOut: mongoUri === null ? ['a mongod to compare with: none was given by --mongo'] : [],
    charts: [{ title: 'Single inserts', figure: 'inserts_per_s', unit: '/s' }],
  };
}

function goalsOf(samples: readonly Sample[], sizes: readonly number[]): Goal[] {
  const rows = rowsOf(samples);
  const inserts = (variant: string) => medianOf(rows, INSERTS, variant, 'inserts_per_s');
  const sized = (size: number | undefined, figure: string) => medianOf(rows, 'on disk', `${size} documents`, figure);
  const [smallest, largest] = [sizes[0], sizes.at(-1)];
  const flat = (figure: string) => ratio(sized(largest, figure), sized(smallest, figure));
  const event = medianOf(rows, EVENTS, MEMORY, 'event_p50_ms');
  return [
    { words: 'inserts per second in memory', value: inserts(MEMORY), way: '>=', limit: 20_000 },
    {
      words: 'or: times a server that stores nothing',
      value: ratio(inserts(MEMORY), inserts(BARE)),
      way: '>=',
      limit: 0.5,
    },
    {
      words: 'insert to event, median, times ping',
      value: ratio(event, medianOf(rows, EVENTS, MEMORY, 'ping_p50_ms')),
      way: '<=',
      limit: 2,
    },
    {
      words: 'find by _id in the largest collection, times the smallest',
      value: flat('find_by_id_p50_us'),
      way: '<=',
      limit: 2,
    },
    { words: 'find by index, the same', value: flat('find_by_index_p50_us'), way: '<=', limit: 2 },
    { words: `seconds to start from ${largest} documents`, value: sized(largest, 'boot_s'), way: '<=', limit: 5 },
    { words: `MB in memory for ${largest} documents`, value: sized(largest, 'resident_mb'), way: '<=', limit: 600 },
  ];
}

export const embedded: Bench = {
  name: 'embedded',
  question: 'The built-in MongoDB: inserts, events, searches, and a start from a log of a million documents',
  run,
};
