import { once } from 'node:events';
import { type ClientSession, type Collection, MongoClient, MongoServerError } from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';

interface Row {
  _id: number;
  v: number;
}

let server: EmbeddedMongo;
let client: MongoClient;
let rows: Collection<Row>;
let count = 0;

beforeAll(async () => {
  server = await startEmbeddedMongo();
  client = await new MongoClient(server.uri).connect();
});

beforeEach(async () => {
  count += 1;
  rows = client.db(`transactions_${count}`).collection<Row>('rows');
  await rows.insertMany([
    { _id: 1, v: 1 },
    { _id: 2, v: 2 },
  ]);
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

async function inTransaction(body: (session: ClientSession) => Promise<void>): Promise<void> {
  const session = client.startSession();
  session.startTransaction();
  try {
    await body(session);
  } finally {
    if (session.inTransaction()) await session.abortTransaction();
    await session.endSession();
  }
}

describe('a transaction', () => {
  test('sees its own writes, which nobody else sees before its commit', async () => {
    await inTransaction(async (session) => {
      await rows.insertOne({ _id: 3, v: 3 }, { session });
      await rows.updateOne({ _id: 1 }, { $inc: { v: 10 } }, { session });
      await rows.deleteOne({ _id: 2 }, { session });
      expect(await rows.find({}, { session }).sort({ _id: 1 }).toArray()).toEqual([
        { _id: 1, v: 11 },
        { _id: 3, v: 3 },
      ]);
      expect(await rows.find().sort({ _id: 1 }).toArray()).toEqual([
        { _id: 1, v: 1 },
        { _id: 2, v: 2 },
      ]);
      await session.commitTransaction();
    });
    expect(await rows.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 1, v: 11 },
      { _id: 3, v: 3 },
    ]);
  });

  test('reads the state of its beginning, whatever others write meanwhile', async () => {
    await rows.createIndex({ v: 1 });
    await inTransaction(async (session) => {
      expect(await rows.countDocuments({ v: { $gt: 0 } }, { session })).toBe(2);
      await rows.insertOne({ _id: 9, v: 9 });
      await rows.updateOne({ _id: 1 }, { $set: { v: 100 } });
      await rows.deleteOne({ _id: 2 });
      expect(
        await rows
          .find({ v: { $gt: 0 } }, { session })
          .sort({ v: 1 })
          .toArray(),
      ).toEqual([
        { _id: 1, v: 1 },
        { _id: 2, v: 2 },
      ]);
    });
  });

  test('leaves nothing when it is aborted', async () => {
    const stream = rows.watch();
    const opened = once(stream, 'resumeTokenChanged');
    const change = once(stream, 'change');
    await opened;
    await inTransaction(async (session) => {
      await rows.insertOne({ _id: 3, v: 3 }, { session });
      await session.abortTransaction();
    });
    await rows.insertOne({ _id: 4, v: 4 });
    const [event]: unknown[] = await change;
    expect(event).toMatchObject({ documentKey: { _id: 4 } });
    expect(await rows.countDocuments()).toBe(3);
    await stream.close();
  });

  test('meets a write conflict where another one has written first, and succeeds when it is tried again', async () => {
    await inTransaction(async (first) => {
      await rows.updateOne({ _id: 1 }, { $set: { v: 50 } }, { session: first });
      await inTransaction(async (second) => {
        const lost = rows.updateOne({ _id: 1 }, { $set: { v: 60 } }, { session: second });
        await expect(lost).rejects.toMatchObject({ code: 112, errorLabels: ['TransientTransactionError'] });
      });
      await first.commitTransaction();
    });
    await client.withSession((session) =>
      session.withTransaction(() => rows.updateOne({ _id: 1 }, { $inc: { v: 1 } }, { session })),
    );
    expect(await rows.findOne({ _id: 1 })).toEqual({ _id: 1, v: 51 });
  });

  test('meets a write conflict on what was changed after its snapshot', async () => {
    await inTransaction(async (session) => {
      await rows.findOne({ _id: 2 }, { session });
      await rows.updateOne({ _id: 1 }, { $set: { v: 7 } });
      await expect(rows.updateOne({ _id: 1 }, { $set: { v: 8 } }, { session })).rejects.toMatchObject({ code: 112 });
    });
  });

  test('makes a write outside wait for its end', async () => {
    await inTransaction(async (session) => {
      await rows.updateOne({ _id: 1 }, { $set: { v: 50 } }, { session });
      const outside = rows.updateOne({ _id: 1 }, { $inc: { v: 1 } });
      await session.commitTransaction();
      await outside;
    });
    expect(await rows.findOne({ _id: 1 })).toEqual({ _id: 1, v: 51 });
  });

  test('keeps unique keys unique between transactions', async () => {
    await inTransaction(async (first) => {
      await rows.insertOne({ _id: 7, v: 1 }, { session: first });
      await inTransaction(async (second) => {
        await expect(rows.insertOne({ _id: 7, v: 2 }, { session: second })).rejects.toMatchObject({ code: 112 });
      });
      await expect(rows.insertOne({ _id: 1, v: 2 }, { session: first })).rejects.toMatchObject({ code: 11000 });
    });
  });

  test('lets a unique key move between its own documents', async () => {
    await rows.createIndex({ v: 1 }, { unique: true });
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await rows.deleteOne({ _id: 1 }, { session });
        await rows.insertOne({ _id: 5, v: 1 }, { session });
      }),
    );
    expect(await rows.findOne({ v: 1 })).toEqual({ _id: 5, v: 1 });
    await expect(rows.insertOne({ _id: 6, v: 1 })).rejects.toMatchObject({ code: 11000 });
  });

  test('searches an index as its own writes have changed it, in either direction', async () => {
    await rows.createIndex({ v: 1 }, { unique: true });
    await inTransaction(async (session) => {
      await rows.insertOne({ _id: 3, v: 7 }, { session });
      await rows.updateOne({ _id: 1 }, { $set: { v: 5 } }, { session });
      await rows.deleteOne({ _id: 2 }, { session });
      const at = async (filter: object) =>
        (await rows.find(filter, { session, hint: 'v_1' }).toArray()).map(({ _id }) => _id);
      expect(await at({ v: 1 })).toEqual([]);
      expect(await at({ v: 2 })).toEqual([]);
      expect(await at({ v: 5 })).toEqual([1]);
      expect(await at({ v: { $gt: 5 } })).toEqual([3]);
      const sorted = rows.find({ v: { $gte: 1 } }, { session, hint: 'v_1' }).sort({ v: -1 });
      expect((await sorted.toArray()).map(({ v }) => v)).toEqual([7, 5]);
      // A key that was given up is free for another document of the transaction, one that is in use is not.
      await rows.insertOne({ _id: 4, v: 2 }, { session });
      await expect(rows.insertOne({ _id: 5, v: 5 }, { session })).rejects.toMatchObject({ code: 11000 });
    });
  });

  test('of thousands of documents takes a time that grows with their number, not with its square', async () => {
    const many = 6_000;
    await inTransaction(async (session) => {
      const documents = Array.from({ length: many }, (_, i) => ({ _id: 10 + i, v: i }));
      await rows.insertMany(documents, { session });
      await rows.bulkWrite(
        documents.map(({ _id }) => ({ updateOne: { filter: { _id }, update: { $inc: { v: 1 } } } })),
        { session },
      );
      await session.commitTransaction();
    });
    expect(await rows.countDocuments({ v: { $gt: 0 } })).toBe(many + 2);
  }, 20_000);

  test('has events that share one cluster time and carry its session', async () => {
    const stream = rows.watch();
    const opened = once(stream, 'resumeTokenChanged');
    const seen: { clusterTime?: { toString(): string }; txnNumber?: unknown; lsid?: unknown }[] = [];
    const both = new Promise<void>((resolve) => {
      stream.on('change', (event) => {
        seen.push(event);
        if (seen.length === 2) resolve();
      });
    });
    await opened;
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await rows.insertOne({ _id: 10, v: 1 }, { session });
        await rows.insertOne({ _id: 11, v: 1 }, { session });
      }),
    );
    await both;
    expect(seen[0]?.clusterTime?.toString()).toBe(seen[1]?.clusterTime?.toString());
    expect(seen.every((event) => event.txnNumber !== undefined && event.lsid !== undefined)).toBe(true);
    await stream.close();
  });

  test('that was committed answers a second commit and refuses an abort', async () => {
    const session = client.startSession();
    session.startTransaction();
    await rows.insertOne({ _id: 3, v: 3 }, { session });
    await session.commitTransaction();
    await session.commitTransaction();
    await session.endSession();
    expect(await rows.countDocuments()).toBe(3);
  });

  test('refuses commands that do not belong into one', async () => {
    await inTransaction(async (session) => {
      const refused = client.db('admin').command({ listDatabases: 1 }, { session });
      await expect(refused).rejects.toBeInstanceOf(MongoServerError);
      await expect(refused).rejects.toMatchObject({ code: 263 });
    });
  });

  test('holds up the drop of a collection that it has written to', async () => {
    await inTransaction(async (session) => {
      await rows.insertOne({ _id: 3, v: 3 }, { session });
      const dropped = rows.drop();
      await session.commitTransaction();
      expect(await dropped).toBe(true);
    });
  });
});
