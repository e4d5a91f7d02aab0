import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { viewAt } from '../storage/view.ts';
import type { Snapshot } from './snapshots.ts';
import type { Unit } from './unit.ts';

/** A unit whose reads see a snapshot. It is for commands that only read. */
export function snapshotUnit(unit: Unit, snapshot: Snapshot): Unit {
  return {
    ...unit,
    view(collection) {
      snapshot.check();
      if (collection.createdAt > snapshot.commit) {
        throw new CommandError(
          CODES.SnapshotUnavailable,
          `Unable to read from a snapshot due to pending collection catalog changes of ${collection.namespace}`,
        );
      }
      const view = viewAt(collection, snapshot.commit);
      return {
        ...view,
        get(id) {
          snapshot.check();
          return view.get(id);
        },
      };
    },
  };
}
