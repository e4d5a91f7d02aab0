import type { UpdateDescription } from '../roulette/patch.ts';
import type { Namespace } from './change.ts';

/** The fields that an update touches, dotted as the server gave them. */
export function touchedFields(update: UpdateDescription): string[] {
  const truncated = (update.truncatedArrays ?? []).map(({ field }) => field);
  return [...Object.keys(update.updatedFields ?? {}), ...(update.removedFields ?? []), ...truncated];
}

/** What is known of a document as it was: all, not all, or not even its table. */
export type Before = 'known' | 'unknown' | 'unplaced';

/** Stands for a whole document whose former content is not known. */
export const WHOLE = '';

/**
 * Which fields of which documents are not known yet in a rewind: the base was read after an update that is still to be
 * applied, so what they held before it cannot be told.
 */
export interface Unknowns {
  mark(ns: Namespace, key: string, fields: readonly string[]): void;
  /** These fields were set: they, and what lies below them, are known from now on. */
  determine(ns: Namespace, key: string, fields: readonly string[]): void;
  standing(ns: Namespace, key: string): Before;
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
      const paths = open.get(idOf(ns, key));
      for (const path of paths ?? []) {
        if (fields.some((field) => path === field || path.startsWith(`${field}.`))) paths?.delete(path);
      }
    },
    standing(ns, key) {
      const paths = open.get(idOf(ns, key));
      if (paths === undefined || paths.size === 0) return 'known';
      return paths.has(WHOLE) || paths.has('roleta_id') ? 'unplaced' : 'unknown';
    },
    forget(ns, key) {
      open.delete(idOf(ns, key));
    },
    clear: () => open.clear(),
  };
}
