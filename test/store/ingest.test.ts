import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { InsertResult } from '../../src/roulette/ingest.ts';
import { NOW, number, startTestStore, strategy, type TestStore } from './support.ts';

let mongo: TestStore;
beforeAll(async () => {
  mongo = await startTestStore({ now: () => NOW + 1 });
});
afterAll(() => mongo.stop());
beforeEach(async () => {
  await mongo.fail('off');
  await mongo.db.dropDatabase();
});

const outcomes = (results: readonly InsertResult[]): string[] =>
  results.map((result) => (result.status === 'error' ? result.error.code : result.status));
const codeOf = (error: unknown): string => (error instanceof ProtocolError ? error.code : String(error));

describe('posted numbers in the shared layout', () => {
  it('stand in roleta_numeros with a Date, and zero is a number', async () => {
    expect(await mongo.store.insertNumbers([number()])).toEqual([{ status: 'created', id: '2010165:k1' }]);
    expect(await mongo.db.collection('roleta_numeros').find().toArray()).toEqual([
      {
        _id: '2010165:k1',
        roleta_id: '2010165',
        roleta_nome: 'Roulette',
        numero: 0,
        cor: 'verde',
        timestamp: new Date(NOW),
        criado_em: new Date(NOW + 1),
      },
    ]);
  });

  it('are duplicates when repeated, and conflicts when the same key brings other content', async () => {
    await mongo.store.insertNumbers([number()]);
    const again = [
      number(),
      number({ numero: 17, cor: 'preto' }),
      number({ timestampMs: NOW + 1 }),
      number({ name: 'Outra' }),
      number({ timestampMs: NOW + 5, given: { name: true, timestamp: false } }),
      number({ name: null, given: { name: false, timestamp: true } }),
    ];
    const results = await Promise.all(again.map((item) => mongo.store.insertNumbers([item])));
    expect(outcomes(results.flat())).toEqual([
      'duplicate',
      'conflict',
      'conflict',
      'conflict',
      'duplicate',
      'duplicate',
    ]);
    expect(await mongo.db.collection('roleta_numeros').countDocuments()).toBe(1);
  });

  it('in an array have one result each, also when the array repeats itself', async () => {
    await mongo.store.insertNumbers([number({ id: '2010165:old' })]);
    const results = await mongo.store.insertNumbers([
      number({ id: '2010165:a' }),
      number({ id: '2010165:old' }),
      number({ id: '2010165:a' }),
      number({ id: '2010165:a', numero: 5, cor: 'vermelho' }),
      number({ id: '2010165:b' }),
    ]);
    expect(outcomes(results)).toEqual(['created', 'duplicate', 'duplicate', 'conflict', 'created']);
  });

  it('posted ten times in parallel are stored once', async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => mongo.store.insertNumbers([number()])));
    expect(outcomes(results.flat()).sort()).toEqual(['created', ...Array(9).fill('duplicate')]);
    expect(await mongo.db.collection('roleta_numeros').countDocuments()).toBe(1);
  });

  it('that break a unique index of the operator are conflicts, the others are stored', async () => {
    await mongo.db.collection('roleta_numeros').createIndex({ roleta_id: 1, timestamp: 1 }, { unique: true });
    const results = await mongo.store.insertNumbers([
      number({ id: '2010165:a' }),
      number({ id: '2010165:b' }),
      number({ id: '2010165:c', timestampMs: NOW + 1 }),
    ]);
    expect(outcomes(results)).toEqual(['created', 'conflict', 'created']);
  });
});

