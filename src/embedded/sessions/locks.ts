import type { Collection } from '../storage/collection.ts';
import type { IndexKeys } from '../storage/collection-index.ts';
import type { Transaction } from './session.ts';
import type { Ending } from './unit.ts';

/** Which open transaction holds which documents and unique keys, and which collections are held whole. */
export interface Locks {
  holder(collection: Collection, keys: IndexKeys | undefined, id: number | undefined): Transaction | undefined;
  take(transaction: Transaction, collection: Collection, keys: IndexKeys | undefined, id: number): void;
  release(transaction: Transaction): void;
  /** What changes of the catalog wait for: an index build, or any transaction that has written to the collection. */
  writer(collection: Collection): Ending | undefined;
  /** The index build under way, which writes in transactions and changes of the catalog wait for. */
  build(collection: Collection): Ending | undefined;
  /** Keeps transactions' writes from a collection that nobody holds, until the returned function is called. */
  takeForBuild(collection: Collection): () => void;
}

function createEnding(): Ending & { end(): void } {
  const waiting = new Set<() => void>();
  let over = false;
  return {
    whenEnded(callback) {
      if (over) {
        callback();
        return () => undefined;
      }
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
    end() {
      over = true;
      for (const callback of waiting) callback();
      waiting.clear();
    },
  };
}

export function createLocks(): Locks {
  const held = new Map<Collection, Map<number | string, Transaction>>();
  const builds = new Map<Collection, Ending>();

  const uniqueKeys = (keys: IndexKeys): string[] => {
    const names: string[] = [];
    for (const [index, own] of keys)
      if (index.spec.unique) for (const key of own) names.push(`${index.spec.name}\0${key}`);
    return names;
  };

  return {
    holder(collection, keys, id) {
      const locks = held.get(collection);
      if (locks === undefined) return undefined;
      const byRecord = id === undefined ? undefined : locks.get(id);
      if (byRecord !== undefined || keys === undefined) return byRecord;
      for (const name of uniqueKeys(keys)) {
        const holder = locks.get(name);
        if (holder !== undefined) return holder;
      }
      return undefined;
    },
    take(transaction, collection, keys, id) {
      const locks = held.get(collection) ?? new Map<number | string, Transaction>();
      held.set(collection, locks);
      locks.set(id, transaction);
      if (keys !== undefined) for (const name of uniqueKeys(keys)) locks.set(name, transaction);
    },
    release(transaction) {
      for (const [collection, locks] of held) {
        for (const [name, holder] of locks) if (holder === transaction) locks.delete(name);
        if (locks.size === 0) held.delete(collection);
      }
    },
    writer: (collection) => builds.get(collection) ?? held.get(collection)?.values().next().value,
    build: (collection) => builds.get(collection),
    takeForBuild(collection) {
      const ending = createEnding();
      builds.set(collection, ending);
      return () => {
        builds.delete(collection);
        ending.end();
      };
    },
  };
}
