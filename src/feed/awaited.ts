import { canonicalId, isSevenDigits, normaliseName, type TableId, uuidOf, uuidTextOf } from '../roulette/table.ts';

/** A reference that a connection asked for and that may come to mean a table, or one more. */
export interface Wait<Owner> {
  readonly owner: Owner;
  /** The topic as it was asked for, and what stands after its prefix. */
  readonly topic: string;
  readonly reference: string;
  /** How many numbers its snapshots carry. */
  readonly history: number;
  /** How many tables it means to this connection. */
  tables: number;
}

/** Who waits for tables. */
export interface Awaited<Owner> {
  /** Whether so many references are waited for that no more are taken. */
  readonly isFull: boolean;
  add(wait: Wait<Owner>): void;
  remove(wait: Wait<Owner>): void;
  /** Those who wait for this table, when it is new by its id or UUID, or else by its name alone. */
  of(table: TableId, name: string | null, isNew: boolean): ReadonlySet<Wait<Owner>>;
}

/** Different references of all connections: each takes about 500 bytes. Those of one connection count as its topics. */
const MAX_REFERENCES = 50_000;

const byName = (name: string): string => `name:${normaliseName(name)}`;

/** What a reference is found by. Text without spaces may be an id or a name. */
function keysOf(reference: string): readonly string[] {
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
  const waits = new Map<string, Set<Wait<Owner>>>();
  return {
    get isFull() {
      return waits.size >= MAX_REFERENCES;
    },
    add(wait) {
      for (const key of keysOf(wait.reference)) {
        const own = waits.get(key) ?? new Set<Wait<Owner>>();
        waits.set(key, own.add(wait));
      }
    },
    remove(wait) {
      for (const key of keysOf(wait.reference)) {
        const own = waits.get(key);
        own?.delete(wait);
        if (own?.size === 0) waits.delete(key);
      }
    },
    of(table, name, isNew) {
      if (waits.size === 0) return new Set();
      const keys = isNew ? [`id:${table}`, `uuid:${uuidOf(table)}`] : [];
      if (name !== null) keys.push(byName(name));
      return new Set(keys.flatMap((key) => [...(waits.get(key) ?? [])]));
    },
  };
}
