import type { Collection, IndexKeys } from '../storage/collection.ts';
import type { Transaction } from './session.ts';

/** Which open transaction holds which documents and unique keys. */
export interface Locks {
  holder(collection: Collection, keys: IndexKeys | undefined, id: number | undefined): Transaction | undefined;
  take(transaction: Transaction, collection: Collection, keys: IndexKeys | undefined, id: number): void;
  release(transaction: Transaction): void;
  /** Any transaction that has written to the collection: changes of the catalog wait for it. */
  writer(collection: Collection): Transaction | undefined;
}

export function createLocks(): Locks {
  const held = new Map<Collection, Map<number | string, Transaction>>();

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
    writer: (collection) => held.get(collection)?.values().next().value,
  };
}
