import { Long, ObjectId } from 'bson';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fieldsOf, holdDocument } from '../../src/feed/document.ts';
import { keyOf } from '../../src/roulette/identity.ts';
import { applyUpdateDescription } from '../../src/roulette/patch.ts';
import { isTableId } from '../../src/roulette/table.ts';

const TABLE = '2010165';
const UUID = '1fa13bd8-47f4-eaeb-1540-f203da568290';
const numbers = { kind: 'numbers' } as const;
const resolve = (reference: string) => (reference === UUID && isTableId(TABLE) ? TABLE : null);

const id = fc.constantFrom<unknown>(new ObjectId('0123456789abcdef01234567'), 'a text', 5, Long.fromNumber(2 ** 60), {
  a: 1,
});
const table = fc.constantFrom<unknown>(TABLE, 2010165, `2_${TABLE}`, UUID, 'none', null);
const numero = fc.constantFrom<unknown>(0, 17, '36', Long.fromNumber(4), 99, 'x', null);
const name = fc.constantFrom<unknown>('Mesa', '  Mesa VIP ', '', 'x'.repeat(300), 5, { a: 1 }, ['a'], null);
const timestamp = fc.constantFrom<unknown>(
  new Date('2026-11-24T13:00:00.250Z'),
  '2026-11-24T10:00:00.250456-03:00',
  '2026-11-24 13:00',
  1.764e12 + 0.75,
  'yesterday',
  { a: 1 },
);
const FIELDS = { roleta_id: table, numero, roleta_nome: name, timestamp };
const document = fc.record({ _id: id, ...FIELDS, cor: fc.constant('preto') }, { requiredKeys: ['_id'] });
const update = fc.record({
  updatedFields: fc.record({ ...FIELDS, 'roleta_nome.a': name, cor: fc.string() }, { requiredKeys: [] }),
  removedFields: fc.subarray(Object.keys(FIELDS)),
});

it('updates of what is held of a number say the same as updates of the document', () => {
  let wellRead = 0;
  fc.assert(
    fc.property(document, fc.array(update, { maxLength: 3 }), (stored, updates) => {
      const read = (fields: Readonly<Record<string, unknown>>) =>
        holdDocument('runcash.roleta_numeros', numbers, keyOf(stored._id), fields, resolve);
      let whole: Readonly<Record<string, unknown>> = stored;
      let held = read(whole);
      for (const change of updates) {
        whole = applyUpdateDescription(whole, change);
        held = read(applyUpdateDescription(fieldsOf(held), change));
      }
      const wanted = read(whole);
      if (wanted.kind === 'number') wellRead++;
      expect([held.kind, held.key, held.table]).toEqual([wanted.kind, wanted.key, wanted.table]);
      if (held.kind === 'number' && wanted.kind === 'number') expect(held.number).toEqual(wanted.number);
      if (held.kind === 'malformed' && wanted.kind === 'malformed') expect(held.reason).toBe(wanted.reason);
    }),
    { numRuns: 2_000 },
  );
  expect(wellRead).toBeGreaterThan(50);
});
