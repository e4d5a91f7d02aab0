import { MongoClient, ObjectId } from 'mongodb';
import { z } from 'zod';
import { startProgram } from '../harness/child.ts';
import { freshDatabase } from '../harness/mongo.ts';

const started = z.object({
  cpuMs: z.number(),
  longestTurnMs: z.number(),
  tables: z.number(),
  events: z.number(),
});

/** What a start cost. */
export type Started = z.infer<typeof started>;

const AT_ONCE = 1_000;
const DAY_MS = 86_400_000;
const FIRST_TABLE = 2_000_000;

/** Stores `each` numbers of `tables` tables, all of yesterday; the name of their database. */
export async function fill(uri: string, tables: number, each: number): Promise<string> {
  const client = new MongoClient(uri);
  const database = freshDatabase();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  await numbers.createIndex({ roleta_id: 1, timestamp: -1, _id: -1 });
  const beginMs = Date.now() - DAY_MS;
  const count = tables * each;
  for (let from = 0; from < count; from += AT_ONCE) {
    const rows = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, at) => {
      const index = from + at;
      const table = index % tables;
      const timestamp = new Date(beginMs + Math.floor(index / tables) * 10);
      const name = `Roleta ${table}`;
      const roleta_id = String(FIRST_TABLE + table);
      return { _id: new ObjectId(), roleta_id, roleta_nome: name, numero: index % 37, cor: 'preto', timestamp };
    });
    await numbers.insertMany(rows, { ordered: false });
  }
  await client.close();
  return database;
}

/** Moves the time of the set, which stands still while nothing is written: a rewind begins that long before it. */
export async function moveOn(uri: string, database: string): Promise<void> {
  const client = new MongoClient(uri);
  await client
    .db(database)
    .collection('foreign')
    .insertOne({}, { writeConcern: { w: 'majority', j: true } });
  await client.close();
}

/** Starts a feed over a database as a process of its own, and ends it when it is ready. */
export async function start(uri: string, database: string, windowSeconds: number): Promise<Started> {
  const args = ['--uri', uri, '--database', database, '--window', String(windowSeconds)];
  const child = startProgram('bench/limits/instance', { args });
  const came = await child.message((message) => started.safeParse(message).data ?? null);
  await child.end();
  return came;
}
