import type { Client } from './connect.ts';
import { type TopicStore, tableStore, tablesStore } from './store.ts';
import type { Table } from './table.ts';

/** The part of TanStack Query's QueryClient that is used. */
export interface QueryCache {
  setQueryData(key: readonly unknown[], value: unknown): unknown;
}

/** What `useQuery` takes: what is pushed never becomes stale by itself. */
export interface LiveQuery<T> {
  readonly queryKey: readonly unknown[];
  readonly queryFn: () => Promise<T>;
  readonly staleTime: number;
}

const queryOf = <T>(key: readonly unknown[], store: TopicStore<T>): LiveQuery<T> => ({
  queryKey: key,
  queryFn: () => store.ready().then(store.get),
  staleTime: Number.POSITIVE_INFINITY,
});

const keyOf = (id: string): readonly unknown[] => ['runcash-live', id];

/** A query for one table, by id, name or UUID. `follow` keeps it up to date. */
export const tableQuery = (client: Client, id: string, history?: number): LiveQuery<Table | null> =>
  queryOf(keyOf(id), tableStore(client, id, history));

/** A query for all tables. `follow` with `*` keeps it up to date. */
export const tablesQuery = (client: Client, history?: number): LiveQuery<readonly Table[]> =>
  queryOf(keyOf('*'), tablesStore(client, history));

/** Writes every change of a table, or of all with `*`, into the cache, until the returned function is called. */
export function follow(client: Client, cache: QueryCache, id: string, history?: number): () => void {
  const store: TopicStore<unknown> = id === '*' ? tablesStore(client, history) : tableStore(client, id, history);
  return store.subscribe(() => cache.setQueryData(keyOf(id), store.get()));
}
