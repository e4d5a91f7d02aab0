import {
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  provide,
  type ShallowRef,
  shallowRef,
  toValue,
  watchEffect,
} from 'vue';
import type { Client } from './connect.ts';
import { connectionStore, tableStore, tablesStore, type ViewStore } from './store.ts';
import type { Table } from './table.ts';
import type { ClientState } from './types.ts';

const CLIENT: InjectionKey<Client> = Symbol('runcash-live');

/** Hands the client to the components below. */
export const provideClient = (client: Client): void => provide(CLIENT, client);

/** The client that a component above provided. Throws Error where there is none. */
export function useClient(): Client {
  const client = inject(CLIENT, null);
  if (!client) throw new Error('useTable, useTables and useConnection need provideClient(client) in a component above');
  return client;
}

/** Follows whichever store `choose` names, from the first draw on; on a server there is nothing to follow. */
function follow<T>(first: T, choose: () => ViewStore<T>): Readonly<ShallowRef<T>> {
  const value = shallowRef(first);
  watchEffect(
    (onCleanup) => {
      const store = choose();
      const show = (): void => {
        value.value = store.get();
      };
      onCleanup(store.subscribe(show));
      show();
    },
    { flush: 'post' },
  );
  return value;
}

/** One table, by id, name or UUID, that may be a ref; null until its snapshot came. */
export function useTable(id: MaybeRefOrGetter<string>, history?: number): Readonly<ShallowRef<Table | null>> {
  const client = useClient();
  return follow<Table | null>(null, () => tableStore(client, toValue(id), history));
}

/** All tables, in the order of their names. */
export function useTables(history?: number): Readonly<ShallowRef<readonly Table[]>> {
  const client = useClient();
  return follow<readonly Table[]>([], () => tablesStore(client, history));
}

/** What the connection does now. */
export function useConnection(): Readonly<ShallowRef<ClientState>> {
  const client = useClient();
  return follow(client.state, () => connectionStore(client));
}
