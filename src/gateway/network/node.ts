import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Socket, Server as TcpServer } from 'node:net';
import { WebSocketServer } from 'ws';
import {
  cannotListen,
  GatewayConfigError,
  type ListenOptions,
  type NetworkServer,
  notACertificate,
  type Serve,
  type ServerOptions,
  type SocketBehavior,
  type Tell,
} from './network.ts';
import { addressBytes, linger, NodeResponse, requestOf, type Turn } from './node-http.ts';
import { NodeSocket, type OpenSockets, SWEEP_SECONDS } from './node-socket.ts';
import { Topics } from './node-topics.ts';

/** What nginx, which speaks HTTP/1.0 to what is behind it unless told otherwise, passes on to whoever reads it. */
const OLD_PROTOCOL = 'HTTP/1.1 is needed. Behind nginx: proxy_http_version 1.1;\n';

/** A subprotocol's name (RFC 9110, 5.6.2); `ws` would refuse the whole handshake for another one. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What a request that Node cannot read is answered with. */
const UNREADABLE: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Values by pattern: `/a` before `/a/:name` before `/a/*`. */
class Routes<Value> {
  readonly #routes: { readonly pattern: RegExp; readonly rank: number; readonly value: Value }[] = [];

  add(pattern: string, value: Value): void {
    const source = pattern.replaceAll('.', '\\.').replace(/:\w+/g, '([^/]*)').replace(/\*$/, '.*');
    const rank = pattern.endsWith('*') ? 2 : Number(pattern.includes(':'));
    this.#routes.push({ pattern: new RegExp(`^${source}$`), rank, value });
    this.#routes.sort((a, b) => a.rank - b.rank);
  }

  find(path: string): { readonly value: Value; readonly params: readonly string[] } | null {
    for (const { pattern, value } of this.#routes) {
      const match = pattern.exec(path);
      if (match !== null) return { value, params: match.slice(1) };
    }
    return null;
  }
}

/** Takes a WebSocket handshake to one address; the response is that of its request. */
type Handshake = (message: IncomingMessage, head: Buffer, response: ServerResponse, turn: Turn) => void;

/** Answers handshakes of one address. What the peer offers beyond the chosen protocol is not for `ws` to judge. */
function handshakes<Data>(behavior: SocketBehavior<Data>, shared: OpenSockets): Handshake {
  // Newer than the types of `ws`: closeTimeout, the milliseconds that a peer may take to answer a close frame.
  const options = {
    noServer: true,
    autoPong: false,
    maxPayload: behavior.maxPayloadLength,
    perMessageDeflate: false,
    clientTracking: false,
    closeTimeout: 5_000,
  };
  const server = new WebSocketServer(options);
  return (message, head, response, turn) => {
    const { socket } = message;
    const accept = (data: Data, protocol: string): void => {
      response.detachSocket(socket);
      delete message.headers['sec-websocket-extensions'];
      if (TOKEN.test(protocol)) message.headers['sec-websocket-protocol'] = protocol;
      else delete message.headers['sec-websocket-protocol'];
      server.handleUpgrade(message, socket, head, (ws) => {
        turn.upgraded = true;
        new NodeSocket(ws, socket, data, behavior, shared).start();
      });
    };
    behavior.upgrade(new NodeResponse(message, response, turn), requestOf(message, []), { accept });
  };
}

/** RFC 6455, 4.2.1: what else is asked for is answered as a plain request, as uWebSockets.js does. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  );
}

const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0] ?? '/';

function createHttpServer({ tls, maxHeaderBytes }: ServerOptions): Server {
  const options = {
    // Milliseconds, looked at every second; a whole request may take longer than any route waits for a body.
    handshakeTimeout: 10_000,
    headersTimeout: 10_000,
    keepAliveTimeout: 10_000,
    requestTimeout: 60_000,
    connectionsCheckingInterval: 1_000,
    // The gateway itself refuses what is too long, in words; this only ends what is far beyond.
    maxHeaderSize: 2 * maxHeaderBytes + 4096,
    // The gateway itself looks at Host.
    requireHostHeader: false,
  };
  if (tls === null) return createServer(options);
  try {
    return createTlsServer({ ...options, cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
  } catch (cause) {
    throw notACertificate(tls, cause);
  }
}

/** `reusePort` came with Node 22.12 and 23.1; older versions would ignore it. */
export function canSharePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

