import { canonicalId, isSevenDigits, normaliseName, type TableId, uuidOf, uuidTextOf } from './table.ts';

/** What is known about tables: their names, and what a reference in any spelling stands for. */
export interface Directory {
  /**
   * Notes a table, and its current name where one is given. `new`: the table was not known before; `named`: nobody could
   * find it by this name.
   */
  learn(table: TableId, name: string | null): 'new' | 'named' | 'known';
  /**
   * The tables that a reference means, ascending by id: the id of a known table in any spelling, seven digits (also of a
   * table not seen yet), a UUID of a known table, or a name that a table bears or bore. Empty when nothing is known by it.
   */
  resolve(reference: string): readonly TableId[];
  /** The current name; null when none was ever given. */
  nameOf(table: TableId): string | null;
  /** The names that a table bears or bore, the current one last, as they are compared: learned in this order they mean the same. */
  namesOf(table: TableId): readonly string[];
  has(table: TableId): boolean;
  /** All known tables, ascending by id. */
  tables(): readonly TableId[];
}

/** Names that one table can be found by; a writer that renames for ever must not fill the memory. */
const MAX_NAMES_PER_TABLE = 16;

/** An empty directory. */
export function createDirectory(): Directory {
  const current = new Map<TableId, string | null>();
  const namesOf = new Map<TableId, Set<string>>();
  const byName = new Map<string, Set<TableId>>();
  const byUuid = new Map<string, TableId>();

  /** True when the table could not be found by this name before. */
  const rename = (table: TableId, name: string): boolean => {
    current.set(table, name);
    const names = namesOf.get(table) ?? new Set<string>();
    namesOf.set(table, names);
    const normal = normaliseName(name);
    const isFound = names.delete(normal);
    names.add(normal);
    const bearers = byName.get(normal) ?? new Set<TableId>();
    byName.set(normal, bearers.add(table));
    const [oldest] = names;
    if (names.size <= MAX_NAMES_PER_TABLE || oldest === undefined) return !isFound;
    names.delete(oldest);
    const others = byName.get(oldest);
    others?.delete(table);
    if (others?.size === 0) byName.delete(oldest);
    return !isFound;
  };

  return {
    learn(table, name) {
      const isNew = !current.has(table);
      if (isNew) {
        current.set(table, null);
        byUuid.set(uuidOf(table), table);
      }
      const isNamed = name !== null && current.get(table) !== name && rename(table, name);
      return isNew ? 'new' : isNamed ? 'named' : 'known';
    },
    resolve(reference) {
      const id = canonicalId(reference);
      // An id goes before a name. Whether an unknown text is to be one or the other, only seven digits tell.
      if (id !== null && (current.has(id) || isSevenDigits(id))) return [id];
      const uuid = uuidTextOf(reference);
      if (uuid !== null) {
        const table = byUuid.get(uuid);
        return table === undefined ? [] : [table];
      }
      return [...(byName.get(normaliseName(reference)) ?? [])].sort();
    },
    nameOf: (table) => current.get(table) ?? null,
    namesOf: (table) => [...(namesOf.get(table) ?? [])],
    has: (table) => current.has(table),
    tables: () => [...current.keys()].sort(),
  };
}
