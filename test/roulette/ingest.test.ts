import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ProtocolError } from '../../src/protocol/errors.ts';
import {
  type IngestContext,
  type NumberToStore,
  numberPost,
  parseNumber,
  parseNumberPost,
  parseStrategyPost,
  type StrategyToStore,
  strategyPost,
} from '../../src/roulette/ingest.ts';
import { canonicalId, createDirectory } from '../../src/roulette/table.ts';
import { anyDocument } from './bson-arbitrary.ts';
import { recordedTables } from './recorded.ts';

const directory = createDirectory();
for (const { roleta_id, roleta_nome } of recordedTables()) {
  const id = canonicalId(roleta_id);
  if (id !== null) directory.learn(id, roleta_nome);
}
const NOW = Date.UTC(2025, 3, 11, 17, 40);
let fresh = 0;
const context: IngestContext = {
  nowMs: NOW,
  resolve: directory.resolve,
  nameOf: directory.nameOf,
  idempotencyKey: null,
  caller: '',
  mayPost: () => true,
  freshKey: () => `fresh-${fresh++}`,
};

function single(body: unknown, overrides: Partial<IngestContext> = {}): NumberToStore {
  const post = parseNumberPost(body, { ...context, ...overrides });
  if (post.kind !== 'single') throw new Error('not single');
  return post.item;
}
function strategy(body: unknown): StrategyToStore {
  const post = parseStrategyPost(body, context);
  if (post.kind !== 'single') throw new Error('not single');
  return post.item;
}
function problemsOf(call: () => unknown): Record<string, string> {
  try {
    call();
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'invalid') {
      return Object.fromEntries(error.problems.map(({ path, message }) => [path, message]));
    }
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a posted number', () => {
  it('is read as a scraper sends it: digits as text, no zone, no type, no colour', () => {
    const body = { roleta_id: 2010165, roleta_nome: 'Roulette', numero: '0', timestamp: '2025-04-11T17:38:20.833123' };
    expect(single(body)).toEqual({
      id: '2010165:0@1744393100833',
      table: '2010165',
      name: 'Roulette',
      numero: 0,
      cor: 'verde',
      timestampMs: 1744393100833,
      given: { name: true, timestamp: true },
    });
  });

  it('is the same however its table and time are spelt', () => {
    const spellings = [
      { roleta_id: '2010165', timestamp: 1744393100833 },
      { roleta_id: '2_2010165', timestamp: '2025-04-11 17:38:20.833' },
      { roleta_id: '1FA13BD8-47f4-eaeb-1540-f203da568290', timestamp: '2025-04-11T14:38:20.833-03:00' },
      { roleta_nome: 'ROULETTE', timestamp: '1744393100833' },
    ];
    expect(new Set(spellings.map((spelling) => single({ ...spelling, numero: 17 }).id))).toEqual(
      new Set(['2010165:17@1744393100833']),
    );
  });

  it('without a timestamp bears the time of arrival and a fresh key, and the name that its table has', () => {
    const first = single({ roleta_id: '2010165', numero: 0, timestamp: null });
    expect(first).toMatchObject({ timestampMs: NOW, name: 'Roulette', given: { name: false, timestamp: false } });
    expect(first.id).not.toBe(single({ roleta_id: '2010165', numero: 0 }).id);
  });

  it("takes its key from the header, else from the caller's event id", () => {
    const body = { roleta_id: '2010165', numero: 5, evento_id: 'e-1', rodada_id: 77, timestamp: 1744393100833 };
    expect(single(body, { idempotencyKey: 'k 1' }).id).toBe('2010165:k::k 1');
    expect(single(body).id).toBe('2010165:e::e-1');
    expect(single({ ...body, evento_id: null }).id).toBe('2010165:r::77');
  });

  it('bears a key that no other kind of key, and no other caller, can take', () => {
    const at = 1744393100833;
    const body = { roleta_id: '2010165', numero: 17 };
    const ids = [
      single({ ...body, timestamp: at }).id,
      ...['', 'a', 'b', 'a:b'].flatMap((caller) => [
        single(body, { caller, idempotencyKey: `17@${at}` }).id,
        single(body, { caller, idempotencyKey: 'x' }).id,
        single(body, { caller, idempotencyKey: 'b:x' }).id,
        single({ ...body, evento_id: 'x' }, { caller }).id,
        single({ ...body, evento_id: `17@${at}` }, { caller }).id,
        single({ ...body, rodada_id: 'x' }, { caller }).id,
      ]),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.join()).not.toContain('a:b:');
  });

  it('bears a key that the id of no other table can take', () => {
    const timestamp = 1744393100833;
    const chosen = single({ roleta_id: '2010165', numero: 17 }, { caller: 'a', idempotencyKey: `17@${timestamp}` }).id;
    const [table = '', ...rest] = chosen.split(':');
    // Of content, whose key nobody chooses, under an id that begins like the one above.
    for (const roleta_id of [
      `${table}:${rest.slice(0, -1).join(':')}`,
      `${table}%3A${rest.slice(0, -1).join('%3A')}`,
    ]) {
      const other = single({ roleta_id, numero: 17, timestamp });
      expect(other.table).toBe(roleta_id);
      expect(other.id).not.toBe(chosen);
      expect(other.id.split(':')).toHaveLength(2);
    }
    const ids = ['a:b', 'a%3Ab', 'a%3ab', 'a'].map((roleta_id) => single({ roleta_id, numero: 17, timestamp }).id);
    expect(new Set(ids).size).toBe(4);
  });

  it('is the same result, whoever brings it, when only its content tells it apart', () => {
    const body = { roleta_id: '2010165', numero: 17, timestamp: 1744393100833 };
    expect(single(body, { caller: 'a' }).id).toBe(single(body, { caller: 'b' }).id);
  });

  it('is forbidden for a table that its caller may not post for, by whatever spelling', () => {
    const mayPost = (table: string) => table === '2010165';
    for (const roleta_id of ['2010033', 2_010_033, '2_2010033', '2010033_2']) {
      expect(() => single({ roleta_id, numero: 1 }, { mayPost })).toThrow('may not post for 2010033');
    }
    expect(single({ roleta_id: '2_2010165', numero: 1 }, { mayPost }).table).toBe('2010165');
    const batch = parseNumberPost(
      [
        { roleta_id: '2010165', numero: 1 },
        { roleta_id: '2010033', numero: 1 },
      ],
      { ...context, mayPost },
    );
    if (batch.kind !== 'batch') throw new Error('not a batch');
    expect([...batch.items]).toMatchObject([{ ok: true }, { ok: false, error: { code: 'forbidden' } }]);
  });

  it('means by a name only the tables that its caller may post for', () => {
    const nobody = problemsOf(() => single({ roleta_nome: 'Roulette', numero: 1 }, { mayPost: () => false }));
    expect(nobody).toEqual({ roleta_nome: expect.stringContaining('no known table') });
  });

  it('may be the double zero, as text or with its label', () => {
    for (const fields of [{ numero: '00' }, { numero: 37, rotulo: '00' }]) {
      expect(single({ roleta_id: 'us-1', ...fields })).toMatchObject({ numero: 37, cor: 'verde' });
    }
  });

  it.each<[string, Record<string, unknown>]>([
    ['numero', { numero: 37 }],
    ['numero', { numero: -1 }],
    ['numero', { numero: '' }],
    ['numero', { numero: null }],
    ['numero', { numero: undefined }],
    ['numero', { numero: '000' }],
    ['numero', { numero: 1.5 }],
    ['numero', { numero: [1] }],
    ['numero', { numero: true }],
    ['roleta_id', { roleta_id: undefined }],
    ['roleta_id', { roleta_id: 5.5 }],
    ['roleta_id', { roleta_id: 'Auto Roulette' }],
    ['roleta_id', { roleta_id: {} }],
    ['roleta_id', { roleta_id: '00000000-47f4-eaeb-1540-f203da568290' }],
    ['roleta_nome', { roleta_id: '', roleta_nome: 'Nenhuma' }],
    ['roleta_nome', { roleta_nome: 5 }],
    ['roleta_nome', { roleta_nome: 'x'.repeat(201) }],
    ['cor', { cor: 'verde' }],
    ['cor', { cor: 'red' }],
    ['timestamp', { timestamp: 'ontem' }],
    ['timestamp', { timestamp: '2025-02-30T00:00:00' }],
    ['timestamp', { timestamp: NOW + 25 * 3600 * 1000 }],
    ['evento_id', { evento_id: 'x'.repeat(201) }],
    ['rodada_id', { rodada_id: 'a\nb' }],
  ])('with a wrong %s is refused there, case %#', (path, fields) => {
    expect(Object.keys(problemsOf(() => single({ roleta_id: '2010165', numero: 17, ...fields })))).toEqual([path]);
  });

  it('names every problem at once', () => {
    const problems = problemsOf(() =>
      single({ roleta_nome: 'VIP Roulette', numero: 99, timestamp: 'x', evento_id: {} }),
    );
    expect(Object.keys(problems).sort()).toEqual(['evento_id', 'numero', 'roleta_nome', 'timestamp']);
    expect(problems['roleta_nome']).toContain('2010097, 2380117');
  });

  it.each([[null], [5], ['text'], [undefined]])('that is %s is no object', (body) => {
    expect(problemsOf(() => single(body))).toEqual({ '': 'must be an object' });
  });

  it('takes the colour in any case, when it is the right one', () => {
    expect(single({ roleta_id: '2010165', numero: 1, cor: ' Vermelho ' }).cor).toBe('vermelho');
  });
});

