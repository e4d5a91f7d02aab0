import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Collection, MongoClient } from 'mongodb';

/** How an indexed search on the built-in server depends on the size of the collection, over the wire. */

const BATCH = 10_000;
const SEARCHES = 400;
const RANGE = 20;

interface Row {
  readonly documents: number;
  readonly insertedPerSecond: number;
  readonly equalityP50Us: number;
  readonly rangeP50Us: number;
}

/** Starts the server in a process of its own. @returns its address and its end */
async function startServer(): Promise<{ readonly uri: string; readonly stop: () => Promise<void> }> {
  const main = fileURLToPath(new URL('../src/embedded/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const uri = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it listened`)));
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      const found = /listening (\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  return {
    uri,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function fill(numbers: Collection, documents: number): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < documents; at += BATCH) {
    const length = Math.min(BATCH, documents - at);
    await numbers.insertMany(
      Array.from({ length }, (_, n) => ({ seq: at + n, roleta_id: `20${(at + n) % 39}`, numero: (at + n) % 37 })),
    );
  }
  return documents / ((performance.now() - started) / 1000);
}

/** The medians of searches in microseconds. They take turns, so that what disturbs the machine disturbs them alike. */
async function medians(searches: readonly ((index: number) => Promise<unknown>)[]): Promise<number[]> {
  const times = searches.map((): number[] => []);
  for (let index = 0; index < SEARCHES; index += 1) {
    for (const [which, search] of searches.entries()) {
      const started = performance.now();
      await search(index);
      times[which]?.push((performance.now() - started) * 1000);
    }
  }
  return times.map((taken) => taken.sort((x, y) => x - y)[SEARCHES / 2] ?? Number.NaN);
}

async function measure(documents: number): Promise<Row> {
  const server = await startServer();
  const client = new MongoClient(server.uri);
  try {
    const numbers = (await client.connect()).db('bench').collection('numbers');
    await numbers.createIndex({ seq: 1 });
    const insertedPerSecond = await fill(numbers, documents);
    // Spread over the whole collection by a step that shares no factor with its size.
    const place = (index: number) => (index * 7919) % (documents - RANGE);
    const equality = (index: number) => numbers.find({ seq: place(index) }).toArray();
    const range = (index: number) => numbers.find({ seq: { $gte: place(index), $lt: place(index) + RANGE } }).toArray();
    await medians([equality, range]);
    const [equalityP50Us = Number.NaN, rangeP50Us = Number.NaN] = await medians([equality, range]);
    return { documents, insertedPerSecond, equalityP50Us, rangeP50Us };
  } finally {
    await client.close();
    await server.stop();
  }
}

const { values } = parseArgs({ options: { documents: { type: 'string', default: '1000,100000,1000000' } } });
const sizes = values.documents.split(',').map(Number);
if (sizes.some((size) => !Number.isInteger(size) || size < 100))
  throw new Error(`--documents must be numbers of at least 100, separated by commas, not ${values.documents}`);
let first: Row | undefined;
console.log('documents  inserts/s  equality p50 us (ratio)  range of 20 p50 us (ratio)');
for (const size of sizes) {
  const row = await measure(size);
  first ??= row;
  const ratio = (a: number, b: number) => (a / b).toFixed(2);
  console.log(
    `${row.documents}  ${Math.round(row.insertedPerSecond)}  ${Math.round(row.equalityP50Us)} (${ratio(row.equalityP50Us, first.equalityP50Us)})  ${Math.round(row.rangeP50Us)} (${ratio(row.rangeP50Us, first.rangeP50Us)})`,
  );
}
