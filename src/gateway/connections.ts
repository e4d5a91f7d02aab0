import type { CloseCode } from '../protocol/errors.ts';

/** One subscriber's connection, whatever its transport. */
export interface Connection {
  /** Looks at the connection's deadlines; `now` is monotonic milliseconds. */
  tick(now: number): void;
  /** Says goodbye and closes; what the code means and when to come back goes with it. */
  end(code: CloseCode, retryMs: number): void;
  /** Closes without a word. */
  abort(): void;
}

/** All open connections: for deadlines, for draining. One timer looks at all of them instead of one timer each. */
export interface Connections {
  add(connection: Connection): void;
  remove(connection: Connection): void;
  tick(now: number): void;
  all(): readonly Connection[];
  /** Resolves when none is left. */
  empty(): Promise<void>;
}

export function createConnections(): Connections {
  const open = new Set<Connection>();
  let waiting: (() => void)[] = [];
  return {
    add: (connection) => void open.add(connection),
    remove(connection) {
      open.delete(connection);
      if (open.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    tick(now) {
      for (const connection of open) connection.tick(now);
    },
    all: () => [...open],
    empty: () => (open.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
