import { isSevenDigits, type TableId } from './table.ts';

/** What a collection holds. */
export type Source =
  | { readonly kind: 'numbers' }
  | { readonly kind: 'table-numbers'; readonly table: TableId }
  | { readonly kind: 'strategies' }
  | { readonly kind: 'roletas' }
  | { readonly kind: 'metadados' };

export const NUMBERS = 'roleta_numeros';
export const STRATEGIES = 'estrategia_historico_novo';
export const ROLETAS = 'roletas';
export const METADADOS = 'metadados';
const METADADOS_OLDER = 'metadados_roletas';

const BY_NAME: ReadonlyMap<string, Source> = new Map<string, Source>([
  [NUMBERS, { kind: 'numbers' }],
  [STRATEGIES, { kind: 'strategies' }],
  [ROLETAS, { kind: 'roletas' }],
  [METADADOS, { kind: 'metadados' }],
  [METADADOS_OLDER, { kind: 'metadados' }],
]);

/** Every collection that matters, for the `$match` of a change stream: exact names, and the pattern of table ids. */
export const watchedCollections: { readonly names: readonly string[]; readonly pattern: RegExp } = Object.freeze({
  names: [...BY_NAME.keys()],
  pattern: /^\d{7}$/,
});

/** What the collection of this name holds; null for one that does not concern us (UUID names, views, statistics). */
export function sourceOf(collection: string): Source | null {
  const source = BY_NAME.get(collection);
  if (source !== undefined) return source;
  return isSevenDigits(collection) ? { kind: 'table-numbers', table: collection } : null;
}
