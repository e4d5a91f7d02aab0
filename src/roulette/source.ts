import { canonicalId, isSevenDigits, type TableId, uuidTextOf } from './table.ts';

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

const KINDS: readonly (readonly [name: string, kind: Exclude<Source['kind'], 'table-numbers'>])[] = [
  [NUMBERS, 'numbers'],
  [STRATEGIES, 'strategies'],
  [ROLETAS, 'roletas'],
  [METADADOS, 'metadados'],
  [METADADOS_OLDER, 'metadados'],
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

  const tableOf = (collection: string): TableId | null => {
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
    const table = tableOf(collection);
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
