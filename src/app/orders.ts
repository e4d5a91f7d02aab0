import { setTimeout as pause } from 'node:timers/promises';
import { createDenyList, type Denial, type DenyList, type Grant } from '../gateway/door/access.ts';
import type { ClientItem, ClientPage, OperatorDeps } from '../gateway/http/clients.ts';
import type { ConnectedClient, Connections, ListedClient } from '../gateway/live/connections.ts';
import type { Log } from '../log/log.ts';
import { CLOSE, type CloseCode, ProtocolError } from '../protocol/errors.ts';
import type { OrderStore } from '../store/orders.ts';

/** The open connections of all transports, as operators see and end them. */
export interface OpenClients {
  /** Those that fit, oldest first. */
  list(fits: (client: ConnectedClient) => boolean): readonly ListedClient[];
  /** Closes those that fit. */
  close(fits: (client: ConnectedClient) => boolean, code: CloseCode): void;
  /**
   * Closes the connections of a subject that were opened up to `atMs`, milliseconds since 1970. Gives how many this
   * order closed so far, since it comes twice: by the stream, and from whoever counts.
   */
  remove(subject: string, atMs: number): number;
}

/** An order to close is counted within seconds, or never. */
const COUNTED_MS = 60_000;

/** `retryMs` is when those that may come back are asked to. */
export function openClients(connections: Connections, retryMs: () => number): OpenClients {
  /** By subject, the numbers of the connections that its last order closed. */
  const removed = new Map<string, { readonly atMs: number; readonly numbers: Set<number> }>();
  const list: OpenClients['list'] = (fits) => connections.clients(performance.now(), fits);
  const close: OpenClients['close'] = (fits, code) => connections.endWhere(fits, performance.now(), code, retryMs);
  return {
    list,
    close,
    remove(subject, atMs) {
      const now = Date.now();
      const before = removed.get(subject);
      for (const [other, order] of removed) if (order.atMs < now - COUNTED_MS) removed.delete(other);
      const fits = ({ grant, ageMs }: ConnectedClient) => grant?.subject === subject && now - ageMs <= atMs;
      // One that takes its time to close is met twice.
      const numbers = before?.atMs === atMs ? before.numbers : new Set<number>();
      for (const { number } of list(fits)) numbers.add(number);
      removed.set(subject, { atMs, numbers });
      close(fits, CLOSE.removed);
      return numbers.size;
    },
  };
}

/** Follows what operators order on any instance. */
export interface Orders {
  readonly denials: DenyList;
  /** Throws ProtocolError for a token that is revoked, or while it is not known which are. */
  check(grant: Grant): void;
  /** The stream brought a change of the orders, or a fresh state: they are read again. */
  changed(): void;
  stop(): void;
}

const RETRY_MS = 1_000;

/**
 * Keeps the orders as the database has them: the stream says that something changed, a majority read says what. Nobody
 * is let in by token before they were read once.
 */
export function followOrders(store: Pick<OrderStore, 'readOrders'>, clients: OpenClients, log: Log): Orders {
  const denials = createDenyList();
  const stopping = new AbortController();
  let removals: ReadonlyMap<string, number> | null = null;
  let reading = false;
  let again = false;

  async function read(): Promise<void> {
    const fresh = await store.readOrders();
    const before = removals;
    denials.replace(fresh.denials);
    removals = fresh.removals;
    clients.close(({ grant }) => denials.has(grant), CLOSE.revoked);
    if (before === null) return;
    for (const [subject, atMs] of fresh.removals) {
      if (before.get(subject) === atMs) continue;
      clients.remove(subject, atMs);
    }
  }

  async function readUntilDone(): Promise<void> {
    while (again && !stopping.signal.aborted) {
      again = false;
      try {
        await read();
      } catch (error) {
        again = true;
        log.warn('orders_unread', { error: error instanceof Error ? error.message : String(error) });
        await pause(RETRY_MS, undefined, { signal: stopping.signal }).catch((cause: unknown) => {
          if (!stopping.signal.aborted) throw cause;
        });
      }
    }
    reading = false;
  }

  return {
    denials,
    check(grant) {
      if (removals === null) throw new ProtocolError('not_ready', { retryMs: RETRY_MS });
      if (denials.has(grant)) throw new ProtocolError('unauthorized', { message: 'The token was revoked.' });
    },
    changed() {
      again = true;
      if (reading) return;
      reading = true;
      void readUntilDone();
    },
    stop: () => stopping.abort(),
  };
}

const itemOf = (id: number, { grant, ageMs, ...client }: ConnectedClient): ClientItem => ({
  id,
  subject: grant?.subject ?? null,
  token_id: grant?.tokenId ?? null,
  address: client.address,
  transport: client.transport,
  topics: [...client.topics],
  since: new Date(Date.now() - ageMs).toISOString(),
  expires: typeof grant?.expiresMs === 'number' ? new Date(grant.expiresMs).toISOString() : null,
  sent: client.sent,
  lag_bytes: client.unsentBytes,
});

/** As many as `WORKERS` may be: what tells their connections apart. */
const MAX_WORKERS = 64;

/** A page of this process's connections. `worker` is its number, from 1, among those on one port; null when it is alone. */
export function clientPage(clients: OpenClients, worker: number | null, page: ClientPage): ClientItem[] {
  const idOf = (number: number): number => (worker === null ? number : number * MAX_WORKERS + worker - 1);
  return clients
    .list(({ grant }) => page.subject === null || grant?.subject === page.subject)
    .filter(({ number }) => idOf(number) > page.after)
    .slice(0, page.limit)
    .map(({ number, ...client }) => itemOf(idOf(number), client));
}

/** The open connections of all processes on the port. */
export interface PortClients {
  list(page: ClientPage): Promise<readonly ClientItem[]>;
  /**
   * Closes those of a subject that were opened up to a time, milliseconds since 1970; how many they were, null when a
   * process did not say. Does not reject.
   */
  remove(subject: string, atMs: number): Promise<number | null>;
}

/**
 * What the routes for operators are handed. What they order is followed here at once, elsewhere by the stream; `port`
 * lists and closes the connections of this process and its siblings.
 */
export function operatorDeps(
  store: OrderStore,
  denials: DenyList,
  clients: OpenClients,
  port: PortClients,
): OperatorDeps {
  const close = (denial: Pick<Denial, 'kind' | 'value'>): void => {
    clients.close(({ grant }) => nameIn(grant, denial.kind) === denial.value, CLOSE.revoked);
  };
  return {
    clients: port.list,
    async removeClients(subject) {
      const atMs = Date.now();
      await store.orderRemoval(subject, atMs);
      return await port.remove(subject, atMs);
    },
    denials: denials.all,
    readOrders: store.readOrders,
    async deny(denial) {
      await store.deny(denial);
      denials.replace([...denials.all().filter((other) => !isSame(other, denial)), denial]);
      if (denial.untilMs === null || denial.untilMs > Date.now()) close(denial);
    },
    async allow(kind, value) {
      const allowed = await store.allow(kind, value);
      denials.replace(denials.all().filter((other) => !isSame(other, { kind, value })));
      return allowed;
    },
  };
}

const nameIn = (grant: Grant | null, kind: Denial['kind']): string | null =>
  grant === null ? null : kind === 'sub' ? grant.subject : grant.tokenId;

const isSame = (one: Pick<Denial, 'kind' | 'value'>, other: Pick<Denial, 'kind' | 'value'>): boolean =>
  one.kind === other.kind && one.value === other.value;
