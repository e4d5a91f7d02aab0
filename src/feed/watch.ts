import type { ClusterTime } from '../protocol/position.ts';
import { readFields } from '../roulette/fields.ts';
import { DEFAULT_SOURCES, type Source, type Sources } from '../roulette/source.ts';
import type { Namespace } from './change.ts';
import { META } from './epoch.ts';

/** Which databases and collections the stream covers. */
export interface Watch {
  /** The database of the stream; null for one stream over the cluster, when there are two databases. */
  readonly database: string | null;
  /** The stages after `$changeStream`; `split` where the server can send large events in fragments. */
  stages(split: boolean): readonly Readonly<Record<string, unknown>>[];
  /** The same changes without their documents, for passing one that is too large to be sent. */
  leanStages(): readonly Readonly<Record<string, unknown>>[];
  sourceOf(ns: Namespace): Source | null;
  /** Reads the collections that the tables' documents name, and no others that they named before. */
  adopt(named: Parameters<Sources['adopt']>[0]): void;
  /** Whether an update of this path may change anything that is read. */
  isRead(path: string): boolean;
  isMeta(ns: Namespace): boolean;
  /** Whether a `dropDatabase` of this name concerns us and no invalidate will say so. */
  isDropped(database: string): boolean;
}

const LEAN_FIELDS = ['operationType', 'ns', 'to', 'documentKey', 'clusterTime'];

const projection = (fields: readonly string[]) => ({
  $project: Object.fromEntries(fields.map((field) => [field, 1])),
});

/** The watch over one database, or over two (numbers and strategies apart). */
export function createWatch(database: string, tablesDatabase: string, sources: Sources = DEFAULT_SOURCES): Watch {
  const databases = [...new Set([database, tablesDatabase])];
  const cluster = databases.length > 1;
  const pattern = sources.pattern.source;
  const { paths, isRead } = readFields(sources.extraFields);
  // A field that nobody reads never arrives, whatever it holds. Of an update the decoder leaves out the same.
  const document = paths.map((path) => `fullDocument.${path}`);
  const fields = [...LEAN_FIELDS, 'wallTime', ...document, 'updateDescription', 'splitEvent'];
  const named = (field: 'ns' | 'to') =>
    [{ [`${field}.coll`]: { $in: [...sources.names, META] } }, { [`${field}.coll`]: { $regex: pattern } }].map(
      (condition) => (cluster ? { ...condition, [`${field}.db`]: { $in: databases } } : condition),
    );
  // Without this, a filter on names hides dropDatabase and invalidate, and the cursor just ends.
  const ending = { operationType: { $in: ['dropDatabase', 'invalidate'] } };
  const match = () => ({ $match: { $or: [...named('ns'), ...named('to'), ending] } });
  const meta = `${database}.${META}`;
  const known = new Map<Namespace, Source>();
  const split = (ns: Namespace): [string, string] => {
    const dot = ns.indexOf('.');
    return dot < 0 ? [ns, ''] : [ns.slice(0, dot), ns.slice(dot + 1)];
  };
  return {
    database: cluster ? null : database,
    stages: (splits) => [match(), projection(fields), ...(splits ? [{ $changeStreamSplitLargeEvent: {} }] : [])],
    leanStages: () => [match(), projection(LEAN_FIELDS)],
    sourceOf(ns) {
      const found = known.get(ns);
      if (found !== undefined) return found;
      const [name, collection] = split(ns);
      const source = databases.includes(name) ? sources.of(collection) : null;
      // Of the others there may be any number.
      if (source !== null) known.set(ns, source);
      return source;
    },
    adopt(named) {
      sources.adopt(named);
      known.clear();
    },
    isRead,
    isMeta: (ns) => ns === meta,
    // A stream over one database ends with it; one over the cluster goes on.
    isDropped: (name) => cluster && databases.includes(name),
  };
}

/** A start `seconds` before a time, never below the first possible one. */
export const secondsBefore = (time: ClusterTime, seconds: number): ClusterTime => ({
  t: Math.max(1, time.t - seconds),
  i: 1,
});
