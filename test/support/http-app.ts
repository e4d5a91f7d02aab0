import net from 'node:net';
import type { Grant } from '../../src/gateway/door/access.ts';
import type { Authenticator } from '../../src/gateway/door/jwt.ts';
import type { HttpDeps } from '../../src/gateway/http/deps.ts';
import { HTTP_DEFAULTS, type HttpOptions } from '../../src/gateway/http/options.ts';
import type { Route } from '../../src/gateway/http/route.ts';
import { httpRoutes, routesOf } from '../../src/gateway/http/routes.ts';
import { chooseNetwork } from '../../src/gateway/network/choose.ts';
import type { EmitEventOptions } from '../../src/legacy/emit-event.ts';
import { type LegacyHttpDeps, legacyRoutes } from '../../src/legacy/http.ts';
import { type FakeDeps, fakeDeps } from './http-deps.ts';
import { TEST_NETWORK } from './network.ts';

const EMIT_EVENT_DEFAULTS: EmitEventOptions = { emitEvent: 'store', confirmWaitMs: 5_000 };

export interface HttpApp {
  readonly url: string;
  readonly port: number;
  readonly deps: FakeDeps;
  stop(): void;
}

/** Every route, also those of the first system. */
export const allRoutes = (): readonly Route[] =>
  routesOf(fakeDeps(), HTTP_DEFAULTS, legacyRoutes(fakeDeps(), EMIT_EVENT_DEFAULTS), null);

/** Gives every token the same grant. */
export const granting = (grant: Grant, recheck: Authenticator['recheck'] = () => undefined): Authenticator => ({
  authenticate: async () => grant,
  recheck,
});

/** A server with the HTTP routes alone, on a free port, over a fake database and feed. */
export async function startHttpApp(
  options: Partial<HttpOptions & EmitEventOptions> = {},
  overrides: Partial<HttpDeps & LegacyHttpDeps> = {},
  authenticator: Authenticator | null = null,
): Promise<HttpApp> {
  const deps = fakeDeps(overrides);
  const legacy = legacyRoutes(deps, { ...EMIT_EVENT_DEFAULTS, ...options });
  const http = { ...HTTP_DEFAULTS, ...options };
  const { open } = await chooseNetwork(TEST_NETWORK);
  const server = open({ tls: null, maxHeaderBytes: http.maxHeaderBytes });
  httpRoutes(deps, http, legacy)(server.app, authenticator);
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, sharePort: false });
  return { url: `http://127.0.0.1:${port}`, port, deps, stop: () => server.close() };
}

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** All that came, until the server closed or `until` was satisfied. */
  readonly text: string;
  readonly closed: boolean;
}

/** Sends bytes as they are and reads until `until` holds (by default one whole answer) or the server closes. */
export function rawExchange(
  port: number,
  bytes: string | Uint8Array,
  until: (text: string) => boolean = isWholeAnswer,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    const finish = (closed: boolean): void => {
      socket.destroy();
      resolve({ ...parsed(text), text, closed });
    };
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (until(text)) finish(false);
    });
    socket.on('close', () => finish(true));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
  });
}

/** For `until`: waits for the server to close. */
export const untilClosed = (): boolean => false;

function isWholeAnswer(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  if (/^HTTP\/1\.1 (?:204|304) /.test(text)) return true;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, end))?.[1];
  return text.length - end - 4 >= Number(length ?? 0);
}

function parsed(text: string): Omit<RawAnswer, 'text' | 'closed'> {
  const end = text.indexOf('\r\n\r\n');
  const [line = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers = new Map(
    lines.map((header): [string, string] => {
      const colon = header.indexOf(':');
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
    }),
  );
  return { status: Number(line.split(' ')[1] ?? 0), headers, body: end < 0 ? '' : text.slice(end + 4) };
}