describe('posted strategies in the shared layout', () => {
  it('are appended to estrategia_historico_novo, -1 and 0 apart', async () => {
    const items = [strategy(), strategy({ id: '2010165:s2', numeroGatilho: -1, terminaisGatilho: [], name: null })];
    expect(outcomes(await mongo.store.insertStrategies(items))).toEqual(['created', 'created']);
    expect(outcomes(await mongo.store.insertStrategies(items))).toEqual(['duplicate', 'duplicate']);
    expect(outcomes(await mongo.store.insertStrategies([strategy({ vitorias: 3 })]))).toEqual(['conflict']);
    const rows = await mongo.db.collection('estrategia_historico_novo').find().sort({ _id: 1 }).toArray();
    expect(rows).toMatchObject([
      {
        roleta_id: '2010165',
        roleta_nome: 'Roulette',
        estado: 'TRIGGER',
        numero_gatilho: 0,
        terminais_gatilho: [4, 7, 8],
      },
      { numero_gatilho: -1, terminais_gatilho: [], timestamp: new Date(NOW) },
    ]);
    expect(rows[1]).not.toHaveProperty('roleta_nome');
  });
});

describe('the per-table layout', () => {
  it('stores each number in the collection of its table, and a document of the table', async () => {
    const store = mongo.open({ layout: 'per-table' });
    const other = number({ id: '9999999:k1', table: number().table });
    const results = await store.insertNumbers([number(), other, number()]);
    expect(outcomes(results)).toEqual(['created', 'created', 'duplicate']);
    expect(await mongo.db.collection('2010165').countDocuments()).toBe(2);
    expect(await mongo.db.collection('metadados').find().toArray()).toEqual([
      { _id: '2010165', roleta_id: '2010165', roleta_nome: 'Roulette', colecao: '2010165', ativa: true },
    ]);
    expect((await mongo.db.collection('2010165').indexes()).map(({ key }) => key)).toContainEqual({ timestamp: -1 });
  });

  it('leaves a document of the table alone that is there, also under its older names', async () => {
    const before = { roleta_id: 2010165, roleta_nome: 'Antiga', ativa: false };
    await mongo.db.collection('metadados_roletas').insertOne({ ...before });
    await mongo.open({ layout: 'per-table' }).insertNumbers([number()]);
    expect(await mongo.db.collection('metadados_roletas').find().toArray()).toMatchObject([before]);
    expect(await mongo.db.listCollections({ name: 'metadados' }).toArray()).toEqual([]);
  });

  it('keeps the state in metadados.estrategia, and an older state does not replace a newer one', async () => {
    const store = mongo.open({ layout: 'per-table' });
    const state = async () =>
      (await mongo.db.collection('metadados').findOne({ roleta_id: '2010165' }))?.['estrategia'];
    const newer = strategy({ id: '2010165:s2', estado: 'MORTO', timestampMs: NOW + 1000 });
    expect(outcomes(await store.insertStrategies([strategy(), newer]))).toEqual(['created', 'created']);
    expect(await state()).toMatchObject({ estado: 'MORTO', timestamp: new Date(NOW + 1000) });
    expect(outcomes(await store.insertStrategies([newer]))).toEqual(['duplicate']);
    expect(outcomes(await store.insertStrategies([{ ...newer, vitorias: 9 }]))).toEqual(['conflict']);
    expect(outcomes(await store.insertStrategies([strategy({ id: '2010165:s3' })]))).toEqual(['duplicate']);
    expect(await state()).toMatchObject({ estado: 'MORTO', vitorias: 2 });
  });

  it('stores a state again after metadados was dropped under a running service', async () => {
    const store = mongo.open({ layout: 'per-table' });
    await store.insertStrategies([strategy()]);
    await mongo.db.collection('metadados').drop();
    const next = strategy({ id: '2010165:s2', timestampMs: NOW + 1, estado: 'NEUTRAL' });
    expect(await store.insertStrategies([next])).toEqual([{ status: 'created', id: '2010165:s2' }]);
    expect(await mongo.db.collection('metadados').findOne({ roleta_id: '2010165' })).toMatchObject({
      estrategia: { estado: 'NEUTRAL' },
    });
  });

  it.each([
    ['a validator', { validator: { casa: { $exists: true } } }, 'validator'],
    ['a view of that name', { viewOn: 'outra', pipeline: [] }, 'view'],
  ])('says that %s keeps a state out, for a poster to stop and an operator to mend', async (_what, options, word) => {
    await mongo.db.createCollection('metadados', options);
    const results = await mongo.open({ layout: 'per-table' }).insertStrategies([strategy()]);
    expect(results).toMatchObject([
      { status: 'error', error: { code: 'database_refused', message: expect.stringContaining(word) } },
    ]);
  });

  it('told a poster to repeat for ever: a unique index that keeps a table out of metadados is named', async () => {
    const metadados = mongo.db.collection('metadados');
    await metadados.createIndex({ roleta_nome: 1 }, { unique: true });
    await metadados.insertOne({ roleta_id: '2010166', roleta_nome: 'Roulette' });
    const store = mongo.open({ layout: 'per-table' });
    for (const id of ['2010165:s1', '2010165:s2']) {
      expect(await store.insertStrategies([strategy({ id, name: 'Roulette' })])).toMatchObject([
        { status: 'error', error: { code: 'database_refused', message: expect.stringContaining('unique index') } },
      ]);
    }
    expect(outcomes(await store.insertNumbers([number({ name: 'Roulette' })]))).toEqual(['created']);
  });

  it('replaces a state that is dated decades ahead', async () => {
    const ahead = { estado: 'MORTO', timestamp: new Date(Date.UTC(2096, 0)) };
    await mongo.db.collection('metadados').insertOne({ roleta_id: '2010165', estrategia: ahead });
    const store = mongo.open({ layout: 'per-table' });
    expect(await store.insertStrategies([strategy()])).toMatchObject([{ status: 'created' }]);
  });

  it('makes one document of a table when two instances meet', async () => {
    const stores = [mongo.open({ layout: 'per-table' }), mongo.open({ layout: 'per-table' })];
    await Promise.all(stores.map((store, index) => store.insertNumbers([number({ id: `2010165:${index}` })])));
    expect(await mongo.db.collection('metadados').countDocuments()).toBe(1);
  });
});

