import {
  type Delivery,
  type DeliveryObserver,
  EVERYONE,
  type Publish,
  type Subscriber,
  type SubscriberLink,
  type SubscriberOptions,
} from '../../src/protocol/delivery.ts';
import { ERRORS, type ErrorCode } from '../../src/protocol/errors.ts';
import {
  ALL_TABLES,
  type Frame,
  frameOf,
  type NewNumber,
  type NotRecovered,
  type NumberItem,
  type RequestId,
  type TopicResult,
  tableReference,
  topicOf,
} from '../../src/protocol/messages.ts';
import { endOf, isPosition, ORIGIN, type Position, positionOf, timeOf } from '../../src/protocol/position.ts';
import type { SubscribeFrame } from '../../src/protocol/requests.ts';

/** A feed without a database: events are made by the test, its contract with the gateway is the real one. */
export interface FakeFeed {
  readonly delivery: Delivery;
  /** Where published frames go; set once the gateway runs. */
  connect(publish: Publish): void;
  /** One new number of a table; returns its position. */
  spin(table: string, numero: number): Position;
  /** Up to here everything was sent. */
  sync(): Position;
  /** The table's history is void: `reset` now; the snapshot follows with `heal`. */
  reset(table: string): void;
  heal(table: string): void;
  /** As after a restore: another epoch, everything reset and sent again. */
  restore(): void;
  /** Stops serving subscribes, as an instance that must catch up first. */
  hold(): void;
  release(): void;
  /** Closes every connection as an instance does that stays behind. */
  giveUp(): void;
  unready(): void;
  subscribers(): number;
  snapshots(): number;
}

interface Request {
  readonly frame: SubscribeFrame;
  /** Topic by topic what is left to send: frames to replay, then the acknowledgement. */
  pending: { frames: Frame[]; results: TopicResult[]; topics: string[] } | null;
}

interface Connection {
  readonly link: SubscriberLink;
  readonly options: SubscriberOptions;
  readonly topics: Set<string>;
  readonly requests: Request[];
  hearsEveryone: boolean;
}

const FIRST_SPIN_MS = Date.UTC(2026, 10, 24, 13);

/** Events kept for replays. */
const RING_EVENTS = 50_000;

const COLOURS = ['preto', 'vermelho'] as const;

export const UNOBSERVED: DeliveryObserver = {
  publishing: () => undefined,
  subscribed: () => undefined,
  snapshot: () => undefined,
};

