import { connect, type Socket } from 'node:net';
import { type Document, deserialize, ObjectId, serialize, UUID } from 'bson';

/** A client of bare OP_MSG bytes, since a driver would cost more than the server under measurement. */

const HEAD = 21;
const OP_MSG = 2013;

/** A command as a whole message. */
export function messageOf(body: Document): Buffer {
  const bytes = serialize(body);
  const message = Buffer.alloc(HEAD + bytes.length);
  message.writeInt32LE(message.length, 0);
  message.writeInt32LE(OP_MSG, 12);
  message.set(bytes, HEAD);
  return message;
}

export interface BenchWire {
  /** Sends a message; `onReply` hears of its answer, in the order of sending. */
  send(message: Buffer, onReply: (body: Buffer) => void): void;
  /** Sends a command and decodes its answer. @throws Error when it is not ok */
  command(body: Document): Promise<Document>;
  close(): void;
}

export async function connectBench(port: number): Promise<BenchWire> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const waiting: ((body: Buffer) => void)[] = [];
  let first = 0;
  let left = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    let bytes = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    while (bytes.length >= 4) {
      const length = bytes.readInt32LE(0);
      if (bytes.length < length) break;
      const onReply = waiting[first];
      first += 1;
      onReply?.(bytes.subarray(HEAD, length));
      bytes = bytes.subarray(length);
    }
    left = bytes;
    if (first < 1024) return;
    waiting.splice(0, first);
    first = 0;
  });
  const send = (message: Buffer, onReply: (body: Buffer) => void) => {
    waiting.push(onReply);
    socket.write(message);
  };
  return {
    send,
    command: (body) =>
      new Promise((resolve, reject) => {
        send(messageOf(body), (reply) => {
          const document = deserialize(reply, { promoteLongs: false });
          if (document['ok'] === 1 && document['writeErrors'] === undefined) resolve(document);
          else reject(new Error(JSON.stringify(document)));
        });
      }),
    close: () => socket.destroy(),
  };
}

/** Messages that insert one number each, of the size that scrapers send, as a driver would: in a session. */
export function insertMessages(writeConcern: Document): () => Buffer {
  const id = new ObjectId();
  const template = messageOf({
    insert: 'numbers',
    documents: [
      { _id: id, roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, cor: 'preto', timestamp: new Date() },
    ],
    lsid: { id: new UUID().toBinary() },
    writeConcern,
    $db: 'bench',
  });
  const place = template.indexOf(id.id);
  return () => {
    const message = Buffer.from(template);
    message.set(new ObjectId().id, place);
    return message;
  };
}

/** Inserts for so long, each connection with `window` of them under way. @returns inserts per second */
export async function insertsPerSecond(
  port: number,
  writeConcern: Document,
  { connections = 16, window = 16, milliseconds }: { connections?: number; window?: number; milliseconds: number },
): Promise<number> {
  const wires = await Promise.all(Array.from({ length: connections }, () => connectBench(port)));
  const started = performance.now();
  const until = started + milliseconds;
  let done = 0;
  await Promise.all(
    wires.map((wire) => {
      const next = insertMessages(writeConcern);
      let open = 0;
      return new Promise<void>((resolve) => {
        const one = () => {
          open += 1;
          wire.send(next(), () => {
            open -= 1;
            done += 1;
            if (performance.now() < until) one();
            else if (open === 0) resolve();
          });
        };
        for (let at = 0; at < window; at += 1) one();
      });
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const wire of wires) wire.close();
  return done / seconds;
}
