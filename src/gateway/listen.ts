import uWS, { type TemplatedApp } from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import type { GatewayOptions } from './options.ts';

// The package's types leave out the form that takes an address and options; its code has it.
declare module 'uWebSockets.js' {
  interface TemplatedApp {
    listen(
      host: RecognizedString,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ): TemplatedApp;
  }
}

const SHARED_PORT = 0;

/** LIBUS_LISTEN_EXCLUSIVE_PORT. Without it a second server on the port starts "successfully" and takes half the traffic. */
const EXCLUSIVE_PORT = 1;

/** A listening socket: its port, and how to stop taking connections. */
export interface Listening {
  readonly port: number;
  close(): void;
}

/** The gateway could not start: the port is taken, the address is not ours, or options are wrong. */
export class GatewayStartError extends Error {
  override readonly name = 'GatewayStartError';
}

/** Listens, or rejects with GatewayStartError: uWebSockets itself only hands `false` to a callback. */
export function listen(app: TemplatedApp, options: GatewayOptions): Promise<Listening> {
  const { host, port } = options;
  return new Promise((resolve, reject) => {
    app.listen(host, port, options.sharePort ? SHARED_PORT : EXCLUSIVE_PORT, (socket) => {
      if (socket === false) {
        reject(
          new GatewayStartError(
            `Cannot listen on ${host}:${port}: the port is in use or the address is not this machine's.`,
          ),
        );
        return;
      }
      let open = true;
      resolve({
        port: uWS.us_socket_local_port(socket),
        close() {
          if (!open) return;
          open = false;
          uWS.us_listen_socket_close(socket);
        },
      });
    });
  });
}

/** Descriptors that the process needs besides connections: database, files, listening sockets. */
const OTHER_DESCRIPTORS = 200;

/** How many connections the descriptor limit leaves room for (Linux); null where that cannot be known. */
export function connectionsByDescriptors(): number | null {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // No procfs: macOS, Windows. The configured cap stands alone there.
    return null;
  }
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Math.max(1, Number(soft) - OTHER_DESCRIPTORS);
}