describe('an array of numbers', () => {
  it('gives each element its own result, with paths into the array', () => {
    const post = parseNumberPost([{ roleta_id: '2010165', numero: 1 }, { numero: 99 }, 5], context);
    if (post.kind !== 'batch') throw new Error('not a batch');
    const results = [...post.items].map((item) =>
      item.ok ? item.value.numero : item.error.problems.map(({ path }) => path),
    );
    expect(results).toEqual([1, ['1.numero', '1.roleta_id'], ['2']]);
  });

  it('is refused whole when empty, too long, or under one key', () => {
    expect(problemsOf(() => parseNumberPost([], context))).toHaveProperty(['']);
    expect(problemsOf(() => parseNumberPost(Array(501).fill({}), context))).toHaveProperty(['']);
    expect(problemsOf(() => parseNumberPost([{}], { ...context, idempotencyKey: 'k' }))).toHaveProperty(
      'Idempotency-Key',
    );
    expect(problemsOf(() => single({}, { idempotencyKey: '' }))).toHaveProperty('Idempotency-Key');
  });
});

describe('a posted strategy', () => {
  const body = {
    roleta_id: '2010165',
    estado: 'TRIGGER',
    numero_gatilho: 0,
    terminais_gatilho: [4, 7, 8],
    vitorias: 2,
    derrotas: 1,
  };

  it('is read in its newer and older spelling alike', () => {
    const older = {
      roleta_id: '2_2010165',
      estado_estrategia: 'trigger',
      numero_gatilho: '0',
      terminais: ['4', '7', '8'],
      vitorias: '2',
      derrotas: '1',
      display_suggestion: 'APOSTAR EM: 4,7,8',
      timestamp: '2025-04-11T17:38:20.833123',
    };
    const newer = { ...body, sugestao_display: 'APOSTAR EM: 4,7,8', timestamp: 1744393100833 };
    expect(strategy(older)).toEqual(strategy(newer));
    expect(strategy(older)).toMatchObject({ estado: 'TRIGGER', numeroGatilho: 0, terminaisGatilho: [4, 7, 8] });
  });

  it('has no trigger, no terminals and no counts where none are given', () => {
    expect(strategy({ roleta_id: '2010165', estado: 'NEUTRAL' })).toMatchObject({
      numeroGatilho: -1,
      terminaisGatilho: [],
      vitorias: 0,
      derrotas: 0,
      sugestaoDisplay: '',
    });
  });

  it('has another key when anything in it differs, and a fresh one without a timestamp', () => {
    const timestamp = 1744393100833;
    const ids = [{}, { vitorias: 3 }, { numero_gatilho: -1 }].map(
      (fields) => strategy({ ...body, timestamp, ...fields }).id,
    );
    expect(new Set(ids).size).toBe(3);
    expect(strategy({ ...body, timestamp }).id).toBe(ids[0]);
    expect(strategy(body).id).not.toBe(strategy(body).id);
  });

  it.each<[string, Record<string, unknown>]>([
    ['estado', { estado: undefined }],
    ['estado', { estado: '' }],
    ['estado', { estado: 'LIGADO' }],
    ['estado', { estado: 5 }],
    ['numero_gatilho', { numero_gatilho: 37 }],
    ['numero_gatilho', { numero_gatilho: -2 }],
    ['terminais_gatilho', { terminais_gatilho: [1, 2, 3, 4] }],
    ['terminais_gatilho', { terminais_gatilho: [37] }],
    ['terminais_gatilho', { terminais_gatilho: '4,7' }],
    ['vitorias', { vitorias: -1 }],
    ['derrotas', { derrotas: 'x' }],
    ['sugestao_display', { sugestao_display: 'x'.repeat(1001) }],
    ['timestamp', { timestamp: NOW * 2 }],
  ])('with a wrong %s is refused there, case %#', (path, fields) => {
    expect(Object.keys(problemsOf(() => strategy({ ...body, ...fields })))).toEqual([path]);
  });
});

describe('every parser', () => {
  it('answers anything with a value or with named problems', () => {
    fc.assert(
      fc.property(fc.oneof(anyDocument, fc.jsonValue(), fc.array(anyDocument, { maxLength: 3 })), (body) => {
        const calls = [
          () => parseNumberPost(body, context),
          () => parseStrategyPost(body, context),
          () => parseNumber(body, context, 'data'),
        ];
        for (const call of calls) {
          try {
            call();
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            expect(error.code).toBe('invalid');
            expect(error.problems.length).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('can describe what it takes as JSON Schema', () => {
    for (const schema of [numberPost, strategyPost]) {
      const described = JSON.stringify(z.toJSONSchema(schema, { io: 'input' }));
      expect(described).toContain('"roleta_id"');
    }
  });
});
