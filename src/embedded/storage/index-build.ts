import { CommandError } from '../errors.ts';
import { type Operation, yieldTurn } from '../operation.ts';
import { decode } from '../values/bson.ts';
import type { Collection } from './collection.ts';
import {
  type CollectionIndex,
  createCollectionIndex,
  type IndexSpec,
  indexStored,
  partialFilter,
} from './collection-index.ts';

/** Takes out what the index holds for that record; a unique key may be another record's. */
function unindex(index: CollectionIndex, raw: Buffer, id: number): void {
  const keys = index.keysOf(decode(raw));
  index.remove(index.spec.unique ? keys.filter((key) => index.keys.get(key) === id) : keys, id);
}

/**
 * Builds indexes in one pass over the records and gives them to the collection, all or none. Others get their turn, and
 * what they write meanwhile is followed: a record that has changed is in the indexes already when its turn comes.
 *
 * @throws CommandError 11000 when one is unique and the documents are not; what the operation is interrupted with
 */
export async function buildIndexes(
  collection: Collection,
  specs: readonly IndexSpec[],
  operation: Operation,
): Promise<void> {
  const built = specs.map((spec) => createCollectionIndex(spec, partialFilter(spec)));
  const changed = new Set<number>();
  /** A write that the new indexes do not take ends the build, not the write: they are not in use yet. */
  let failure: CommandError | undefined;
  collection.follow((id, before, after) => {
    changed.add(id);
    try {
      for (const index of built) {
        if (before !== undefined) unindex(index, before, id);
        if (after !== undefined) indexStored(index, collection.namespace, decode(after), id);
      }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      failure ??= error;
    }
  });
  try {
    for (const [id, raw] of collection.records) {
      if (!changed.has(id)) {
        const document = decode(raw);
        for (const index of built) indexStored(index, collection.namespace, document, id);
      }
      const turn = yieldTurn(operation);
      if (turn !== undefined) await turn;
      if (failure !== undefined) throw failure;
    }
    for (const index of built) collection.adoptIndex(index);
  } finally {
    collection.follow(undefined);
  }
}
