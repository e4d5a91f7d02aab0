import type { Collection } from './collection.ts';
import type { Plan } from './plan.ts';

/** A collection as one reader sees it: the newest state, or a transaction's snapshot with its own writes on top. */
export interface View {
  readonly collection: Collection;
  get(id: number): Buffer | undefined;
  /** Record ids in natural order. */
  ids(): Iterable<number>;
  /** Whether there are records whose place in the indexes may not be what this view sees. */
  hasLoose(): boolean;
  /** Those of them that a search by the plan has to look at as well. */
  loose(plan: Plan): readonly number[];
}

export function currentView(collection: Collection): View {
  return {
    collection,
    get: (id) => collection.records.get(id),
    ids: () => collection.records.keys(),
    hasLoose: () => false,
    loose: () => [],
  };
}

/** A collection as it was at a snapshot: the number of the last commit that it shows. */
export function viewAt(collection: Collection, snapshot: number): View {
  const loose = () => collection.changedSince(snapshot);
  return {
    collection,
    get: (id) => collection.at(id, snapshot),
    *ids() {
      const extra = new Set(loose());
      for (const id of collection.records.keys()) {
        extra.delete(id);
        yield id;
      }
      yield* extra;
    },
    hasLoose: () => loose().length > 0,
    loose,
  };
}

export interface Found {
  readonly id: number;
  readonly raw: Buffer;
}

/** The documents that a plan leads to, each once; the query's filter is still to be applied. */
export function* candidates(view: View, plan: Plan): Generator<Found, void> {
  if (plan.index === undefined) {
    const ids = plan.reverse ? [...view.ids()].reverse() : view.ids();
    for (const id of ids) {
      const raw = view.get(id);
      if (raw !== undefined) yield { id, raw };
    }
    return;
  }
  const loose = view.loose(plan);
  const seen = plan.index.multikey || plan.ranges.length > 1 || loose.length > 0 ? new Set<number>() : undefined;
  const ranges = plan.reverse ? [...plan.ranges].reverse() : plan.ranges;
  for (const { low, high } of ranges) {
    const { keys } = plan.index;
    for (const { id } of plan.reverse ? keys.scanReverse(low, high) : keys.scan(low, high)) {
      if (seen?.has(id) === true) continue;
      seen?.add(id);
      const raw = view.get(id);
      if (raw !== undefined) yield { id, raw };
    }
  }
  for (const id of loose) {
    if (seen?.has(id) === true) continue;
    const raw = view.get(id);
    if (raw !== undefined) yield { id, raw };
  }
}
