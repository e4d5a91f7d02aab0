import {
  type Delivery,
  type Frame,
  frameOf,
  type Publish,
  type Subscriber,
  type SubscriberLink,
  type SubscriberOptions,
} from '../protocol/delivery.ts';
import { CLOSE, ERRORS, ProtocolError } from '../protocol/errors.ts';
import type { RequestId } from '../protocol/messages.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import { isTableId, type TableId } from '../roulette/table.ts';
import { createAudience, type Membership } from './audience.ts';
import { holdOf } from './hold.ts';
import { createReplay, type Item, itemsOf, type Replay } from './request.ts';
import { createResets, type Resets, type Standing } from './resets.ts';
import type { FeedTimings } from './timings.ts';

/** Requests of one connection that wait for their turn, and of all together: each may be a frame of 4 KB. */
const MAX_WAITING = 32;
const MAX_WAITING_IN_ALL = 20_000;

interface Waiting {
  readonly frame: SubscribeFrame;
  readonly arrivedMs: number;
  replay: Replay | null;
  items: readonly Item[];
}

interface Unsubscribe {
  readonly id: RequestId;
  readonly topics: readonly string[];
}

interface Connection extends Subscriber {
  readonly link: SubscriberLink;
  readonly options: SubscriberOptions;
  readonly topics: Membership;
  readonly waiting: (Waiting | Unsubscribe)[];
  paused: boolean;
  /** Nothing may be sent any more. */
  ended: boolean;
}

export interface Subscribers extends Delivery, Resets {
  /** Something moved: D, a floor, the majority time, readiness. Serves whoever waits for it. */
  advance(): void;
  readonly connections: number;
  readonly held: number;
}

/**
 * Serves subscribe, unsubscribe and recovery for every transport.
 * INVARIANT seam: the last chunk of a replay, the ack and the joining of the topic happen in one synchronous tick, so
 * that no event falls between them.
 */
