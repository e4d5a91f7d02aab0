import fc from 'fast-check';
import {
  BSON,
  BSONRegExp,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MongoClient,
  ObjectId,
  Timestamp,
  UUID,
} from 'mongodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyOf } from '../../src/roulette/bson-value.ts';
import { newerFirst, numberFrom } from '../../src/roulette/number.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { type Base, readBase } from '../../src/store/base.ts';
import { placeOf, valuesOf } from '../../src/store/places.ts';
import { recordedNumbers } from '../roulette/recorded.ts';
import { WHOLE_HISTORY } from '../support/http-deps.ts';
import { NOW, number, startTestStore, TABLE, type TestStore } from './support.ts';

let mongo: TestStore;
beforeAll(async () => {
  mongo = await startTestStore();
});
afterAll(() => mongo.stop());
beforeEach(async () => {
  await mongo.db.dropDatabase();
  await mongo.db.createCollection('roleta_numeros');
  await mongo.store.ensureIndexes();
});

const numbers = () => mongo.db.collection('roleta_numeros');
const read = (numbersPerTable = 200, rowsPerTable = 50): Promise<Base> =>
  mongo.store.readBase(mongo.client, { afterClusterTime: null, numbersPerTable, rowsPerTable });
const idsOf = (base: Base): unknown[] => base.numbers.map(({ key }) => key);
const numerosOf = (base: Base): number[] => base.numbers.map(({ number }) => number.numero);
const inNs = (base: Base, collection: string) => base.documents.filter(({ ns }) => ns.endsWith(`.${collection}`));

