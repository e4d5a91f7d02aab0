import { connect } from 'node:net';
import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { MongoClient } from 'mongodb';
import { z } from 'zod';
import { nowUs } from '../harness/clock.ts';
import { createHistogram, record } from '../harness/histogram.ts';
import { documentOf, loadTables, type Spin } from '../harness/spin.ts';

/**
 * A process that writes numbers as fast as they are taken: by the bare driver, or by POST over connections that stay
 * open. Every lane has one write on its way, so that the pressure is the same for both.
 */

const order = z.object({
  way: z.enum(['driver', 'post']),
  uri: z.string(),
  database: z.string(),
  port: z.number(),
  lanes: z.number(),
  /** Numbers of one write. */
  batch: z.number(),
  warmUpMs: z.number(),
  ms: z.number(),
  first: z.number(),
});
export type WriteOrder = z.infer<typeof order>;

export const writeReport = z.object({
  /** Numbers acknowledged in the measured time, and in all. */
  acknowledged: z.number(),
  acknowledgedInAll: z.number(),
  tookUs: z.number(),
  failed: z.number(),
  problem: z.string(),
  histogram: z.string(),
});
export type WriteReport = z.infer<typeof writeReport>;

/** Sends one write; resolves when it is acknowledged. @throws Error in words when it is refused */
type Lane = (spins: readonly Spin[]) => Promise<void>;

const tables = loadTables();

async function driverLanes({ uri, database, lanes }: WriteOrder): Promise<Lane[]> {
  const client = new MongoClient(uri, { maxPoolSize: lanes, minPoolSize: lanes });
  await client.connect();
  const numbers = client.db(database).collection<ReturnType<typeof documentOf>>('roleta_numeros');
  const writeConcern = { w: 'majority', j: true } as const;
  const lane: Lane = async (spins) => {
    const [only] = spins;
    if (only !== undefined && spins.length === 1) await numbers.insertOne(documentOf(only), { writeConcern });
    else await numbers.insertMany(spins.map(documentOf), { writeConcern, ordered: false });
  };
  return Array.from({ length: lanes }, () => lane);
}

const HEAD_END = Buffer.from('\r\n\r\n');
/** 201 of one number, 207 of an array; each of its results must be a created one too. */
const ACCEPTED = /^HTTP\/1\.1 (201|207) /;
const LENGTH = /\r\ncontent-length: (\d+)/i;

function bodyOf(spins: readonly Spin[]): string {
  const items = spins.map((spin) => {
    const { _id, roleta_id, roleta_nome, numero, cor, timestamp } = documentOf(spin);
    return { evento_id: _id, roleta_id, roleta_nome, numero, cor, timestamp };
  });
  return JSON.stringify(items.length === 1 ? items[0] : items);
}

function refusal(head: string, body: string, count: number): Error | null {
  if (!ACCEPTED.test(head)) return new Error(`${head.slice(0, head.indexOf('\r\n'))} ${body.slice(0, 300)}`);
  const created = body.split('"created"').length - 1;
  return created === count ? null : new Error(`${created} of ${count} created: ${body.slice(0, 300)}`);
}

async function postLane(port: number): Promise<Lane> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let rest: Buffer = Buffer.alloc(0);
  let waiting: { settle(error: Error | null): void; count: number } | null = null;
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const headEnd = rest.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = rest.toString('latin1', 0, headEnd);
    const end = headEnd + HEAD_END.length + Number(LENGTH.exec(head)?.[1] ?? 0);
    if (rest.length < end) return;
    const body = rest.toString('utf8', headEnd + HEAD_END.length, end);
    rest = rest.subarray(end);
    const answered = waiting;
    waiting = null;
    answered?.settle(refusal(head, body, answered.count));
  });
  socket.on('close', () => waiting?.settle(new Error('the connection was closed')));
  socket.on('error', (error) => waiting?.settle(error));
  return (spins) =>
    new Promise((resolve, reject) => {
      const body = bodyOf(spins);
      waiting = { count: spins.length, settle: (error) => (error === null ? resolve() : reject(error)) };
      socket.write(
        `POST /api/v1/numbers HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
}

async function run(given: WriteOrder): Promise<WriteReport> {
  const lanes =
    given.way === 'driver'
      ? await driverLanes(given)
      : await Promise.all(Array.from({ length: given.lanes }, () => postLane(given.port)));
  const startUs = nowUs() + given.warmUpMs * 1e3;
  const endUs = startUs + given.ms * 1e3;
  const histogram = createHistogram();
  let next = given.first;
  let acknowledged = 0;
  let acknowledgedInAll = 0;
  let failed = 0;
  let problem = '';
  const write = async (lane: Lane): Promise<void> => {
    while (nowUs() < endUs) {
      const intendedUs = nowUs();
      const spins = Array.from({ length: given.batch }, () => {
        const seq = next++;
        return { seq, intendedUs, table: tables[seq % tables.length] ?? { id: '2010165', name: 'Roulette' } };
      });
      try {
        await lane(spins);
        acknowledgedInAll += spins.length;
        const answeredUs = nowUs();
        if (intendedUs < startUs || answeredUs > endUs) continue;
        acknowledged += spins.length;
        record(histogram, answeredUs - intendedUs);
      } catch (error) {
        failed += spins.length;
        problem ||= error instanceof Error ? error.message : String(error);
        // A lane that was refused for good would only spin.
        return;
      }
    }
  };
  await Promise.all(lanes.map(write));
  const encoded = encodeIntoCompressedBase64(histogram);
  return { acknowledged, acknowledgedInAll, tookUs: given.ms * 1e3, failed, problem, histogram: encoded };
}

process.once('message', (message) => {
  run(order.parse(message)).then(
    (report) => process.send?.(report, () => process.exit(0)),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
