import {
  bsonTypeOf,
  isBinary,
  isDecimal,
  isDocument,
  isLong,
  isObjectId,
  MAX_TEXT,
  numberOf,
  type RawDocument,
} from './bson-value.ts';
import type { Source } from './source.ts';

/** What JSON has for a field of a writer's own. */
export type ExtraValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

/** Characters of JSON that one such field may take; what takes more is left out. */
const MAX_JSON = 500;
/** Elements of a list. */
const MAX_LIST = 15;

/** The JSON of a single value; undefined where it has none, or is too long a text. */
function scalarOf(value: unknown): string | number | boolean | null | undefined {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return value.length > MAX_TEXT ? undefined : value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (isObjectId(value)) return value.toHexString();
  const number = numberOf(value);
  if (number === null || bsonTypeOf(value) === 'Timestamp') return undefined;
  // Digits that a number of JSON does not hold stay text.
  if ((isLong(value) || isDecimal(value)) && String(number) !== value.toString()) return value.toString();
  return Number.isFinite(number) ? number : undefined;
}

function jsonOf(value: unknown): ExtraValue | undefined {
  if (!Array.isArray(value)) return scalarOf(value);
  return value.length > MAX_LIST ? undefined : value.map((element) => scalarOf(element) ?? null);
}

/**
 * The fields of a writer's own as the wire carries them: text, numbers, booleans, null, and lists of them. A field that
 * is something else or too long is left out.
 */
export function extraItem(extra: RawDocument | undefined): Readonly<Record<string, ExtraValue>> {
  if (extra === undefined) return {};
  const item: Record<string, ExtraValue> = {};
  for (const [field, given] of Object.entries(extra)) {
    const value = jsonOf(given);
    if (value !== undefined && JSON.stringify(value).length <= MAX_JSON) item[field] = value;
  }
  return item;
}

/** The fields of a document that a setting names, in its order; undefined when it has none of them. */
export function extraOf(document: RawDocument, fields: readonly string[] | undefined): RawDocument | undefined {
  if (fields === undefined) return undefined;
  const own = fields.filter((field) => Object.hasOwn(document, field));
  return own.length === 0 ? undefined : Object.fromEntries(own.map((field) => [field, document[field]]));
}

/** Fields of a post that nothing here gives a meaning to: they are stored as they came. */
export function unknownFields(body: RawDocument, known: ReadonlySet<string>): RawDocument | undefined {
  const own = Object.entries(body).filter(([field]) => !known.has(field) && STORABLE.test(field));
  return own.length === 0 ? undefined : Object.fromEntries(own);
}

/** A name that MongoDB takes for a field everywhere. */
const STORABLE = /^(?!_id$|__proto__$)[^$.\0][^.\0]{0,99}$/;

/** The one list of fields that this service reads: projections, what is kept in memory and the feed follow from it. */
const IDENTITY_FIELDS = ['_id', 'roleta_id', 'roleta_nome'] as const;
const NUMBER_FIELDS = [...IDENTITY_FIELDS, 'numero', 'rotulo', 'timestamp', 'criado_em'] as const;
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
] as const;
const STRATEGY_FIELDS = [...IDENTITY_FIELDS, ...STATE_FIELDS, 'criado_em'] as const;
const TABLE_FIELDS = [...IDENTITY_FIELDS, 'nome', 'duplo_zero', 'colecao'] as const;
/** Where `metadados` keeps its state. */
const STATE = 'estrategia';

const extraOfSource = ({ extraFields }: Source): readonly string[] => extraFields ?? [];

/** The paths that are read of a source's documents, for a projection; some are dotted. */
export function fieldPaths(source: Source): readonly string[] {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
      return [...NUMBER_FIELDS, ...extraOfSource(source)];
    case 'strategies':
      return [...STRATEGY_FIELDS, ...extraOfSource(source)];
    case 'roletas':
      return [...TABLE_FIELDS, ...STATE_FIELDS, ...extraOfSource(source)];
    case 'metadados':
      return [...TABLE_FIELDS, ...[...STATE_FIELDS, ...extraOfSource(source)].map((field) => `${STATE}.${field}`)];
    default:
      return source satisfies never;
  }
}

const KINDS = ['numbers', 'strategies', 'roletas', 'metadados'] as const;

const rootOf = (path: string): string => {
  const dot = path.indexOf('.');
  return dot < 0 ? path : path.slice(0, dot);
};

/** What is read of the documents of all watched collections together. */
export interface ReadFields {
  /** Every path, for the one projection of a change stream. */
  readonly paths: readonly string[];
  /** Whether an update of this path may change anything that is read. */
  isRead(path: string): boolean;
}

/** What is read, with these fields beside those that this service knows. */
export function readFields(extraFields: readonly string[]): ReadFields {
  const paths = [...new Set(KINDS.flatMap((kind) => fieldPaths({ kind, extraFields })))];
  const roots = new Set(paths.map(rootOf));
  return { paths, isRead: (path) => roots.has(rootOf(path)) };
}

/** Fields whose change can bring a document that is not kept into a table's window. */
const PLACING: ReadonlySet<string> = new Set([
  'timestamp',
  'numero',
  'rotulo',
  'roleta_id',
  'estado',
  'estado_estrategia',
]);

export const isPlacing = (path: string): boolean => PLACING.has(rootOf(path));

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
export function smallValue(value: unknown): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? value.slice(0, MAX_TEXT + 1) : value;
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ELEMENTS).map((element) => (Array.isArray(element) ? [] : smallValue(element)));
  }
  if (SMALL_TYPES.has(bsonTypeOf(value)) || (isBinary(value) && value.length() === UUID_BYTES)) return value;
  return {};
}

/** The fields of a number that a setting names, small; undefined when it has none. */
export function extraOfNumber(document: RawDocument, source: Source): RawDocument | undefined {
  const extra = extraOf(document, source.extraFields);
  return extra === undefined ? undefined : pick(extra, Object.keys(extra));
}

function pick(document: RawDocument, fields: readonly string[]): RawDocument {
  const kept: Record<string, unknown> = {};
  for (const field of fields) {
    if (!Object.hasOwn(document, field)) continue;
    kept[field] = field === '_id' ? document[field] : smallValue(document[field]);
  }
  return kept;
}

/**
 * The few fields of a document that are worth keeping in memory, enough to read it now and after any later update:
 * patching the kept fields and keeping again gives the same as keeping from the patched whole.
 */
export function relevantFields(document: RawDocument, source: Source): RawDocument {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
      return pick(document, [...NUMBER_FIELDS, ...extraOfSource(source)]);
    case 'strategies':
      return pick(document, [...STRATEGY_FIELDS, ...extraOfSource(source)]);
    case 'roletas':
      return pick(document, [...TABLE_FIELDS, ...STATE_FIELDS, ...extraOfSource(source)]);
    case 'metadados': {
      const state = document[STATE];
      const kept = pick(document, TABLE_FIELDS);
      if (state === undefined) return kept;
      return {
        ...kept,
        [STATE]: isDocument(state) ? pick(state, [...STATE_FIELDS, ...extraOfSource(source)]) : smallValue(state),
      };
    }
    default:
      return source satisfies never;
  }
}
