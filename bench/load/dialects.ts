import { BINARY, TEXT, type Wire } from './wire.ts';

export const DIALECTS = ['runcash', 'plain', 'socketio', 'nchan', 'mqtt', 'nats'] as const;
export type DialectName = (typeof DIALECTS)[number];

/** What one frame means to a subscriber of this kind of server. */
export type Meaning = 'event' | 'ready' | 'notice';

export interface Asked {
  readonly topics: readonly string[];
  /** Where to resume, for those who can. */
  readonly after: string | null;
  readonly epoch: string | null;
}

/** How to subscribe at one kind of server over WebSocket, and how to tell its frames apart. */
export interface Dialect {
  path(asked: Asked): string;
  readonly subprotocol: string | null;
  /** Whether one frame may hold several events. */
  readonly several?: true;
  /** The first words after the upgrade; true when nothing is awaited before events come. */
  opened(wire: Wire, asked: Asked): boolean;
  frame(wire: Wire, bytes: Buffer, start: number, end: number, asked: Asked): Meaning;
}

const text = (wire: Wire, words: string): void => wire.send(TEXT, Buffer.from(words));
const letter = (character: string): number => character.charCodeAt(0);
const N = letter('n');

const begins = (bytes: Buffer, start: number, words: string): boolean =>
  bytes.toString('latin1', start, start + words.length) === words;

/** `{"type":"new_number"`: the letter after the quote decides for the frames that count. */
const TYPE_AT = '{"type":"'.length;
const IO_TYPE_AT = '42["'.length;

const runcash: Dialect = {
  path: () => '/ws',
  subprotocol: null,
  opened: () => false,
  frame(wire, bytes, start, _end, { topics, after, epoch }) {
    if (bytes[start + TYPE_AT] === N) return 'event';
    if (begins(bytes, start, '{"type":"hello"')) {
      text(
        wire,
        JSON.stringify({
          type: 'subscribe',
          id: 1,
          topics,
          ...(after === null ? { history: 0 } : { after }),
          ...(epoch === null ? {} : { epoch }),
        }),
      );
    }
    return begins(bytes, start, '{"type":"subscribed"') ? 'ready' : 'notice';
  },
};

/** What the contenders on plain WebSockets speak: one frame to subscribe, one in answer. */
const plain: Dialect = {
  path: () => '/',
  subprotocol: null,
  opened(wire, { topics }) {
    text(wire, JSON.stringify({ type: 'subscribe', topics }));
    return false;
  },
  frame(_wire, bytes, start) {
    if (bytes[start + TYPE_AT] === N) return 'event';
    return begins(bytes, start, '{"type":"subscribed"') ? 'ready' : 'notice';
  },
};

/** Engine.IO 4 over WebSocket alone, as `transports: ['websocket']` makes it. */
const socketio: Dialect = {
  path: () => '/socket.io/?EIO=4&transport=websocket',
  subprotocol: null,
  opened: () => false,
  frame(wire, bytes, start, end, { topics }) {
    if (bytes[start + IO_TYPE_AT] === N) return 'event';
    if (begins(bytes, start, '0{')) text(wire, '40');
    else if (begins(bytes, start, '40')) text(wire, `42${JSON.stringify(['subscribe', topics])}`);
    else if (end === start + 1 && begins(bytes, start, '2')) text(wire, '3');
    return begins(bytes, start, '42["subscribed"') ? 'ready' : 'notice';
  },
};

/** nchan subscribes by the address itself. */
const nchan: Dialect = {
  path: ({ topics }) => `/sub?topic=${encodeURIComponent(topics[0] ?? '')}`,
  subprotocol: null,
  opened: () => true,
  frame: () => 'event',
};

const utf8 = (words: string): Buffer => {
  const bytes = Buffer.from(words);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};

const packet = (kind: number, body: Buffer): Buffer => Buffer.concat([Buffer.from([kind, body.length]), body]);

/** MQTT 3.1.1 at QoS 0. */
const mqtt: Dialect = {
  path: () => '/mqtt',
  subprotocol: 'mqtt',
  several: true,
  opened(wire) {
    // Protocol level 4, clean session, no keep-alive, a client id of the broker's choice.
    wire.send(BINARY, packet(0x10, Buffer.concat([utf8('MQTT'), Buffer.from([4, 2, 0, 0]), utf8('')])));
    return false;
  },
  frame(wire, bytes, start, _end, { topics }) {
    const kind = (bytes[start] ?? 0) >> 4;
    if (kind === 3) return 'event';
    if (kind === 2) {
      wire.send(BINARY, packet(0x82, Buffer.concat([Buffer.from([0, 1]), utf8(topics[0] ?? ''), Buffer.from([0])])));
    }
    return kind === 9 ? 'ready' : 'notice';
  },
};

const nats: Dialect = {
  path: () => '/',
  subprotocol: null,
  several: true,
  opened: () => false,
  frame(wire, bytes, start, _end, { topics }) {
    if (begins(bytes, start, 'MSG ')) return 'event';
    if (begins(bytes, start, 'INFO')) {
      wire.send(BINARY, Buffer.from(`CONNECT {"verbose":false}\r\nSUB ${topics[0] ?? ''} 1\r\nPING\r\n`));
    } else if (begins(bytes, start, 'PING')) wire.send(BINARY, Buffer.from('PONG\r\n'));
    return begins(bytes, start, 'PONG') ? 'ready' : 'notice';
  },
};

export const dialectOf: Readonly<Record<DialectName, Dialect>> = { runcash, plain, socketio, nchan, mqtt, nats };
