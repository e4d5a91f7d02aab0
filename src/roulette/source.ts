import { isSevenDigits, type TableId } from './table.ts';

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

/** The collections that are read, with these fields beside those that this service knows. */
export function createSources(extraFields: readonly string[] = []): Sources {
  const extra = extraFields.length === 0 ? {} : { extraFields };
  const byName = new Map<string, Source>(KINDS.map(([name, kind]) => [name, { kind, ...extra }]));
  return {
    names: [...byName.keys()],
    pattern: /^\d{7}$/,
    extraFields,
    of(collection) {
      const source = byName.get(collection);
      if (source !== undefined) return source;
      return isSevenDigits(collection) ? { kind: 'table-numbers', table: collection, ...extra } : null;
    },
  };
}

/** The same without further fields. */
export const DEFAULT_SOURCES: Sources = createSources();
