import type { SkipReason } from '../protocol/delivery.ts';
import { nameOf, type RawDocument, textOf } from './bson-value.ts';
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

export interface SourceOptions {
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

const KINDS: readonly (readonly [name: string, kind: Exclude<Source['kind'], 'table-numbers'>])[] = [
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
  const byName = new Map<string, Source>(KINDS.map(([name, kind]) => [name, { kind, ...extra }]));
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
export interface TableRecord {
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
