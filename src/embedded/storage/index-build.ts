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

/**
 * Builds indexes in one pass over the records, which nobody may change meanwhile; others get their turn. The collection
 * does not know the indexes yet.
 *
 * @throws CommandError 11000 when one is unique and the documents are not; what the operation is interrupted with
 */
export async function buildIndexes(
  collection: Collection,
  specs: readonly IndexSpec[],
  operation: Operation,
): Promise<CollectionIndex[]> {
  const built = specs.map((spec) => createCollectionIndex(spec, partialFilter(spec)));
  for (const [id, raw] of collection.records) {
    const document = decode(raw);
    for (const index of built) indexStored(index, collection.namespace, document, id);
    const turn = yieldTurn(operation);
    if (turn !== undefined) await turn;
  }
  return built;
}