export function createSubscribers(
  publish: Publish,
  standing: () => Standing | null,
  nowMs: () => number,
  timings: Pick<FeedTimings, 'holdMs' | 'behindRetryMs'>,
): Subscribers {
  const connections = new Set<Connection>();
  const busy = new Set<Connection>();
  const audience = createAudience();
  const resets = createResets(publish, standing, audience);
  let waitingInAll = 0;

  const refuse = (connection: Connection, id: RequestId, error: ProtocolError): void => {
    const { code, message, problems } = error;
    const problem = problems.length === 0 ? {} : { problems };
    connection.link.send(frameOf({ type: 'error', id, code, message, retry: ERRORS[code].retry, ...problem }));
  };

  const allowedOf = ({ options }: Connection): TableId[] | null =>
    options.allowed === null ? null : [...options.allowed].filter(isTableId);

  /** What the connection would hold after these items. */
  const countAfter = (connection: Connection, items: readonly Item[]): number => {
    if (connection.topics.all || items.some((item) => item.table === null)) return 1;
    return new Set([...connection.topics.tables, ...items.map((item) => item.table)]).size;
  };

  const acknowledge = (connection: Connection, request: Waiting, replay: Replay, now: Standing): void => {
    const { link, topics: held } = connection;
    for (const { table } of request.items) {
      if (table === null) held.addAll();
      else held.add(table);
    }
    held.settle();
    const { epoch } = now.timeline;
    const topics = replay.results();
    link.send(frameOf({ type: 'subscribed', id: request.frame.id, epoch, position: now.delivered, topics }));
    if (now.status !== null) link.send(now.status);
    // Who joins while a snapshot is owed hears that it is.
    for (const table of now.timeline.owed.keys()) {
      if (request.items.some((item) => item.table === null || item.table === table)) {
        link.send(frameOf({ type: 'reset', topic: topicOf(table), reason: 'unknown', epoch }));
      }
    }
  };

  const drop = (connection: Connection): void => {
    if (connection.ended) return;
    connection.ended = true;
    connection.topics.end();
    connections.delete(connection);
    busy.delete(connection);
    waitingInAll -= connection.waiting.length;
    connection.waiting.length = 0;
  };

  const begin = (connection: Connection, request: Waiting, now: Standing): Replay | null => {
    const decision = holdOf(
      { arrivedMs: request.arrivedMs, items: request.items, seen: request.frame.seen, epoch: request.frame.epoch },
      { ...now, epoch: now.timeline.epoch, nowMs: nowMs(), holdMs: timings.holdMs },
    );
    if (decision === 'wait') return null;
    if (decision === 'behind') {
      // Never a snapshot lower than what the client has seen: another instance, or this one later, can serve it.
      drop(connection);
      connection.link.close(CLOSE.draining, timings.behindRetryMs);
      return null;
    }
    for (const { table } of request.items) {
      // A single table that is taken up again is left first, so that its replay cannot overtake live events.
      if (table !== null) connection.topics.remove(table);
    }
    return createReplay(request.items, now.timeline, now.delivered, decision === 'future', connection.topics.tables);
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
    // Live events of `roulette:*` come in between, so that what they must not overtake goes out in one tick.
    const atOnce = connection.topics.all;
    const send = (frame: Frame): boolean => (connection.link.send(frame) || atOnce) && !connection.ended;
    if (!request.replay.step(now.timeline, now.delivered, send, now.stale)) {
      connection.paused = true;
      return false;
    }
    acknowledge(connection, request, request.replay, now);
    return true;
  };

  const unsubscribe = (connection: Connection, { id, topics }: Unsubscribe): void => {
    const directory = standing()?.timeline.state.directory;
    const left: string[] = [];
    for (const topic of topics) {
      if (topic === ALL_TABLES && connection.topics.removeAll()) left.push(ALL_TABLES);
      const reference = tableReference(topic) ?? '';
      for (const table of directory?.resolve(reference) ?? (isTableId(reference) ? [reference] : [])) {
        if (connection.topics.remove(table)) left.push(topicOf(table));
      }
    }
    connection.topics.settle();
    connection.link.send(frameOf({ type: 'unsubscribed', id, topics: left }));
  };

  const pump = (connection: Connection): void => {
    while (!connection.ended && !connection.paused) {
      const [request] = connection.waiting;
      if (request === undefined) break;
      if ('topics' in request) unsubscribe(connection, request);
      else if (!serve(connection, request)) break;
      if (connection.waiting.shift() !== undefined) waitingInAll--;
    }
    if (connection.ended || connection.waiting.length === 0) busy.delete(connection);
    else busy.add(connection);
  };

  const enqueue = (connection: Connection, id: RequestId, request: Waiting | Unsubscribe): void => {
    if (connection.ended) return;
    if (connection.waiting.length >= MAX_WAITING || waitingInAll >= MAX_WAITING_IN_ALL) {
      refuse(connection, id, new ProtocolError('rate_limited'));
      return;
    }
    connection.waiting.push(request);
    waitingInAll++;
    pump(connection);
  };

  /** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
  class OpenConnection implements Connection {
    readonly link: SubscriberLink;
    readonly options: SubscriberOptions;
    readonly topics: Membership;
    readonly waiting: (Waiting | Unsubscribe)[] = [];
    paused = false;
    ended = false;

    constructor(link: SubscriberLink, options: SubscriberOptions) {
      this.link = link;
      this.options = options;
      this.topics = audience.member(link);
    }

    subscribe(frame: SubscribeFrame): void {
      enqueue(this, frame.id, { frame, arrivedMs: nowMs(), replay: null, items: [] });
    }

    unsubscribe(id: RequestId, topics: readonly string[]): void {
      enqueue(this, id, { id, topics });
    }

    drained(): void {
      this.paused = false;
      pump(this);
    }

    closed(): void {
      drop(this);
    }
  }

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
      const connection = new OpenConnection(link, options);
      connections.add(connection);
      return connection;
    },
    advance() {
      for (const connection of [...busy]) if (!connection.paused) pump(connection);
    },
    ...resets,
  };
}
