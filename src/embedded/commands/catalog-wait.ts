import type { Engine } from '../engine.ts';
import { Locked } from '../sessions/unit.ts';
import type { Collection } from '../storage/collection.ts';

/**
 * A change of the catalog waits for index builds and for the transactions that have written to the collection, as its
 * lock would. It is made at once after this check, inside `untilUnlocked`: what was waited for may have changed the
 * catalog, and others have waited too.
 *
 * @throws Locked
 */
export function checkFree({ locks }: Engine, ...collections: readonly (Collection | undefined)[]): void {
  for (const collection of collections) {
    const holder = collection === undefined ? undefined : locks.writer(collection);
    if (holder !== undefined) throw new Locked(holder);
  }
}
