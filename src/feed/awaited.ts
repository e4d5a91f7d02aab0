import { canonicalId, isSevenDigits, normaliseName, type TableId, uuidOf, uuidTextOf } from '../roulette/table.ts';

/** A reference that a connection asked for and that may come to mean a table, or one more. */
export interface Wait<Owner> {
  readonly owner: Owner;
  /** The topic as it was asked for, and what comes after its prefix. */
  readonly topic: string;
  readonly reference: string;
  /** How many numbers its snapshots carry. */
  readonly history: number;
  /** How many tables it means to this connection. */
  tables: number;
}

/** Who waits for tables. */
export interface Awaited<Owner> {
  /** Whether one may wait for a reference: it is waited for already, or there is room for another. */
  takes(reference: string): boolean;
  add(wait: Wait<Owner>): void;
  remove(wait: Wait<Owner>): void;
  /** Those who wait for this table, when it is new by its id or UUID, or else by its name alone. */
  of(table: TableId, name: string | null, isNew: boolean): ReadonlySet<Wait<Owner>>;
}

/** Different references of all connections: each takes about 500 bytes. Those of one connection count as its topics. */
const MAX_REFERENCES = 50_000;

const byName = (name: string): string => `name:${normaliseName(name)}`;

/** What a reference is found by. Text without spaces may be an id or a name. */
function keysOf(reference: string): readonly [string, string?] {
  const uuid = uuidTextOf(reference);
  if (uuid !== null) return [`uuid:${uuid}`];
  const id = canonicalId(reference);
  if (id === null) return [byName(reference)];
  return isSevenDigits(id) ? [`id:${id}`] : [`id:${id}`, byName(reference)];
}

/** Whether a reference is the id or UUID of this table: then it never means another. */
export const isIdOf = (reference: string, table: TableId): boolean =>
  canonicalId(reference) === table || uuidTextOf(reference) === uuidOf(table);

/** Whether two references are found by the same. */
export const isSameReference = (a: string, b: string): boolean => keysOf(a).join() === keysOf(b).join();

export function createAwaited<Owner>(): Awaited<Owner> {
  /** By the first key of each reference, so that it has as many entries as there are references, and by the second. */
  const references = new Map<string, Set<Wait<Owner>>>();
  const names = new Map<string, Set<Wait<Owner>>>();
  return {
    takes: (reference) => references.size < MAX_REFERENCES || references.has(keysOf(reference)[0]),
    add(wait) {
      const [key, name] = keysOf(wait.reference);
      addTo(references, key, wait);
      if (name !== undefined) addTo(names, name, wait);
    },
    remove(wait) {
      const [key, name] = keysOf(wait.reference);
      removeFrom(references, key, wait);
      if (name !== undefined) removeFrom(names, name, wait);
    },
    of(table, name, isNew) {
      if (references.size === 0) return new Set();
      const keys = isNew ? [`id:${table}`, `uuid:${uuidOf(table)}`] : [];
      if (name !== null) keys.push(byName(name));
      return new Set(keys.flatMap((key) => [...(references.get(key) ?? []), ...(names.get(key) ?? [])]));
    },
  };
}

function addTo<Of>(map: Map<string, Set<Of>>, key: string, wait: Of): void {
  map.set(key, (map.get(key) ?? new Set<Of>()).add(wait));
}

function removeFrom<Of>(map: Map<string, Set<Of>>, key: string, wait: Of): void {
  const own = map.get(key);
  own?.delete(wait);
  if (own?.size === 0) map.delete(key);
}
