import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIPv4, type Socket } from 'node:net';
import type { HttpRequest, HttpResponse } from './network.ts';

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
  const lines = message.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : utf8(text)));
  return {
    getMethod: () => (message.method ?? '').toLowerCase(),
    getUrl: () => (question < 0 ? url : url.slice(0, question)),
    getQuery: () => (question < 0 ? undefined : url.slice(question + 1)),
    getHeader(name) {
      const at = lines.findIndex((text, index) => index % 2 === 0 && text === name);
      return at < 0 ? '' : (lines[at + 1] ?? '');
    },
    getParameter: (index) => params[index] ?? '',
    forEach(visit) {
      for (let at = 0; at + 1 < lines.length; at += 2) visit(lines[at] ?? '', lines[at + 1] ?? '');
    },
  };
}

/** The bytes of an address as text: 4 for IPv4, else 16. Empty when it is none. */
function addressBytes(text: string | undefined): ArrayBuffer {
  if (text === undefined) return new ArrayBuffer(0);
  const v4 = text.startsWith('::ffff:') ? text.slice('::ffff:'.length) : text;
  if (isIPv4(v4)) return Uint8Array.from(v4.split('.'), Number).buffer;
  const [head = '', tail] = (text.split('%', 1)[0] ?? '').split('::', 2);
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [left, right] = [groupsOf(head), groupsOf(tail ?? '')];
  const middle = new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  const groups = [...left, ...middle, ...right].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])).buffer;
}

/** Ends a connection whose last answer is written: what still comes is thrown away for a while, since a reset would
 * take the answer from a client that is in the middle of its own body. */
export function linger(socket: Socket): void {
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** Where a connection stands between its requests. */
export interface Turn {
  /** In the middle of an answer: another request ends the connection. */
  busy: boolean;
  /** The last answer was given. */
  last: boolean;
}

/** A response of Node as the gateway's rooms write it. */
export function responseOf(
  message: IncomingMessage,
  response: ServerResponse,
  turn: Turn,
): HttpResponse & { isRead(): boolean } {
  const { socket } = message;
  const headers: string[] = [];
  let status = ['200', 'OK'];
  let over = false;
  let reading = false;
  let aborted: (() => void) | null = null;
  let writable: (() => void) | null = null;
  let waiting = false;
  turn.busy = true;

  response.on('close', abort);
  response.on('error', abort);

  function abort(): void {
    if (over) return;
    over = true;
    aborted?.();
  }

  function begin(more: readonly string[], close: boolean): void {
    if (response.headersSent) return;
    // HTTP/1.1 keeps connections anyway.
    response.removeHeader('Connection');
    const [code = '200', ...words] = status;
    response.writeHead(Number(code), words.join(' '), [...headers, ...more, ...(close ? ['Connection', 'close'] : [])]);
  }

  /** Node gathers what is written in one turn; here the system is asked at once, since the answer is how much it took. */
  function settle(): boolean {
    while (socket.writableCorked > 0) socket.uncork();
    return socket.writableLength === 0;
  }

  function watch(): void {
    if (waiting) return;
    waiting = true;
    socket.write('', () => {
      waiting = false;
      if (!over) writable?.();
    });
  }

  function last(): void {
    turn.last = true;
    if (!message.complete) socket.destroySoon = () => linger(socket);
  }

  function finish(body: string | Uint8Array | undefined): void {
    over = true;
    turn.busy = false;
    response.end(body);
    if (settle()) return;
    // The next request must wait until this answer is taken, or its client could ask on and on and never read.
    turn.busy = true;
    socket.setTimeout(STALL_MS);
    response.once('finish', () => {
      turn.busy = false;
    });
  }

  const self: ReturnType<typeof responseOf> = {
    isRead: () => reading,
    onAborted(listener) {
      aborted = listener;
    },
    onWritable(resume) {
      writable = () => void resume(0);
    },
    onData(take) {
      reading = true;
      message.on('data', (chunk: Buffer) => {
        if (!over) take(new Uint8Array(chunk).buffer, false);
      });
      message.on('end', () => {
        if (!over) take(new ArrayBuffer(0), true);
      });
    },
    writeStatus(line) {
      status = line.split(' ');
    },
    writeHeader(name, value) {
      headers.push(name, value);
    },
    write(chunk) {
      begin([], false);
      response.write(chunk);
      const taken = settle();
      if (!taken) watch();
      return taken;
    },
    tryEnd(rest) {
      self.end(rest);
      return [true, true];
    },
    end(body, closeConnection = false) {
      if (over) return;
      const length = body === undefined ? 0 : Buffer.byteLength(body);
      begin(['Content-Length', String(length)], closeConnection);
      if (closeConnection) last();
      finish(body);
    },
    endWithoutBody(length) {
      begin(['Content-Length', String(length)], false);
      finish(undefined);
    },
    cork: (act) => act(),
    close() {
      abort();
      socket.destroy();
    },
    upgrade(data, _key, protocol, _extensions, context) {
      over = true;
      turn.busy = false;
      context.accept?.(data, protocol);
    },
    getRemoteAddress: () => addressBytes(socket.remoteAddress),
  };
  return self;
}