describe('the base', () => {
  it('of an empty database is empty', async () => {
    expect(await read()).toEqual({ numbers: [], documents: [], incomplete: [], unfinished: [], skipped: {} });
  });

  it('holds the recorded numbers, with their identity', async () => {
    await numbers().insertMany(recordedNumbers());
    const base = await read();
    expect(base.numbers).toHaveLength(200);
    expect(base.incomplete).toEqual([]);
    const [first] = base.numbers;
    expect(recordedNumbers().map(({ _id }) => keyOf(_id))).toContain(first?.key);
    expect(first?.ns).toBe(`${mongo.db.databaseName}.roleta_numeros`);
  });

  it('is read although a connection drops', async () => {
    await numbers().insertMany(recordedNumbers());
    await mongo.fail({ times: 1 }, { failCommands: ['find'], closeConnection: true });
    expect((await read()).numbers).toHaveLength(200);
  });

  it('holds the last numbers of a table under every spelling of its id and kind of timestamp', async () => {
    const at = (seconds: number) => new Date(NOW + seconds * 1000);
    await numbers().insertMany([
      { roleta_id: '2010165', numero: 1, timestamp: at(1) },
      { roleta_id: 2010165, numero: 2, timestamp: at(2).toISOString() },
      { roleta_id: new Double(2010165), numero: 3, timestamp: at(3).toISOString().replace('Z', '123') },
      { roleta_id: Long.fromNumber(2010165), numero: 4, timestamp: at(4).getTime() },
      { roleta_id: '2_2010165', numero: 5, timestamp: new Double(at(5).getTime()) },
      { roleta_id: '2_2010165', numero: 6, timestamp: Long.fromNumber(at(6).getTime()) },
      { roleta_id: '2010165_2', numero: 7, timestamp: at(7).toISOString().replace('T', ' ') },
      {
        roleta_id: '1fa13bd8-47f4-eaeb-1540-f203da568290',
        numero: 8,
        timestamp: Decimal128.fromString(`${at(8).getTime()}`),
      },
    ]);
    const all = await read();
    expect(numerosOf(all).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(all.incomplete).toEqual([]);
    const some = await read(3);
    expect(numerosOf(some).sort()).toEqual([6, 7, 8]);
    expect(some.incomplete).toEqual([{ ns: `${mongo.db.databaseName}.roleta_numeros`, table: '2010165' }]);
  });

  it('is not led astray by older numbers of another kind', async () => {
    const dates = Array.from({ length: 30 }, (_, i) => ({
      roleta_id: '2010165',
      numero: 1,
      timestamp: new Date(NOW + i),
    }));
    const texts = Array.from({ length: 30 }, (_, i) => ({
      roleta_id: '2010165',
      numero: 2,
      timestamp: new Date(NOW - 86_400_000 * (i + 1)).toISOString(),
    }));
    await numbers().insertMany([...dates, ...texts]);
    const base = await read(20);
    expect(numerosOf(base)).toEqual(Array(20).fill(1));
  });

  it('takes texts in local time for the instants that they are', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => {
      const local = new Date(NOW + i * 1000 - 3 * 3_600_000).toISOString().replace('Z', '-03:00');
      return {
        roleta_id: '2010165',
        numero: i % 37,
        timestamp: i % 2 === 0 ? local : new Date(NOW + i * 1000).toISOString(),
      };
    });
    await numbers().insertMany(rows);
    const base = await read(10);
    expect(numerosOf(base).sort()).toEqual(
      rows
        .slice(-10)
        .map(({ numero }) => numero)
        .sort(),
    );
  });

  it('leaves out ties at the cut, unless it goes on until they are past', async () => {
    const at = new Date(NOW);
    const same = Array.from({ length: 30 }, (_, i) => ({
      _id: new ObjectId(),
      roleta_id: '2010165',
      numero: i,
      timestamp: at,
    }));
    await numbers().insertMany(same);
    const newest = same
      .map(({ _id }) => _id.toHexString())
      .sort()
      .slice(-10);
    expect(
      idsOf(await read(10))
        .map(String)
        .sort(),
    ).toEqual(newest);
  });

  it('skips and counts what cannot be read, and still gets enough', async () => {
    const bad = Array.from({ length: 50 }, (_, i) => ({
      roleta_id: '2010165',
      numero: 99,
      timestamp: new Date(NOW + 1000 + i),
    }));
    const good = Array.from({ length: 30 }, (_, i) => ({
      roleta_id: '2010165',
      numero: i,
      timestamp: new Date(NOW + i),
    }));
    const odd = [
      { roleta_id: '2010165', numero: 1 },
      { roleta_id: '2010165', numero: 1, timestamp: 'zzz' },
      { roleta_id: ['2010165'], numero: 1, timestamp: new Date(NOW) },
      { roleta_id: { a: 1 }, numero: 1, timestamp: new Date(NOW) },
      { roleta_id: 'Mesa VIP', numero: 1, timestamp: new Date(NOW) },
      { roleta_id: '2010165', numero: 1, timestamp: new Timestamp({ t: 1, i: 1 }) },
      { roleta_id: '2010165', numero: 1, timestamp: Number.NaN },
    ];
    await numbers().insertMany([...bad, ...good, ...odd]);
    const base = await read(10);
    expect(base.numbers).toHaveLength(10);
    expect(numerosOf(base).every((numero) => numero >= 20)).toBe(true);
    // Once most of what came was malformed, the rest of it is left to the server.
    expect(base.skipped['bad_number']).toBeGreaterThan(10);
  });

  it('takes per-table collections, table documents and strategies along, and nothing foreign', async () => {
    await mongo.db.collection('2010165').insertMany([
      { numero: 0, timestamp: new Date(NOW) },
      { numero: '5', timestamp: NOW },
    ]);
    await mongo.db
      .collection('metadados')
      .insertOne({ roleta_id: '2010165', roleta_nome: 'Roulette', estrategia: { estado: 'MORTO', extra: 1 } });
    await mongo.db.collection('metadados_roletas').insertOne({ roleta_id: '2380117', roleta_nome: 'VIP Roulette' });
    await mongo.db
      .collection<{ _id: string }>('roletas')
      .insertMany([{ _id: '1fa13bd8-47f4-eaeb-1540-f203da568290' }, { _id: '2010097' }]);
    await mongo.db.collection('estrategia_historico_novo').insertMany([
      { roleta_id: '2010165', estado: 'NEUTRAL', timestamp: new Date(NOW) },
      { roleta_id: '2010165', estado: 'TRIGGER' },
      { roleta_id: '2010165', numero_gatilho: 5, timestamp: new Date(NOW) },
    ]);
    for (const name of ['1fa13bd8-47f4-eaeb-1540-f203da568290', 'estatisticas', 'roleta_sequencias']) {
      await mongo.db.collection(name).insertOne({ roleta_id: '2010165', numero: 1, timestamp: new Date(NOW) });
    }
    await mongo.db.createCollection('9999999', { viewOn: '2010165', pipeline: [] });
    const base = await read();
    expect(base.numbers.map(({ ns }) => ns.split('.')[1])).toEqual(['2010165', '2010165']);
    expect(inNs(base, 'roletas')).toHaveLength(2);
    expect(inNs(base, 'metadados')[0]?.document).toMatchObject({ estrategia: { estado: 'MORTO' } });
    expect(inNs(base, 'metadados')[0]?.document['estrategia']).not.toHaveProperty('extra');
    expect(inNs(base, 'metadados_roletas')).toHaveLength(1);
    expect(inNs(base, 'estrategia_historico_novo')).toHaveLength(2);
    expect(base.documents).toHaveLength(6);
    expect(base.skipped).toEqual({ no_state: 1 });
  });

  it('reads both databases where there are two', async () => {
    const tables = `${mongo.db.databaseName}_b`;
    const other = mongo.client.db(tables);
    await other.collection('2010165').insertOne({ numero: 1, timestamp: new Date(NOW) });
    await numbers().insertOne({
      roleta_id: new UUID('1fa13bd8-47f4-eaeb-1540-f203da568290'),
      numero: 1,
      timestamp: new Date(NOW),
    });
    await numbers().insertOne({ roleta_id: '2010165', numero: 2, timestamp: new Date(NOW) });
    const store = mongo.open({ tablesDatabase: tables });
    const base = await store.readBase(mongo.client, { afterClusterTime: null, numbersPerTable: 10 });
    expect(base.numbers.map(({ ns }) => ns).sort()).toEqual([
      `${mongo.db.databaseName}.roleta_numeros`,
      `${mongo.db.databaseName}.roleta_numeros`,
      `${tables}.2010165`,
    ]);
    await other.dropDatabase();
  });

  it('shows at least what was committed at the time that it is asked to come after', async () => {
    await mongo.store.insertNumbers([number()]);
    const hello = await mongo.db.admin().command({ hello: 1 });
    const ts: unknown = hello['lastWrite']['opTime']['ts'];
    if (!(ts instanceof Timestamp)) throw new Error('no opTime');
    const afterClusterTime = { t: ts.getHighBitsUnsigned(), i: ts.getLowBitsUnsigned() };
    const base = await mongo.store.readBase(mongo.client, { afterClusterTime, numbersPerTable: 10 });
    expect(idsOf(base)).toEqual(['s:2010165:k1']);
  });
});

