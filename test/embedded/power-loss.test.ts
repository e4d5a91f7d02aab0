import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createPowerFiles } from './support/power.ts';

interface Row {
  _id: number;
  text?: string;
  twin?: number;
}

/** Moments at which the power fails; TEST_POWER_LOSSES asks for more. */
const LOSSES = Number(process.env['TEST_POWER_LOSSES'] ?? 30);
const WRITERS = 4;
const WRITES = 60;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'embedded-power-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Numbers from 0 to 1, the same for a seed (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Writes single documents and pairs in transactions, with majority. Returns each with the moment of its acknowledgement. */
async function work(uri: string, moment: () => number): Promise<Map<number, number>> {
  const client = await new MongoClient(uri).connect();
  const rows = client.db('power').collection<Row>('rows');
  await rows.createIndex({ twin: 1 });
  const acknowledged = new Map<number, number>();
  const majority = { writeConcern: { w: 'majority' } } as const;
  const writer = async (own: number): Promise<void> => {
    for (let n = 0; n < WRITES; n += 1) {
      const _id = (n * WRITERS + own) * 2;
      if (n % 3 > 0) await rows.insertOne({ _id, text: 'x'.repeat(100 + ((n * 977) % 3_000)) }, majority);
      else {
        await client.withSession((session) =>
          session.withTransaction(async () => {
            await rows.insertOne({ _id, twin: _id + 1 }, { session });
            await rows.insertOne({ _id: _id + 1, twin: _id }, { session });
          }, majority),
        );
      }
      acknowledged.set(_id, moment());
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, own) => writer(own)));
  await client.close();
  return acknowledged;
}

test('wherever the power fails, a start finds all that was acknowledged and no half transaction', async () => {
  const files = createPowerFiles();
  const server = await startEmbeddedMongo({ dataDir: join(folder, 'lived'), files, compactAboveMb: 0.05 });
  const begun = files.moment;
  const acknowledged = await work(server.uri, () => files.moment);
  await server.stop();
  expect(acknowledged.size).toBe(WRITERS * WRITES);
  for (let seed = 1; seed <= LOSSES; seed += 1) {
    const chance = chanceOf(seed);
    const moment = begun + Math.floor(chance() * (files.moment - begun + 1));
    const dataDir = join(folder, `lost-${seed}`);
    files.lose(dataDir, moment, chance);
    const again = await startEmbeddedMongo({ dataDir });
    const client = await new MongoClient(again.uri).connect();
    const found = await client.db('power').collection<Row>('rows').find({}).toArray();
    await client.close();
    await again.stop();
    const ids = new Set(found.map(({ _id }) => _id));
    const lost = [...acknowledged].filter(([id, at]) => at <= moment && !ids.has(id)).map(([id]) => id);
    const halves = found.filter(({ twin }) => twin !== undefined && !ids.has(twin)).map(({ _id }) => _id);
    expect({ seed, moment, lost, halves }).toEqual({ seed, moment, lost: [], halves: [] });
    rmSync(dataDir, { recursive: true });
  }
});
