import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, Long, type Timestamp } from 'bson';
import { afterAll, expect, test } from 'vitest';
import { buildCli, type ServerProcess, startProcess } from './support/process.ts';
import { connectWire, type WireClient } from './support/wire.ts';

/** A hundred in the longer run: EMBEDDED_KILL_ROUNDS=100 npx vitest run test/embedded/kill.test.ts */
const ROUNDS = Number(process.env['EMBEDDED_KILL_ROUNDS'] ?? 8);
const SECONDS_PER_ROUND = 20;
/** Writes that a server acknowledges before it is killed, at most: any number, so that the moment may be any. */
const MOST_WRITES = 1_000;
const WRITERS = 6;
const MAJORITY = { w: 'majority' };

const folder = mkdtempSync(join(tmpdir(), 'embedded-killed-'));
let server: ServerProcess | undefined;
afterAll(async () => {
  await server?.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const acknowledged = new Set<number>();
const writes = new EventEmitter();
const pairs = new Set<number>();
/** What the counter must be at least, and at most. */
const counter = { atLeast: 0, atMost: 0 };
let lastId = 0;
const nextId = () => {
  lastId += 1;
  return lastId;
};

/** Runs `step` over and over on a connection of its own until the server is gone. */
async function untilKilled(port: number, step: (wire: WireClient) => Promise<void>): Promise<void> {
  const wire = await connectWire(port);
  try {
    for (;;) await step(wire);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('closed the connection')) throw error;
  }
}

async function wellDone(wire: WireClient, command: Document): Promise<Document> {
  const reply = await wire.command(command);
  if (reply['ok'].value !== 1 || reply['writeErrors'] !== undefined) throw new Error(JSON.stringify(reply));
  return reply;
}

async function insertOne(wire: WireClient): Promise<void> {
  const _id = nextId();
  const documents = [{ _id, text: 'x'.repeat(300) }];
  await wellDone(wire, { insert: 'numbers', documents, writeConcern: MAJORITY, $db: 'd' });
  acknowledged.add(_id);
  writes.emit('acknowledged');
}

async function count(wire: WireClient): Promise<void> {
  counter.atMost += 1;
  const updates = [{ q: { _id: 0 }, u: { $inc: { n: 1 } }, upsert: true }];
  await wellDone(wire, { update: 'counter', updates, writeConcern: MAJORITY, $db: 'd' });
  counter.atLeast += 1;
}

async function insertPair(wire: WireClient): Promise<void> {
  const _id = nextId();
  const lsid = { id: (await wellDone(wire, { startSession: 1, $db: 'admin' }))['id'].id };
  const inTransaction = { lsid, txnNumber: Long.fromNumber(1), autocommit: false };
  const into = (coll: string) => ({ insert: coll, documents: [{ _id }], ...inTransaction, $db: 'd' });
  await wellDone(wire, { ...into('left'), startTransaction: true });
  await wellDone(wire, into('right'));
  await wellDone(wire, { commitTransaction: 1, writeConcern: MAJORITY, ...inTransaction, $db: 'admin' });
  await wellDone(wire, { endSessions: [lsid], $db: 'admin' });
  pairs.add(_id);
}

/** A change stream that outlives its servers: what it saw, in order, and where it would go on. */
interface Follower {
  readonly seen: number[];
  token: unknown;
}

async function follow(wire: WireClient, follower: Follower, start: Document, until: () => boolean): Promise<void> {
  const pipeline = [{ $changeStream: start }];
  let reply = await wellDone(wire, { aggregate: 'numbers', pipeline, cursor: {}, $db: 'd' });
  for (;;) {
    const { id, firstBatch, nextBatch = firstBatch, postBatchResumeToken } = reply['cursor'];
    for (const event of nextBatch) follower.seen.push(event.documentKey._id.value);
    follower.token = nextBatch.at(-1)?._id ?? postBatchResumeToken;
    if (until()) return;
    reply = await wellDone(wire, { getMore: id, collection: 'numbers', maxTimeMS: 100, $db: 'd' });
  }
}

async function idsIn(wire: WireClient, coll: string): Promise<number[]> {
  const reply = await wellDone(wire, { find: coll, batchSize: 1_000_000, singleBatch: true, $db: 'd' });
  return reply['cursor'].firstBatch.map(({ _id }: Document) => _id.value);
}

const sorted = (ids: Iterable<number>) => [...ids].sort((a, b) => a - b);
const missing = (wanted: Iterable<number>, found: readonly number[]) => {
  const there = new Set(found);
  return [...wanted].filter((id) => !there.has(id));
};

test(`killed ${ROUNDS} times under load, it has all that it acknowledged, no half of a transaction, and its streams go on`, {
  timeout: ROUNDS * SECONDS_PER_ROUND * 1000,
}, async () => {
  const program = await buildCli('small-log', new URL('./support/small-log.ts', import.meta.url));
  const follower: Follower = { seen: [], token: undefined };
  let beginning: Timestamp | undefined;
  for (let round = 0; round <= ROUNDS; round += 1) {
    server = await startProcess(program, [folder]);
    const { port } = server;
    const wire = await connectWire(port);
    beginning ??= (await wellDone(wire, { ping: 1, $db: 'admin' }))['operationTime'];

    const ids = await idsIn(wire, 'numbers');
    expect(missing(acknowledged, ids)).toEqual([]);
    const [left, right] = [await idsIn(wire, 'left'), await idsIn(wire, 'right')];
    expect(sorted(left)).toEqual(sorted(right));
    expect(missing(pairs, left)).toEqual([]);
    const found = await wellDone(wire, { find: 'counter', $db: 'd' });
    const n = found['cursor'].firstBatch[0]?.n.value ?? 0;
    expect(n).toBeGreaterThanOrEqual(counter.atLeast);
    expect(n).toBeLessThanOrEqual(counter.atMost);
    counter.atLeast = n;
    counter.atMost = n;

    // By the token of before the crash: everything once, in order, and nothing that is not there.
    const start = follower.token === undefined ? {} : { resumeAfter: follower.token };
    const all = new Set(ids);
    await follow(wire, follower, start, () => new Set(follower.seen).size >= all.size);
    expect(sorted(follower.seen)).toEqual(sorted(ids));
    // By time, from the beginning: the same in the same order.
    const again: Follower = { seen: [], token: undefined };
    await follow(wire, again, { startAtOperationTime: beginning }, () => again.seen.length >= all.size);
    expect(again.seen).toEqual(follower.seen);
    if (round === ROUNDS) break;

    const load = [
      ...Array.from({ length: WRITERS }, () => untilKilled(port, insertOne)),
      untilKilled(port, count),
      untilKilled(port, insertPair),
      untilKilled(port, (own) => follow(own, follower, { resumeAfter: follower.token }, () => false)),
    ];
    const enough = acknowledged.size + 1 + Math.floor(Math.random() * MOST_WRITES);
    while (acknowledged.size < enough) await once(writes, 'acknowledged');
    await server.end('SIGKILL');
    await Promise.all(load);
    wire.close();
  }
  expect(acknowledged.size).toBeGreaterThan(ROUNDS);
  expect(pairs.size).toBeGreaterThan(0);
});
