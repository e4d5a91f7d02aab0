import { MongoClient } from 'mongodb';
import { nowUs } from './clock.ts';
import { documentOf, type Spin, type SpinDocument } from './spin.ts';

/** A scraper: inserts numbers, majority and journaled, and remembers when MongoDB acknowledged each. */
export interface Writer {
  /** Inserts spins as one command; resolves with the moment of the acknowledgement. */
  insert(spins: readonly Spin[]): Promise<number>;
  /** Drops its database and ends. */
  close(): Promise<void>;
}

export async function startWriter(uri: string, database: string): Promise<Writer> {
  // One connection keeps the order of what is sent, although nothing waits for an answer.
  const client = new MongoClient(uri, { maxPoolSize: 1 });
  await client.connect();
  const numbers = client.db(database).collection<SpinDocument>('roleta_numeros');
  const options = { writeConcern: { w: 'majority', j: true } } as const;
  return {
    async insert(spins) {
      const [only] = spins;
      if (only !== undefined && spins.length === 1) await numbers.insertOne(documentOf(only), options);
      else await numbers.insertMany(spins.map(documentOf), { ...options, ordered: true });
      return nowUs();
    },
    async close() {
      await client.db(database).dropDatabase();
      await client.close();
    },
  };
}
