import type { Engine } from '../engine.ts';
import { withPrefix } from '../storage/bounds.ts';
import { keyString, typeBracket } from '../storage/keystring.ts';
import { createDirectUnit } from './directunit.ts';
import { Locked } from './unit.ts';

/** Documents deleted in one pass, so that a large backlog does not hold up everybody. */
const MAX_PER_PASS = 50_000;

/** Deletes what TTL indexes say is old enough: dates only, the earliest of an array counts. */
export function expireDocuments(engine: Engine, now: number): void {
  const unit = createDirectUnit(engine, false);
  let left = MAX_PER_PASS;
  for (const db of engine.catalog.databases()) {
    for (const collection of engine.catalog.collections(db)) {
      for (const index of [...collection.indexes.values()]) {
        const { spec, keys } = index;
        if (spec.expireAfterSeconds === undefined) continue;
        const limit = keyString(new Date(now - spec.expireAfterSeconds * 1000));
        const old = withPrefix('', { low: typeBracket(limit).low, high: limit }, index.fields[0]);
        for (const { id } of [...keys.scan(old.low, old.high)]) {
          if (left <= 0) return;
          left -= 1;
          try {
            unit.remove(collection, id);
          } catch (error) {
            // Held by a transaction: the next pass looks again.
            if (!(error instanceof Locked)) throw error;
          }
        }
      }
    }
  }
}