async function listen(server: Server, options: ListenOptions): Promise<number> {
  const { host, port, sharePort } = options;
  if (sharePort && !canSharePort()) {
    throw new GatewayConfigError(
      `Several processes on one port need uWebSockets.js or Node 22.12; this is Node ${process.versions.node} without it.`,
    );
  }
  // Newer than the types of the oldest Node: reusePort.
  const where = { host, port, exclusive: true, reusePort: sharePort };
  await once(server.listen(where), 'listening').catch((cause: unknown) => {
    throw cannotListen(options, cause);
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** Answers what is no request, where anybody is left to read the answer. `code` is what the parser says of it. */
function refuseUnreadable(socket: Socket, code: string): void {
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = UNREADABLE[code] ?? '400 Bad Request';
  socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  linger(socket);
}

/** Takes a connection out of Node's hands for a handshake; false when it is cut instead. */
function mayAnswer(socket: Socket, turn: Turn): boolean {
  // Its errors end it, and `close` tells who cares.
  socket.on('error', () => socket.destroy());
  // Who closed its side already is not answered: `ws` would not open for it.
  const isOpen = !turn.busy && !turn.last && socket.readable && socket.writable;
  if (!isOpen) socket.destroy();
  return isOpen;
}

/** The response to the request of a handshake. Where that is none, the connection ends with it. */
function lastResponse(message: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(message);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => linger(socket));
  return response;
}

function sweepOften({ open }: OpenSockets): NodeJS.Timeout {
  const timer = setInterval(() => {
    for (const socket of open) socket.sweep();
  }, SWEEP_SECONDS * 1000);
  return timer.unref();
}

/** Remembers a connection until its end, and tells of both. */
function takeUp(socket: Socket, turns: Map<Socket, Turn>, filters: readonly Tell[]): void {
  const turn: Turn = { busy: false, last: false, upgraded: false };
  const connection = { getRemoteAddress: () => addressBytes(socket.remoteAddress), close: () => socket.destroy() };
  turns.set(socket, turn);
  for (const tell of filters) tell(connection, 1);
  socket.once('close', () => {
    turns.delete(socket);
    if (!turn.upgraded) for (const tell of filters) tell(connection, -1);
  });
}

/** A server of Node's `http` and of `ws`, in pure JavaScript. What it cannot do is in the README beside. */
export function openNodeServer(options: ServerOptions): NetworkServer {
  const server = createHttpServer(options);
  const shared: OpenSockets = { topics: new Topics(), open: new Set() };
  const sweep = sweepOften(shared);
  const [gets, anys] = [new Routes<Serve>(), new Routes<Serve>()];
  const socketRoutes = new Routes<Handshake>();
  const turns = new Map<Socket, Turn>();
  const filters: Tell[] = [];

  /** Of a connection that is gone, nothing more is answered. */
  const turnOf = (socket: Socket): Turn => turns.get(socket) ?? { busy: true, last: true, upgraded: false };

  function serve(message: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(message);
    const route = (message.method === 'GET' ? gets.find(path) : null) ?? anys.find(path);
    if (route === null) {
      message.socket.destroy();
      return;
    }
    const answer = new NodeResponse(message, response, turnOf(message.socket));
    route.value(answer, requestOf(message, route.params));
    if (!answer.isRead) message.resume();
  }

  // Requests come from the socket that the handshake of TLS made, not from the one below it.
  server.on(options.tls === null ? 'connection' : 'secureConnection', (socket: Socket) => {
    takeUp(socket, turns, filters);
  });

  server.on('request', (message, response) => {
    if (message.httpVersion !== '1.1') {
      response.writeHead(505, { Connection: 'close', 'Content-Type': 'text/plain' }).end(OLD_PROTOCOL);
      return;
    }
    const turn = turnOf(message.socket);
    // As uWebSockets.js does: who asks before the answer is taken is cut, and what follows a last answer is not read.
    if (turn.busy) message.socket.destroy();
    else if (!turn.last) serve(message, response);
  });

  server.on('upgrade', (message: IncomingMessage, socket: unknown, head: Buffer) => {
    if (!(socket instanceof Socket)) return;
    const turn = turnOf(socket);
    if (!mayAnswer(socket, turn)) return;
    const response = lastResponse(message, socket);
    const route = isHandshake(message) ? socketRoutes.find(pathOf(message)) : null;
    if (route === null) serve(message, response);
    else route.value(message, head, response, turn);
  });

  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
    if (socket instanceof Socket && !turnOf(socket).busy) refuseUnreadable(socket, code);
    else socket.destroy();
  });

  return {
    app: {
      get: (pattern, serve) => gets.add(pattern, serve),
      any: (pattern, serve) => anys.add(pattern, serve),
      ws: (pattern, behavior) => socketRoutes.add(pattern, handshakes(behavior, shared)),
      filter: (tell) => filters.push(tell),
      publish: (topic, text) => shared.topics.publish(topic, text),
    },
    async listen(where) {
      const port = await listen(server, where);
      // Of `http`, the close also ends connections that wait between two requests: those still get an answer here.
      return { port, close: () => void TcpServer.prototype.close.call(server) };
    },
    close() {
      clearInterval(sweep);
      for (const socket of turns.keys()) socket.destroy();
      server.close();
    },
  };
}
