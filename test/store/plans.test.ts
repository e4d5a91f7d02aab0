import { type Document, MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf } from '../../src/roulette/bson-value.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { type BaseRequest, readBase } from '../../src/store/base.ts';
import { createHistory, type History } from '../../src/store/history.ts';
import type { Databases } from '../../src/store/places.ts';
import { NOW as LATEST, startTestStore, type TestStore, tableId } from './support.ts';

const TABLES = Array.from({ length: 9 }, (_, n) => String(2_010_001 + n));
const EACH = 240;
const HOUR_MS = 3_600_000;
const WANTED = 20;
/** So that nothing is dated ahead of its making. */
const NOW = LATEST - EACH * HOUR_MS;

let mongo: TestStore;

/** A number in any of the spellings of ids and times that are in the field. */
function shared(table: string, n: number): Document {
  const when = new Date(NOW + n * HOUR_MS);
  const timestamp = [
    when,
    when.toISOString(),
    when.getTime(),
    when.toISOString().replace('Z', '123'),
    `${when.getTime()}`,
  ][n % 5];
  return { _id: new ObjectId(), roleta_id: n % 5 === 0 ? Number(table) : table, numero: n % 37, timestamp };
}

beforeAll(async () => {
  mongo = await startTestStore();
  const rows = Array.from({ length: EACH }, (_, n) => n);
  const insert = (name: string, documents: Document[]) => mongo.db.collection(name).insertMany(documents);
  for (const [place, table] of TABLES.entries()) {
    if (place % 3 !== 2) {
      await insert(
        'roleta_numeros',
        rows.map((n) => shared(table, n)),
      );
    } else {
      await insert(
        table,
        rows.map((n) => ({ numero: n % 37, timestamp: new Date(NOW + n * HOUR_MS) })),
      );
      await insert('metadados', [{ roleta_id: table, colecao: table, ativa: true }]);
    }
    await insert(
      'estrategia_historico_novo',
      rows.map((n) => ({ roleta_id: table, estado: 'NEUTRAL', timestamp: new Date(NOW + n * HOUR_MS) })),
    );
  }
  await mongo.store.ensureIndexes();
});

afterAll(() => mongo.stop());

interface Examined {
  readonly stages: string;
  readonly documents: number;
}

/** Reads, and has every query of it explained that is not about the tables' own documents. */
async function explained<T>(read: (databases: Databases) => Promise<T>): Promise<{ found: T; queries: Examined[] }> {
  const finds: Document[] = [];
  const client = new MongoClient(mongo.uri, { monitorCommands: true });
  client.on('commandStarted', ({ commandName, command }) => {
    if (commandName === 'find' && command['find'] !== 'metadados') finds.push({ ...command });
  });
  const database = client.db(mongo.db.databaseName);
  const found = await read({ client, shared: database, tables: database, sources: DEFAULT_SOURCES });
  const queries: Examined[] = [];
  for (const { find, filter, sort, limit } of finds) {
    const plan = await database.command({ explain: { find, filter, sort, limit }, verbosity: 'executionStats' });
    const stages = JSON.stringify(plan['queryPlanner']);
    // Of a collection that is not there nothing is examined.
    queries.push({ stages, documents: Number(plan['executionStats']?.['totalDocsExamined'] ?? 0) });
  }
  await client.close();
  return { found, queries };
}

async function explainBase(request: Partial<BaseRequest>): Promise<{ documents: number; queries: Examined[] }> {
  const { found, queries } = await explained((databases) =>
    readBase({ databases }, { afterClusterTime: null, numbersPerTable: WANTED, rowsPerTable: WANTED, ...request }),
  );
  return { documents: found.numbers.length + found.documents.length, queries };
}

describe('the base of tables in mixed layouts', () => {
  it('is read by indexes alone, and by no more documents than it needs, however many are stored', async () => {
    const { documents, queries } = await explainBase({});
    expect(queries.filter(({ stages }) => stages.includes('COLLSCAN'))).toEqual([]);
    const examined = queries.reduce((sum, query) => sum + query.documents, 0);
    expect(documents).toBeGreaterThanOrEqual(TABLES.length * 2 * WANTED);
    // Of each spelling of an id and each class of times the newest are read, since any of them may be the newest.
    expect(Math.max(...queries.map((query) => query.documents))).toBeLessThanOrEqual(2 * (WANTED + 1));
    expect(examined).toBeLessThan(documents * 8);
  });

  it('looks at what is known already no more than it must to get past it', async () => {
    const known = await mongo.db
      .collection('roleta_numeros')
      .find({}, { sort: { timestamp: -1 } })
      .toArray();
    const keys = new Set(known.map(({ _id }) => keyOf(_id)));
    const { queries } = await explainBase({ known: (ns, key) => ns.endsWith('.roleta_numeros') && keys.has(key) });
    expect(queries.filter(({ stages }) => stages.includes('COLLSCAN'))).toEqual([]);
    expect(Math.max(...queries.map((query) => query.documents))).toBeLessThanOrEqual(EACH);
  });
});

describe('a history', () => {
  const table = tableId(TABLES[0] ?? '');
  const range = { sinceMs: NOW + 50 * HOUR_MS, untilMs: NOW + 100 * HOUR_MS, before: null };
  const legacy = { tables: null, numero: null, cor: null, limit: WANTED, skip: 0 };
  const historyIn = (databases: Databases) =>
    createHistory(databases, { minSpinIntervalMs: 15_000, resolve: () => null, nameOf: () => null }, () =>
      Promise.resolve(),
    );

  it.each<[string, (history: History) => Promise<unknown>, number?]>([
    ['a page of numbers', (history: History) => history.numbers.page(table, WANTED, range)],
    ['a page of strategies', (history: History) => history.strategies.page(table, WANTED, range)],
    ['statistics', (history: History) => history.tableStats(table, { ...range, last: WANTED, doubleZero: false })],
    ['the legacy listing of a table', (history: History) => history.legacyNumbers({ ...legacy, tables: [table] })],
    // Of six tables at once, in every class of times.
    ['the legacy listing of all tables', (history: History) => history.legacyNumbers(legacy), 6],
  ])('is read by indexes alone: %s', async (_name, read, tables = 1) => {
    const { queries } = await explained<unknown>((databases) => read(historyIn(databases)));
    expect(queries.length).toBeGreaterThan(4);
    expect(queries.filter(({ stages }) => stages.includes('COLLSCAN'))).toEqual([]);
    expect(Math.max(...queries.map((query) => query.documents))).toBeLessThanOrEqual(tables * 2 * (WANTED + 2));
  });

  it('that is streamed is looked at once, and not below its range', async () => {
    const { found, queries } = await explained(async (databases) => {
      let count = 0;
      for await (const some of historyIn(databases).numbers.stream(table, range)) count += some.length;
      return count;
    });
    expect(found).toBe(50);
    expect(queries.filter(({ stages }) => stages.includes('COLLSCAN'))).toEqual([]);
    expect(queries.reduce((sum, query) => sum + query.documents, 0)).toBeLessThan(2 * EACH);
  });
});
