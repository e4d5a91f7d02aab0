import { type Document, type FindCursor, MongoClient, type Timestamp } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

interface Row {
  _id: number;
  n?: number;
}

let server: EmbeddedMongo;
let client: MongoClient;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  client = await new MongoClient(server.uri).connect();
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

const oplog = () => client.db('local').collection('oplog.rs');
const rows = () => client.db('watched').collection<Row>('rows');
const ofRows = { ns: 'watched.rows' };

describe('local.oplog.rs', () => {
  test('shows every change in the order in which it was made', async () => {
    await rows().insertOne({ _id: 1, n: 1 });
    await rows().updateOne({ _id: 1 }, { $set: { n: 2 } });
    await rows().updateOne({ _id: 1 }, { $unset: { n: 1 } });
    await rows().replaceOne({ _id: 1 }, { n: 3 });
    await rows().deleteOne({ _id: 1 });
    const shown = await oplog().find(ofRows).toArray();
    expect(shown).toMatchObject([
      { op: 'i', o: { _id: 1, n: 1 }, v: 2 },
      { op: 'u', o: { $v: 1, $set: { n: 2 } }, o2: { _id: 1 } },
      { op: 'u', o: { $v: 1, $unset: { n: true } }, o2: { _id: 1 } },
      { op: 'u', o: { _id: 1, n: 3 }, o2: { _id: 1 } },
      { op: 'd', o: { _id: 1 } },
    ]);
    const times = shown.map(({ ts }) => (ts as Timestamp).toBigInt());
    expect(times).toEqual(times.toSorted((a, b) => Number(a - b)));
    expect(await oplog().find({ ns: 'watched.$cmd' }).toArray()).toMatchObject([{ op: 'c', o: { create: 'rows' } }]);
  });

  test('is read backwards, from a time, projected, and aggregated', async () => {
    const [last] = await oplog().find(ofRows).sort({ $natural: -1 }).limit(1).toArray();
    expect(last).toMatchObject({ op: 'd' });
    const since = await oplog()
      .find({ ts: { $gte: last?.['ts'] }, ...ofRows })
      .project({ op: 1, _id: 0 })
      .toArray();
    expect(since).toEqual([{ op: 'd' }]);
    const counted = await oplog()
      .aggregate([{ $match: ofRows }, { $group: { _id: '$op', count: { $sum: 1 } } }, { $sort: { _id: 1 } }])
      .toArray();
    expect(counted).toEqual([
      { _id: 'd', count: 1 },
      { _id: 'i', count: 1 },
      { _id: 'u', count: 3 },
    ]);
  });

  test('shows a transaction as one entry', async () => {
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await rows().insertOne({ _id: 2 }, { session });
        await rows().insertOne({ _id: 3 }, { session });
      }),
    );
    expect(await oplog().find({ ns: 'admin.$cmd' }).toArray()).toMatchObject([
      {
        op: 'c',
        o: {
          applyOps: [
            { op: 'i', o: { _id: 2 } },
            { op: 'i', o: { _id: 3 } },
          ],
        },
        txnNumber: expect.anything(),
      },
    ]);
  });

  test('is tailed: the cursor waits for what is written later', async () => {
    const [last] = await oplog().find().sort({ $natural: -1 }).limit(1).toArray();
    const options = { tailable: true, awaitData: true, maxAwaitTimeMS: 60_000 };
    const tail: FindCursor<Document> = oplog().find({ ts: { $gt: last?.['ts'] }, ...ofRows }, options);
    const next = tail.next();
    await rows().insertOne({ _id: 4 });
    expect(await next).toMatchObject({ op: 'i', o: { _id: 4 } });
    await tail.close();
  });
});
