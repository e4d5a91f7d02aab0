import { once } from 'node:events';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import type { CloseCode } from '../protocol/errors.ts';
import { encode, type NewNumber, type ServerMessage } from '../protocol/messages.ts';
import { type Position, positionOf } from '../protocol/position.ts';

const TABLE = '2010165';
/** The topic that the client is to follow. */
export const TOPIC = `roulette:${TABLE}`;

/** What is read of a client's frames; what else they say is no concern of the script. */
const frame = z.object({ type: z.string(), id: z.union([z.number(), z.string()]).optional() });
const subscribe = z.object({
  epoch: z.string().optional(),
  topics: z.array(
    z.union([
      z.string().transform((topic) => ({ topic, after: undefined, epoch: undefined, owed: false })),
      z.object({
        topic: z.string(),
        after: z.string().optional(),
        epoch: z.string().optional(),
        owed: z.boolean().optional(),
      }),
    ]),
  ),
});

/** A server of one table that keeps the protocol until the script makes it do what networks and crashes do. */
export interface ScriptedServer {
  readonly url: string;
  /** Positions of all events, in order. */
  readonly events: readonly Position[];
  /** How often the database was replaced. */
  readonly epochs: number;
  isEvent(position: string): boolean;
  /** Whether an event still exists: it does not after a reset or in another database. */
  isAlive(position: Position): boolean;
  /** Something happened: conditions are looked at again. */
  look(): void;
  until(done: () => boolean, signal: AbortSignal): Promise<void>;
  /** A number that happens; `on the wire` unless it gets lost there. */
  number(options?: { readonly lost?: boolean; readonly twice?: boolean }): Position;
  /** The connection breaks, now or after so many further frames of the server. */
  cut(afterFrames?: number): void;
  bye(code: CloseCode, retryMs: number): void;
  /** Old numbers were imported: a reset, and the snapshot that it owes, unless that is withheld. */
  reset(options?: { readonly withheld?: boolean }): void;
  /** Another database, at lower positions than the one before. */
  restore(): void;
  /** What is older than now can be replayed no more. */
  forget(): void;
  sync(): void;
  /** Connections so far, and subscribes that were answered. */
  readonly connections: number;
  readonly subscribes: number;
  stop(): Promise<void>;
}

