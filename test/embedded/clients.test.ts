import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

/**
 * Clients other than the driver that the rest is tested with, each run where it is at hand: PyMongo and Motor in the
 * Python of TEST_PYTHON or of the system, the shell that TEST_MONGOSH names, and the mongoose whose folder TEST_MONGOOSE
 * names.
 */
const pythonWith = (module: string): string | undefined =>
  [process.env['TEST_PYTHON'] ?? 'python3', '/usr/bin/python3'].find(
    (python) => spawnSync(python, ['-c', `import ${module}`]).status === 0,
  );
const PYTHON = pythonWith('pymongo');
const MOTOR = pythonWith('motor.motor_asyncio');
const MONGOSH = process.env['TEST_MONGOSH'];
const MONGOOSE = process.env['TEST_MONGOOSE'];

const fileOf = (name: string) => fileURLToPath(new URL(`./support/${name}`, import.meta.url));

/** The last line that a program prints, as JSON. */
async function lastLine(program: string, args: readonly string[], uri: string): Promise<unknown> {
  const child = spawn(program, args, { env: { ...process.env, MONGODB_URI: uri }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const [code]: unknown[] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}:\n${output}`);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '');
}

describe.each(['4.4', '8.0'] as const)('a server like %s', (compat) => {
  let server: EmbeddedMongo;
  beforeAll(async () => {
    server = await startEmbeddedMongo({ compat });
  });
  afterAll(() => server.stop());

  test.skipIf(PYTHON === undefined)('serves PyMongo: writes, reads, transactions, streams that resume', async () => {
    expect(await lastLine(PYTHON ?? '', [fileOf('client.py')], server.uri)).toEqual({
      found: [39, 38, 37, 36, 35],
      matched: 3,
      upserted: 100,
      after: 7,
      bulk: 1,
      groups: [{ _id: true, count: 3 }],
      deleted: 2,
      count: 39,
      distinct: ['2010165'],
      duplicate: 11000,
      both: [1, 1],
      resumed: Array.from({ length: 38 }, (_, n) => n + 2),
      by_time: 1,
      databases: true,
      dropped: true,
    });
  });

  test.skipIf(MOTOR === undefined)(
    'serves Motor: many writes at once, streams that are followed meanwhile',
    async () => {
      expect(await lastLine(MOTOR ?? '', [fileOf('client.motor.py')], server.uri)).toEqual({
        watched: Array.from({ length: 20 }, (_, n) => n),
        resumed: true,
        found: [19, 18, 17, 16, 15],
        changed: 3,
        duplicate: 11000,
        both: [1, 1],
        dropped: true,
      });
    },
  );

  test.skipIf(MONGOSH === undefined)('serves mongosh: shows, inserts, finds, watches', async () => {
    const args = [server.uri, '--quiet', '--norc', '--file', fileOf('client.mongosh.js')];
    expect(await lastLine(MONGOSH ?? '', args, server.uri)).toEqual({
      inserted: true,
      databases: true,
      shown: expect.anything(),
      collections: ['numbers'],
      found: [{ _id: 2, n: 36 }],
      updated: 1,
      indexes: ['_id_', 'n_1'],
      plan: 'FETCH',
      counted: 2,
      status: 1,
      event: { _id: 3 },
      resumed: { _id: 4 },
      dropped: 1,
    });
  });

  test.skipIf(MONGOOSE === undefined)('serves mongoose: models, indexes, populate, transactions, watch', async () => {
    const mongoose = createRequire(import.meta.url)(MONGOOSE ?? '');
    const connection = await mongoose.createConnection(server.uri, { dbName: 'from_mongoose' }).asPromise();
    const schema = new mongoose.Schema(
      { name: { type: String, unique: true }, numbers: [Number] },
      { timestamps: true },
    );
    const Table = connection.model('Table', schema);
    const Spin = connection.model(
      'Spin',
      new mongoose.Schema({ n: { type: Number, min: 0 }, table: { type: 'ObjectId', ref: 'Table' } }),
    );
    await Promise.all([Table.init(), Spin.init()]);
    const stream = Spin.watch();
    const event = once(stream, 'change');
    await once(stream, 'ready');
    const table = await Table.create({ name: 'Roulette', numbers: [1, 2] });
    await Spin.create({ n: 17, table });
    const [change] = await event;
    expect(change.fullDocument.n).toBe(17);
    await stream.close();
    await expect(Table.create({ name: 'Roulette' })).rejects.toMatchObject({ code: 11000 });
    await expect(Spin.create({ n: -1 })).rejects.toThrow(/minimum/);
    table.numbers.push(3);
    await table.save();
    expect((await Spin.findOne({ n: 17 }).populate('table').lean()).table.numbers).toEqual([1, 2, 3]);
    await connection.transaction(async (session: unknown) => {
      await Spin.create([{ n: 1 }, { n: 2 }], { session, ordered: true });
    });
    expect(await Spin.countDocuments()).toBe(3);
    await connection.dropDatabase();
    await connection.close();
  });
});
