import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';
import type { HistoryPage, HistoryRange } from '../../src/roulette/history.ts';
import { statsOf } from '../../src/roulette/stats.ts';
import { recordedNumbers } from '../roulette/recorded.ts';
import { WHOLE_HISTORY } from '../support/http-deps.ts';
import { NOW, number, startTestStore, TABLE, type TestStore, tableId } from './support.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

let mongo: TestStore;
beforeAll(async () => {
  mongo = await startTestStore({ nameOf: (table) => (table === TABLE ? 'Roulette' : null) });
});
afterAll(() => mongo.stop());
beforeEach(async () => {
  await mongo.db.dropDatabase();
  await mongo.db.createCollection('roleta_numeros');
  await mongo.store.ensureIndexes();
});

type Keyed = Readonly<Record<string, unknown>> & { readonly _id: string };

const codeOf = (error: unknown): string => (error instanceof ProtocolError ? error.code : String(error));

/** An instant as writers store it. */
const kindsOf = (at: Date): (Date | string | number)[] => [
  at,
  at.toISOString(),
  at.getTime(),
  at.toISOString().replace('T', ' ').replace('Z', '000'),
  String(at.getTime()),
  String(at.getTime() / 1000),
];

/** 60 numbers of one table, over both layouts, all spellings of the id and kinds of timestamp, two at each instant. */
async function insertMixed(): Promise<void> {
  const numbers = mongo.db.collection('roleta_numeros');
  const own = mongo.db.collection(TABLE);
  for (let i = 0; i < 60; i++) {
    const at = new Date(NOW + Math.floor(i / 2) * 60_000);
    const kinds = kindsOf(at);
    const ids = [TABLE, Number(TABLE), `2_${TABLE}`];
    const document = { numero: i % 37, timestamp: kinds[i % kinds.length] };
    if (i % 5 === 0) await own.insertOne(document);
    else await numbers.insertOne({ ...document, roleta_id: ids[i % 3] });
  }
}

async function readAll(limit: number, table = TABLE, within = WHOLE_HISTORY): Promise<NumberItem[]> {
  const all: NumberItem[] = [];
  let before: string | null = null;
  do {
    const range: HistoryRange = { ...within, before };
    const page: HistoryPage<NumberItem> = await mongo.store.numbers.page(table, limit, range);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    all.push(...page.items);
    before = page.next;
  } while (before !== null);
  return all;
}

async function streamOf(range: HistoryRange): Promise<NumberItem[]> {
  const all: NumberItem[] = [];
  for await (const some of mongo.store.numbers.stream(TABLE, range)) all.push(...some);
  return all;
}

describe('the pages of a history', () => {
  it('hold every number once, newest first, whatever the size of a page', async () => {
    await insertMixed();
    const whole = await readAll(1000);
    expect(whole).toHaveLength(60);
    expect(new Set(whole.map(({ id }) => id)).size).toBe(60);
    const times = whole.map(({ timestamp }) => timestamp);
    expect(times).toEqual([...times].sort().reverse());
    for (const limit of [1, 7, 59, 60]) expect(await readAll(limit)).toEqual(whole);
  });

  it('mark suspects also across the edge of a page', async () => {
    await mongo.db.collection('roleta_numeros').insertMany(recordedNumbers());
    const tables = new Set(recordedNumbers().map(({ roleta_id }) => roleta_id));
    const marked = async (limit: number) => {
      const all = await Promise.all([...tables].map((table) => readAll(limit, tableId(table))));
      return all.flat().filter(({ suspeito }) => suspeito).length;
    };
    expect(await marked(2)).toBe(36);
    expect(await marked(1000)).toBe(36);
  });

  it('of a table without numbers is empty', async () => {
    expect(await mongo.store.numbers.page(tableId('9999999'), 20, WHOLE_HISTORY)).toEqual({ items: [], next: null });
  });

  it.each([
    '',
    'x',
    '!!!',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[-1,"a","b"]').toString('base64url'),
    'A'.repeat(100_000),
  ])('refuse a cursor that is none, case %#', async (cursor) => {
    const error = await mongo.store.numbers
      .page(TABLE, 20, { ...WHOLE_HISTORY, before: cursor })
      .catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'invalid', problems: [{ path: 'before' }] });
  });
});

