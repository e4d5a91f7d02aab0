import { createContext, use, useContext, useMemo, useSyncExternalStore } from 'react';
import type { Client } from './connect.ts';
import { connectionStore, tableStore, tablesStore, type ViewStore } from './store.ts';
import type { Table } from './table.ts';
import type { ClientState } from './types.ts';

/** Hands the client to the hooks below: `<ClientContext value={client}>`. */
export const ClientContext = createContext<Client | null>(null);

export interface TableOptions {
  /** How many last numbers the table keeps: 0 to 200, 20 unless said otherwise. */
  readonly history?: number;
  /** Suspends until the table is there, instead of returning null. */
  readonly suspense?: boolean;
}

/** What a server renders, and the first render in the browser with it. */
const SERVER_STATE: ClientState = { name: 'idle', reason: 'unused' };
const NO_TABLES: readonly Table[] = [];
const nothing = (): null => null;

const useStore = <T>(store: ViewStore<T>, onServer: () => T): T =>
  useSyncExternalStore(store.subscribe, store.get, onServer);

/** The client of the nearest ClientContext. Throws Error where there is none. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('useTable, useTables and useConnection need a <ClientContext value={client}>');
  return client;
}

/** One table, by id, name or UUID, drawn again after every change; null until its snapshot came. */
export function useTable(id: string, { history, suspense }: TableOptions = {}): Table | null {
  const client = useClient();
  const store = tableStore(client, id, history);
  const table = useStore(store, nothing);
  // Also once it is there: React wants what suspended a render in every later one.
  if (suspense) use(store.ready());
  return table;
}

/** All tables, in the order of their names. */
export const useTables = (history?: number): readonly Table[] =>
  useStore(tablesStore(useClient(), history), () => NO_TABLES);

/** What the connection does now. */
export function useConnection(): ClientState {
  const client = useClient();
  return useStore(
    useMemo(() => connectionStore(client), [client]),
    () => SERVER_STATE,
  );
}
