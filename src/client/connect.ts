import { later } from '../protocol/position.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Counters, createDelivery } from './delivery.ts';
import { createInterest } from './interest.ts';
import { createProgress } from './progress.ts';
import { createReconnect } from './reconnecting.ts';
import type { Table } from './table.ts';
import {
  type Client,
  ClientError,
  type ClientEvents,
  type ConnectOptions,
  type Listener,
  type Stats,
} from './types.ts';
import { createWays } from './ways.ts';

export type { Clock } from './clock.ts';
export type { Table } from './table.ts';
export type {
  FetchLike,
  Link,
  LinkSink,
  LinkTarget,
  Transport,
  TransportName,
  WebSocketConstructor,
} from './transport.ts';
export type {
  Client,
  ClientEvents,
  ClientState,
  ConnectOptions,
  Gap,
  Handlers,
  Listener,
  LossReason,
  Stats,
  SubscribeOptions,
  Subscription,
  SubscriptionMessage,
} from './types.ts';
export { ClientError } from './types.ts';

/** `http(s)://host/prefix` of any address that people write for a server: also `ws://host/ws`, or a path of the page. */
export function baseOf(url: string): string {
  const page: unknown = Reflect.get(globalThis, 'location');
  const here = page instanceof Object && 'href' in page ? String(page.href) : undefined;
  let parsed: URL;
  try {
    parsed = new URL(url, here);
  } catch (cause) {
    throw new ClientError('bad_url', `no address of a server: ${url}`, { cause });
  }
  const protocol = parsed.protocol.replace(/^ws/, 'http');
  if (protocol !== 'http:' && protocol !== 'https:') throw new ClientError('bad_url', `neither http nor ws: ${url}`);
  return `${protocol}//${parsed.host}${parsed.pathname.replace(/\/+$/, '').replace(/\/ws$/, '')}`;
}

type ListenerSets = { [K in keyof ClientEvents]: Set<Listener<K>> };

/** Throws again where nobody catches: the platform reports it with its stack, and the client goes on. */
const surface = (error: unknown): void =>
  queueMicrotask(() => {
    throw error;
  });

function createEmitter() {
  const sets: ListenerSets = {
    state: new Set(),
    status: new Set(),
    tableAdded: new Set(),
    error: new Set(),
    message: new Set(),
  };
  const emit = <K extends keyof ClientEvents>(name: K, ...args: ClientEvents[K]): void => {
    const set: Set<Listener<K>> = sets[name];
    for (const listener of [...set]) {
      try {
        listener(...args);
      } catch (error) {
        surface(error);
      }
    }
  };
  return {
    emit,
    error(error: ClientError): void {
      if (sets.error.size > 0) emit('error', error);
      else if (error.code === 'listener') surface(error.cause);
      else console.warn(`runcash-live: ${error.code}: ${error.message}`);
    },
    listen<K extends keyof ClientEvents>(name: K, listener: Listener<K>): () => void {
      const set: Set<Listener<K>> = sets[name];
      set.add(listener);
      return () => set.delete(listener);
    },
  };
}

/**
 * Opens a client of the server at `url`. It connects with the first `subscribe`, reconnects by itself, and resumes every
 * topic where it stood. Throws ClientError `bad_url`, or TypeError when the platform has no transport.
 */
export function connect(url: string, options: ConnectOptions = {}): Client {
  const base = baseOf(url);
  const clock: Clock = options.clock ?? systemClock;
  const { emit, error, listen } = createEmitter();
  const progress = createProgress();
  const counters: Counters = {
    received: 0,
    events: 0,
    duplicates: 0,
    gaps: 0,
    healed: 0,
    snapshots: 0,
    resets: 0,
    malformed: 0,
    reconnects: 0,
  };

  const tables = (): ReadonlyMap<string, Table> => {
    const known = new Map<string, Table>();
    for (const { topic, table } of progress.standings.values()) {
      if (table && interest.wants(topic)) known.set(table.id, table);
    }
    return known;
  };

  let scheduled = false;
  const changed = (): void => {
    if (scheduled) return;
    scheduled = true;
    // A page that draws anew ends and begins subscriptions in one go; only what is left of it is of interest.
    queueMicrotask(() => {
      scheduled = false;
      reconnect.changed();
    });
  };

  const interest = createInterest(
    {
      changed,
      error,
      tables,
      joined(follower, reference) {
        queueMicrotask(() => {
          const all = reference.topics.has('roulette:*');
          const own = [...progress.standings.values()].filter(({ topic }) => all || reference.topics.has(topic));
          for (const { table, epoch, position, mark } of own) {
            if (!table || epoch === null) continue;
            const { id, nome, ...rest } = table;
            const at = later(position, mark);
            follower.deliver(
              { type: 'snapshot', epoch, position: at, roleta_id: id, roleta_nome: nome, ...rest },
              table,
            );
          }
          if (own.length > 0 && reconnect.state().name === 'live') follower.taken();
        });
      },
    },
    options.history ?? 20,
  );

  const reconnect = createReconnect({
    base,
    clock,
    random: options.random ?? Math.random,
    token: options.token ?? null,
    ways: createWays(options, clock),
    interest,
    progress,
    delivery: createDelivery(progress, interest, counters),
    counters,
    emit,
    error,
  });

  const close = (): void => {
    options.signal?.removeEventListener('abort', close);
    for (const follower of interest.followers()) follower.close();
    reconnect.close();
  };
  options.signal?.addEventListener('abort', close, { once: true });
  if (options.signal?.aborted) close();

  return {
    get state() {
      return reconnect.state();
    },
    get stats(): Stats {
      const seen = progress.seen();
      return {
        ...counters,
        roundTripMs: reconnect.roundTripMs(),
        position: seen?.seen ?? null,
        epoch: seen?.epoch ?? null,
      };
    },
    get tables() {
      return tables();
    },
    subscribe(topic, given = {}) {
      if (reconnect.isClosed()) throw new ClientError('failed', 'the client was closed', { topic });
      return interest.follow(topic, given);
    },
    listen,
    prefer: reconnect.prefer,
    interrupt: reconnect.interrupt,
    retry: reconnect.retry,
    ping: reconnect.ping,
    close,
  };
}
