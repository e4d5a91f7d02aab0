import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, failedToParse } from '../errors.ts';
import { copyValue, getField, isDocument, typeName } from '../values/types.ts';
import { arrayIndex } from './path.ts';
import { ARRAY_MODIFIERS } from './update-arrays.ts';
import { type FieldModifier, inWords, REMOVED, type UpdateClock, VALUE_MODIFIERS } from './update-modifiers.ts';
import { compareComponents, type Modification, updateComponents } from './update-paths.ts';

const MODIFIERS = { ...VALUE_MODIFIERS, ...ARRAY_MODIFIERS };

/** A field that takes another's value and place. */
export interface Rename {
  readonly from: readonly string[];
  readonly to: readonly string[];
}

export interface Operators {
  /** In the order in which they apply. */
  readonly modifications: readonly Modification[];
  /** As modifications, but only when an upsert inserts. */
  readonly onInsert: readonly Modification[];
  readonly renames: readonly Rename[];
}

/**
 * Parses the operators of an update document; whether one may be without fields depends on the server's age.
 *
 * @throws CommandError 9 FailedToParse, 40 ConflictingUpdateOperators, and the codes of paths and operands
 */
export function parseOperators(update: Document, clock: UpdateClock, allowsEmpty: boolean): Operators {
  const modifications: Modification[] = [];
  const onInsert: Modification[] = [];
  const renames: Rename[] = [];
  const paths: string[][] = [];
  for (const [operator, fields] of Object.entries(update) as [string, unknown][]) {
    if (operator !== '$rename' && !Object.hasOwn(MODIFIERS, operator)) {
      throw failedToParse(
        `Unknown modifier: ${operator}. Expected a valid update modifier or pipeline-style update specified as an array`,
      );
    }
    for (const [path, operand] of fieldsOf(operator, fields, allowsEmpty)) {
      const components = updateComponents(path);
      paths.push(components);
      if (operator === '$rename') {
        const rename = parseRename(components, operand);
        paths.push([...rename.to]);
        renames.push(rename);
        continue;
      }
      const modifier = MODIFIERS[operator]?.(operand, path, clock);
      if (modifier !== undefined)
        (operator === '$setOnInsert' ? onInsert : modifications).push({ components, modifier });
    }
  }
  refuseConflicts(paths);
  modifications.sort((a, b) => compareComponents(a.components, b.components));
  renames.sort((a, b) => compareComponents(a.to, b.to));
  return { modifications, onInsert, renames };
}

function fieldsOf(operator: string, fields: unknown, allowsEmpty: boolean): [string, unknown][] {
  if (!isDocument(fields)) {
    throw failedToParse(
      `Modifiers operate on fields but we found type ${typeName(fields)} instead. For example: {$mod: {<field>: ...}} not {${operator}: ${inWords(fields)}}`,
    );
  }
  const entries: [string, unknown][] = Object.entries(fields);
  if (entries.length === 0 && !allowsEmpty) {
    throw failedToParse(`'${operator}' is empty. You must specify a field like so: {${operator}: {<field>: ...}}`);
  }
  return entries;
}

function refuseConflicts(paths: readonly string[][]): void {
  const sorted = [...paths].sort(compareComponents);
  for (const [index, path] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && path.every((component, at) => component === next[at])) {
      throw new CommandError(
        CODES.ConflictingUpdateOperators,
        `Updating the path '${next.join('.')}' would create a conflict at '${path.join('.')}'`,
      );
    }
  }
}

function parseRename(from: readonly string[], operand: unknown): Rename {
  const source = from.join('.');
  if (typeof operand !== 'string')
    throw badValue(`The 'to' field for $rename must be a string: ${source}: ${inWords(operand)}`);
  const to = updateComponents(operand);
  if (source === operand)
    throw badValue(`The source and target field for $rename must differ: ${source}: "${operand}"`);
  for (const [name, components] of [
    ['source', from],
    ['destination', to],
  ] as const) {
    if (components.some((component) => component.startsWith('$'))) {
      throw badValue(`The ${name} field for $rename may not be dynamic: ${components.join('.')}`);
    }
  }
  return { from, to };
}

/**
 * The two steps of a rename on one document: set the new place, then unset the old. None when the source is absent.
 *
 * @throws CommandError 2 BadValue when either place lies within an array
 */
export function renameSteps(document: Document, { from, to }: Rename): Modification[] {
  const value = valueOutsideArrays(document, from, 'source');
  if (value === undefined) return [];
  valueOutsideArrays(document, to, 'destination');
  const set: FieldModifier = { creates: true, apply: () => ({ value: copyValue(value) }) };
  const unset: FieldModifier = { creates: false, apply: () => ({ value: REMOVED }) };
  return [
    { components: to, modifier: set },
    { components: from, modifier: unset },
  ];
}

function valueOutsideArrays(document: Document, components: readonly string[], role: string): unknown {
  let node: unknown = document;
  for (const [at, component] of components.entries()) {
    if (Array.isArray(node)) {
      const parent = components.slice(0, at).join('.');
      throw badValue(
        `The ${role} field cannot be an array element, '${components.join('.')}' in doc with _id: ${inWords(document['_id'])} has an array field called '${parent}'`,
      );
    }
    node = isDocument(node) ? getField(node, component) : undefined;
  }
  return node;
}

/** Whether a path holds the positional operator `$`. */
export function isPositional({ components }: Modification): boolean {
  return components.includes('$');
}

/**
 * A modification with `$` replaced by the index that the filter matched.
 *
 * @throws CommandError 2 BadValue when the filter matched through no array
 */
export function positioned(modification: Modification, index: number | undefined): Modification {
  if (!isPositional(modification)) return modification;
  if (index === undefined || arrayIndex(String(index)) === undefined) {
    throw badValue('The positional operator did not find the match needed from the query.');
  }
  return {
    modifier: modification.modifier,
    components: modification.components.map((component) => (component === '$' ? String(index) : component)),
  };
}
