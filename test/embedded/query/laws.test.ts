import type { Document } from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../src/embedded/errors.ts';
import { runPipeline } from '../../../src/embedded/query/aggregate.ts';
import { compileFilter } from '../../../src/embedded/query/filter.ts';
import { compileProjection } from '../../../src/embedded/query/projection.ts';
import { compileSort, sortDocuments } from '../../../src/embedded/query/sort.ts';
import { compileUpdate, type Updated } from '../../../src/embedded/query/update.ts';
import { upsertDocument } from '../../../src/embedded/query/upsert.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';
import { compareValues, valueKey, valuesIdentical } from '../../../src/embedded/values/compare.ts';
import { copyDocument, getField, isDocument, setField } from '../../../src/embedded/values/types.ts';
import { anyDocument, anyValue, garbage } from './arbitrary.ts';

const RUNS = { numRuns: 400 };

/** Runs something that may refuse its input, but in no other way than by a CommandError. */
function orRefused<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

describe('the order of values', () => {
  test('is total: antisymmetric and transitive', () => {
    fc.assert(
      fc.property(anyValue, anyValue, anyValue, (a, b, c) => {
        expect(Math.sign(compareValues(a, b))).toBe(-Math.sign(compareValues(b, a)) + 0);
        expect(compareValues(a, a)).toBe(0);
        if (compareValues(a, b) <= 0 && compareValues(b, c) <= 0) expect(compareValues(a, c)).toBeLessThanOrEqual(0);
      }),
      RUNS,
    );
  });

  test('agrees with the canonical key about equality', () => {
    fc.assert(
      fc.property(anyValue, anyValue, (a, b) => {
        expect(valueKey(a) === valueKey(b)).toBe(compareValues(a, b) === 0);
      }),
      { numRuns: 2000 },
    );
  });

  test('agrees with filters and sorts', () => {
    fc.assert(
      fc.property(fc.array(anyDocument, { maxLength: 6 }), anyValue, (documents, bound) => {
        const sorted = sortDocuments(documents, { a: 1 });
        const order = compileSort({ a: 1 });
        for (const [at, document] of sorted.entries()) {
          const next = sorted[at + 1];
          if (next !== undefined) expect(order(document, next)).toBeLessThanOrEqual(0);
        }
        const test = orRefused(() => compileFilter({ a: { $lte: bound } }));
        if (test === undefined) return;
        for (const document of documents) {
          const value = getField(document, 'a');
          if (!Array.isArray(value) && test(document)) expect(compareValues(value, bound)).toBeLessThanOrEqual(0);
        }
      }),
      RUNS,
    );
  });
});

test('a document survives decoding and encoding byte by byte', () => {
  fc.assert(
    fc.property(anyDocument, (document) => {
      const raw = encode(document);
      expect(Buffer.compare(encode(decode(raw)), raw)).toBe(0);
      expect(valuesIdentical(decode(raw), decode(raw))).toBe(true);
    }),
    RUNS,
  );
});

/** What a reader of the change stream does with an update event. */
function replay(before: Document, { updatedFields, removedFields, truncatedArrays }: Updated): Document {
  const after = copyDocument(before);
  for (const { field, newSize } of truncatedArrays) truncate(after, field.split('.'), newSize);
  for (const [path, value] of Object.entries(updatedFields) as [string, unknown][])
    setPath(after, path.split('.'), value);
  for (const path of removedFields) setPath(after, path.split('.'), undefined);
  return after;
}

function setPath(node: Document | unknown[], [name = '', ...rest]: readonly string[], value: unknown): void {
  if (Array.isArray(node)) {
    const index = Number(name);
    while (node.length < index) node.push(null);
    if (rest.length === 0) node[index] = value ?? null;
    else setPathWithin(node[index], rest, value);
    return;
  }
  if (rest.length > 0) {
    if (getField(node, name) === undefined) setField(node, name, {});
    setPathWithin(getField(node, name), rest, value);
  } else if (value === undefined) delete node[name];
  else setField(node, name, value);
}

