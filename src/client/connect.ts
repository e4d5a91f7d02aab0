import { systemClock } from './clock.ts';
import { createInterest } from './interest.ts';
import { createProgress, noCounts } from './progress.ts';
import { createReconnect } from './reconnect.ts';
import { createTransportChoice } from './transport-choice.ts';
import {
  type Client,
  ClientError,
  type ClientEvents,
  type ConnectOptions,
  type Listener,
  type Stats,
} from './types.ts';

export type { ErrorCode } from '../protocol/errors.ts';
export type {
  Cor,
  EventMessage,
  NewNumber,
  NumberCorrected,
  NumberItem,
  NumberRemoved,
  Reset,
  ResetReason,
  ServerMessage,
  Snapshot,
  Status,
  StrategyItem,
  StrategyUpdate,
  TableAdded,
} from '../protocol/messages.ts';
export type { Clock } from './clock.ts';
export type { Table } from './table.ts';
export type {
  ClientRequest,
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
  Lost,
  PositionStore,
  Recovered,
  SnapshotReason,
  StaleChange,
  Stats,
  SubscribeOptions,
  Subscription,
  SubscriptionMessage,
} from './types.ts';
export { ClientError, UnauthorizedError } from './types.ts';

/** `http(s)://host/prefix` of any address that people write for a server: also `ws://host/ws`, or a path of the page. */
function baseOf(url: string): string {
  const page: unknown = Reflect.get(globalThis, 'location');
  try {
    const { protocol, host, pathname } = new URL(url, page ? String(page) : undefined);
    if (/^(http|ws)s?:$/.test(protocol)) {
      return `${protocol.replace('ws', 'http')}//${host}${pathname.replace(/(\/ws)?\/*$/, '')}`;
    }
  } catch {
    // Said below, together with addresses of something else.
  }
  throw new ClientError('bad_url', `no server: ${url}`);
}

type ListenerSets = { readonly [K in keyof ClientEvents]: Set<Listener<K>> };

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
        // The client goes on; it has nobody else to tell, since the listeners of errors may be what fails.
        console.error(error);
      }
    }
  };
  return {
    emit,
    /** `told`: whoever waited for it has the error already. */
    report(error: ClientError, told = false): void {
      if (sets.error.size > 0) emit('error', error);
      else if (!told) console.error(error);
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
 * topic at its position. Throws ClientError `bad_url`, or TypeError when the platform has no transport.
 */
export function connect(url: string, options: ConnectOptions = {}): Client {
  const { clock = systemClock, random = Math.random, history = 20, token, signal } = options;
  const { emit, report, listen } = createEmitter();
  const counters = noCounts();
  const late = () => import('./extras.ts');
  const progress = createProgress(
    counters,
    (message, table, reason) => {
      for (const follower of interest.followersOf(message.topic)) follower.deliver(message, table, reason);
    },
    async function* (pageSize = 100) {
      yield* (await late()).olderNumbers({ base, token: await reconnect.freshToken() }, options.fetch, this, pageSize);
    },
  );

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

  const base = baseOf(url);
  const interest = createInterest(progress, history, changed, report);
  const choice = createTransportChoice(options, clock, random);
  // Before the first connection: what is kept says where to go on.
  const { persist } = options;
  const restored =
    persist &&
    late()
      .then((extras) => extras.persistPositions(persist, base, progress, clock, listen))
      .catch((cause: unknown) => report(new ClientError('failed', 'nothing restored', null, cause)));
  const reconnect = createReconnect({
    base,
    clock,
    random,
    token,
    restored,
    choice,
    interest,
    progress,
    counters,
    emit,
    report,
  });

  const close = (): void => {
    signal?.removeEventListener('abort', close);
    for (const follower of interest.followers) follower.finish();
    reconnect.close();
  };
  signal?.addEventListener('abort', close);
  if (signal?.aborted) close();

  return {
    get state() {
      return reconnect.state();
    },
    get stats(): Stats {
      const { seen = null, epoch = null } = progress.seen();
      return { ...counters, position: seen, epoch };
    },
    get tables() {
      return interest.tablesOf(interest.wants);
    },
    subscribe(topic, given = {}) {
      if (reconnect.isClosed()) throw new ClientError('failed', 'closed', topic);
      return interest.follow(topic, given);
    },
    listen,
    ...reconnect.controls,
    close,
  };
}