describe('one odd document costs one document, or less', () => {
  const HUGE_ID = '2010166';
  const odd = (numero: number, fields: Document): Document => ({
    _id: new ObjectId(),
    roleta_id: '2010165',
    numero,
    timestamp: new Date(NOW + numero * 1000),
    ...fields,
  });

  it('a pattern that JavaScript cannot compile, in a field that is read or in another', async () => {
    await numbers().insertMany([
      odd(1, {}),
      odd(2, { obs: new BSONRegExp('(?i)mesa', '') }),
      odd(3, { roleta_nome: new BSONRegExp('(?i)mesa', '') }),
      odd(4, { numero: new BSONRegExp('(?<', '') }),
    ]);
    await mongo.db.collection('metadados').insertOne({ roleta_id: '2010165', extra: new BSONRegExp('(?i)x', '') });
    await mongo.db.collection('roletas').insertOne({ roleta_id: '2010165', nome: new BSONRegExp('(?i)x', '') });
    const base = await read();
    expect(numerosOf(base).sort()).toEqual([1, 2, 3]);
    expect(base.skipped).toEqual({ bad_number: 1 });
    expect(inNs(base, 'metadados')).toHaveLength(1);
    expect(inNs(base, 'roletas')).toHaveLength(1);
    const page = await mongo.store.numbers.page(TABLE, 10, WHOLE_HISTORY);
    expect(page.items.map(({ numero }) => numero)).toEqual([3, 2, 1]);
  });

  it('a field of two megabytes that nobody reads never arrives', async () => {
    await mongo.db.collection('metadados').insertOne({
      roleta_id: '2010165',
      page: 'x'.repeat(2e6),
      estrategia: { estado: 'MORTO', page: 'x'.repeat(2e6) },
    });
    await numbers().insertOne(odd(1, { dump: 'x'.repeat(2e6) }));
    let received = 0;
    const client = new MongoClient(mongo.uri, { monitorCommands: true });
    client.on('commandSucceeded', ({ reply }) => {
      received += BSON.calculateObjectSize({ reply });
    });
    const db = client.db(mongo.db.databaseName);
    const parts = {
      databases: { client, shared: db, tables: db, sources: DEFAULT_SOURCES },
    };
    const base = await readBase(parts, { afterClusterTime: null, numbersPerTable: 10 });
    await client.close();
    expect([base.numbers.length, base.documents.length]).toEqual([1, 1]);
    expect(received).toBeGreaterThan(100);
    expect(received).toBeLessThan(20_000);
  });

  it('a UUID as BSON bytes is read as its text is', async () => {
    const uuid = '1fa13bd8-47f4-eaeb-1540-f203da568290';
    await numbers().insertMany([odd(1, {}), odd(2, { roleta_id: new UUID(uuid) }), odd(3, { roleta_id: uuid })]);
    expect(idsOf(await read())).toHaveLength(3);
    const page = await mongo.store.numbers.page(TABLE, 10, WHOLE_HISTORY);
    expect(page.items.map(({ numero }) => numero)).toEqual([3, 2, 1]);
  });

  it('tells of each document that it skips, with its _id', async () => {
    const told: unknown[] = [];
    const store = mongo.open({ skipped: (reason, ns, id) => told.push([reason, ns.split('.')[1], id]) });
    await numbers().insertMany([odd(1, { _id: 'a' }), odd(99, { _id: 'b' })]);
    await store.readBase(mongo.client, { afterClusterTime: null, numbersPerTable: 10 });
    expect(told).toEqual([['bad_number', 'roleta_numeros', 'b']]);
  });

  it('more malformed or equal-stamped rows than are looked at leave the good ones of that table and the others', async () => {
    const stamp = new Date(NOW);
    const many = (length: number, row: (n: number) => Document) => Array.from({ length }, (_, n) => row(n));
    await numbers().insertMany(many(50, (n) => ({ ...odd(n % 37, {}), timestamp: new Date(NOW - 1_000_000 + n) })));
    await numbers().insertMany(many(3_000, (n) => ({ ...odd(99, {}), timestamp: new Date(NOW + n) })));
    await numbers().insertMany(many(3_000, (n) => ({ ...odd(n % 37, {}), roleta_id: HUGE_ID, timestamp: stamp })));
    await numbers().insertOne({ ...odd(5, {}), roleta_id: '2010167' });
    const base = await read(20);
    const of = (table: string) => base.numbers.filter(({ number }) => number.table === table);
    expect([TABLE, HUGE_ID, '2010167'].map((table) => of(table).length)).toEqual([20, 20, 1]);
    expect(base.unfinished).toEqual([]);
    const newest = await numbers()
      .find({ roleta_id: HUGE_ID }, { sort: { _id: -1 }, limit: 20 })
      .toArray();
    expect(of(HUGE_ID).map(({ number }) => number.key)).toEqual(newest.map(({ _id }) => keyOf(_id)));
  });

  it('a table of which nothing can be read, however far, is in doubt and the others are read', async () => {
    const rows = Array.from({ length: 51_000 }, (_, n) => ({
      _id: new ObjectId(),
      roleta_id: '2010165',
      numero: 'none',
      timestamp: new Date(NOW + n),
    }));
    for (let at = 0; at < rows.length; at += 10_000) await numbers().insertMany(rows.slice(at, at + 10_000));
    await numbers().insertOne({ ...odd(5, {}), roleta_id: '2010167' });
    const base = await read(20);
    expect(base.numbers).toHaveLength(1);
    expect(base.unfinished).toEqual([{ ns: `${mongo.db.databaseName}.roleta_numeros`, table: '2010165' }]);
  });

  it('more spellings of ids than anybody has are all found, by a few queries', async () => {
    const rows = Array.from({ length: 6_000 }, (_, n) => ({
      ...odd(n % 37, {}),
      roleta_id: n % 2 === 0 ? String(2_000_000 + n) : 2_000_000 + n,
    }));
    await numbers().insertMany(rows);
    const place = placeOf(mongo.db, 'roleta_numeros', DEFAULT_SOURCES);
    if (place === null) throw new Error('roleta_numeros is watched');
    expect(await valuesOf(place, 'roleta_id', { maxTimeMs: 10_000 })).toHaveLength(6_000);
  });
});

