import { type Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

interface Row {
  _id: number | null;
  n?: number;
}

interface Side {
  readonly server: EmbeddedMongo;
  readonly client: MongoClient;
}

const sides: Partial<Record<'4.4' | '8.0', Side>> = {};

beforeAll(async () => {
  for (const compat of ['4.4', '8.0'] as const) {
    const server = await startEmbeddedMongo({ compat });
    sides[compat] = { server, client: await new MongoClient(server.uri).connect() };
  }
});

afterAll(async () => {
  for (const { server, client } of Object.values(sides)) {
    await client.close();
    await server.stop();
  }
});

function run(compat: '4.4' | '8.0', command: Document): Promise<Document> {
  const side = sides[compat];
  if (side === undefined) throw new Error('the server was not started');
  return side.client.db('versions').command(command);
}

const variables = { let: { one: 1 } };

describe('an option that came after 4.4', () => {
  test.each([
    ['let of find', { find: 'c', ...variables }, 9, "Unrecognized field 'let'"],
    ['let of aggregate', { aggregate: 'c', pipeline: [], cursor: {}, ...variables }, 9, "Unrecognized field 'let'"],
    [
      'let of update',
      { update: 'c', updates: [{ q: {}, u: { $set: { n: 1 } } }], ...variables },
      40415,
      "'update.let'",
    ],
    ['let of delete', { delete: 'c', deletes: [{ q: { _id: 9 }, limit: 1 }], ...variables }, 40415, "'delete.let'"],
    ['let of findAndModify', { findAndModify: 'c', query: { _id: 9 }, remove: true, ...variables }, 51177, "'let'"],
    [
      'sort of an update',
      { update: 'c', updates: [{ q: {}, u: { $set: { n: 1 } }, sort: { n: 1 } }] },
      40415,
      "'update.updates.sort'",
    ],
    ['comment of count as a document', { count: 'c', comment: { key: 1 } }, 14, "'count.comment'"],
    ['comment of distinct as a document', { distinct: 'c', key: 'n', comment: { key: 1 } }, 14, "'distinct.comment'"],
  ])('%s, is refused as 4.4 refuses it, and works with --compat 8.0', async (_name, command, code, words) => {
    await expect(run('4.4', command)).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    expect(await run('8.0', command)).toMatchObject({ ok: 1 });
  });

  test('comment of every other command may be a document', async () => {
    const comment = { key: 'value' };
    for (const command of [
      { find: 'c', comment },
      { insert: 'c', documents: [{}], comment },
      { update: 'c', updates: [{ q: { _id: 9 }, u: { $set: { n: 1 } } }], comment },
      { aggregate: 'c', pipeline: [], cursor: {}, comment },
    ]) {
      expect(await run('4.4', command)).toMatchObject({ ok: 1 });
    }
  });
});

describe('_id: null', () => {
  test.each([
    ['operators', { $set: { n: 1 } }],
    ['a replacement', { n: 1 }],
    ['a replacement that names it', { _id: null, n: 1 }],
    ['a pipeline', [{ $set: { n: 1 } }]],
  ])('is what an upsert by %s stores, and what later updates find', async (_name, u) => {
    await run('4.4', { delete: 'nulls', deletes: [{ q: {}, limit: 0 }] });
    const upsert = { update: 'nulls', updates: [{ q: { _id: null }, u, upsert: true }] };
    expect(await run('4.4', upsert)).toMatchObject({ n: 1, upserted: [{ index: 0, _id: null }] });
    const again = { update: 'nulls', updates: [{ q: { _id: null }, u: { $set: { n: 2, _id: null } }, upsert: true }] };
    expect(await run('4.4', again)).toMatchObject({ n: 1, nModified: 1 });
    const { cursor } = await run('4.4', { find: 'nulls' });
    expect(cursor.firstBatch).toEqual([{ _id: null, n: 2 }]);
  });
});

describe('a capped collection', () => {
  test('keeps its documents as long as they are, and gives none away, until 5.0', async () => {
    for (const compat of ['4.4', '8.0'] as const) {
      await run(compat, { create: 'capped', capped: true, size: 10_000, max: 2 });
      const rows: Row[] = [
        { _id: 1, n: 1 },
        { _id: 2, n: 2 },
      ];
      await run(compat, { insert: 'capped', documents: rows });
    }
    const grow = { update: 'capped', updates: [{ q: { _id: 1 }, u: { $set: { more: 'x' } } }] };
    const remove = { delete: 'capped', deletes: [{ q: { _id: 2 }, limit: 1 }] };
    expect(await run('4.4', grow)).toMatchObject({ n: 0, writeErrors: [{ code: 10_003 }] });
    expect(await run('4.4', remove)).toMatchObject({ n: 0, writeErrors: [{ code: 20 }] });
    const alike = { update: 'capped', updates: [{ q: { _id: 1 }, u: { $set: { n: 3 } } }] };
    expect(await run('4.4', alike)).toMatchObject({ nModified: 1 });
    expect(await run('8.0', grow)).toMatchObject({ nModified: 1 });
    expect(await run('8.0', remove)).toMatchObject({ n: 1 });
  });

  test('is not written to in a transaction', async () => {
    const { client } = sides['4.4'] ?? {};
    await client?.withSession(async (session) => {
      session.startTransaction();
      const inserted = client.db('versions').collection('capped').insertOne({ n: 3 }, { session });
      await expect(inserted).rejects.toMatchObject({ code: 263 });
    });
  });
});