export function createFakeFeed(
  tables: readonly string[] = ['2010165', '2010097', '2010033'],
  observer: DeliveryObserver = UNOBSERVED,
): FakeFeed {
  let epoch = 'e1';
  let second = 0x67449f0a;
  let increment = 0;
  let delivered: Position | null = endOf({ t: second, i: 0 });
  let publish: Publish = () => {
    throw new Error('the gateway is not connected');
  };
  let floor: Position = ORIGIN;
  let holding = false;
  let snapshots = 0;
  let spins = 0;
  const ring: { topic: string; position: Position; frame: Frame }[] = [];
  const numbers = new Map<string, NumberItem[]>(tables.map((table) => [table, []]));
  const last = new Map<string, Position>();
  const owed = new Set<string>();
  const connections = new Set<Connection>();

  const here = (): Position => delivered ?? endOf({ t: second, i: increment });
  const advance = (): Position => {
    increment += 1;
    delivered = positionOf({ t: second, i: increment }, 0);
    return delivered;
  };

  function snapshotOf(table: string, history: number): Frame {
    snapshots += 1;
    return frameOf({
      type: 'snapshot',
      topic: topicOf(table),
      epoch,
      position: here(),
      roleta_id: table,
      roleta_nome: `Table ${table}`,
      numeros: (numbers.get(table) ?? []).slice(0, history),
      estrategia: null,
      stale: false,
    });
  }

  function refuse(link: SubscriberLink, id: RequestId, code: ErrorCode): void {
    const { text, retry } = ERRORS[code];
    link.send(frameOf({ type: 'error', id, code, message: text, retry }));
  }

  /** The tables that a topic means for this connection; null when it means none. */
  function tablesOf(topic: string, { allowed }: SubscriberOptions): string[] | null {
    const reference = tableReference(topic);
    if (reference === null) return null;
    const seen = [...numbers.keys()].filter((table) => allowed === null || allowed.has(table));
    if (reference === '*') return seen;
    if (!/^\d{7}$/.test(reference)) return null;
    return allowed === null || allowed.has(reference) ? [reference] : null;
  }

  function notRecovered(after: string | undefined, of: string | undefined, isOwed: boolean): NotRecovered | null {
    if (after === undefined || after === '') return 'new';
    if (!isPosition(after)) return 'malformed';
    if (of !== undefined && of !== epoch) return 'epoch';
    if (isOwed || after < floor) return 'too_old';
    return after > here() ? 'future' : null;
  }

  /** A reset table has no state to send yet: whoever asks for it waits for the snapshot. */
  const owes = (frame: SubscribeFrame, options: SubscriberOptions): boolean =>
    frame.topics.some((entry) =>
      tablesOf(typeof entry === 'string' ? entry : entry.topic, options)?.some((table) => owed.has(table)),
    );

  function plan(connection: Connection, frame: SubscribeFrame): Request['pending'] {
    const frames: Frame[] = [];
    const results: TopicResult[] = [];
    const joins: string[] = [];
    const cursors = new Map<string, Position>();
    for (const entry of frame.topics) {
      const item = typeof entry === 'string' ? { topic: entry } : entry;
      const meant = tablesOf(item.topic, connection.options);
      if (meant === null) {
        refuse(connection.link, frame.id, 'unknown_topic');
        return null;
      }
      const star = item.topic === ALL_TABLES && connection.options.allowed === null;
      joins.push(...(star ? [ALL_TABLES] : meant.map(topicOf)));
      for (const table of meant) {
        const after = item.after ?? frame.after;
        const reason = notRecovered(after, item.epoch ?? frame.epoch, item.owed === true);
        const topic = topicOf(table);
        if (reason === null && isPosition(after)) cursors.set(topic, after);
        else {
          frames.push(snapshotOf(table, item.history ?? frame.history ?? 20));
          results.push({ topic, recovered: false, reason: reason ?? 'new' });
        }
      }
    }
    if (connection.topics.size + joins.length > connection.options.maxTopics) {
      refuse(connection.link, frame.id, 'too_many_topics');
      return null;
    }
    const replayed = ring.filter(({ topic, position }) => position > (cursors.get(topic) ?? position));
    frames.push(...replayed.map((event) => event.frame));
    for (const topic of cursors.keys()) {
      results.push({ topic, recovered: true, replayed: replayed.filter((event) => event.topic === topic).length });
    }
    return { frames, results, topics: joins };
  }

  /** Serves the first request until the link asks for a pause; what is published meanwhile is appended to its replay. */
  function pump(connection: Connection): void {
    while (!holding) {
      const request = connection.requests[0];
      if (request === undefined) return;
      if (request.pending === null && owes(request.frame, connection.options)) return;
      request.pending ??= plan(connection, request.frame);
      const { pending } = request;
      if (pending === null) {
        connection.requests.shift();
        continue;
      }
      for (let frame = pending.frames.shift(); frame !== undefined; frame = pending.frames.shift()) {
        if (frame.type === 'snapshot') observer.snapshot();
        if (!connection.link.send(frame)) return;
      }
      connection.requests.shift();
      const { id } = request.frame;
      observer.subscribed(pending.results);
      const room = connection.link.send(
        frameOf({ type: 'subscribed', id, epoch, position: here(), topics: pending.results }),
      );
      if (!connection.hearsEveryone) connection.link.join(EVERYONE);
      connection.hearsEveryone = true;
      for (const topic of pending.topics) {
        connection.topics.add(topic);
        connection.link.join(topic);
      }
      if (!room) return;
    }
  }

  function send(table: string, frame: Frame): void {
    const topic = topicOf(table);
    for (const connection of connections) {
      const pending = connection.requests[0]?.pending;
      if (pending?.topics.some((held) => held === topic || held === ALL_TABLES)) pending.frames.push(frame);
    }
    publish(topic, frame);
    publish(ALL_TABLES, frame);
  }

  function reset(table: string, reason: 'drop' | 'restored'): void {
    owed.add(table);
    send(table, frameOf({ type: 'reset', topic: topicOf(table), reason, epoch }));
  }

  function heal(table: string): void {
    owed.delete(table);
    advance();
    send(table, snapshotOf(table, 20));
    for (const connection of connections) pump(connection);
  }

  const hearing = (topic: string): number =>
    [...connections].filter(({ topics, hearsEveryone }) => (topic === EVERYONE ? hearsEveryone : topics.has(topic)))
      .length;

  const delivery: Delivery = {
    reached: () => (delivered === null ? null : { epoch, position: delivered, recoverySeconds: 600 }),
    hearing,
    subscriptions: () => ({
      table: [...numbers.keys()].reduce((sum, table) => sum + hearing(topicOf(table)), 0),
      all: hearing(ALL_TABLES),
    }),
    open(link, options): Subscriber {
      const connection: Connection = { link, options, topics: new Set(), requests: [], hearsEveryone: false };
      connections.add(connection);
      return {
        subscribe(frame) {
          connection.requests.push({ frame, pending: null });
          if (connection.requests.length === 1) pump(connection);
        },
        unsubscribe(id, topics) {
          const left = topics.filter((topic) => connection.topics.delete(topic));
          for (const topic of left) link.leave(topic);
          link.send(frameOf({ type: 'unsubscribed', id, topics: left }));
        },
        drained: () => pump(connection),
        heardTopics: () => [...connection.topics],
        uneven: () => new Map(),
        closed() {
          if (!connections.delete(connection)) return;
          for (const topic of connection.topics) link.leave(topic);
          if (connection.hearsEveryone) link.leave(EVERYONE);
        },
      };
    },
  };

  return {
    delivery,
    connect(to) {
      publish = to;
    },
    spin(table, numero) {
      const prev = last.get(table) ?? null;
      const position = advance();
      spins += 1;
      const item: NumberItem = {
        id: `${table}-${epoch}-${increment.toString().padStart(8, '0')}`,
        numero,
        cor: numero === 0 ? 'verde' : (COLOURS[numero % 2] ?? 'preto'),
        timestamp: new Date(FIRST_SPIN_MS + spins * 1000).toISOString(),
      };
      const topic = topicOf(table);
      const message: NewNumber = {
        type: 'new_number',
        topic,
        position,
        prev,
        roleta_id: table,
        roleta_nome: `Table ${table}`,
        ...item,
      };
      const frame = frameOf(message);
      numbers.set(table, [item, ...(numbers.get(table) ?? [])].slice(0, 200));
      last.set(table, position);
      ring.push({ topic, position, frame });
      if (ring.length > RING_EVENTS) floor = ring.splice(0, RING_EVENTS / 2).at(-1)?.position ?? floor;
      observer.publishing(frame, timeOf(position).t * 1000);
      send(table, frame);
      return position;
    },
    sync() {
      const position = advance();
      publish(EVERYONE, frameOf({ type: 'sync', position }));
      return position;
    },
    reset: (table) => reset(table, 'drop'),
    heal,
    restore() {
      epoch = `e${Number(epoch.slice(1)) + 1}`;
      second += 1;
      increment = 0;
      ring.length = 0;
      for (const table of numbers.keys()) reset(table, 'restored');
      for (const table of numbers.keys()) heal(table);
    },
    hold() {
      holding = true;
    },
    release() {
      holding = false;
      for (const connection of connections) pump(connection);
    },
    giveUp() {
      for (const { link } of [...connections]) link.close(4200, 700);
    },
    unready() {
      delivered = null;
    },
    subscribers: () => connections.size,
    snapshots: () => snapshots,
  };
}
