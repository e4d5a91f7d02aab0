import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { HttpRequest, HttpResponse, UpgradeContext } from './network.ts';

/** How long a reader may take nothing of an answer that is complete here. */
const STALL_MS = 10_000;

/** How long a connection that was told to close may go on sending, so that its answer is not lost to a reset. */
const LINGER_MS = 1_000;

/** Bytes above ASCII come as Latin-1 from Node and are meant as UTF-8. */
const utf8 = (text: string): string => (/[\x80-\xff]/.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text);

/** A request of Node as routes read it. `params` is what the pattern's names stand for. */
export function requestOf(message: IncomingMessage, params: readonly string[]): HttpRequest {
  const url = utf8(message.url ?? '/');
  const question = url.indexOf('?');
  const headers = message.rawHeaders.flatMap((name, at, lines) =>
    at % 2 === 0 ? [[name.toLowerCase(), utf8(lines[at + 1] ?? '')] as const] : [],
  );
  return {
    getMethod: () => (message.method ?? '').toLowerCase(),
    getUrl: () => (question < 0 ? url : url.slice(0, question)),
    getQuery: () => (question < 0 ? undefined : url.slice(question + 1)),
    getHeader: (wanted) => headers.find(([name]) => name === wanted)?.[1] ?? '',
    getParameter: (index) => params[index] ?? '',
    forEach(visit) {
      for (const [name, value] of headers) visit(name, value);
    },
  };
}

/** The bytes of an address as text: 4 for IPv4, also one mapped into IPv6, else 16. Empty when it is none. */
export const addressBytes = (text = ''): ArrayBuffer =>
  Uint8Array.from(ipaddr.isValid(text) ? ipaddr.process(text).toByteArray() : []).buffer;

/** Ends a connection whose last answer is written: what still comes is thrown away for a while, since a reset would
 * take the answer from a client that is in the middle of its own body. */
export function linger(socket: Socket): void {
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** What is known of a connection between its requests. */
export interface Turn {
  /** In the middle of an answer: another request ends the connection. */
  busy: boolean;
  /** The last answer was given. */
  last: boolean;
  /** A WebSocket now. */
  upgraded: boolean;
}

/** A response of Node as the gateway's rooms write it. A class: there is one for each request. */
export class NodeResponse implements HttpResponse {
  /** Whether somebody takes the body. */
  isRead = false;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #turn: Turn;
  readonly #headers: string[] = [];
  #status = '200 OK';
  #over = false;
  #watching = false;
  #aborted: (() => void) | null = null;
  #writable: (() => void) | null = null;

  constructor(message: IncomingMessage, response: ServerResponse, turn: Turn) {
    this.#message = message;
    this.#response = response;
    this.#turn = turn;
    turn.busy = true;
    response.on('close', () => this.#abort());
    response.on('error', () => this.#abort());
  }

  onAborted(aborted: () => void): void {
    this.#aborted = aborted;
  }

  onWritable(resume: (offset: number) => boolean): void {
    this.#writable = () => void resume(0);
  }

  onData(take: (chunk: ArrayBuffer, isLast: boolean) => void): void {
    this.isRead = true;
    const hand = (bytes: ArrayBuffer, isLast: boolean): void => {
      if (!this.#over) take(bytes, isLast);
    };
    this.#message.on('data', (chunk: Buffer) => hand(new Uint8Array(chunk).buffer, false));
    this.#message.on('end', () => hand(new ArrayBuffer(0), true));
  }

  writeStatus(status: string): void {
    this.#status = status;
  }

  writeHeader(name: string, value: string): void {
    this.#headers.push(name, value);
  }

  write(chunk: string): boolean {
    this.#begin();
    this.#response.write(chunk);
    const taken = this.#settle();
    if (!taken) this.#watch();
    return taken;
  }

  tryEnd(rest: Uint8Array): readonly [boolean, boolean] {
    this.end(rest);
    return [true, true];
  }

  end(body?: string | Uint8Array, closeConnection = false): void {
    if (this.#over) return;
    if (closeConnection) this.#endAfterThis();
    this.#begin('Content-Length', String(body === undefined ? 0 : Buffer.byteLength(body)));
    this.#finish(body);
  }

  endWithoutBody(length?: number): void {
    this.#begin(...(length === undefined ? [] : ['Content-Length', String(length)]));
    this.#finish();
  }

  cork(act: () => void): void {
    act();
  }

  close(): void {
    this.#abort();
    this.#message.socket.destroy();
  }

  upgrade<Data>(data: Data, _key: string, protocol: string, _extensions: string, context: UpgradeContext<Data>): void {
    this.#over = true;
    this.#turn.busy = false;
    context.accept?.(data, protocol);
  }

  getRemoteAddress(): ArrayBuffer {
    return addressBytes(this.#message.socket.remoteAddress);
  }

  #abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#aborted?.();
  }

  #begin(...more: readonly string[]): void {
    if (this.#response.headersSent) return;
    // HTTP/1.1 keeps connections anyway.
    if (this.#response.shouldKeepAlive) this.#response.removeHeader('Connection');
    const [code = '200', ...words] = this.#status.split(' ');
    this.#response.writeHead(Number(code), words.join(' '), [...this.#headers, ...more]);
  }

  /** The connection ends with this answer. */
  #endAfterThis(): void {
    const { socket, complete } = this.#message;
    this.#turn.last = true;
    this.#response.shouldKeepAlive = false;
    if (!complete) socket.destroySoon = () => linger(socket);
  }

  #finish(body?: string | Uint8Array): void {
    const turn = this.#turn;
    this.#over = true;
    this.#response.end(body);
    turn.busy = !this.#settle();
    if (!turn.busy) return;
    // The next request must wait until this answer is taken, or its client could ask on and on and never read.
    this.#message.socket.setTimeout(STALL_MS);
    this.#response.once('finish', () => {
      turn.busy = false;
    });
  }

  /** Node gathers what is written in one turn; here the system is asked at once, since the answer is how much it took. */
  #settle(): boolean {
    const { socket } = this.#message;
    while (socket.writableCorked > 0) socket.uncork();
    return socket.writableLength === 0;
  }

  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#message.socket.write('', () => {
      this.#watching = false;
      if (!this.#over) this.#writable?.();
    });
  }
}
