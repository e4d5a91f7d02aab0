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

/** The table that the script plays: what happened to it, and what a client that comes back is given. */
function createScriptedTable() {
  const events: Position[] = [];
  const dead = new Set<Position>();
  let ring: NewNumber[] = [];
  let numbers: NewNumber[] = [];
  let second = 2_000_000_000;
  let epochs = 0;
  let delivered = positionOf({ t: second, i: 1 }, 0xffffff);
  let floor = delivered;

  const epoch = (): string => `e${epochs}`;
  const tick = (operation: number): Position => {
    second += 1;
    delivered = positionOf({ t: second, i: 1 }, operation);
    return delivered;
  };
  const forget = (): void => {
    for (const position of events) dead.add(position);
    ring = [];
    floor = tick(0xffffff);
  };
  return {
    events,
    epoch,
    epochs: () => epochs,
    delivered: () => delivered,
    isAlive: (position: Position) => !dead.has(position),
    /** Time passes without an event. */
    pass: () => tick(0xffffff),
    forget,
    restore(): void {
      epochs += 1;
      second = 1_900_000_000 - epochs * 1_000_000;
      forget();
      numbers = [];
    },
    number(): NewNumber {
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
      return event;
    },
    snapshot: (): ServerMessage => ({
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
    }),
    /** What follows a position; null when that cannot be told any more. */
    since: (after: string | undefined, inEpoch: string): NewNumber[] | null =>
      after !== undefined && inEpoch === epoch() && after >= floor && after <= delivered
        ? ring.filter(({ position }) => position > after)
        : null,
  };
}

/** Conditions that are looked at again whenever something happened. */
function createLooks() {
  let looks: (() => void)[] = [];
  const look = (): void => {
    const waiting = looks;
    looks = [];
    for (const each of waiting) each();
  };
  return {
    look,
    async until(done: () => boolean, signal: AbortSignal): Promise<void> {
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
  };
}

/** The one connection that counts: the newest. It may be cut in the middle of what is sent. */
function createScriptedLink() {
  let socket: WebSocket | null = null;
  let isSubscribed = false;
  let framesLeft = Number.POSITIVE_INFINITY;
  const leave = (): void => {
    socket = null;
    isSubscribed = false;
  };
  const cut = (): void => {
    socket?.terminate();
    leave();
    framesLeft = Number.POSITIVE_INFINITY;
  };
  return {
    cut(afterFrames: number): void {
      if (afterFrames <= 0) cut();
      else framesLeft = afterFrames;
    },
    send(message: ServerMessage): void {
      socket?.send(encode(message));
      framesLeft -= 1;
      if (framesLeft <= 0) cut();
    },
    take(opened: WebSocket): void {
      socket?.terminate();
      socket = opened;
      isSubscribed = false;
    },
    isCurrent: (one: WebSocket) => one === socket,
    isSubscribed: () => isSubscribed,
    subscribed(): void {
      isSubscribed = true;
    },
    end(code: CloseCode): void {
      socket?.close(code, 'scripted');
      leave();
    },
  };
}

/** Answers one frame of the client. Returns whether it was a subscribe. */
function answer(
  text: string,
  table: ReturnType<typeof createScriptedTable>,
  { send, subscribed }: Pick<ReturnType<typeof createScriptedLink>, 'send' | 'subscribed'>,
): boolean {
  const { type, id = 0 } = frame.parse(JSON.parse(text));
  if (type === 'ping') send({ type: 'pong', id, position: table.delivered() });
  if (type === 'auth') send({ type: 'authenticated', expires: null });
  if (type !== 'subscribe') return false;
  const request = subscribe.parse(JSON.parse(text));
  const [asked] = request.topics;
  const epoch = table.epoch();
  const replay = asked?.owed ? null : table.since(asked?.after, asked?.epoch ?? request.epoch ?? epoch);
  for (const message of replay ?? [table.snapshot()]) send(message);
  const result = replay
    ? { topic: TOPIC, recovered: true as const, replayed: replay.length }
    : { topic: TOPIC, recovered: false as const, reason: asked?.after ? ('too_old' as const) : ('new' as const) };
  subscribed();
  send({ type: 'subscribed', id, epoch, position: table.delivered(), topics: [result] });
  return true;
}

const helloOf = (epoch: string, position: Position): ServerMessage => ({
  type: 'hello',
  protocol: 1,
  server: 'conformance',
  instance: 'script',
  epoch,
  position,
  ping_s: 25,
  recovery_s: 600,
  auth: 'none',
  limits: { topics: 100, frame_bytes: 4096 },
});

export async function startScriptedServer(): Promise<ScriptedServer> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const table = createScriptedTable();
  const link = createScriptedLink();
  const { look, until } = createLooks();
  const { send } = link;
  let connections = 0;
  let subscribes = 0;

  server.on('connection', (opened) => {
    connections += 1;
    link.take(opened);
    opened.on('message', (data) => {
      if (!link.isCurrent(opened) || !answer(String(data), table, link)) return;
      subscribes += 1;
      look();
    });
    // Its close says the same.
    opened.on('error', () => opened.terminate());
    send(helloOf(table.epoch(), table.delivered()));
    look();
  });

  return {
    url: `http://127.0.0.1:${port}`,
    events: table.events,
    get epochs() {
      return table.epochs();
    },
    get connections() {
      return connections;
    },
    get subscribes() {
      return subscribes;
    },
    isEvent: (position) => table.events.some((each) => each === position),
    isAlive: table.isAlive,
    look,
    until,
    number({ lost = false, twice = false } = {}) {
      const event = table.number();
      const times = !link.isSubscribed() || lost ? 0 : twice ? 2 : 1;
      for (let sent = 0; sent < times; sent += 1) send(event);
      return event.position;
    },
    cut: (afterFrames = 0) => link.cut(afterFrames),
    bye(code, retry_ms) {
      send({ type: 'bye', code, reason: 'scripted', retry_ms });
      link.end(code);
    },
    reset({ withheld = false } = {}) {
      table.forget();
      send({ type: 'reset', topic: TOPIC, reason: 'backfill', epoch: table.epoch() });
      if (!withheld) send(table.snapshot());
    },
    restore() {
      table.restore();
      link.cut(0);
    },
    forget: table.forget,
    sync: () => send({ type: 'sync', position: table.pass() }),
    async stop() {
      for (const each of server.clients) each.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}