function setPathWithin(node: unknown, path: readonly string[], value: unknown): void {
  if (isDocument(node) || Array.isArray(node)) setPath(node, path, value);
}

function truncate(node: unknown, [name = '', ...rest]: readonly string[], size: number): void {
  const child: unknown = Array.isArray(node) ? node[Number(name)] : isDocument(node) ? getField(node, name) : undefined;
  if (rest.length > 0) truncate(child, rest, size);
  else if (Array.isArray(child)) child.length = size;
}

test('an update description applied to the old document gives the new one', () => {
  const paths = fc.constantFrom('a', 'b', 'a.b', 'a.0', 'b.1', 'a.b.c', 'c.$[]');
  const operator = fc.constantFrom(
    '$set',
    '$unset',
    '$inc',
    '$push',
    '$addToSet',
    '$pull',
    '$pop',
    '$min',
    '$max',
    '$rename',
  );
  const operand = fc.oneof(anyValue, fc.constantFrom<unknown>(1, -1, 'd'));
  const updates = fc.dictionary(operator, fc.dictionary(paths, operand, { minKeys: 1, maxKeys: 2 }), {
    minKeys: 1,
    maxKeys: 2,
    noNullPrototype: true,
  });
  let applied = 0;
  fc.assert(
    fc.property(anyDocument, updates, fc.boolean(), (document, update, modern) => {
      const before = copyDocument(document);
      const result = orRefused(() => compileUpdate(decode(encode(update)), { modern })(document));
      expect(valuesIdentical(document, before)).toBe(true);
      if (result === undefined || result === null) return;
      applied += 1;
      expect(valuesIdentical(replay(before, result), result.doc)).toBe(true);
      expect(valuesIdentical(before, result.doc)).toBe(false);
    }),
    { numRuns: 3000 },
  );
  expect(applied).toBeGreaterThan(200);
});

test('the difference of a pipeline applied to the old document gives the new one', () => {
  fc.assert(
    fc.property(anyDocument, anyDocument, (before, target) => {
      const after = { ...target, _id: before['_id'] };
      const result = compileUpdate([{ $replaceWith: { $literal: after } }], { modern: true })(before);
      if (result === null || result.replaced) return;
      expect(compareValues({ v: sortedFields(replay(before, result)) }, { v: sortedFields(after) })).toBe(0);
    }),
    { numRuns: 3000 },
  );
});

/** Fields that moved are not told apart by a difference. */
function sortedFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedFields);
  if (!isDocument(value)) return value;
  const sorted: Document = {};
  for (const key of Object.keys(value).sort()) setField(sorted, key, sortedFields(value[key]));
  return sorted;
}

describe('garbage', () => {
  test('is refused or works, and never crashes', () => {
    fc.assert(
      fc.property(garbage, garbage, anyDocument, (specification, other, document) => {
        orRefused(() => compileFilter(specification)(document));
        orRefused(() => compileFilter({ a: specification })(document));
        orRefused(() => compileProjection(specification)(document));
        orRefused(() => compileSort(specification)(document, document));
        orRefused(() => compileUpdate(specification, { arrayFilters: [other] })(document));
        orRefused(() => upsertDocument(other, specification));
        orRefused(() => compileUpdate([specification])(document));
        orRefused(() => runPipeline([document], [specification, other], { lookup: () => [document] }));
        orRefused(() => runPipeline([document], [{ $set: { x: specification } }], { lookup: () => [document] }));
        for (const [name, operand] of Object.entries(specification) as [string, unknown][]) {
          orRefused(() =>
            runPipeline([document], [{ $replaceWith: { v: { [name]: operand } } }], { lookup: () => [] }),
          );
          orRefused(() => runPipeline([document], [{ [name]: operand }], { lookup: () => [document] }));
        }
      }),
      { numRuns: 800 },
    );
  });

  test('is refused as bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        orRefused(() => decode(bytes));
      }),
      RUNS,
    );
  });
});
