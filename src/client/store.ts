import type { Client } from './connect.ts';
import type { Table } from './table.ts';
import type { ClientState, Subscription } from './types.ts';

/** A value that changes, as views want it: the same object until it changes. */
export interface ViewStore<T> {
  get(): T;
  /** Calls `listener` after every change, until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

/** A store of what is subscribed: it subscribes with its first listener. */
export interface TopicStore<T> extends ViewStore<T> {
  /** Settles when the server took the topic up, or with the ClientError for which it did not. */
  ready(): Promise<void>;
}

/** How long a subscription outlives its last listener: views are drawn anew, mounted twice, and reloaded. */
const LINGER_MS = 2_000;

const stores = new WeakMap<Client, Map<string, unknown>>();

const isStore = <T>(found: unknown): found is TopicStore<T> => found !== undefined;

/** One store per client and key, so that a view which is thrown away before it is mounted finds it again. */
function shared<T>(client: Client, key: string, create: () => TopicStore<T>): TopicStore<T> {
  const known = stores.get(client) ?? new Map<string, unknown>();
  stores.set(client, known);
  const found = known.get(key);
  if (isStore<T>(found)) return found;
  const store = create();
  known.set(key, store);
  return store;
}

function topicStore<T>(
  client: Client,
  topic: string,
  history: number | undefined,
  read: (tables: ReadonlyMap<string, Table>) => T,
): TopicStore<T> {
  return shared(client, `${topic} ${history}`, () => {
    const listeners = new Set<() => void>();
    let subscription: Subscription | null = null;
    let value = read(new Map());
    let linger: ReturnType<typeof setTimeout> | undefined;

    const changed = (): void => {
      if (subscription) value = read(subscription.tables);
      for (const listener of [...listeners]) listener();
    };
    const leave = (): void => {
      clearTimeout(linger);
      if (listeners.size > 0) return;
      linger = setTimeout(() => {
        subscription?.unsubscribe();
        subscription = null;
        value = read(new Map());
      }, LINGER_MS);
    };
    const open = (): Subscription => {
      clearTimeout(linger);
      if (subscription?.ended === false) return subscription;
      subscription = client.subscribe(topic, { onTable: changed, ...(history === undefined ? {} : { history }) });
      return subscription;
    };

    return {
      get: () => value,
      subscribe(listener) {
        listeners.add(listener);
        open();
        return () => {
          listeners.delete(listener);
          leave();
        };
      },
      ready() {
        const waiting = open().ready();
        // Nobody may listen yet: what is drawn only when this settles listens after that.
        waiting.then(leave, leave);
        return waiting;
      },
    };
  });
}

/** `2010165`, a name or a UUID as a topic; what is a topic already stays one. */
const topicOf = (table: string): string => (table.startsWith('roulette:') ? table : `roulette:${table}`);

/** One table, by id, name or UUID; null until its snapshot came. Of several tables of one name, the first. */
export const tableStore = (client: Client, table: string, history?: number): TopicStore<Table | null> =>
  topicStore(client, topicOf(table), history, (tables): Table | null => tables.values().next().value ?? null);

/** All tables, in the order of their names. */
export const tablesStore = (client: Client, history?: number): TopicStore<readonly Table[]> =>
  topicStore(client, '*', history, (tables): readonly Table[] =>
    [...tables.values()].sort((a, b) => a.nome.localeCompare(b.nome, undefined, { numeric: true })),
  );

/** What the connection does. */
export const connectionStore = (client: Client): ViewStore<ClientState> => ({
  get: () => client.state,
  subscribe: (listener) => client.listen('state', listener),
});