describe('a range of a history', () => {
  const at = (minute: number): number => NOW + minute * 60_000;

  it('holds its first instant and not its last, in pages and as a stream', async () => {
    await insertMixed();
    const whole = await readAll(1000);
    const range = { sinceMs: at(3), untilMs: at(20), before: null };
    const wanted = whole.filter(({ timestamp }) => Date.parse(timestamp) >= at(3) && Date.parse(timestamp) < at(20));
    expect(wanted).toHaveLength(34);
    for (const limit of [1, 7, 34, 1000]) expect(await readAll(limit, TABLE, range)).toEqual(wanted);
    expect(await streamOf(range)).toEqual(wanted);
    expect(await streamOf({ ...range, sinceMs: at(100) })).toEqual([]);
  });

  it('of thousands of numbers in both layouts and every kind of time comes whole', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => {
      const kinds = kindsOf(new Date(NOW - i * 1000));
      return { numero: i % 37, timestamp: kinds[i % kinds.length] };
    });
    await mongo.db.collection('roleta_numeros').insertMany(many.map((document) => ({ ...document, roleta_id: TABLE })));
    await mongo.db.collection(TABLE).insertMany(many.map(({ timestamp }) => ({ numero: 36, timestamp })));
    const all = await streamOf(WHOLE_HISTORY);
    expect(new Set(all.map(({ id }) => id)).size).toBe(6000);
    const times = all.map(({ timestamp }) => timestamp);
    expect(times).toEqual([...times].sort().reverse());
    expect(await readAll(5000)).toEqual(all);
  });

  it('marks a suspect at its older end by the number that is older still', async () => {
    await mongo.db.collection('roleta_numeros').insertMany([
      { roleta_id: TABLE, numero: 5, timestamp: new Date(at(0)) },
      { roleta_id: TABLE, numero: 5, timestamp: new Date(at(0) + 1000) },
    ]);
    const range = { sinceMs: at(0) + 500, untilMs: null, before: null };
    expect(await streamOf(range)).toMatchObject([{ suspeito: true }]);
    expect(await readAll(10, TABLE, range)).toMatchObject([{ suspeito: true }]);
  });

  it('is summed up as a list of its numbers is', async () => {
    await insertMixed();
    const range = { sinceMs: at(3), untilMs: at(20), before: null };
    const numbers = (await streamOf(range)).map(({ numero }) => numero);
    const iso = (minute: number): string => new Date(at(minute)).toISOString();
    expect(await mongo.store.tableStats(TABLE, { ...range, last: 1000, doubleZero: false })).toEqual(
      statsOf(numbers, iso(19), iso(3)),
    );
  });

  it('takes no more memory the longer it is', async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => ({
      roleta_id: TABLE,
      numero: i % 37,
      timestamp: new Date(NOW - i * 1000),
    }));
    await mongo.db.collection('roleta_numeros').insertMany(rows);
    const held: number[] = [];
    let seen = 0;
    for await (const some of mongo.store.numbers.stream(TABLE, WHOLE_HISTORY)) {
      seen += some.length;
      if (seen < 5_000 * (held.length + 1)) continue;
      collectGarbage();
      held.push(process.memoryUsage().heapUsed / 2 ** 20);
    }
    expect(seen).toBe(20_000);
    const [early = 0, , , late = Infinity] = held;
    // All of them would be some 8 MB of numbers alone.
    expect(late - early).toBeLessThan(2);
  });

  it('is given up when its reader has had enough', async () => {
    await insertMixed();
    const stream = mongo.store.numbers.stream(TABLE, WHOLE_HISTORY);
    expect((await stream.next()).done).toBe(false);
    expect(await stream.return(undefined)).toEqual({ done: true, value: undefined });
  });
});

