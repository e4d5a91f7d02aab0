import type { Document } from 'bson';
import { badValue, failedToParse, typeMismatch } from '../errors.ts';
import { compareValues, valueKey, valuesEqual, valuesIdentical } from '../values/compare.ts';
import { numericKind, toInteger } from '../values/numbers.ts';
import { copyValue, isDocument, typeName } from '../values/types.ts';
import { compileFilter, isOperatorDocument } from './filter.ts';
import { isRegex } from './predicates.ts';
import { sortDocuments } from './sort.ts';
import { inWords, type ModifierCompiler, type ModifierOutcome } from './update-modifiers.ts';

type Rearrange = (elements: unknown[]) => unknown[];

interface Push {
  readonly values: readonly unknown[];
  readonly position: number | undefined;
  readonly sort: Rearrange | undefined;
  readonly slice: number | undefined;
}

const CLAUSES: ReadonlySet<string> = new Set(['$each', '$position', '$slice', '$sort']);

function parsePush(operand: unknown): Push {
  if (!isDocument(operand) || !Object.hasOwn(operand, '$each')) {
    return { values: [operand], position: undefined, sort: undefined, slice: undefined };
  }
  for (const clause of Object.keys(operand)) {
    if (!CLAUSES.has(clause)) throw badValue(`Unrecognized clause in $push: ${clause}`);
  }
  return {
    values: eachOf('$push', operand),
    position: integerClause(operand, '$position'),
    sort: operand['$sort'] === undefined ? undefined : arraySort(operand['$sort']),
    slice: integerClause(operand, '$slice'),
  };
}

function eachOf(operator: string, operand: Document): unknown[] {
  const each: unknown = operand['$each'];
  if (Array.isArray(each)) return each;
  throw badValue(`The argument to $each in ${operator} must be an array but it was of type ${typeName(each)}`);
}

function integerClause(operand: Document, clause: string): number | undefined {
  const value: unknown = operand[clause];
  if (value === undefined) return undefined;
  const number = toInteger(value);
  if (number !== undefined) return number;
  throw badValue(`The value for ${clause} must be an integer value but was given type: ${typeName(value)}`);
}

function arraySort(spec: unknown): Rearrange {
  if (isDocument(spec)) {
    if (Object.keys(spec).length === 0) throw badValue('The $sort pattern is empty when it should be a set of fields.');
    for (const [path, direction] of Object.entries(spec) as [string, unknown][]) {
      if (path === '' || path.split('.').includes(''))
        throw badValue(`The $sort field is a dotted field but has an empty part: ${path}`);
      direct(direction);
    }
    // Elements that are no documents have none of the fields: they sort as empty documents do.
    return (elements) => {
      const rows = elements.map((element) => ({ row: isDocument(element) ? element : {}, element }));
      const elementOf = new Map(rows.map(({ row, element }) => [row, element]));
      return sortDocuments(
        rows.map(({ row }) => row),
        spec,
      ).map((row) => elementOf.get(row));
    };
  }
  const direction = direct(spec);
  return (elements) => [...elements].sort((a, b) => compareValues(a, b) * direction);
}

function direct(direction: unknown): 1 | -1 {
  const number = toInteger(direction);
  if (number === 1 || number === -1) return number;
  throw badValue('The $sort element value must be either 1 or -1');
}

function sliced(elements: unknown[], count: number): unknown[] {
  if (count === 0) return [];
  return count > 0 ? elements.slice(0, count) : elements.slice(count);
}

function changed(before: unknown, after: unknown[]): ModifierOutcome {
  return valuesIdentical(before, after) ? undefined : { value: copyValue(after) };
}

