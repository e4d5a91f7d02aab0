import type { Client } from './connect.ts';
import { connectionStore, tableStore, tablesStore, type ViewStore } from './store.ts';
import type { Table } from './table.ts';
import type { ClientState } from './types.ts';

/** Svelte's contract for stores (svelte.dev/docs/svelte/stores): `$name` in a component subscribes and unsubscribes. */
export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void;
}

const readable = <T>(store: ViewStore<T>): Readable<T> => ({
  subscribe(run) {
    const stop = store.subscribe(() => run(store.get()));
    run(store.get());
    return stop;
  },
});

/** One table, by id, name or UUID; null until its snapshot came. */
export const table = (client: Client, id: string, history?: number): Readable<Table | null> =>
  readable(tableStore(client, id, history));

/** All tables, in the order of their names. */
export const tables = (client: Client, history?: number): Readable<readonly Table[]> =>
  readable(tablesStore(client, history));

/** What the connection does now. */
export const connection = (client: Client): Readable<ClientState> => readable(connectionStore(client));
