import { connect, type Socket } from 'node:net';
import { type Document, deserialize, serialize } from 'bson';
import { createFraming } from '../../../src/embedded/wire/framing.ts';

/** One connection that speaks raw OP_MSG: what a command gets is exactly what the test says, nothing is added. */
export interface WireClient {
  /** Sends a command and gives its reply with every BSON type kept. */
  command(body: Document): Promise<Document>;
  /** The reply as it is on the wire. */
  rawCommand(body: Document): Promise<Buffer>;
  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void;
  /** The next whole message from the server; rejects when the connection ends first. */
  nextMessage(): Promise<Buffer>;
  readonly closed: Promise<void>;
  readonly socket: Socket;
  close(): void;
}

const HEAD = 21;

export function messageOf(body: Document, requestId = 1, flags = 0): Buffer {
  const bytes = serialize(body, { ignoreUndefined: true });
  const head = Buffer.alloc(HEAD);
  head.writeInt32LE(HEAD + bytes.length, 0);
  head.writeInt32LE(requestId, 4);
  head.writeInt32LE(2013, 12);
  head.writeUInt32LE(flags, 16);
  return Buffer.concat([head, bytes]);
}

export function bodyOf(message: Buffer): Document {
  return deserialize(message.subarray(HEAD), { promoteValues: false, promoteLongs: false, bsonRegExp: true });
}

export async function connectWire(port: number): Promise<WireClient> {
  const socket = connect(port, '127.0.0.1');
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const framing = createFraming();
  const arrived: Buffer[] = [];
  const waiting: { resolve(message: Buffer): void; reject(error: Error): void }[] = [];
  let ended = false;
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      ended = true;
      for (const one of waiting.splice(0)) one.reject(new Error('the server closed the connection'));
      resolve();
    });
  });
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    for (const message of framing.push(chunk)) {
      const next = waiting.shift();
      if (next === undefined) arrived.push(message);
      else next.resolve(message);
    }
  });
  let requestId = 0;
  const nextMessage = (): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const message = arrived.shift();
      if (message !== undefined) resolve(message);
      else if (ended) reject(new Error('the server closed the connection'));
      else waiting.push({ resolve, reject });
    });
  const rawCommand = (body: Document): Promise<Buffer> => {
    requestId += 1;
    socket.write(messageOf(body, requestId));
    return nextMessage();
  };
  return {
    rawCommand,
    command: async (body) => bodyOf(await rawCommand(body)),
    write: (bytes) => void socket.write(bytes),
    nextMessage,
    closed,
    socket,
    close: () => socket.destroy(),
  };
}
