import type { SkipReason } from '../protocol/delivery.ts';
import {
  bsonTypeOf,
  isBinary,
  isDecimal,
  isDocument,
  isLong,
  isObjectId,
  MAX_TEXT,
  nameOf,
  numberOf,
  type RawDocument,
  textOf,
} from './bson-value.ts';
import {
  canonicalId,
  isSevenDigits,
  type ResolveTable,
  storedIdOf,
  storedUuidOf,
  type TableId,
  uuidTextOf,
} from './table.ts';

/** What a collection holds, and which fields of a writer's own are passed through. */
export type Source = { readonly extraFields?: readonly string[] } & (
  | { readonly kind: 'numbers' }
  | { readonly kind: 'table-numbers'; readonly table: TableId }
  | { readonly kind: 'strategies' }
  | { readonly kind: 'roletas' }
  | { readonly kind: 'metadados' }
);

/** Which collections matter. */
export interface Sources {
  /** The exact names, and the pattern of the names of tables' own collections, for the `$match` of a change stream. */
  readonly names: readonly string[];
  readonly pattern: RegExp;
  /** Fields of a writer's own that are passed through. */
  readonly extraFields: readonly string[];
  /** What the collection of this name holds; null for one that does not concern us (UUID names, views, statistics). */
  of(collection: string): Source | null;
  /** The tables' own collections that their documents name, in place of those of before. */
  adopt(named: ReadonlyMap<string, TableId>): void;
  /** Whether a table's document that names this collection names one which is not read yet. */
  isForeign(collection: string): boolean;
  /** The names of a table's own collections, as far as they are known. */
  collectionsOf(table: TableId): readonly string[];
}

interface SourceOptions {
  /** Fields of a writer's own that are passed through. */
  readonly extraFields?: readonly string[];
  /** Names of tables' own collections beside seven digits; the table is the first group, or the whole. */
  readonly tableCollections?: RegExp | null;
}

export const NUMBERS = 'roleta_numeros';
export const STRATEGIES = 'estrategia_historico_novo';
export const ROLETAS = 'roletas';
export const METADADOS = 'metadados';
const METADADOS_OLDER = 'metadados_roletas';
/** What this service itself notes of tables, `{_id: id, duplo_zero: true}`: read as `roletas` is. */
export const NOTED_TABLES = '_rt_tables';

const COLLECTIONS: readonly (readonly [name: string, kind: Exclude<Source['kind'], 'table-numbers'>])[] = [
  [NUMBERS, 'numbers'],
  [STRATEGIES, 'strategies'],
  [ROLETAS, 'roletas'],
  [METADADOS, 'metadados'],
  [METADADOS_OLDER, 'metadados'],
  [NOTED_TABLES, 'roletas'],
];

/** A collection that a table's document may name as its own: none of MongoDB's or ours, and no UUID. */
const NAMEABLE = /^(?!system\.|_rt_)[^$\0]{1,120}$/;

/** The collections that are read, by default those of RunCash. */
export function createSources({ extraFields = [], tableCollections = null }: SourceOptions = {}): Sources {
  const extra = extraFields.length === 0 ? {} : { extraFields };
  const byName = new Map<string, Source>(COLLECTIONS.map(([name, kind]) => [name, { kind, ...extra }]));
  const digits = '^\\d{7}$';
  let adopted: ReadonlyMap<string, TableId> = new Map();
  /** By the pattern, of those that were asked for. */
  const matched = new Map<string, TableId>();

  const ownerOf = (collection: string): TableId | null => {
    const known = adopted.get(collection) ?? (isSevenDigits(collection) ? collection : null);
    if (known !== null || tableCollections === null) return known;
    const match = tableCollections.exec(collection);
    const table = match === null ? null : canonicalId(match[1] ?? match[0]);
    if (table !== null) matched.set(collection, table);
    return table;
  };
  const of = (collection: string): Source | null => {
    const source = byName.get(collection);
    if (source !== undefined) return source;
    const table = ownerOf(collection);
    return table === null ? null : { kind: 'table-numbers', table, ...extra };
  };

  return {
    get names() {
      return [...byName.keys(), ...adopted.keys()];
    },
    pattern: tableCollections === null ? new RegExp(digits) : new RegExp(`${digits}|${tableCollections.source}`),
    extraFields,
    of,
    adopt(named) {
      adopted = new Map([...named].filter(([name]) => !byName.has(name)));
    },
    isForeign: (collection) => NAMEABLE.test(collection) && uuidTextOf(collection) === null && of(collection) === null,
    collectionsOf(table) {
      const own = [...adopted, ...matched].flatMap(([name, of]) => (of === table ? [name] : []));
      return [...new Set([...own, ...(isSevenDigits(table) ? [table] : [])])];
    },
  };
}

/** Those of RunCash alone. */
export const DEFAULT_SOURCES: Sources = createSources();

/** A typed value, or the reason for none. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: SkipReason };

export const accept = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const skip = (reason: SkipReason): { readonly ok: false; readonly reason: SkipReason } => ({
  ok: false,
  reason,
});

/** What a table's own document says. One of `table` and `uuid` is given; a UUID alone names a table only if known. */
interface TableRecord {
  readonly table: TableId | null;
  readonly uuid: string | null;
  readonly name: string | null;
  /** It says that the wheel has a double zero (`duplo_zero: true`). */
  readonly doubleZero: boolean;
  /** The collection of its numbers that it names (`colecao`); null where it names none. */
  readonly collection: string | null;
}

const isPresent = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

/** Reads a document of `roletas` (`_id` is an id or a UUID) or `metadados` (`roleta_id`). */
export function tableFrom(document: RawDocument, source: Source): Parsed<TableRecord> {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
    case 'strategies':
      return skip('wrong_source');
    case 'roletas':
    case 'metadados': {
      const own = source.kind === 'roletas' ? document['_id'] : undefined;
      const name = nameOf(document['nome']) ?? nameOf(document['roleta_nome']);
      const table = storedIdOf(document['roleta_id']) ?? storedIdOf(own);
      const uuid = storedUuidOf(document['roleta_id']) ?? storedUuidOf(own);
      if (table !== null || uuid !== null) {
        const collection = source.kind === 'metadados' ? textOf(document['colecao']) : null;
        return accept({ table, uuid, name, doubleZero: document['duplo_zero'] === true, collection });
      }
      return skip(isPresent(document['roleta_id']) || isPresent(own) ? 'unknown_table' : 'no_table');
    }
    default:
      return source satisfies never;
  }
}

/** The table that a `roleta_id` of a stored document names, asking `resolve` for UUIDs. */
export function tableOf(reference: unknown, resolve?: ResolveTable): Parsed<TableId> {
  const table = storedIdOf(reference);
  if (table !== null) return accept(table);
  if (!isPresent(reference)) return skip('no_table');
  const uuid = storedUuidOf(reference);
  const known = uuid === null ? null : (resolve?.(uuid) ?? null);
  return known === null ? skip('unknown_table') : accept(known);
}

/** What JSON has for a field of a writer's own. */
type ExtraValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

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
