/**
 * What the gateway uses of the network: a small part of the interface of uWebSockets.js, which is one of its two makers;
 * the other is Node's own `http` with `ws`. Nothing outside this folder knows which one runs.
 * Calls have the meaning of uWebSockets.js: https://unetworking.github.io/uWebSockets.js/generated/
 */

/** The gateway could not start: the port is taken, or the address is not this machine's. */
export class GatewayStartError extends Error {
  override readonly name = 'GatewayStartError';
}

/** The same for a reason that only another configuration, or another machine, removes; the message says what to do. */
export class GatewayConfigError extends Error {
  override readonly name = 'GatewayConfigError';
}

/** A request; valid only until its callback returns or first awaits. */
export interface HttpRequest {
  /** In lower case. */
  getMethod(): string;
  /** The path as it was sent, without the query. */
  getUrl(): string;
  /** As it was sent, without `?`; empty or undefined when there is none. */
  getQuery(): string | undefined;
  /** Lower-case name; empty when the header is absent. */
  getHeader(name: string): string;
  /** What the nth `:name` of the route's pattern stands for, as it was sent. */
  getParameter(index: number): string;
  /** Every header line in its order, names in lower case. */
  forEach(visit: (name: string, value: string) => void): void;
}

/** What the upgrade of one request needs; handed from `upgrade` of the behavior to that of the response, untouched. */
export interface UpgradeContext<Data> {
  /** Of the maker that has no such thing of its own. */
  readonly accept?: (data: Data, protocol: string) => void;
}

/**
 * The answer to one request. Once it was ended, or `onAborted` was called, nothing of it may be called any more. A
 * callback that returns without having ended it must have set `onAborted` before.
 */
export interface HttpResponse {
  /** Called once when the connection is gone before the response was ended. */
  onAborted(aborted: () => void): unknown;
  /** Hands the body over as it comes; a chunk is valid only during the call. */
  onData(take: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  /** Called when the reader has taken what was written; `offset` counts bytes of the body. True when nothing is left. */
  onWritable(resume: (offset: number) => boolean): unknown;
  /** `200 OK`; before the first header. */
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  /** Writes a chunk of a body of unknown length; false when the system did not take all that was written. */
  write(chunk: string): boolean;
  /** Writes the rest of a body of `total` bytes: whether all of it was taken, and whether the response is complete. */
  tryEnd(rest: Uint8Array, total: number): readonly [taken: boolean, complete: boolean];
  end(body?: string | Uint8Array, closeConnection?: boolean): unknown;
  /** Ends with headers alone, which name this length; without one, none. */
  endWithoutBody(length?: number): unknown;
  /** What is written inside goes out as one. */
  cork(act: () => void): unknown;
  /** Cuts the connection; `onAborted` is called. */
  close(): unknown;
  /** Answers a WebSocket handshake; the socket's `open` is called before this returns. */
  upgrade<Data>(data: Data, key: string, protocol: string, extensions: string, context: UpgradeContext<Data>): void;
  /** 4 or 16 bytes. */
  getRemoteAddress(): ArrayBuffer;
}

/** An open WebSocket. After its `close` callback nothing of it may be called any more. */
export interface ServerSocket<Data> {
  getUserData(): Data;
  send(message: string | ArrayBuffer, isBinary?: boolean, compress?: boolean): unknown;
  subscribe(topic: string): unknown;
  unsubscribe(topic: string): unknown;
  /** Bytes that the system has not taken. */
  getBufferedAmount(): number;
  cork(act: () => void): unknown;
  /** Sends a close frame and closes; `close` is called before this returns. */
  end(code?: number, reason?: string): void;
  /** Cuts the connection; `close` is called before this returns. */
  close(): void;
}

/** What the WebSockets of one address do, and their limits. */
export interface SocketBehavior<Data> {
  /** A longer message ends its connection. */
  readonly maxPayloadLength: number;
  /** Unsent bytes at which a connection is closed, after `dropped`. */
  readonly maxBackpressure: number;
  readonly closeOnBackpressureLimit: number;
  /** Seconds without a byte from the peer after which the connection is cut; a ping goes out 16 s before. */
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  readonly maxLifetime: number;
  upgrade(res: HttpResponse, req: HttpRequest, context: UpgradeContext<Data>): void;
  open(socket: ServerSocket<Data>): void;
  /** The message is valid only during the call. */
  message(socket: ServerSocket<Data>, message: ArrayBuffer, isBinary: boolean): void;
  ping?(socket: ServerSocket<Data>): void;
  /** The peer took some of what was unsent. */
  drain?(socket: ServerSocket<Data>): void;
  dropped(socket: ServerSocket<Data>): void;
  close(socket: ServerSocket<Data>, code: number, message: ArrayBuffer): void;
}

export type Serve = (res: HttpResponse, req: HttpRequest) => void;

/** A connection before its first request. */
export type Tell = (connection: Pick<HttpResponse, 'getRemoteAddress' | 'close'>, change: number) => void;

/** Where routes are registered: `/a`, `/a/:name`, `/a/*`. A route of the method goes before one of any method. */
export interface NetworkApp {
  get(pattern: string, serve: Serve): unknown;
  any(pattern: string, serve: Serve): unknown;
  ws<Data>(pattern: string, behavior: SocketBehavior<Data>): unknown;
  /**
   * Tells of every connection: 1 when it opens, and may be cut; -1 when it closes, and no longer has an address. One that
   * became a WebSocket is not told of again.
   */
  filter(tell: Tell): unknown;
  /** Sends a text to every WebSocket of the topic. */
  publish(topic: string, message: string): unknown;
}

/** What a server is opened with. */
export interface ServerOptions {
  readonly tls: TlsFiles | null;
  /** What the gateway accepts of a request line and its headers; a maker may allow more. */
  readonly maxHeaderBytes: number;
}

/** Certificate and key, as files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where to listen. */
export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** True lets several processes listen on the port (SO_REUSEPORT); false makes a taken port an error. */
  readonly sharePort: boolean;
}

/** A listening socket: its port, and how to stop taking connections. */
export interface Listening {
  readonly port: number;
  close(): void;
}

/** One server. */
export interface NetworkServer {
  readonly app: NetworkApp;
  /** Listens, or rejects with GatewayStartError, or GatewayConfigError where this maker can never do it. */
  listen(options: ListenOptions): Promise<Listening>;
  /** Cuts all connections and stops listening. */
  close(): void;
}

/** A maker of servers. Throws GatewayConfigError for files that are not a certificate and its key. */
export type OpenServer = (options: ServerOptions) => NetworkServer;

export const notACertificate = ({ certFile, keyFile }: TlsFiles, cause: unknown): GatewayConfigError =>
  new GatewayConfigError(`TLS: ${certFile} and ${keyFile} are not a certificate and its key.`, { cause });

export const cannotListen = ({ host, port }: ListenOptions, cause?: unknown): GatewayStartError =>
  new GatewayStartError(`Cannot listen on ${host}:${port}: the port is in use or the address is not this machine's.`, {
    cause,
  });
