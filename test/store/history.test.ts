import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';
import { recordedNumbers } from '../roulette/recorded.ts';
import { NOW, number, startTestStore, TABLE, type TestStore, tableId } from './support.ts';

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

const codeOf = (error: unknown): string => (error instanceof ProtocolError ? error.code : String(error));

/** 60 numbers of one table, over both layouts, all spellings of the id and kinds of timestamp, two at each instant. */
async function insertMixed(): Promise<void> {
  const numbers = mongo.db.collection('roleta_numeros');
  const own = mongo.db.collection(TABLE);
  for (let i = 0; i < 60; i++) {
    const at = new Date(NOW + Math.floor(i / 2) * 60_000);
    const kinds = [at, at.toISOString(), at.getTime(), at.toISOString().replace('T', ' ').replace('Z', '000')];
    const ids = [TABLE, Number(TABLE), `2_${TABLE}`];
    const document = { numero: i % 37, timestamp: kinds[i % 4] };
    if (i % 5 === 0) await own.insertOne(document);
    else await numbers.insertOne({ ...document, roleta_id: ids[i % 3] });
  }
}

async function readAll(limit: number): Promise<NumberItem[]> {
  const all: NumberItem[] = [];
  let before: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof mongo.store.numbersPage>> = await mongo.store.numbersPage(
      TABLE,
      limit,
      before,
    );
    expect(page.numeros.length).toBeLessThanOrEqual(limit);
    all.push(...page.numeros);
    before = page.next;
  } while (before !== null);
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
    const marked = async (limit: number) => {
      let count = 0;
      for (const table of new Set(recordedNumbers().map(({ roleta_id }) => roleta_id))) {
        let before: string | null = null;
        do {
          const page: Awaited<ReturnType<typeof mongo.store.numbersPage>> = await mongo.store.numbersPage(
            tableId(table),
            limit,
            before,
          );
          count += page.numeros.filter(({ suspeito }) => suspeito).length;
          before = page.next;
        } while (before !== null);
      }
      return count;
    };
    expect(await marked(2)).toBe(36);
    expect(await marked(1000)).toBe(36);
  });

  it('of a table without numbers is empty', async () => {
    expect(await mongo.store.numbersPage(tableId('9999999'), 20, null)).toEqual({ numeros: [], next: null });
  });

  it.each([
    '',
    'x',
    '!!!',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[-1,"a","b"]').toString('base64url'),
    'A'.repeat(100_000),
  ])('refuse a cursor that is none, case %#', async (cursor) => {
    const error = await mongo.store.numbersPage(TABLE, 20, cursor).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'invalid', problems: [{ path: 'before' }] });
  });
});

describe('the summary of a table', () => {
  it('counts its last numbers', async () => {
    await insertMixed();
    const stats = await mongo.store.tableStats(TABLE, 50);
    expect(stats.total).toBe(50);
    expect(stats.numeros.reduce((sum, { vezes }) => sum + vezes, 0)).toBe(50);
    expect(stats.ate).toBe(new Date(NOW + 29 * 60_000).toISOString());
    expect((await mongo.store.tableStats(tableId('9999999'), 50)).total).toBe(0);
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
    await expect(mongo.store.numbersPage(TABLE, 20, null).catch(codeOf)).resolves.toBe('database_unavailable');
    await mongo.fail('off');
  });
});
