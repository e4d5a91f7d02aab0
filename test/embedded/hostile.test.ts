import { type Document, ObjectId } from 'bson';
import fc from 'fast-check';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandTable } from '../../src/embedded/commands/table.ts';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { createFraming } from '../../src/embedded/wire/framing.ts';
import { parseMessage, WireError } from '../../src/embedded/wire/messages.ts';
import { connectWire, messageOf } from './support/wire.ts';

let server: EmbeddedMongo;

beforeAll(async () => {
  server = await startEmbeddedMongo();
});

afterAll(() => server.stop());

async function ping(): Promise<unknown> {
  const wire = await connectWire(server.port);
  const reply = await wire.command({ ping: 1, $db: 'admin' });
  wire.close();
  return reply['ok'].value;
}

describe('the wire parser', () => {
  test('takes a message in any pieces', () => {
    const message = messageOf({ ping: 1, text: 'x'.repeat(300), $db: 'd' });
    fc.assert(
      fc.property(fc.array(fc.nat(message.length * 2), { maxLength: 12 }), (cuts) => {
        const both = Buffer.concat([message, message]);
        const framing = createFraming();
        const found: Buffer[] = [];
        const points = [0, ...cuts.sort((a, b) => a - b), both.length];
        for (const [i, end] of points.slice(1).entries()) found.push(...framing.push(both.subarray(points[i], end)));
        expect(found.map((one) => one.equals(message))).toEqual([true, true]);
        expect(framing.heldBytes).toBe(0);
      }),
    );
  });

  test('answers any bytes with a message or a wire error, nothing else', () => {
    const message = messageOf({ insert: 'c', documents: [{ a: [1, { b: 'x' }] }], $db: 'd' });
    const damaged = fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
      const copy = Buffer.from(message);
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
    const noise = fc.uint8Array({ minLength: 16, maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(damaged, noise), (bytes) => {
        try {
          for (const whole of createFraming().push(bytes)) parseMessage(whole);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a server under bad clients', { timeout: 60_000 }, () => {
  test.each<[string, Buffer]>([
    ['text', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a length beyond 48 MB', Buffer.from([0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0])],
    ['a negative length', Buffer.from([255, 255, 255, 255, 1, 0, 0, 0])],
    ['an unknown opcode', Buffer.from([16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])],
    ['unknown required flags', messageOf({ ping: 1, $db: 'd' }, 1, 0x8000)],
  ])('closes the connection that sends %s, and serves the others', async (_, bytes) => {
    const wire = await connectWire(server.port);
    wire.write(bytes);
    await wire.closed;
    expect(await ping()).toBe(1);
  });

  test('answers every command with any fields by a reply, and lives on', async () => {
    const scalar = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.string({ maxLength: 8 }),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('$x', '', '$$ROOT'),
      fc.constant(new ObjectId()),
      fc.bigInt({ min: -5n, max: 5n }),
    );
    const anything = fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', '$set', '$gt', 'w', 'id', '$match', 'level', '_data'), scalar, { maxKeys: 2 }),
      fc.array(
        fc.dictionary(
          fc.constantFrom('q', 'u', 'key', 'name', '$match', '$group', '$changeStream', 'limit', '_id'),
          scalar,
          { maxKeys: 3 },
        ),
        { maxLength: 2 },
      ),
    );
    const ended = new Set(['replSetStepDown', 'hello', 'isMaster', 'ismaster', 'configureFailPoint']);
    const names = [...commandTable.keys()].filter((name) => !ended.has(name));
    const common = fc.constantFrom('lsid', 'txnNumber', 'readConcern', 'writeConcern', '$clusterTime', 'maxTimeMS');
    const command = fc.constantFrom(...names).chain((name) => {
      const own = [...(commandTable.get(name)?.fields ?? [])];
      const field = own.length > 0 ? fc.oneof(fc.constantFrom(...own), common) : common;
      return fc.record({
        name: fc.constant(name),
        target: fc.oneof(fc.constant<unknown>('c'), anything),
        rest: fc.dictionary(field, anything, { maxKeys: 4 }),
        db: fc.constantFrom('fuzz', 'admin', ''),
      });
    });
    let wire = await connectWire(server.port);
    await fc.assert(
      fc.asyncProperty(command, async ({ name, target, rest, db }) => {
        const body: Document = { [name]: target, ...rest, $db: db };
        if (name === 'getMore' || name === 'aggregate') body['maxTimeMS'] = 1;
        try {
          const reply = await wire.command(body);
          expect([0, 1]).toContain(reply['ok'].value);
        } catch (error) {
          wire = await connectWire(server.port);
          throw error;
        }
      }),
      { numRuns: 600 },
    );
    wire.close();
    expect(await ping()).toBe(1);
  });

  test('does not hold more of a message than has arrived', async () => {
    const wire = await connectWire(server.port);
    const head = Buffer.alloc(16);
    head.writeInt32LE(40_000_000, 0);
    head.writeInt32LE(2013, 12);
    const before = process.memoryUsage().arrayBuffers;
    wire.write(head);
    expect(await ping()).toBe(1);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
    wire.close();
  });

  test('lets other clients go on while one sorts and scans a large collection', async () => {
    const client = await new MongoClient(server.uri).connect();
    const rows = client.db('large').collection<Document>('rows');
    for (let at = 0; at < 20_000; at += 20_000) {
      await rows.insertMany(
        Array.from({ length: 20_000 }, (_, i) => ({ n: (at + i) % 977, text: 'some words to look at' })),
      );
    }
    let done = false;
    const scan = rows
      // Long for each row: rows that are only looked at are gone through in a turn or two.
      .find({ $expr: { $gt: [{ $size: { $range: [0, 600] } }, 1_000] } })
      .sort({ n: 1 })
      .toArray()
      .then(() => {
        done = true;
      });
    let answers = 0;
    const other = await connectWire(server.port);
    while (!done) {
      await other.command({ ping: 1, $db: 'd' });
      answers += 1;
    }
    await scan;
    expect(answers).toBeGreaterThan(2);
    other.close();
    await client.close();
  });

  test('stops a long command at its time limit', async () => {
    const wire = await connectWire(server.port);
    const reply = await wire.command({
      find: 'rows',
      filter: { text: { $regex: 'nothing.*here$' } },
      sort: { n: 1 },
      maxTimeMS: 1,
      $db: 'large',
    });
    expect(reply).toMatchObject({ codeName: 'MaxTimeMSExpired' });
    wire.close();
  });

  test('frees what a client leaves behind when it goes in the middle of a wait', async () => {
    const wire = await connectWire(server.port);
    const opened = await wire.command({ aggregate: 1, pipeline: [{ $changeStream: {} }], cursor: {}, $db: 'd' });
    wire.write(messageOf({ getMore: opened['cursor'].id, collection: '$cmd.aggregate', maxTimeMS: 600_000, $db: 'd' }));
    wire.close();
    await wire.closed;
    expect(await ping()).toBe(1);
  });

  test('serves connections that come and go by the hundred', async () => {
    for (let round = 0; round < 10; round += 1) {
      const all = await Promise.all(Array.from({ length: 100 }, () => connectWire(server.port)));
      for (const one of all) one.write(messageOf({ ping: 1, $db: 'd' }));
      for (const one of all) one.close();
    }
    expect(await ping()).toBe(1);
  });
});

describe('limits', { timeout: 60_000 }, () => {
  test('a document above 16 MB is refused and nothing else happens', async () => {
    const wire = await connectWire(server.port);
    const reply = await wire.command({
      insert: 'big',
      documents: [{ _id: 1, text: 'x'.repeat(16 * 1024 * 1024) }],
      $db: 'd',
    });
    expect(JSON.stringify(reply)).toContain('10334');
    const within = await wire.command({
      insert: 'big',
      documents: [{ _id: 1, text: 'x'.repeat(16 * 1024 * 1024 - 100) }],
      $db: 'd',
    });
    expect(within['n'].value).toBe(1);
    wire.close();
  });

  test('nesting beyond 100 levels is refused', async () => {
    const nested = (depth: number): Document => (depth === 1 ? { x: 1 } : { x: nested(depth - 1) });
    const wire = await connectWire(server.port);
    const at = async (depth: number) =>
      (await wire.command({ insert: 'deep', documents: [nested(depth)], $db: 'd' }))['n'].value;
    expect([await at(100), await at(101)]).toEqual([1, 0]);
    wire.close();
  });

  test('the oplog stays within its bound', async () => {
    const small = await startEmbeddedMongo({ oplogSizeMb: 1 });
    const wire = await connectWire(small.port);
    for (let i = 0; i < 40; i += 1)
      await wire.command({ insert: 'c', documents: [{ text: 'x'.repeat(100_000) }], $db: 'd' });
    const status = await wire.command({ serverStatus: 1, $db: 'admin' });
    expect(status['oplog'].bytes.value).toBeLessThanOrEqual(1024 * 1024);
    wire.close();
    await small.stop();
  });

  test('two servers in one process know nothing of each other', async () => {
    const other = await startEmbeddedMongo();
    const [a, b] = [await connectWire(server.port), await connectWire(other.port)];
    await a.command({ insert: 'only_here', documents: [{ _id: 1 }], $db: 'two' });
    const found = await b.command({ find: 'only_here', $db: 'two' });
    expect(found['cursor'].firstBatch).toEqual([]);
    a.close();
    b.close();
    await other.stop();
  });
});
