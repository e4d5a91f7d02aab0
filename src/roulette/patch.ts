import { bsonTypeOf, isBinary, isDocument, MAX_TEXT, numberOf, type RawDocument } from './bson-value.ts';
import type { Source } from './source.ts';

/** What a change stream says about an in-place update. Absolute: it states what is now, not what was added. */
export interface UpdateDescription {
  readonly updatedFields?: RawDocument | null | undefined;
  readonly removedFields?: readonly string[] | null | undefined;
  readonly truncatedArrays?: readonly { readonly field: string; readonly newSize: unknown }[] | null | undefined;
}

const STATE_FIELDS = [
  'estado',
  'estado_estrategia',
  'numero_gatilho',
  'terminais_gatilho',
  'terminais',
  'vitorias',
  'derrotas',
  'sugestao_display',
  'display_suggestion',
  'timestamp',
];
const TABLE_FIELDS = ['_id', 'roleta_id', 'roleta_nome', 'nome'];
const STRATEGY_FIELDS = ['_id', 'roleta_id', 'roleta_nome', ...STATE_FIELDS];
const NUMBER_FIELDS = ['_id', 'roleta_id', 'roleta_nome', 'numero', 'timestamp'];

/** More elements than any list that we read; a longer one stays too long when it is cut here. */
const MAX_ELEMENTS = 16;

const SMALL_TYPES: ReadonlySet<string | null> = new Set([
  'ObjectId',
  'Long',
  'Int32',
  'Double',
  'Decimal128',
  'Timestamp',
]);
const UUID_BYTES = 16;

/**
 * A value of a field, small. What is cut was wrong before and stays wrong: a text or list that is too long keeps being
 * so, a subdocument or bytes where none belong keep not belonging. So memory is bounded and every verdict is the same.
 */
function small(value: unknown): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? value.slice(0, MAX_TEXT + 1) : value;
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ELEMENTS).map((element) => (Array.isArray(element) ? [] : small(element)));
  }
  if (SMALL_TYPES.has(bsonTypeOf(value)) || (isBinary(value) && value.length() === UUID_BYTES)) return value;
  return {};
}

function pick(document: RawDocument, fields: readonly string[]): RawDocument {
  const kept: Record<string, unknown> = {};
  for (const field of fields) {
    if (!Object.hasOwn(document, field)) continue;
    kept[field] = field === '_id' ? document[field] : small(document[field]);
  }
  return kept;
}

/** The top-level fields that `relevantFields` looks at, for a projection. */
export function relevantFieldNames(source: Source): readonly string[] {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
      return NUMBER_FIELDS;
    case 'strategies':
      return STRATEGY_FIELDS;
    case 'roletas':
      return [...TABLE_FIELDS, ...STATE_FIELDS];
    case 'metadados':
      return [...TABLE_FIELDS, 'estrategia'];
    default:
      return source satisfies never;
  }
}

/**
 * The few fields of a document that are worth keeping in memory, enough to read it now and after any later update:
 * patching the kept fields and keeping again gives the same as keeping from the patched whole.
 */
export function relevantFields(document: RawDocument, source: Source): RawDocument {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
      return pick(document, NUMBER_FIELDS);
    case 'strategies':
      return pick(document, STRATEGY_FIELDS);
    case 'roletas':
      return pick(document, [...TABLE_FIELDS, ...STATE_FIELDS]);
    case 'metadados': {
      const state = document['estrategia'];
      const kept = pick(document, TABLE_FIELDS);
      if (state === undefined) return kept;
      return { ...kept, estrategia: isDocument(state) ? pick(state, STATE_FIELDS) : small(state) };
    }
    default:
      return source satisfies never;
  }
}

const own = (container: RawDocument, field: string): unknown =>
  Object.hasOwn(container, field) ? container[field] : undefined;

/** Array indexes beyond this are not followed: no list that we read is so long, and holes cost memory. */
const MAX_INDEX = 1 << 16;

function change(
  value: unknown,
  path: readonly string[],
  last: (value: unknown) => { readonly keep: unknown } | null,
): unknown {
  const [field, ...rest] = path;
  if (field === undefined) return value;
  const next = (inner: unknown): { readonly keep: unknown } | null =>
    rest.length === 0 ? last(inner) : { keep: change(inner, rest, last) };
  if (Array.isArray(value)) {
    const index = Number(field);
    if (!/^\d+$/.test(field) || index > MAX_INDEX) return value;
    const copy: unknown[] = [...value];
    // As MongoDB does, places skipped over are null.
    while (copy.length < index) copy.push(null);
    const changed = next(copy[index]);
    copy[index] = changed === null ? null : changed.keep;
    return copy;
  }
  const container = isDocument(value) ? value : {};
  const changed = next(own(container, field));
  if (changed !== null) return { ...container, [field]: changed.keep };
  const { [field]: _removed, ...others } = container;
  return others;
}

function exists(value: unknown, path: readonly string[]): boolean {
  let current = value;
  for (const field of path) {
    if (Array.isArray(current)) current = /^\d+$/.test(field) ? current[Number(field)] : undefined;
    else current = isDocument(current) ? own(current, field) : undefined;
    if (current === undefined) return false;
  }
  return true;
}

const asDocument = (value: unknown): RawDocument => (isDocument(value) ? value : {});

/**
 * The document after an update, as a new document; the given one is not touched. Paths are dotted, a number in them is
 * an index where it meets an array, else a field. What a removal or truncation does not find it leaves alone.
 */
export function applyUpdateDescription(document: RawDocument, update: UpdateDescription): RawDocument {
  let result = document;
  for (const field of update.removedFields ?? []) {
    const path = field.split('.');
    if (exists(result, path)) result = asDocument(change(result, path, () => null));
  }
  for (const { field, newSize } of update.truncatedArrays ?? []) {
    const path = field.split('.');
    const size = numberOf(newSize);
    if (size === null || !exists(result, path)) continue;
    result = asDocument(
      change(result, path, (value) => ({ keep: Array.isArray(value) ? value.slice(0, size) : value })),
    );
  }
  for (const [field, value] of Object.entries(update.updatedFields ?? {})) {
    result = asDocument(change(result, field.split('.'), () => ({ keep: value })));
  }
  return result;
}
