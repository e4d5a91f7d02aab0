import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  element,
  ODD_IDS,
  ODD_VALUES,
  oddDocuments,
  rawArray,
  rawCommand,
  rawDocument,
  rawString,
} from '../../bench/chaos/odd-documents.ts';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { bodyOf, connectWire, type WireClient } from './support/wire.ts';

let server: EmbeddedMongo;
let wire: WireClient;
const folder = mkdtempSync(join(tmpdir(), 'embedded-odd-'));

beforeAll(async () => {
  server = await startEmbeddedMongo({ dataDir: folder });
  wire = await connectWire(server.port);
});

afterAll(async () => {
  wire.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const INT1 = Buffer.of(1, 0, 0, 0);

/** Runs a command given as raw elements. @returns the reply's bytes */
async function run(...elements: readonly Buffer[]): Promise<Buffer> {
  wire.write(rawCommand('d', 1, ...elements));
  return await wire.nextMessage();
}

async function insertAll(coll: string, documents: readonly Buffer[]): Promise<void> {
  const reply = bodyOf(await run(rawString('insert', coll), rawArray('documents', documents)));
  expect([reply['writeErrors'], reply['n']?.value]).toEqual([undefined, documents.length]);
}

const setting = (name: string): Buffer =>
  element(0x03, 'u', rawDocument(element(0x03, '$set', rawDocument(element(0x10, name, INT1)))));

/** A name that stands twice in a document is kept as long as nothing of the document is changed or left out. */
const changeable = () => oddDocuments().filter(({ name }) => name !== 'a name twice');

const INDEXES = [
  { key: { odd: 1 }, name: 'odd_1' },
  { key: { kind: 1, odd: -1 }, name: 'kind_1_odd_-1' },
  { key: { 'odd.b': 1 }, name: 'odd.b_1', sparse: true },
];

describe('a document of odd bytes', () => {
  const documents = oddDocuments([rawString('kind', 'odd')]);

  test('is stored and read back byte by byte, with and without indexes', async () => {
    await wire.command({ createIndexes: 'indexed', indexes: INDEXES, $db: 'd' });
    for (const coll of ['plain', 'indexed']) {
      await insertAll(
        coll,
        documents.map(({ raw }) => raw),
      );
      for (const { name, id, raw } of documents) {
        const reply = await run(
          rawString('find', coll),
          element(0x03, 'filter', rawDocument(element(0x07, '_id', Buffer.from(id.id)))),
        );
        expect([name, reply.includes(raw)]).toEqual([name, true]);
      }
    }
  });

  test('is found by its odd value, also through an index', async () => {
    for (const coll of ['plain', 'indexed']) {
      for (const { name, raw } of documents) {
        const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
        // A pattern in a filter is a search, and undefined is refused there.
        if (type === 0x0b || type === 0x06) continue;
        const filter = rawDocument(element(0x03, 'odd', rawDocument(element(type, '$eq', value))));
        const reply = await run(rawString('find', coll), element(0x03, 'filter', filter));
        expect([coll, name, reply.includes(raw)]).toEqual([coll, name, true]);
      }
    }
  });

  test('keeps its bytes through an update of another field, a projection and a sort', async () => {
    await wire.command({ createIndexes: 'updated', indexes: INDEXES, $db: 'd' });
    const own = changeable();
    await insertAll(
      'updated',
      own.map(({ raw }) => raw),
    );
    for (const { name, id } of own) {
      const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
      const odd = element(type, 'odd', value);
      const q = element(0x03, 'q', rawDocument(element(0x07, '_id', Buffer.from(id.id))));
      const updated = bodyOf(
        await run(rawString('update', 'updated'), rawArray('updates', [rawDocument(q, setting('seen'))])),
      );
      expect([name, updated['nModified']?.value]).toEqual([name, 1]);
      const key = element(0x07, '_id', Buffer.from(id.id));
      const whole = rawDocument(key, odd, element(0x10, 'seen', INT1));
      const filter = element(0x03, 'filter', rawDocument(key));
      expect([name, (await run(rawString('find', 'updated'), filter)).includes(whole)]).toEqual([name, true]);
      const projection = element(0x03, 'projection', rawDocument(element(0x10, 'odd', INT1)));
      const projected = await run(rawString('find', 'updated'), filter, projection);
      expect([name, projected.includes(rawDocument(key, odd))]).toEqual([name, true]);
    }
    const sorted = bodyOf(await run(rawString('count', 'updated')));
    expect(sorted['n']?.value).toBe(own.length);
    const byOdd = element(0x03, 'sort', rawDocument(element(0x10, 'odd', INT1)));
    const all = await run(rawString('find', 'updated'), byOdd, element(0x10, 'batchSize', Buffer.of(0, 1, 0, 0)));
    for (const { name } of own) {
      const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
      expect([name, all.includes(element(type, 'odd', value))]).toEqual([name, true]);
    }
  });

  test('appears in change streams with its bytes, inserted, updated and deleted', async () => {
    const opened = await wire.command({
      aggregate: 'watched',
      pipeline: [{ $changeStream: {} }, { $project: { clusterTime: 0 } }],
      cursor: {},
      $db: 'd',
    });
    const getMore = () =>
      wire.rawCommand({ getMore: opened['cursor'].id, collection: 'watched', maxTimeMS: 1000, $db: 'd' });
    for (const { name, id, raw } of changeable()) {
      const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
      const majority = element(0x03, 'writeConcern', rawDocument(rawString('w', 'majority')));
      await run(rawString('insert', 'watched'), rawArray('documents', [raw]), majority);
      expect([name, (await getMore()).includes(raw)]).toEqual([name, true]);
      const key = element(0x07, '_id', Buffer.from(id.id));
      const q = element(0x03, 'q', rawDocument(key));
      const odd = rawDocument(element(0x03, '$set', rawDocument(element(type, 'again', value))));
      await run(
        rawString('update', 'watched'),
        rawArray('updates', [rawDocument(q, element(0x03, 'u', odd))]),
        majority,
      );
      expect([name, (await getMore()).includes(element(type, 'again', value))]).toEqual([name, true]);
      const one = rawDocument(q, element(0x10, 'limit', INT1));
      const removed = await run(rawString('delete', 'watched'), rawArray('deletes', [one]), majority);
      expect([name, bodyOf(removed)['n']?.value]).toEqual([name, 1]);
      expect([name, (await getMore()).includes(rawDocument(key))]).toEqual([name, true]);
    }
  });

  test('may have an odd _id, which is unique, found and deleted by its bytes', async () => {
    for (const name of ODD_IDS) {
      const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
      const key = element(type, '_id', value);
      await insertAll('ids', [rawDocument(key)]);
      const again = await run(rawString('insert', 'ids'), rawArray('documents', [rawDocument(key)]));
      expect([name, again.includes('E11000')]).toEqual([name, true]);
      const found = await run(rawString('find', 'ids'), element(0x03, 'filter', rawDocument(key)));
      expect([name, found.includes(rawDocument(key))]).toEqual([name, true]);
    }
    for (const name of ODD_IDS) {
      const { type, value } = ODD_VALUES[name] ?? { type: 0, value: INT1 };
      const one = rawDocument(
        element(0x03, 'q', rawDocument(element(type, '_id', value))),
        element(0x10, 'limit', INT1),
      );
      const removed = bodyOf(await run(rawString('delete', 'ids'), rawArray('deletes', [one])));
      expect([name, removed['n']?.value]).toEqual([name, 1]);
    }
  });

  test('is there byte by byte after a restart', async () => {
    wire.close();
    await server.stop();
    server = await startEmbeddedMongo({ dataDir: folder });
    wire = await connectWire(server.port);
    for (const { name, id, raw } of documents) {
      const filter = element(0x03, 'filter', rawDocument(element(0x07, '_id', Buffer.from(id.id))));
      expect([name, (await run(rawString('find', 'indexed'), filter)).includes(raw)]).toEqual([name, true]);
    }
    const odd = await wire.command({ validate: 'indexed', $db: 'd' });
    expect(odd['valid']).toBe(true);
  });
});

test('undefined is a type of its own that sorts below null and that null finds', async () => {
  await insertAll('undefined', [
    rawDocument(element(0x10, '_id', Buffer.of(1, 0, 0, 0)), element(0x0a, 'v', Buffer.alloc(0))),
    rawDocument(element(0x10, '_id', Buffer.of(2, 0, 0, 0)), element(0x06, 'v', Buffer.alloc(0))),
  ]);
  const ids = async (body: object): Promise<unknown[]> => {
    const reply = await wire.command({ find: 'undefined', ...body, $db: 'd' });
    return reply['cursor'].firstBatch.map((document: { _id: { value: number } }) => document._id.value);
  };
  expect(await ids({ filter: { v: { $type: 'undefined' } } })).toEqual([2]);
  expect(await ids({ filter: { v: null } })).toEqual([1, 2]);
  expect(await ids({ sort: { v: 1 } })).toEqual([2, 1]);
});
