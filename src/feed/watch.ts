import type { ClusterTime } from '../protocol/position.ts';
import { type Source, sourceOf, watchedCollections } from '../roulette/source.ts';
import type { Namespace } from './change.ts';
import { META } from './epoch.ts';

/** Which databases and collections the stream covers. */
export interface Watch {
  /** The database of the stream; null for one stream over the cluster, when there are two databases. */
  readonly database: string | null;
  readonly stages: readonly Readonly<Record<string, unknown>>[];
  sourceOf(ns: Namespace): Source | null;
  isMeta(ns: Namespace): boolean;
  /** Whether a `dropDatabase` of this name concerns us. */
  has(database: string): boolean;
}

const FIELDS = [
  'operationType',
  'ns',
  'to',
  'documentKey',
  'clusterTime',
  'wallTime',
  'fullDocument',
  'updateDescription',
  'splitEvent',
];

/** The watch over one database, or over two (numbers and strategies apart). */
export function createWatch(database: string, tablesDatabase: string): Watch {
  const databases = [...new Set([database, tablesDatabase])];
  const cluster = databases.length > 1;
  const collections = [...watchedCollections.names, META];
  const pattern = watchedCollections.pattern.source;
  const named = (field: 'ns' | 'to') =>
    [{ [`${field}.coll`]: { $in: collections } }, { [`${field}.coll`]: { $regex: pattern } }].map((condition) =>
      cluster ? { ...condition, [`${field}.db`]: { $in: databases } } : condition,
    );
  // Without this, a filter on names hides dropDatabase and invalidate, and the cursor just ends.
  const ending = { operationType: { $in: ['dropDatabase', 'invalidate'] } };
  const split = (ns: Namespace): [string, string] => {
    const dot = ns.indexOf('.');
    return dot < 0 ? [ns, ''] : [ns.slice(0, dot), ns.slice(dot + 1)];
  };
  return {
    database: cluster ? null : database,
    stages: [
      { $match: { $or: [...named('ns'), ...named('to'), ending] } },
      { $project: Object.fromEntries(FIELDS.map((field) => [field, 1])) },
    ],
    sourceOf(ns) {
      const [name, collection] = split(ns);
      return databases.includes(name) ? sourceOf(collection) : null;
    },
    isMeta: (ns) => ns === `${database}.${META}`,
    has: (name) => databases.includes(name),
  };
}

/** A start `seconds` before a time, never below the first possible one. */
export const secondsBefore = (time: ClusterTime, seconds: number): ClusterTime => ({
  t: Math.max(1, time.t - seconds),
  i: 1,
});