export async function startScriptedServer(): Promise<ScriptedServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const events: Position[] = [];
  const dead = new Set<Position>();
  let ring: NewNumber[] = [];
  let numbers: NewNumber[] = [];
  let second = 2_000_000_000;
  let epochs = 0;
  let delivered = positionOf({ t: second, i: 1 }, 0xffffff);
  let floor = delivered;
  let socket: WebSocket | null = null;
  let subscribed = false;
  let framesLeft = Number.POSITIVE_INFINITY;
  let connections = 0;
  let subscribes = 0;
  let looks: (() => void)[] = [];

  const look = (): void => {
    const waiting = looks;
    looks = [];
    for (const each of waiting) each();
  };
  const tick = (operation: number): Position => {
    second += 1;
    delivered = positionOf({ t: second, i: 1 }, operation);
    return delivered;
  };
  const cut = (): void => {
    socket?.terminate();
    socket = null;
    subscribed = false;
    framesLeft = Number.POSITIVE_INFINITY;
  };
  const send = (message: ServerMessage): void => {
    socket?.send(encode(message));
    framesLeft -= 1;
    if (framesLeft <= 0) cut();
  };
  const epoch = (): string => `e${epochs}`;
  const snapshot = (): ServerMessage => ({
    type: 'snapshot',
    topic: TOPIC,
    epoch: epoch(),
    position: delivered,
    roleta_id: TABLE,
    roleta_nome: 'Roulette',
    numeros: numbers
      .slice(-20)
      .reverse()
      .map(({ id, numero, cor, timestamp }) => ({ id, numero, cor, timestamp })),
    estrategia: null,
    stale: false,
  });

  const answer = (text: string): void => {
    const { type, id = 0 } = frame.parse(JSON.parse(text));
    if (type === 'ping') send({ type: 'pong', id, position: delivered });
    if (type === 'auth') send({ type: 'authenticated', expires: null });
    if (type !== 'subscribe') return;
    const request = subscribe.parse(JSON.parse(text));
    const [asked] = request.topics;
    const after = asked?.after;
    const isResumed =
      after !== undefined &&
      (asked?.epoch ?? request.epoch ?? epoch()) === epoch() &&
      asked?.owed !== true &&
      after >= floor &&
      after <= delivered;
    const replay = isResumed ? ring.filter(({ position }) => position > after) : [];
    if (isResumed) for (const event of replay) send(event);
    else send(snapshot());
    const reason = after === undefined ? ('new' as const) : ('too_old' as const);
    const result = isResumed
      ? { topic: TOPIC, recovered: true as const, replayed: replay.length }
      : { topic: TOPIC, recovered: false as const, reason };
    subscribed = true;
    send({ type: 'subscribed', id, epoch: epoch(), position: delivered, topics: [result] });
    subscribes += 1;
    look();
  };

  server.on('connection', (opened) => {
    connections += 1;
    socket?.terminate();
    socket = opened;
    subscribed = false;
    opened.on('message', (data) => {
      if (opened === socket) answer(String(data));
    });
    // Its close says the same.
    opened.on('error', () => opened.terminate());
    const limits = { topics: 100, frame_bytes: 4096 };
    const auth = 'none' as const;
    send({
      type: 'hello',
      protocol: 1,
      server: 'conformance',
      instance: 'script',
      epoch: epoch(),
      position: delivered,
      ping_s: 25,
      auth,
      limits,
    });
    look();
  });

  const forgetNumbers = (): void => {
    for (const position of events) dead.add(position);
    ring = [];
  };

  return {
    url: `http://127.0.0.1:${port}`,
    events,
    get epochs() {
      return epochs;
    },
    get connections() {
      return connections;
    },
    get subscribes() {
      return subscribes;
    },
    isEvent: (position) => events.some((each) => each === position),
    isAlive: (position) => !dead.has(position),
    look,
    async until(done, signal) {
      signal.addEventListener('abort', look);
      try {
        while (!done()) {
          if (signal.aborted) throw new Error('the client did not get there in time');
          await new Promise<void>((resolve) => looks.push(resolve));
        }
      } finally {
        signal.removeEventListener('abort', look);
      }
    },
    number({ lost = false, twice = false } = {}) {
      const prev = ring.at(-1)?.position ?? null;
      const position = tick(0);
      const numero = events.length % 37;
      const event: NewNumber = {
        type: 'new_number',
        topic: TOPIC,
        position,
        prev,
        id: `n${events.length}`,
        roleta_id: TABLE,
        roleta_nome: 'Roulette',
        numero,
        cor: numero === 0 ? 'verde' : 'preto',
        timestamp: new Date(second * 1000).toISOString(),
      };
      events.push(position);
      ring.push(event);
      numbers.push(event);
      if (subscribed && !lost) for (let times = twice ? 2 : 1; times > 0; times -= 1) send(event);
      return position;
    },
    cut(afterFrames = 0) {
      if (afterFrames <= 0) cut();
      else framesLeft = afterFrames;
    },
    bye(code, retry_ms) {
      send({ type: 'bye', code, reason: 'scripted', retry_ms });
      socket?.close(code, 'scripted');
      socket = null;
      subscribed = false;
    },
    reset({ withheld = false } = {}) {
      forgetNumbers();
      floor = tick(0xffffff);
      send({ type: 'reset', topic: TOPIC, reason: 'backfill', epoch: epoch() });
      if (!withheld) send(snapshot());
    },
    restore() {
      forgetNumbers();
      numbers = [];
      epochs += 1;
      second = 1_900_000_000 - epochs * 1_000_000;
      floor = tick(0xffffff);
      cut();
    },
    forget() {
      forgetNumbers();
      floor = tick(0xffffff);
    },
    sync() {
      send({ type: 'sync', position: tick(0xffffff) });
    },
    async stop() {
      for (const each of server.clients) each.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}