const push: ModifierCompiler = (operand) => {
  const { values, position, sort, slice } = parsePush(operand);
  return {
    creates: true,
    apply: (value, { path, documentId }) => {
      if (value !== undefined && !Array.isArray(value)) {
        throw badValue(
          `The field '${path}' must be an array but is of type ${typeName(value)} in document {_id: ${inWords(documentId)}}`,
        );
      }
      const before: unknown[] = value ?? [];
      const at =
        position === undefined ? before.length : position < 0 ? Math.max(0, before.length + position) : position;
      let after = [...before.slice(0, at), ...values, ...before.slice(at)];
      if (sort !== undefined) after = sort(after);
      const kept = slice === undefined ? after : sliced(after, slice);
      const isAppend = position === undefined || position > before.length;
      // As the server's oplog has it: pushing at the end of a non-empty array logs the new elements only.
      if (isAppend && before.length > 0 && sort === undefined && kept.length === after.length) {
        return values.length === 0 ? undefined : { value: copyValue(after), appendedFrom: before.length };
      }
      return changed(value, kept);
    },
  };
};

const addToSet: ModifierCompiler = (operand) => {
  let additions: readonly unknown[] = [operand];
  if (isDocument(operand) && Object.hasOwn(operand, '$each')) {
    additions = eachOf('$addToSet', operand);
    const other = Object.keys(operand).find((key) => key !== '$each');
    if (other !== undefined) throw badValue(`Found unexpected fields after $each in $addToSet: ${inWords(operand)}`);
  }
  return {
    creates: true,
    apply: (value, { path }) => {
      if (value !== undefined && !Array.isArray(value)) {
        throw badValue(
          `Cannot apply $addToSet to non-array field. Field named '${path}' has non-array type ${typeName(value)}`,
        );
      }
      const elements: unknown[] = [...(value ?? [])];
      const keys = new Set(elements.map(valueKey));
      for (const addition of additions) {
        const key = valueKey(addition);
        if (keys.has(key)) continue;
        keys.add(key);
        elements.push(addition);
      }
      return changed(value, elements);
    },
  };
};

const pop: ModifierCompiler = (operand, path) => {
  if (numericKind(operand) === undefined) throw failedToParse(`Expected a number in: ${path}: ${inWords(operand)}`);
  const end = toInteger(operand);
  if (end !== 1 && end !== -1) throw failedToParse(`$pop expects 1 or -1, found: ${inWords(operand)}`);
  return {
    creates: false,
    apply: (value) => {
      if (value === undefined) return undefined;
      if (!Array.isArray(value)) {
        throw typeMismatch(`Path '${path}' contains an element of non-array type '${typeName(value)}'`);
      }
      return changed(value, end === 1 ? value.slice(0, -1) : value.slice(1));
    },
  };
};

function removing(operator: string, isRemoved: (element: unknown) => boolean): ReturnType<ModifierCompiler> {
  return {
    creates: false,
    apply: (value) => {
      if (value === undefined) return undefined;
      if (!Array.isArray(value)) throw badValue(`Cannot apply ${operator} to a non-array value`);
      return changed(
        value,
        value.filter((element: unknown) => !isRemoved(element)),
      );
    },
  };
}

const pull: ModifierCompiler = (operand) => {
  if (isDocument(operand) && !isOperatorDocument(operand)) {
    const matches = compileFilter(operand);
    return removing('$pull', (element) => isDocument(element) && matches(element));
  }
  if (isDocument(operand) || isRegex(operand)) {
    const matches = compileFilter({ element: operand });
    return removing('$pull', (element) => matches({ element }));
  }
  return removing('$pull', (element) => valuesEqual(element, operand));
};

const pullAll: ModifierCompiler = (operand) => {
  if (!Array.isArray(operand))
    throw badValue(`$pullAll requires an array argument but was given a ${typeName(operand)}`);
  const keys = new Set(operand.map(valueKey));
  return removing('$pullAll', (element) => keys.has(valueKey(element)));
};

/** The modifiers of arrays. */
export const ARRAY_MODIFIERS: Readonly<Record<string, ModifierCompiler>> = {
  $push: push,
  $addToSet: addToSet,
  $pop: pop,
  $pull: pull,
  $pullAll: pullAll,
};
