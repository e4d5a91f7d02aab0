import { type Document, ObjectId } from 'bson';
import { afterEach, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createRecords } from '../../src/embedded/storage/records.ts';
import { connectWire, type WireClient } from './support/wire.ts';

let server: EmbeddedMongo | undefined;
let wire: WireClient | undefined;

afterEach(async () => {
  wire?.close();
  await server?.stop();
});

async function serve(options: Parameters<typeof startEmbeddedMongo>[0]): Promise<WireClient> {
  server = await startEmbeddedMongo(options);
  wire = await connectWire(server.port);
  return wire;
}

/** A number of about 300 bytes, as the service stores it. */
const number = (at: number): Document => ({
  _id: `2010165:${new ObjectId().toHexString()}`,
  roleta_id: `2010${100 + (at % 39)}`,
  roleta_nome: 'Roulette Brasileira',
  numero: at % 37,
  timestamp: new Date(1_700_000_000_000 + at * 1000),
  rodada: `rodada-${at}`,
  provedor: 'x'.repeat(100),
});

test('a number of 300 bytes with its indexes takes at most 700 bytes, stored alone or in a batch', async () => {
  const to = await serve({ oplogSizeMb: 1 });
  const indexes = [
    { key: { roleta_id: 1, timestamp: -1 }, name: 'by_table' },
    { key: { timestamp: -1 }, name: 'by_time' },
  ];
  await to.command({ createIndexes: 'numbers', indexes, $db: 'd' });
  const held = async (): Promise<number> => {
    const { runcash } = await to.command({ serverStatus: 1, $db: 'admin' });
    return Number(runcash.bytesHeld) - Number(runcash.oplogBytes);
  };
  const empty = await held();
  for (let at = 0; at < 3000; at += 1) await to.command({ insert: 'numbers', documents: [number(at)], $db: 'd' });
  const alone = await held();
  expect((alone - empty) / 3000).toBeLessThan(700);
  const documents = Array.from({ length: 3000 }, (_, at) => number(3000 + at));
  await to.command({ insert: 'numbers', documents, $db: 'd' });
  expect(((await held()) - alone) / 3000).toBeLessThan(700);
});

test('the oplog holds 64 MB when nothing else is said', async () => {
  const to = await serve({});
  const text = 'x'.repeat(8 * 2 ** 20);
  for (let _id = 0; _id < 10; _id += 1) await to.command({ insert: 'c', documents: [{ _id, text }], $db: 'd' });
  const { runcash } = await to.command({ serverStatus: 1, $db: 'admin' });
  expect(Number(runcash.oplogBytes)).toBeGreaterThan(50 * 2 ** 20);
  expect(Number(runcash.oplogBytes)).toBeLessThanOrEqual(64 * 2 ** 20);
});

test('above its limit inserts are refused in words; reads, updates and deletes go on, and then inserts', async () => {
  const to = await serve({ oplogSizeMb: 0.1, maxMb: 2 });
  const insert = (_id: number) =>
    to.command({ insert: 'c', documents: [{ _id, text: 'x'.repeat(100_000) }], $db: 'd' });
  let stored = 0;
  let refused: Document | undefined;
  for (let _id = 0; refused === undefined && _id < 1000; _id += 1) {
    const reply = await insert(_id);
    if (reply['writeErrors'] === undefined) stored += 1;
    else refused = reply['writeErrors'][0];
  }
  expect(refused).toMatchObject({
    code: { value: 146 },
    errmsg: expect.stringMatching(/its limit is 2 MB.*EMBEDDED_MAX_MB/),
  });
  expect(await to.command({ count: 'c', $db: 'd' })).toMatchObject({ n: { value: stored } });
  const update = { q: { _id: 0 }, u: { $set: { text: 'short' } } };
  expect(await to.command({ update: 'c', updates: [update], $db: 'd' })).toMatchObject({ nModified: { value: 1 } });
  const deletes = [{ q: {}, limit: 0 }];
  expect(await to.command({ delete: 'c', deletes, $db: 'd' })).toMatchObject({ n: { value: stored } });
  // What the deletes freed is counted by the clock, on a busy machine later than a second.
  const outcome = async () => (await insert(5000))['writeErrors']?.[0].errmsg ?? 'stored';
  await expect.poll(outcome, { timeout: 20_000 }).toBe('stored');
});

// What had been deleted of the newest slab stayed for ever, once the next one was begun.
test('records that are deleted leave at most one slab behind, however many they were', () => {
  const document = (length: number): Buffer => {
    const raw = Buffer.alloc(length);
    raw.writeInt32LE(length);
    return raw;
  };
  for (let count = 1; count <= 200; count += 1) {
    const records = createRecords();
    for (let id = 0; id < count; id += 1) records.set(id, document(100_040));
    records.set(0, document(40));
    for (let id = 0; id < count; id += 1) records.delete(id);
    expect(records.heldBytes, `${count} records`).toBeLessThanOrEqual(2 ** 20);
  }
});

test('records keep their bytes and their order while others are replaced and removed', () => {
  const records = createRecords();
  const expected = new Map<number, string>();
  const document = (text: string): Buffer => {
    const raw = Buffer.alloc(4 + text.length);
    raw.writeInt32LE(raw.length);
    raw.write(text, 4);
    return raw;
  };
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  for (let step = 0; step < 60_000; step += 1) {
    const id = random(700);
    if (random(5) === 0) {
      records.delete(id);
      expected.delete(id);
    } else {
      const text = `${id}:${'x'.repeat(random(50) === 0 ? 200_000 : random(900))}`;
      records.set(id, document(text));
      expect(records.get(id)?.toString('latin1', 4)).toBe(text);
      expected.set(id, text);
    }
  }
  const inOrder = [...expected].sort(([a], [b]) => a - b);
  expect([...records].map(([id, raw]) => [id, raw.toString('latin1', 4)])).toEqual(inOrder);
  let used = 0;
  for (const text of expected.values()) used += text.length + 4;
  expect(records.heldBytes).toBeLessThan(used * 4 + 2 ** 21);
  for (const id of expected.keys()) records.delete(id);
  expect(records.heldBytes).toBeLessThanOrEqual(2 ** 20);
});
