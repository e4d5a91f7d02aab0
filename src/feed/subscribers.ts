import {
  type Delivery,
  EVERYONE,
  type Frame,
  frameOf,
  type Publish,
  type Subscriber,
  type SubscriberLink,
  type SubscriberOptions,
} from '../protocol/delivery.ts';
import { ERRORS, ProtocolError } from '../protocol/errors.ts';
import type { RequestId, ResetReason } from '../protocol/messages.ts';
import { type ClusterTime, type Position, timeOf } from '../protocol/position.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import { isTableId, type TableId } from '../roulette/table.ts';
import { createReplay, highestOf, type Item, itemsOf, type Replay } from './request.ts';
import { DEFAULT_HISTORY, type Timeline } from './timeline.ts';

/** A client ahead of this instance waits this long for it to catch up. */
const HOLD_MS = 5_000;
/** How far beyond the database's own time a position must lie to be no position of this database. */
const FUTURE_SECONDS = 5;
/** Where a held client is sent when this instance does not catch up. */
const BEHIND_RETRY_MS = 1_000;
/** Subscribes of one connection that wait for their turn. */
const MAX_WAITING = 64;

interface Waiting {
  readonly frame: SubscribeFrame;
  readonly arrivedMs: number;
  replay: Replay | null;
  items: readonly Item[];
}

interface Connection {
  readonly link: SubscriberLink;
  readonly options: SubscriberOptions;
  readonly tables: Set<TableId>;
  all: boolean;
  readonly waiting: Waiting[];
  paused: boolean;
  closed: boolean;
}

/** What the subscribers are served from at this moment. */
export interface Standing {
  readonly timeline: Timeline;
  readonly delivered: Position;
  readonly stale: boolean;
  /** The majority time as last asked, and when the question was put (monotonic ms); null when Mongo cannot be asked. */
  readonly majority: { readonly time: ClusterTime; readonly askedMs: number } | null;
}

export interface Subscribers extends Delivery {
  /** Something moved: D, a floor, the majority time, readiness. Serves whoever waits for it. */
  advance(): void;
  /** A fresh state begins: tells every subscribed topic once, and owes each a snapshot. */
  reset(reason: ResetReason, epoch: string): void;
  /** The fresh state stands: publishes the snapshots that `reset` owes. */
  refresh(): void;
  readonly connections: number;
  readonly held: number;
}

/**
 * Serves subscribe, unsubscribe and recovery for every transport.
 * INVARIANT seam: the last chunk of a replay, the ack and the joining of the topic happen in one synchronous tick, so
 * that no event falls between them.
 */
