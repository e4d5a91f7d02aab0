import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { endWithBench } from './options.ts';
import { type Told, watchNumbers } from './watcher.ts';

/** Carries the change stream into a broker, which then fans out: one connection, nothing awaited. */

const { values } = parseArgs({
  options: {
    uri: { type: 'string' },
    database: { type: 'string' },
    broker: { type: 'string' },
    port: { type: 'string' },
  },
});
const { uri, database, broker, port } = values;
if (uri === undefined || database === undefined) throw new Error('--uri and --database are needed');

/** The length prefix of MQTT texts. */
const prefixed = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};

/** MQTT's variable length: seven bits a byte, lowest first. */
function variableLength(length: number): Buffer {
  const bytes: number[] = [];
  for (let left = length; left > 0 || bytes.length === 0; left >>= 7) bytes.push((left & 127) | (left > 127 ? 128 : 0));
  return Buffer.from(bytes);
}

const mqttPacket = (kind: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([kind]), variableLength(body.length), body]);

interface Broker {
  /** What the connection begins with. */
  readonly greeting: Buffer;
  message(event: Told): Buffer;
  /** Answers that must not stay unanswered. */
  answer?(socket: Socket, bytes: Buffer): void;
}

const BROKERS: Readonly<Record<string, Broker>> = {
  mqtt: {
    greeting: mqttPacket(0x10, Buffer.concat([prefixed('MQTT'), Buffer.from([4, 2, 0, 0]), prefixed('feed')])),
    message: ({ topic, text }) => mqttPacket(0x30, Buffer.concat([prefixed(topic), Buffer.from(text)])),
  },
  nats: {
    greeting: Buffer.from('CONNECT {"verbose":false}\r\n'),
    message: ({ topic, text }) => Buffer.from(`PUB ${topic} ${Buffer.byteLength(text)}\r\n${text}\r\n`),
    answer(socket, bytes) {
      if (bytes.includes('PING')) socket.write('PONG\r\n');
    },
  },
  nchan: {
    greeting: Buffer.alloc(0),
    message: ({ topic, text }) =>
      Buffer.from(
        `POST /pub?topic=${encodeURIComponent(topic)} HTTP/1.1\r\nHost: feed\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      ),
  },
};

const spoken = BROKERS[broker ?? ''];
if (spoken === undefined) throw new Error(`--broker must be one of ${Object.keys(BROKERS).join(', ')}`);
const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
socket.on('data', (bytes) => spoken.answer?.(socket, bytes));
socket.on('close', () => process.exit(1));
await new Promise<void>((resolve) => socket.once('connect', resolve));
socket.write(spoken.greeting);
await watchNumbers({ uri, database }, (events) => {
  socket.cork();
  for (const event of events) socket.write(spoken.message(event));
  socket.uncork();
});
console.log('feeding');
endWithBench();
