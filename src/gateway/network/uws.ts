import uWS, { type TemplatedApp } from 'uWebSockets.js';
import { cannotListen, type NetworkServer, notACertificate, type ServerOptions, type TlsFiles } from './network.ts';

// The package's types leave out the form that takes an address and options; its code has it.
declare module 'uWebSockets.js' {
  interface TemplatedApp {
    listen(
      host: RecognizedString,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ): TemplatedApp;
    /** Its own types call the change a `Number`. */
    filter(tell: (connection: HttpResponse, change: number) => void): TemplatedApp;
  }
}

const SHARED_PORT = 0;

/** LIBUS_LISTEN_EXCLUSIVE_PORT. Without it a second server on the port starts "successfully" and takes half the traffic. */
const EXCLUSIVE_PORT = 1;

function createApp(tls: TlsFiles | null): TemplatedApp {
  if (tls === null) return uWS.App();
  try {
    return uWS.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
  } catch (cause) {
    throw notACertificate(tls, cause);
  }
}

/** A server of uWebSockets.js. Its objects are handed out as they are: the interface costs nothing. */
export function openUwsServer({ tls }: ServerOptions): NetworkServer {
  const app = createApp(tls);
  return {
    app,
    listen: (options) =>
      new Promise((resolve, reject) => {
        // uWebSockets itself only hands `false` to a callback.
        app.listen(options.host, options.port, options.sharePort ? SHARED_PORT : EXCLUSIVE_PORT, (socket) => {
          if (socket === false) {
            reject(cannotListen(options));
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
      }),
    close: () => void app.close(),
  };
}