describe('the strategies of a table', () => {
  it('are its rows, newest first, by every spelling of its id, without those that say no state or no time', async () => {
    const rows = mongo.db.collection('estrategia_historico_novo');
    await rows.insertMany(
      Array.from({ length: 9 }, (_, i) => ({
        roleta_id: [TABLE, Number(TABLE), `2_${TABLE}`][i % 3],
        ...(i === 4 ? {} : { estado: 'TRIGGER' }),
        ...(i === 5 ? {} : { timestamp: new Date(NOW + i * 1000) }),
        vitorias: i,
      })),
    );
    await mongo.store.ensureIndexes();
    const { items, next } = await mongo.store.strategies.page(TABLE, 3, WHOLE_HISTORY);
    expect(items.map(({ vitorias }) => vitorias)).toEqual([8, 7, 6]);
    expect(items[0]).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{24}$/), estado: 'TRIGGER' });
    const older = await mongo.store.strategies.page(TABLE, 10, { ...WHOLE_HISTORY, before: next });
    expect(older.items.map(({ vitorias }) => vitorias)).toEqual([3, 2, 1, 0]);
  });
});

describe('the strategies of a table of the per-table layout', () => {
  const pageOf = (limit: number, range: Partial<HistoryRange> = {}) =>
    mongo.store.strategies.page(TABLE, limit, { ...WHOLE_HISTORY, ...range });

  it.each([
    [TABLE, 'metadados'],
    [Number(TABLE), 'metadados_roletas'],
  ])('are the state that its document says now, %j in %s', async (roleta_id, collection) => {
    const estrategia = { estado: 'TRIGGER', vitorias: 3, timestamp: new Date(NOW) };
    await mongo.db.collection<Keyed>(collection).insertMany([
      { _id: 'ours', roleta_id, estrategia },
      { _id: 'other', roleta_id: '2010017', estrategia: { ...estrategia, estado: 'MORTO' } },
    ]);
    expect(await pageOf(5)).toMatchObject({ items: [{ id: 'ours', estado: 'TRIGGER', vitorias: 3 }], next: null });
    expect((await pageOf(5, { sinceMs: NOW + 1 })).items).toEqual([]);
    await mongo.db.collection(collection).updateOne({ roleta_id }, { $unset: { 'estrategia.timestamp': '' } });
    expect((await pageOf(5)).items).toEqual([]);
  });

  it('stand between the rows that somebody stored of it, once each, whatever the size of a page', async () => {
    const rows = mongo.db.collection('estrategia_historico_novo');
    const row = (vitorias: number) => ({
      roleta_id: TABLE,
      estado: 'NEUTRAL',
      vitorias,
      timestamp: new Date(NOW + vitorias * 1000),
    });
    await rows.insertMany([1, 2, 4].map(row));
    const tables = mongo.db.collection<Keyed>('roletas');
    await tables.insertOne({ _id: TABLE, estado_estrategia: 'MORTO', vitorias: 3, timestamp: new Date(NOW + 3000) });
    const all: number[] = [];
    for (let before: string | null = null; ; ) {
      const { items, next } = await pageOf(1, { before });
      all.push(...items.map(({ vitorias }) => vitorias));
      if (next === null) break;
      before = next;
    }
    expect(all).toEqual([4, 3, 2, 1]);
    // The state of the last row stands on the document too, as RunCash's analyser leaves it: it is one state.
    await tables.updateOne({ _id: TABLE }, { $set: { vitorias: 4, timestamp: new Date(NOW + 4000) } });
    expect((await pageOf(9)).items.map(({ vitorias }) => vitorias)).toEqual([4, 2, 1]);
  });
});

