import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server, and does to their bytes what networks do. */
export interface Proxy {
  readonly port: number;
  /** From now on nothing passes on the connections of this moment, and nobody is told: half-open. */
  swallow(): void;
  /** The same for every connection, also those to come, until it is switched off. */
  blackHole(on: boolean): void;
  /** Resets every connection. */
  cut(): void;
  close(): Promise<void>;
}

/**
 * Starts one before a port of 127.0.0.1, or before whichever `target` names when somebody connects. `rewrite` sees every
 * piece that the server sends.
 */
export async function startProxy(
  target: number | (() => number),
  rewrite: (piece: Buffer) => Buffer = (piece) => piece,
) {
  const pairs = new Set<{ readonly ends: readonly Socket[]; silent: boolean }>();
  let hole = false;
  const server = createServer((near) => {
    const far = connect(typeof target === 'number' ? target : target(), '127.0.0.1');
    const pair = { ends: [near, far], silent: false };
    pairs.add(pair);
    near.on('data', (piece) => {
      if (!pair.silent && !hole) far.write(piece);
    });
    far.on('data', (piece) => {
      if (!pair.silent && !hole) near.write(rewrite(piece));
    });
    for (const end of pair.ends) {
      // Either end's error closes both; the clients under test see the close.
      end.on('error', () => end.destroy());
      end.on('close', () => {
        for (const other of pair.ends) other.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const proxy: Proxy = {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    swallow() {
      for (const pair of pairs) pair.silent = true;
    },
    blackHole(on) {
      hole = on;
    },
    cut() {
      for (const { ends } of pairs) for (const end of ends) end.resetAndDestroy();
    },
    async close() {
      for (const { ends } of pairs) for (const end of ends) end.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
