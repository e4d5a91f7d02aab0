import type { UpdateDescription } from '../roulette/patch.ts';
import type { Namespace } from './change.ts';

/** The fields that an update touches, dotted as the server gave them. */
export function touchedFields(update: UpdateDescription): string[] {
  const truncated = (update.truncatedArrays ?? []).map(({ field }) => field);
  return [...Object.keys(update.updatedFields ?? {}), ...(update.removedFields ?? []), ...truncated];
}

/** Whether the update may move its document to another table. */
export const movesTable = (touched: readonly string[]): boolean =>
  touched.some((field) => field === 'roleta_id' || field.startsWith('roleta_id.'));

/** What is known of a document as it was: all, not all, or not even its table. */
export type Before = 'known' | 'unknown' | 'unplaced';

/** Stands for a whole document whose former content is not known. */
export const WHOLE = '';
/** Stands for a document that was read later than the stream is: its table is known until a change moves it. */
export const REREAD = '*';

/**
 * Which fields of which documents are not known yet: the database at rest was read after an update that is still to be
 * applied, so what they held before it cannot be told.
 */
export interface Unknowns {
  mark(ns: Namespace, key: string, fields: readonly string[]): void;
  /** These fields were set: they, and what lies below them, are known from now on. */
  determine(ns: Namespace, key: string, fields: readonly string[]): void;
  /** What is known of the document before a change; `moves` when that may give it another table. */
  before(ns: Namespace, key: string, moves: boolean): Before;
  forget(ns: Namespace, key: string): void;
  clear(): void;
}

export function createUnknowns(): Unknowns {
  const open = new Map<string, Set<string>>();
  const idOf = (ns: Namespace, key: string): string => `${ns}|${key}`;
  return {
    mark(ns, key, fields) {
      const id = idOf(ns, key);
      const paths = open.get(id) ?? new Set<string>();
      for (const field of fields) paths.add(field);
      open.set(id, paths);
    },
    determine(ns, key, fields) {
      if (open.size === 0) return;
      const paths = open.get(idOf(ns, key));
      for (const path of paths ?? []) {
        if (fields.some((field) => path === field || path.startsWith(`${field}.`))) paths?.delete(path);
      }
    },
    before(ns, key, moves) {
      if (open.size === 0) return 'known';
      const paths = open.get(idOf(ns, key));
      if (paths === undefined || paths.size === 0) return 'known';
      if (paths.has(WHOLE) || paths.has('roleta_id') || (moves && paths.has(REREAD))) return 'unplaced';
      return 'unknown';
    },
    forget: (ns, key) => void open.delete(idOf(ns, key)),
    clear: () => open.clear(),
  };
}
