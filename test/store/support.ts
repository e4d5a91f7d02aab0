import { type Db, MongoClient } from 'mongodb';
import type { NumberToStore, StrategyToStore } from '../../src/roulette/ingest.ts';
import { createDirectory, isTableId, type TableId } from '../../src/roulette/table.ts';
import { connectStore, type Store, type StoreOptions } from '../../src/store/connect.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

/** A MongoDB, a plain client as a scraper has it, and a store, each on a database of its own. */
export interface TestStore {
  readonly uri: string;
  readonly client: MongoClient;
  readonly db: Db;
  readonly store: Store;
  open(options?: Partial<StoreOptions>): Store;
  /** Makes the next commands of the server fail. */
  fail(mode: object | 'off', data?: object): Promise<void>;
  stop(): Promise<void>;
}

export async function startTestStore(options: Partial<StoreOptions> = {}): Promise<TestStore> {
  const mongo = await startMongo();
  const client = new MongoClient(mongo.uri);
  const database = freshDatabase();
  const stores: Store[] = [];
  const open = (own: Partial<StoreOptions> = {}): Store => {
    const store = connectStore({
      uri: mongo.uri,
      database,
      tablesDatabase: null,
      layout: 'shared',
      minSpinIntervalMs: 15_000,
      resolve: (reference) => createDirectory().resolve(reference)[0] ?? null,
      nameOf: () => null,
      ...options,
      ...own,
    });
    stores.push(store);
    return store;
  };
  const store = open();
  return {
    uri: mongo.uri,
    client,
    db: client.db(database),
    store,
    open,
    async fail(mode, data) {
      await client
        .db('admin')
        .command({ configureFailPoint: 'failCommand', mode, ...(data === undefined ? {} : { data }) });
    },
    async stop() {
      await client.db(database).dropDatabase();
      await Promise.all(stores.map((one) => one.close()));
      await client.close();
      await mongo.stop();
    },
  };
}

export function tableId(text: string): TableId {
  if (!isTableId(text)) throw new Error(`${text} is no table id`);
  return text;
}

export const TABLE = tableId('2010165');
export const NOW = Date.UTC(2026, 10, 24, 13);

export const number = (fields: Partial<NumberToStore> = {}): NumberToStore => ({
  id: `${fields.table ?? TABLE}:k1`,
  table: TABLE,
  name: 'Roulette',
  numero: 0,
  cor: 'verde',
  timestampMs: NOW,
  given: { name: true, timestamp: true },
  ...fields,
});

export const strategy = (fields: Partial<StrategyToStore> = {}): StrategyToStore => ({
  id: `${fields.table ?? TABLE}:s1`,
  table: TABLE,
  name: 'Roulette',
  estado: 'TRIGGER',
  numeroGatilho: 0,
  terminaisGatilho: [4, 7, 8],
  vitorias: 2,
  derrotas: 1,
  sugestaoDisplay: 'APOSTAR EM: 4,7,8',
  timestampMs: NOW,
  given: { name: true, timestamp: true },
  ...fields,
});
