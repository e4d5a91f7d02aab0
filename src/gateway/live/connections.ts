import { setTimeout as delay } from 'node:timers/promises';
import { CLOSE, type CloseCode } from '../../protocol/errors.ts';
import type { Grant } from '../door/access.ts';
import type { TransportKind } from '../door/counters.ts';

/** One connection as an operator sees it. */
export interface ConnectedClient {
  readonly transport: TransportKind;
  readonly address: string;
  /** Null before its token was accepted. */
  readonly grant: Grant | null;
  readonly topics: readonly string[];
  /** For how long it is open, milliseconds. */
  readonly ageMs: number;
  /** Frames handed to it. */
  readonly sent: number;
  /** Bytes that it has not taken yet: how far it is behind what was sent. */
  readonly unsentBytes: number;
}

/** When a connection's lifetime ends: up to a tenth early, so that those opened together do not end together. */
export const endOfLife = (openedAt: number, maxLifetimeSeconds: number): number =>
  openedAt + maxLifetimeSeconds * 1000 * (1 - Math.random() / 10);

/** A connection in a list, with a number that later ones have higher. */
export interface ListedClient extends ConnectedClient {
  readonly number: number;
}

/** What can be done with the connections of one transport; functions are shared, so a connection stays a record. */
interface Deal<Connection> {
  /** Looks at the connection's deadlines; `now` is monotonic milliseconds. */
  tick(connection: Connection, now: number): void;
  /** Says goodbye and closes; what the code means and when to come back goes with it. */
  end(connection: Connection, code: CloseCode, retryMs: number): void;
  /** Closes without a word. */
  abort(connection: Connection): void;
  client(connection: Connection, now: number): ConnectedClient;
}

/** The open connections of one transport. */
export interface Group<Connection> {
  add(connection: Connection): void;
  remove(connection: Connection): void;
}

/** An event stream or a poll: few enough to carry their own functions. */
export interface OpenResponse {
  tick(now: number): void;
  end(code: CloseCode, retryMs: number): void;
  abort(): void;
  client(now: number): ConnectedClient;
}

export const responseDeal: Deal<OpenResponse> = {
  tick: (response, now) => response.tick(now),
  end: (response, code, retryMs) => response.end(code, retryMs),
  abort: (response) => response.abort(),
  client: (response, now) => response.client(now),
};

/** All open connections: for deadlines, for draining. One timer looks at all of them instead of one timer each. */
export interface Connections {
  group<Connection>(deal: Deal<Connection>): Group<Connection>;
  tick(now: number): void;
  size(): number;
  /** Ends this share (0 to 1) of them, rounded up. */
  endShare(share: number, code: CloseCode, retryMs: () => number): void;
  abortAll(): void;
  /** Those that fit, oldest first. */
  clients(now: number, fits: (client: ConnectedClient) => boolean): ListedClient[];
  /** Ends those that fit. */
  endWhere(fits: (client: ConnectedClient) => boolean, now: number, code: CloseCode, retryMs: () => number): void;
  /** Resolves when none is left. */
  empty(): Promise<void>;
}

/** What the groups have in common, without the type of their connections. */
type AnyGroup = Pick<Connections, 'tick' | 'size' | 'endShare' | 'abortAll' | 'clients' | 'endWhere'>;

export function createConnections(): Connections {
  const groups: AnyGroup[] = [];
  let waiting: (() => void)[] = [];
  let last = 0;

  const size = (): number => groups.reduce((sum, group) => sum + group.size(), 0);

  return {
    group<Connection>(deal: Deal<Connection>): Group<Connection> {
      const open = new Map<Connection, number>();
      groups.push({
        size: () => open.size,
        tick(now) {
          for (const connection of open.keys()) deal.tick(connection, now);
        },
        endShare(share, code, retryMs) {
          let left = Math.ceil(open.size * share);
          for (const connection of [...open.keys()]) {
            if (left <= 0) return;
            left -= 1;
            deal.end(connection, code, retryMs());
          }
        },
        abortAll() {
          for (const connection of [...open.keys()]) deal.abort(connection);
        },
        clients: (now, fits) =>
          [...open].flatMap(([connection, number]) => {
            const client = deal.client(connection, now);
            return fits(client) ? [{ ...client, number }] : [];
          }),
        endWhere(fits, now, code, retryMs) {
          const found = [...open.keys()].filter((connection) => fits(deal.client(connection, now)));
          for (const connection of found) deal.end(connection, code, retryMs());
        },
      });
      return {
        add(connection) {
          last += 1;
          open.set(connection, last);
        },
        remove(connection) {
          open.delete(connection);
          if (waiting.length === 0 || size() > 0) return;
          for (const resolve of waiting) resolve();
          waiting = [];
        },
      };
    },
    size,
    tick(now) {
      for (const group of groups) group.tick(now);
    },
    endShare(share, code, retryMs) {
      for (const group of groups) group.endShare(share, code, retryMs);
    },
    abortAll() {
      for (const group of groups) group.abortAll();
    },
    clients: (now, fits) =>
      groups.flatMap((group) => group.clients(now, fits)).sort((one, other) => one.number - other.number),
    endWhere(fits, now, code, retryMs) {
      for (const group of groups) group.endWhere(fits, now, code, retryMs);
    },
    empty: () => (size() === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}

const STEP_MS = 50;

/**
 * Closes all connections with 4200, evenly over `totalMs`: those who come back meet the other instances as a trickle,
 * and the last ones are served to the end. Connections that close by themselves shorten nothing; `aborted` does.
 */
export async function spreadCloses(
  connections: Connections,
  totalMs: number,
  retryMs: () => number,
  aborted: () => boolean,
): Promise<void> {
  const steps = Math.max(1, Math.ceil(totalMs / STEP_MS));
  for (let left = steps; left > 0 && !aborted(); left -= 1) {
    if (connections.size() === 0) return;
    connections.endShare(1 / left, CLOSE.draining, retryMs);
    if (left > 1) await delay(Math.min(STEP_MS, totalMs));
  }
}