export function createSubscribers(publish: Publish, standing: () => Standing | null, nowMs: () => number): Subscribers {
  const connections = new Set<Connection>();
  const busy = new Set<Connection>();
  /** How many connections joined each topic: whom resets and fresh snapshots must reach. */
  const joined = new Map<string, number>();
  let resetReason: ResetReason | null = null;

  const join = (connection: Connection, topic: string): void => {
    connection.link.join(topic);
    joined.set(topic, (joined.get(topic) ?? 0) + 1);
  };
  const leave = (connection: Connection, topic: string): void => {
    connection.link.leave(topic);
    const left = (joined.get(topic) ?? 1) - 1;
    if (left === 0) joined.delete(topic);
    else joined.set(topic, left);
  };

  const refuse = (connection: Connection, id: RequestId, error: ProtocolError): void => {
    const { code, message, problems } = error;
    const problem = problems.length === 0 ? {} : { problems };
    connection.link.send(frameOf({ type: 'error', id, code, message, retry: ERRORS[code].retry, ...problem }));
  };

  const allowedOf = ({ options }: Connection): TableId[] | null =>
    options.allowed === null ? null : [...options.allowed].filter(isTableId);

  /** What the connection would hold after these items. */
  const countAfter = (connection: Connection, items: readonly Item[]): number => {
    if (connection.all || items.some((item) => item.table === null)) return 1;
    return new Set([...connection.tables, ...items.map((item) => item.table)]).size;
  };

  /** Whether a request must wait for this instance to catch up; `future` when its position is of no such database. */
  const holds = (now: Standing, request: Waiting): 'wait' | 'serve' | 'future' | 'behind' => {
    const highest = highestOf(request.items, request.frame.seen);
    if (highest === null || highest <= now.delivered) return 'serve';
    const { majority } = now;
    const fresh = majority !== null && majority.askedMs >= request.arrivedMs;
    if (fresh && timeOf(highest).t > majority.time.t + FUTURE_SECONDS) return 'future';
    if (nowMs() - request.arrivedMs < HOLD_MS) return 'wait';
    const otherEpoch = request.items.some(
      ({ after, epoch }) => after !== undefined && epoch !== undefined && epoch !== now.timeline.epoch,
    );
    const seenElsewhere = request.frame.epoch !== undefined && request.frame.epoch !== now.timeline.epoch;
    return (otherEpoch || seenElsewhere) && fresh ? 'serve' : 'behind';
  };

  const acknowledge = (connection: Connection, request: Waiting, replay: Replay, now: Standing): void => {
    const { link } = connection;
    if (connection.tables.size === 0 && !connection.all) join(connection, EVERYONE);
    if (request.items.some((item) => item.table === null)) {
      for (const table of connection.tables) leave(connection, topicOf(table));
      connection.tables.clear();
      if (!connection.all) join(connection, ALL_TABLES);
      connection.all = true;
    } else if (!connection.all) {
      for (const { table } of request.items) {
        if (table === null || connection.tables.has(table)) continue;
        connection.tables.add(table);
        join(connection, topicOf(table));
      }
    }
    const { epoch } = now.timeline;
    const topics = replay.results();
    link.send(frameOf({ type: 'subscribed', id: request.frame.id, epoch, position: now.delivered, topics }));
    // Who joins while a snapshot is owed hears that it is.
    for (const table of now.timeline.owed.keys()) {
      if (request.items.some((item) => item.table === null || item.table === table)) {
        link.send(frameOf({ type: 'reset', topic: topicOf(table), reason: 'unknown', epoch }));
      }
    }
  };

  const drop = (connection: Connection): void => {
    if (connection.closed) return;
    connection.closed = true;
    if (connection.tables.size > 0 || connection.all) leave(connection, EVERYONE);
    for (const table of connection.tables) leave(connection, topicOf(table));
    if (connection.all) leave(connection, ALL_TABLES);
    connections.delete(connection);
    busy.delete(connection);
  };

  const begin = (connection: Connection, request: Waiting, now: Standing): Replay | null => {
    const decision = holds(now, request);
    if (decision === 'wait') return null;
    if (decision === 'behind') {
      // Never a snapshot lower than what the client has seen: another instance, or this one later, can serve it.
      drop(connection);
      connection.link.close(4200, BEHIND_RETRY_MS);
      return null;
    }
    for (const { table } of request.items) {
      // A single table that is taken up again is left first, so that its replay cannot overtake live events.
      if (table !== null && connection.tables.delete(table)) leave(connection, topicOf(table));
    }
    return createReplay(request.items, now.timeline, now.delivered, decision === 'future', connection.tables);
  };

  /** Serves the first waiting request as far as possible; true when it is done with. */
  const serve = (connection: Connection, request: Waiting): boolean => {
    const now = standing();
    if (now === null) return false;
    try {
      if (request.items.length === 0) {
        const { directory } = now.timeline.state;
        request.items = itemsOf(request.frame, (text) => directory.resolve(text), allowedOf(connection));
        if (countAfter(connection, request.items) > connection.options.maxTopics) {
          throw new ProtocolError('too_many_topics');
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      refuse(connection, request.frame.id, error);
      return true;
    }
    request.replay ??= begin(connection, request, now);
    if (request.replay === null) return false;
    const send = (frame: Frame): boolean => connection.link.send(frame) && !connection.closed;
    if (!request.replay.step(now.timeline, now.delivered, send, now.stale)) {
      connection.paused = true;
      return false;
    }
    acknowledge(connection, request, request.replay, now);
    return true;
  };

  const pump = (connection: Connection): void => {
    while (!connection.closed && !connection.paused) {
      const [request] = connection.waiting;
      if (request === undefined || !serve(connection, request)) break;
      connection.waiting.shift();
    }
    if (connection.closed || connection.waiting.length === 0) busy.delete(connection);
    else busy.add(connection);
  };

  const unsubscribe = (connection: Connection, id: RequestId, topics: readonly string[]): void => {
    const directory = standing()?.timeline.state.directory;
    const left: string[] = [];
    const held = connection.tables.size > 0 || connection.all;
    for (const topic of topics) {
      if (topic === ALL_TABLES && connection.all) {
        connection.all = false;
        leave(connection, ALL_TABLES);
        left.push(ALL_TABLES);
      }
      for (const table of directory?.resolve(tableReference(topic) ?? '') ?? []) {
        if (!connection.tables.delete(table)) continue;
        leave(connection, topicOf(table));
        left.push(topicOf(table));
      }
    }
    if (held && connection.tables.size === 0 && !connection.all) leave(connection, EVERYONE);
    connection.link.send(frameOf({ type: 'unsubscribed', id, topics: left }));
  };

  return {
    get connections() {
      return connections.size;
    },
    get held() {
      return busy.size;
    },
    standing() {
      const now = standing();
      return now === null ? null : { epoch: now.timeline.epoch, position: now.delivered };
    },
    open(link, options): Subscriber {
      const connection: Connection = {
        link,
        options,
        tables: new Set(),
        all: false,
        waiting: [],
        paused: false,
        closed: false,
      };
      connections.add(connection);
      return {
        subscribe(frame) {
          if (connection.closed) return;
          if (connection.waiting.length >= MAX_WAITING) {
            refuse(connection, frame.id, new ProtocolError('rate_limited'));
            return;
          }
          connection.waiting.push({ frame, arrivedMs: nowMs(), replay: null, items: [] });
          pump(connection);
        },
        unsubscribe: (id, topics) => unsubscribe(connection, id, topics),
        drained() {
          connection.paused = false;
          pump(connection);
        },
        closed: () => drop(connection),
      };
    },
    advance() {
      for (const connection of [...busy]) if (!connection.paused) pump(connection);
    },
    reset(reason, epoch) {
      // Told once: until the fresh state stands, another reset would say nothing new.
      if (resetReason !== null) return;
      resetReason = reason;
      for (const topic of joined.keys()) {
        if (topic !== EVERYONE) publish(topic, frameOf({ type: 'reset', topic, reason, epoch }));
      }
    },
    refresh() {
      const now = standing();
      if (now === null || resetReason === null) return;
      resetReason = null;
      const { timeline, delivered, stale } = now;
      const tables = new Set(timeline.state.tables());
      for (const topic of joined.keys()) {
        const reference = tableReference(topic);
        if (reference !== null && isTableId(reference)) tables.add(reference);
      }
      for (const table of tables) {
        const topic = topicOf(table);
        if (!joined.has(topic) && !joined.has(ALL_TABLES)) continue;
        const frame = timeline.snapshot(table, delivered, DEFAULT_HISTORY, stale);
        publish(topic, frame);
        publish(ALL_TABLES, frame);
      }
    },
  };
}