describe('a failing MongoDB', () => {
  it('that does not confirm in time leaves every item unknown, also one stored before', async () => {
    await mongo.fail(
      { times: 1 },
      { failCommands: ['insert'], writeConcernError: { code: 64, errmsg: 'waiting for replication timed out' } },
    );
    expect(outcomes(await mongo.store.insertNumbers([number(), number({ id: '2010165:k2' })]))).toEqual([
      'write_unknown',
      'write_unknown',
    ]);
    expect(outcomes(await mongo.store.insertNumbers([number()]))).toEqual(['duplicate']);
  });

  it('that drops the connection once is asked again, and the number is stored once', async () => {
    await mongo.fail({ times: 1 }, { failCommands: ['insert'], closeConnection: true });
    expect(outcomes(await mongo.store.insertNumbers([number()]))).toEqual(['created']);
    expect(await mongo.db.collection('roleta_numeros').countDocuments()).toBe(1);
  });

  it('that drops the connection again and again leaves the write unknown', async () => {
    await mongo.fail({ times: 2 }, { failCommands: ['insert'], closeConnection: true });
    await expect(mongo.store.insertNumbers([number()]).catch(codeOf)).resolves.toBe('write_unknown');
  });

  it('without a primary is unavailable, with a time to wait', async () => {
    await mongo.fail({ times: 2 }, { failCommands: ['insert'], errorCode: 10107 });
    const error = await mongo.store.insertNumbers([number()]).catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: 'database_unavailable',
      retryMs: expect.any(Number),
      cause: expect.anything(),
    });
  });

  it('that refuses the user says so, and the cause is kept', async () => {
    await mongo.fail({ times: 1 }, { failCommands: ['insert'], errorCode: 13 });
    const error = await mongo.store.insertNumbers([number()]).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'database_refused', cause: { code: 13 } });
  });

  it('whose repetition cannot be looked up leaves it unknown', async () => {
    await mongo.store.insertNumbers([number()]);
    await mongo.fail({ times: 1 }, { failCommands: ['find'], errorCode: 50 });
    expect(outcomes(await mongo.store.insertNumbers([number()]))).toEqual(['write_unknown']);
  });
});