describe('the summary of a table', () => {
  it('counts its last numbers', async () => {
    await insertMixed();
    const stats = await mongo.store.tableStats(TABLE, { ...WHOLE_HISTORY, last: 50, doubleZero: false });
    expect(stats.total).toBe(50);
    expect(stats.numeros.reduce((sum, { vezes }) => sum + vezes, 0)).toBe(50);
    expect(stats.ate).toBe(new Date(NOW + 29 * 60_000).toISOString());
    expect(
      (await mongo.store.tableStats(tableId('9999999'), { ...WHOLE_HISTORY, last: 50, doubleZero: false })).total,
    ).toBe(0);
  });
});

describe('the legacy listing', () => {
  const everything = { tables: null, numero: null, cor: null, limit: 100, skip: 0 };

  it('shows documents newest first, with their total', async () => {
    await insertMixed();
    const { total, data } = await mongo.store.legacyNumbers({ ...everything, limit: 10, skip: 5 });
    expect(total).toBe(60);
    expect(data).toHaveLength(10);
    const whole = await mongo.store.legacyNumbers(everything);
    expect(whole.data.slice(5, 15)).toEqual(data);
    expect(whole.data[0]).toMatchObject({
      roleta_id: TABLE,
      roleta_nome: 'Roulette',
      timestamp: expect.stringMatching(/Z$/),
      criado_em: null,
    });
  });

  it('selects by table, number (zero too) and colour', async () => {
    await mongo.store.insertNumbers([
      number({ id: 'a' }),
      number({ id: 'b', numero: 1, cor: 'vermelho', timestampMs: NOW + 1 }),
      number({ id: 'c', numero: 2, cor: 'preto', timestampMs: NOW + 2, table: tableId('2380117'), name: null }),
    ]);
    await mongo.db
      .collection('roleta_numeros')
      .insertOne({ roleta_id: TABLE, numero: '0', timestamp: new Date(NOW + 3) });
    const ask = async (query: object) => {
      const { total, data } = await mongo.store.legacyNumbers({ ...everything, ...query });
      expect(total).toBe(data.length);
      return data.map(({ numero }) => numero);
    };
    expect(await ask({ numero: 0 })).toEqual([0, 0]);
    expect(await ask({ cor: 'vermelho' })).toEqual([1]);
    expect(await ask({ cor: 'vermelho', numero: 0 })).toEqual([]);
    expect(await ask({ tables: [TABLE] })).toEqual([0, 1, 0]);
    expect(await ask({ tables: [tableId('2380117')], cor: 'preto' })).toEqual([2]);
    expect(await ask({ tables: [] })).toEqual([]);
  });
});

describe('a confirmation', () => {
  it('finds what a scraper inserted itself, in any form, and nothing else', async () => {
    await mongo.db.collection('roleta_numeros').insertOne({
      roleta_id: Number(TABLE),
      numero: '0',
      timestamp: new Date(NOW - 900).toISOString().replace('Z', '123'),
    });
    expect(await mongo.store.confirmNumber(number(), 0)).toBe(true);
    expect(await mongo.store.confirmNumber(number({ numero: 5 }), 0)).toBe(false);
    expect(await mongo.store.confirmNumber(number({ timestampMs: NOW + 60_000 }), 0)).toBe(false);
  });

  it('waits for a number that comes a little later', async () => {
    const confirmed = mongo.store.confirmNumber(number(), 10_000);
    await mongo.db.collection(TABLE).insertOne({ numero: 0, timestamp: new Date(NOW) });
    expect(await confirmed).toBe(true);
  });
});

describe('a reader', () => {
  it('hears that the database is unavailable, not what the driver says', async () => {
    await mongo.fail({ times: 20 }, { failCommands: ['find'], errorCode: 13435 });
    await expect(mongo.store.numbers.page(TABLE, 20, WHOLE_HISTORY).catch(codeOf)).resolves.toBe(
      'database_unavailable',
    );
    await mongo.fail('off');
  });
});
