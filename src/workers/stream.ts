import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';

/** One end of a line between the process that reads MongoDB and a worker: messages of text, in order. */
interface StreamLink {
  /** What the other end sends; ends with the line. */
  readonly messages: AsyncIterable<string>;
  /** A peer that does not take what it is sent is cut off: it connects again, and is given what it missed. */
  send(message: string): void;
  /** Whether more can be sent now. Where it cannot, `StreamPeer.drained` is called when it can. */
  hasRoom(): boolean;
  close(): void;
}

export interface StreamServer {
  /** Cuts all lines and takes no more. */
  stop(): Promise<void>;
}

/** Ends a message. JSON never has this byte inside a text. */
const END = '\0';

/** Unsent bytes at which a peer is cut off. */
const MAX_UNSENT_BYTES = 256 * 1024 * 1024;

async function* messagesOf(socket: Socket): AsyncGenerator<string, void> {
  let pieces: string[] = [];
  for await (const chunk of socket) {
    const parts = String(chunk).split(END);
    for (let at = 0; at < parts.length - 1; at++) {
      yield pieces.length === 0 ? (parts[at] ?? '') : [...pieces, parts[at]].join('');
      pieces = [];
    }
    const rest = parts.at(-1) ?? '';
    if (rest !== '') pieces.push(rest);
  }
}

type Encode = (message: string) => Uint8Array;

/** Encodes messages. The same one goes to every worker, one after the other, and is encoded for the first of them. */
function createEncoder(): Encode {
  let last = { message: '', bytes: Buffer.from(END) };
  return (message) => {
    if (message !== last.message) last = { message, bytes: Buffer.from(message + END) };
    return last.bytes;
  };
}

function linkOver(socket: Socket, encode: Encode): StreamLink {
  socket.setEncoding('utf8');
  return {
    messages: messagesOf(socket),
    send(message) {
      if (socket.destroyed) return;
      socket.write(encode(message));
      if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy();
    },
    hasRoom: () => !socket.destroyed && !socket.writableNeedDrain,
    close: () => void socket.destroy(),
  };
}

/** What serves one line: told what comes on it, when it has room again, and of its end. */
interface StreamPeer {
  said(message: string): void;
  drained(): void;
  closed(): void;
}

/** Serves lines at a path: a Unix domain socket, or a named pipe on Windows. Rejects when the path cannot be had. */
export async function serveStream(path: string, open: (link: StreamLink) => StreamPeer): Promise<StreamServer> {
  const sockets = new Set<Socket>();
  const encode = createEncoder();
  const server = createServer((socket) => {
    sockets.add(socket);
    // What went wrong ends the line, and the worker that had it says so.
    socket.on('error', () => undefined);
    const link = linkOver(socket, encode);
    const peer = open(link);
    socket.on('drain', peer.drained);
    socket.once('close', () => {
      sockets.delete(socket);
      peer.closed();
    });
    void serve(link, peer);
  });
  // A killed process leaves its socket behind.
  if (process.platform !== 'win32') rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function serve(link: StreamLink, peer: StreamPeer): Promise<void> {
  try {
    for await (const message of link.messages) peer.said(message);
  } catch {
    // The line broke, or what came on it cannot be read: both end it, and the worker opens another.
  }
  link.close();
}

/** Opens a line to a path. Rejects when nobody listens there. */
export async function openStream(path: string): Promise<StreamLink> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return linkOver(socket, createEncoder());
}