describe('INVARIANT no holes', () => {
  const instant = fc.integer({ min: 0, max: 90_000 }).map((seconds) => NOW + seconds * 100);
  const iso = (ms: number) => new Date(ms).toISOString();
  const timestamp = fc.tuple(instant, fc.integer({ min: 0, max: 10 })).map(([ms, kind]): unknown => {
    const spellings = [
      new Date(ms),
      ms,
      new Double(ms + 0.5),
      Long.fromNumber(ms),
      iso(ms),
      iso(ms).replace('Z', ''),
      iso(ms).replace('T', ' ').replace('Z', '999'),
      iso(ms - 3 * 3_600_000).replace('Z', '-03:00'),
      String(ms),
      String(ms / 1000),
      'zz',
    ];
    return spellings[kind];
  });
  const document = fc.record({
    roleta_id: fc.constantFrom('2010165', 2010165, '2_2010165', '2380117', 'x y', null),
    numero: fc.constantFrom(0, '7', new Int32(36), 37, null),
    timestamp,
  });

  it('the base holds exactly the newest numbers of each table, as sorting them all would give', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(document, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 30 }),
        async (rows, count) => {
          await numbers().deleteMany({});
          const stored = rows.map((row) => ({ _id: new ObjectId(), ...row }));
          await numbers().insertMany(stored);
          const base = await read(count);
          for (const table of ['2010165', '2380117']) {
            const all = (await numbers().find().toArray())
              .map((row) => numberFrom(row, { kind: 'numbers' }))
              .flatMap((parsed) => (parsed.ok && parsed.value.table === table ? [parsed.value] : []))
              .sort(newerFirst);
            const got = base.numbers.flatMap(({ number }) => (number.table === table ? [number] : []));
            expect(got).toEqual(all.slice(0, count));
            const isIncomplete = base.incomplete.some((one) => one.table === table);
            if (all.length > count) expect(isIncomplete).toBe(true);
            if (all.length <= count) expect(isIncomplete).toBe(false);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});
