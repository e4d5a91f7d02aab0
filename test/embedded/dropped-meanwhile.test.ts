import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';

const DOCUMENTS = 20_000;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'embedded-dropped-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

// What broke: documents written into a collection that was gone made a data folder that no server could read back.
describe('a database that is dropped while an aggregation writes into it', { timeout: 60_000 }, () => {
  test.each<[string, Document, string]>([
    ['$merge', { $merge: { into: { db: 'target', coll: 'copy' } } }, 'fulfilled'],
    ['$out', { $out: { db: 'target', coll: 'copy' } }, 'rejected'],
  ])('leaves a folder that can be read: %s', async (_, stage, status) => {
    const server = await startEmbeddedMongo({ dataDir: folder });
    const client = await new MongoClient(server.uri).connect();
    const source = client.db('source').collection('rows');
    await source.insertMany(Array.from({ length: DOCUMENTS }, (_each, n) => ({ n })));
    const target = client.db('target');
    const work = Promise.allSettled([source.aggregate([stage]).toArray()]);
    let over = false;
    void work.then(() => {
      over = true;
    });
    // `$out` fills a collection of another name.
    const written = async () => {
      const [made] = await target.listCollections().toArray();
      return made === undefined ? 0 : target.collection(made.name).estimatedDocumentCount();
    };
    while ((await written()) === 0) expect(over).toBe(false);
    await target.dropDatabase();
    expect(await work).toMatchObject([{ status }]);
    const left = await target.collection('copy').countDocuments();
    expect(left).toBeLessThan(DOCUMENTS);
    await client.close();
    await server.stop();

    const again = await startEmbeddedMongo({ dataDir: folder });
    const reader = await new MongoClient(again.uri).connect();
    expect(await reader.db('target').collection('copy').countDocuments()).toBe(left);
    await reader.close();
    await again.stop();
  });
});
