import { Int32 } from 'bson';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyUpdateDescription } from '../../src/roulette/patch.ts';
import { DEFAULT_SOURCES, relevantFields } from '../../src/roulette/source.ts';
import { strategyFrom } from '../../src/roulette/strategy.ts';

const metadados = DEFAULT_SOURCES.of('metadados');
if (metadados === null) throw new Error('metadados is watched');

describe('an update description', () => {
  it('sets, removes and truncates by dotted path and leaves the given document alone', () => {
    const before = { _id: 1, a: { b: 1, c: 2 }, list: [1, 2, 3, 4], gone: true };
    const copy = structuredClone(before);
    const after = applyUpdateDescription(before, {
      updatedFields: { 'a.b': 9, 'list.0': 7, 'novo.x.y': 0 },
      removedFields: ['gone', 'a.c', 'never.there'],
      truncatedArrays: [{ field: 'list', newSize: new Int32(2) }],
    });
    expect(after).toEqual({ _id: 1, a: { b: 9 }, list: [7, 2], novo: { x: { y: 0 } } });
    expect(before).toEqual(copy);
  });

  it('fills skipped places of an array with null, and takes a number for a field where there is no array', () => {
    expect(applyUpdateDescription({ list: [1] }, { updatedFields: { 'list.3': 4 } })).toEqual({
      list: [1, null, null, 4],
    });
    expect(applyUpdateDescription({}, { updatedFields: { 'list.3': 4 } })).toEqual({ list: { 3: 4 } });
  });

  it('takes fields named like parts of the language for what they are', () => {
    const after = applyUpdateDescription({ a: {} }, { updatedFields: { 'a.__proto__.x': 1, constructor: 2 } });
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
    expect(JSON.stringify(after)).toBe('{"a":{"__proto__":{"x":1}},"constructor":2}');
  });

  it('does nothing where it is empty', () => {
    const document = { a: 1 };
    expect(applyUpdateDescription(document, {})).toBe(document);
    expect(applyUpdateDescription(document, { updatedFields: null, removedFields: null, truncatedArrays: null })).toBe(
      document,
    );
  });
});

type Change = { readonly field: string; readonly value: unknown };
const STATE = ['estado', 'numero_gatilho', 'vitorias', 'sugestao_display', 'historico'];
const scalar = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.boolean());
const document = fc.record({
  _id: fc.integer(),
  roleta_id: fc.constantFrom('2010165', 2010165),
  roleta_nome: scalar,
  ativa: fc.boolean(),
  estrategia: fc.record({
    estado: fc.constantFrom('TRIGGER', 'NEUTRAL', 'x'),
    numero_gatilho: fc.integer({ min: -2, max: 38 }),
    terminais_gatilho: fc.array(fc.integer({ min: 0, max: 37 }), { maxLength: 5 }),
    vitorias: fc.integer({ min: 0 }),
    sugestao_display: fc.oneof(fc.string(), fc.constant('x'.repeat(5000))),
    historico: fc.array(fc.integer(), { maxLength: 30 }),
  }),
});
const change: fc.Arbitrary<Change> = fc.record({
  field: fc.constantFrom(...STATE, 'ativa', 'roleta_nome'),
  value: fc.option(scalar, { nil: undefined }),
});
const terminals = fc.array(fc.integer({ min: 0, max: 37 }), { maxLength: 5 });

/** What a server would do to the whole document, and how it would describe it. */
function serverUpdate(
  before: Record<string, unknown> & { estrategia: Record<string, unknown> },
  changes: readonly Change[],
  list: readonly number[],
) {
  const after = structuredClone(before);
  const updated = new Map<string, unknown>();
  const removed = new Set<string>();
  for (const { field, value } of changes) {
    const target: Record<string, unknown> = STATE.includes(field) ? after.estrategia : after;
    const path = target === after ? field : `estrategia.${field}`;
    updated.delete(path);
    removed.delete(path);
    if (value === undefined) {
      delete target[field];
      removed.add(path);
    } else {
      target[field] = value;
      updated.set(path, value);
    }
  }
  const old = before.estrategia['terminais_gatilho'];
  const oldLength = Array.isArray(old) ? old.length : 0;
  after.estrategia['terminais_gatilho'] = list;
  list.forEach((value, index) => {
    updated.set(`estrategia.terminais_gatilho.${index}`, value);
  });
  const truncatedArrays =
    list.length < oldLength ? [{ field: 'estrategia.terminais_gatilho', newSize: list.length }] : [];
  return {
    after,
    update: { updatedFields: Object.fromEntries(updated), removedFields: [...removed], truncatedArrays },
  };
}

describe('INVARIANT absolute updates', () => {
  it('patching equals the replacement document, also over the few fields that are kept', () => {
    fc.assert(
      fc.property(document, fc.array(change, { maxLength: 6 }), terminals, (before, changes, list) => {
        const { after, update } = serverUpdate(before, changes, list);
        expect(applyUpdateDescription(before, update)).toEqual(after);
        const kept = relevantFields(applyUpdateDescription(relevantFields(before, metadados), update), metadados);
        expect(kept).toEqual(relevantFields(after, metadados));
        expect(strategyFrom(kept, metadados)).toEqual(strategyFrom(after, metadados));
      }),
      { numRuns: 2000 },
    );
  });

  it('applying the same update twice changes nothing more', () => {
    fc.assert(
      fc.property(document, fc.array(change, { maxLength: 6 }), terminals, (before, changes, list) => {
        const { update } = serverUpdate(before, changes, list);
        const once = applyUpdateDescription(before, update);
        expect(applyUpdateDescription(once, update)).toEqual(once);
      }),
    );
  });

  it('a huge document keeps little', () => {
    const huge = {
      _id: 1,
      roleta_id: '2010165',
      roleta_nome: 'x'.repeat(5_000_000),
      extra: 'y'.repeat(5_000_000),
      estrategia: {
        estado: 'TRIGGER',
        terminais_gatilho: Array.from({ length: 100_000 }, () => ({ z: 'z' })),
        sugestao_display: new Uint8Array(1_000_000),
      },
    };
    const kept = relevantFields(huge, metadados);
    expect(JSON.stringify(kept).length).toBeLessThan(2000);
    expect(strategyFrom(kept, metadados)).toEqual(strategyFrom(huge, metadados));
  });
});
