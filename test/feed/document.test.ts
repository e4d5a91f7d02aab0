import { Long, ObjectId } from 'bson';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { documentOf, fieldsOf } from '../../src/feed/document.ts';
import { keyOf } from '../../src/roulette/bson-value.ts';
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
const numero = fc.constantFrom<unknown>(0, 17, '36', Long.fromNumber(4), 37, '00', 99, 'x', null);
const rotulo = fc.constantFrom<unknown>('00', '0', null);
const name = fc.constantFrom<unknown>('Mesa', '  Mesa VIP ', '', 'x'.repeat(300), 5, { a: 1 }, ['a'], null);
const timestamp = fc.constantFrom<unknown>(
  new Date('2026-11-24T13:00:00.250Z'),
  '2026-11-24T10:00:00.250456-03:00',
  '2026-11-24 13:00',
  1.764e12 + 0.75,
  'yesterday',
  { a: 1 },
);
/** Among them one of more than five minutes before the others, so that those are dated ahead of their making. */
const criado_em = fc.constantFrom<unknown>(new Date('2026-11-24T12:00:00Z'), '2026-11-24T13:01:00Z', 'never', null);
const FIELDS = { roleta_id: table, numero, rotulo, roleta_nome: name, timestamp, criado_em };
const document = fc.record({ _id: id, ...FIELDS, cor: fc.constant('preto') }, { requiredKeys: ['_id'] });
const update = fc.record({
  updatedFields: fc.record({ ...FIELDS, 'roleta_nome.a': name, cor: fc.string() }, { requiredKeys: [] }),
  removedFields: fc.subarray(Object.keys(FIELDS)),
});

it('updates of what is kept of a number say the same as updates of the document', () => {
  let wellRead = 0;
  fc.assert(
    fc.property(document, fc.array(update, { maxLength: 3 }), (stored, updates) => {
      const read = (fields: Readonly<Record<string, unknown>>) =>
        documentOf('runcash.roleta_numeros', numbers, keyOf(stored._id), fields, resolve);
      let whole: Readonly<Record<string, unknown>> = stored;
      let kept = read(whole);
      for (const change of updates) {
        whole = applyUpdateDescription(whole, change);
        kept = read(applyUpdateDescription(fieldsOf(kept), change));
      }
      const wanted = read(whole);
      if (wanted.kind === 'number') wellRead++;
      expect([kept.kind, kept.key, kept.table]).toEqual([wanted.kind, wanted.key, wanted.table]);
      if (kept.kind === 'number' && wanted.kind === 'number') expect(kept.number).toEqual(wanted.number);
      if (kept.kind === 'malformed' && wanted.kind === 'malformed') expect(kept.reason).toBe(wanted.reason);
    }),
    { numRuns: 10_000 },
  );
  expect(wellRead).toBeGreaterThan(50);
});
