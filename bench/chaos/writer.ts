import { type Collection, type Document, MongoClient, ObjectId } from 'mongodb';

/** What a writer did, for the checker. */
export interface WriterLog {
  /** Id (hex) -> its place in the order in which this writer inserted into its table. */
  readonly written: ReadonlyMap<string, { readonly table: string; readonly sequence: number }>;
  /** Ids whose insert MongoDB acknowledged by majority. */
  readonly acknowledged: ReadonlySet<string>;
}

/** Inserts unique numbers into all tables, in order per table, as scrapers do. */
export interface Writer extends WriterLog {
  readonly client: MongoClient;
  readonly numbers: Collection;
  /** One number for each table, acknowledged by majority; rejects with the driver's error. */
  round(): Promise<void>;
  /** So many rounds, one after the other. */
  rounds(count: number): Promise<void>;
  /** `count` numbers over the tables in one transaction. */
  transaction(count: number, abort?: boolean): Promise<void>;
  /** `count` numbers over the tables in one `insertMany`. */
  many(count: number): Promise<void>;
  /** Rounds, `gapMs` apart, until `stop`, through every error of the server: what failed is not repeated. */
  start(gapMs?: number): { stop(): Promise<void> };
  close(): Promise<void>;
}

const COLLECTION = 'roleta_numeros';

/** `clock` stamps the numbers. */
export function createWriter(
  uri: string,
  database: string,
  tables: readonly string[],
  clock = (): Date => new Date(),
): Writer {
  const client = new MongoClient(uri, {
    serverSelectionTimeoutMS: 2_000,
    heartbeatFrequencyMS: 500,
    retryWrites: false,
  });
  const numbers = client.db(database).collection(COLLECTION, { writeConcern: { w: 'majority', j: true } });
  const written = new Map<string, { table: string; sequence: number }>();
  const acknowledged = new Set<string>();
  let sequence = 0;
  let turn = 0;

  const make = (table: string): Document => {
    const now = clock();
    // Made at the writer's time, also where the clock of this process is another.
    const id = new ObjectId(ObjectId.generate(Math.floor(now.getTime() / 1000)));
    written.set(id.toHexString(), { table, sequence: ++sequence });
    return {
      _id: id,
      roleta_id: table,
      roleta_nome: `Mesa ${table}`,
      numero: sequence % 37,
      timestamp: now,
    };
  };
  const next = (): string => tables[turn++ % tables.length] ?? '';
  const confirm = (documents: readonly Document[]): void => {
    for (const document of documents) acknowledged.add(String(document['_id']));
  };
  const insert = async (documents: Document[]): Promise<void> => {
    await numbers.insertMany(documents);
    confirm(documents);
  };
  /** One after the other, however many ask at once: the order of one writer is what the checker compares. */
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = (write: () => Promise<void>): Promise<void> => {
    const done = tail.then(write);
    tail = done.catch(() => undefined);
    return done;
  };
  const round = (): Promise<void> => inTurn(() => insert(tables.map(make)));

  const transaction = async (count: number, abort: boolean): Promise<void> => {
    const documents: Document[] = [];
    await client.withSession(async (session) => {
      session.startTransaction({ writeConcern: { w: 'majority', j: true } });
      const inside = client.db(database).collection(COLLECTION);
      for (let at = 0; at < count; at += 200) {
        const part = Array.from({ length: Math.min(200, count - at) }, () => make(next()));
        documents.push(...part);
        await inside.insertMany(part, { session });
      }
      if (abort) await session.abortTransaction();
      else await session.commitTransaction();
    });
    if (!abort) confirm(documents);
  };

  return {
    client,
    numbers,
    written,
    acknowledged,
    round,
    async rounds(count) {
      for (let at = 0; at < count; at++) await round();
    },
    transaction: (count, abort = false) => inTurn(() => transaction(count, abort)),
    many: (count) => inTurn(() => insert(Array.from({ length: count }, () => make(next())))),
    start(gapMs = 2) {
      let going = true;
      const done = (async () => {
        while (going) {
          // What fails here is what the test does to the server; the checker asks the database what was stored.
          await round().catch(() => undefined);
          await new Promise((resolve) => setTimeout(resolve, gapMs));
        }
      })();
      return {
        async stop() {
          going = false;
          await done;
        },
      };
    },
    close: () => client.close(),
  };
}
