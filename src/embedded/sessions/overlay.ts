import type { Collection } from '../storage/collection.ts';
import { type CollectionIndex, createCollectionIndex, type IndexKeys } from '../storage/collection-index.ts';
import type { Plan } from '../storage/plan.ts';

/** A collection's documents as changed by one transaction alone, with indexes of their own. */
export interface Overlay {
  /** By record id; undefined is a document that the transaction has removed. */
  readonly changes: ReadonlyMap<number, Buffer | undefined>;
  put(id: number, raw: Buffer, keys: IndexKeys): void;
  remove(id: number): void;
  /** A document of the transaction, other than `self`, that a unique index forbids beside these keys. */
  conflict(keys: IndexKeys, self: number): { readonly index: CollectionIndex; readonly key: string } | undefined;
  /** The changed documents that the plan could lead to. */
  idsOf(plan: Plan): number[];
}

export function createOverlay(collection: Collection): Overlay {
  const changes = new Map<number, Buffer | undefined>();
  const keysById = new Map<number, IndexKeys>();
  const own = new Map([...collection.indexes.values()].map((index) => [index, createCollectionIndex(index.spec)]));
  const unindex = (id: number) => {
    for (const [index, keys] of keysById.get(id) ?? []) own.get(index)?.remove(keys, id);
    keysById.delete(id);
  };
  return {
    changes,
    put(id, raw, keys) {
      unindex(id);
      for (const [index, added] of keys) own.get(index)?.add(added, id);
      keysById.set(id, keys);
      changes.set(id, raw);
    },
    remove(id) {
      unindex(id);
      changes.set(id, undefined);
    },
    conflict(keys, self) {
      for (const [index, wanted] of keys) {
        if (!index.spec.unique) continue;
        const owner = own.get(index)?.owner(wanted);
        if (owner !== undefined && owner.id !== self) return { index, key: owner.key };
      }
      return undefined;
    },
    idsOf({ index, ranges }) {
      const keys = index === undefined ? undefined : own.get(index)?.keys;
      if (keys === undefined) return [...changes.keys()];
      return ranges.flatMap(({ low, high }) => [...keys.scan(low, high)].map(({ id }) => id));
    },
  };
}
