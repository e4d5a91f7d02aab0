import {
  type Delivery,
  type DeliveryObserver,
  type Frame,
  frameOf,
  type Publish,
  type Subscriber,
  type SubscriberLink,
  type SubscriberOptions,
} from '../protocol/delivery.ts';
import { CLOSE, ERRORS, ProtocolError } from '../protocol/errors.ts';
import type { RequestId, ResetReason } from '../protocol/messages.ts';
import type { ClusterTime, Position } from '../protocol/position.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import { isTableId, type TableId } from '../roulette/table.ts';
import { createAudience, type Membership } from './audience.ts';
import { createPace } from './pace.ts';
import { admit, createReplay, type Item, itemsOf, type Replay } from './request.ts';
import { DEFAULT_HISTORY, type Timeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';

/** What subscribers are served from at this moment. */
export interface Served {
  readonly timeline: Timeline;
  readonly delivered: Position;
  readonly stale: boolean;
  /** What everybody was told of the feed last, for those who come later; null while all is well. */
  readonly status: Frame | null;
  /** The majority time as last asked, and when the question was put (monotonic ms); null when Mongo cannot be asked. */
  readonly majority: { readonly time: ClusterTime; readonly askedMs: number } | null;
}

export interface Subscribers extends Delivery {
  /** Something moved: D, a floor, the majority time, readiness. Serves whoever waits for it. */
  advance(): void;
  /** A fresh state begins: tells every subscribed topic once, but for tables that were told, and owes each a snapshot. */
  reset(reason: ResetReason, epoch: string, told: ReadonlyMap<TableId, unknown>): void;
  /** The fresh state stands: every connection is sent the snapshots that `reset` owes, as fast as it takes them. */
  refresh(): void;
  readonly connections: number;
  /** Connections that wait for something. */
  readonly waiting: number;
}

/** Requests of one connection that wait for their turn, and of all together: each may be a frame of 4 KB. */
const MAX_WAITING = 32;
const MAX_WAITING_IN_ALL = 20_000;

interface Subscribe {
  readonly frame: SubscribeFrame;
  readonly arrivedMs: number;
  replay: Replay | null;
  items: readonly Item[];
}

interface Unsubscribe {
  readonly id: RequestId;
  readonly topics: readonly string[];
}

/** What all connections share. */
interface Shared {
  readonly connections: Set<OpenConnection>;
  /** Those that wait for something. */
  readonly busy: Set<OpenConnection>;
  readonly timings: Pick<FeedTimings, 'holdMs' | 'behindRetryMs'>;
  readonly observer: DeliveryObserver;
  /** Requests that wait, of all connections. */
  waitingInAll: number;
  served(): Served | null;
  nowMs(): number;
}

/** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
class OpenConnection implements Subscriber {
  readonly topics: Membership;
  readonly #shared: Shared;
  readonly #link: SubscriberLink;
  readonly #options: SubscriberOptions;
  readonly #waiting: (Subscribe | Unsubscribe)[] = [];
  /** Tables whose snapshots are owed since a fresh state stands, and how many of them were sent. */
  #owed: readonly TableId[] = [];
  #paid = 0;
  #paused = false;
  /** Nothing may be sent any more. */
  #ended = false;

  constructor(shared: Shared, link: SubscriberLink, options: SubscriberOptions, topics: Membership) {
    this.#shared = shared;
    this.#link = link;
    this.#options = options;
    this.topics = topics;
  }

  subscribe(frame: SubscribeFrame): void {
    this.#enqueue(frame.id, { frame, arrivedMs: this.#shared.nowMs(), replay: null, items: [] });
  }

  unsubscribe(id: RequestId, topics: readonly string[]): void {
    this.#enqueue(id, { id, topics });
  }

  drained(): void {
    this.#paused = false;
    this.pump();
  }

  holds(): readonly string[] {
    return this.topics.all ? [ALL_TABLES] : [...this.topics.tables].map(topicOf);
  }

  closed(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.topics.end();
    this.#shared.connections.delete(this);
    this.#shared.busy.delete(this);
    this.#shared.waitingInAll -= this.#waiting.length;
    this.#waiting.length = 0;
  }

  /** Owes it the snapshots of a fresh state, of these tables or of its own. */
  owe(all: readonly TableId[]): void {
    if (!this.topics.all && this.topics.tables.size === 0) return;
    this.#owed = this.topics.all ? all : [...this.topics.tables];
    this.#paid = 0;
    this.#shared.busy.add(this);
  }

  /** Serves what waits, in its order, as far as the link takes it. */
  pump(): void {
    while (!this.#ended && !this.#paused) {
      if (this.#paid < this.#owed.length) {
        if (this.#pay()) continue;
        break;
      }
      const [request] = this.#waiting;
      if (request === undefined) break;
      if ('topics' in request) this.#leave(request);
      else if (!this.#serve(request)) break;
      if (this.#waiting.shift() !== undefined) this.#shared.waitingInAll--;
    }
    const isIdle = this.#ended || (this.#waiting.length === 0 && this.#paid >= this.#owed.length);
    if (isIdle) this.#shared.busy.delete(this);
    else this.#shared.busy.add(this);
  }

  #enqueue(id: RequestId, request: Subscribe | Unsubscribe): void {
    if (this.#ended) return;
    if (this.#waiting.length >= MAX_WAITING || this.#shared.waitingInAll >= MAX_WAITING_IN_ALL) {
      this.#refuse(id, new ProtocolError('rate_limited'));
      return;
    }
    this.#waiting.push(request);
    this.#shared.waitingInAll++;
    this.pump();
  }

  #refuse(id: RequestId, { code, message, problems }: ProtocolError): void {
    const problem = problems.length === 0 ? {} : { problems };
    this.#link.send(frameOf({ type: 'error', id, code, message, retry: ERRORS[code].retry, ...problem }));
  }

  /** Sends owed snapshots; live events come in between, and a snapshot is of the moment that it is sent. */
  #pay(): boolean {
    const now = this.#shared.served();
    if (now === null) return false;
    const table = this.#owed[this.#paid++];
    if (table === undefined) return true;
    if (!this.topics.all && !this.topics.tables.has(table)) return true;
    const { timeline, delivered, stale } = now;
    this.#shared.observer.snapshot();
    if (!this.#link.send(timeline.snapshot(table, delivered, DEFAULT_HISTORY, stale))) this.#paused = true;
    return true;
  }

  /** Serves the first waiting request as far as possible; true when it is done with. */
  #serve(request: Subscribe): boolean {
    const now = this.#shared.served();
    if (now === null) return false;
    try {
      if (request.items.length === 0) request.items = this.#resolve(request.frame, now);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(request.frame.id, error);
      return true;
    }
    request.replay ??= this.#begin(request, now);
    if (request.replay === null) return false;
    // Live events of `roulette:*` come in between, so that what they must not overtake goes out in one tick.
    const atOnce = this.topics.all;
    const send = (frame: Frame): boolean => {
      if (frame.type === 'snapshot') this.#shared.observer.snapshot();
      return (this.#link.send(frame) || atOnce) && !this.#ended;
    };
    if (!request.replay.step(now.timeline, now.delivered, send, now.stale)) {
      this.#paused = true;
      return false;
    }
    this.#acknowledge(request, request.replay, now);
    return true;
  }

  /** Throws ProtocolError: see `itemsOf`, and `too_many_topics`. */
  #resolve(frame: SubscribeFrame, { timeline }: Served): Item[] {
    const { allowed, maxTopics } = this.#options;
    const { directory } = timeline.state;
    const items = itemsOf(
      frame,
      (text) => directory.resolve(text),
      allowed === null ? null : [...allowed].filter(isTableId),
    );
    const all = this.topics.all || items.some((item) => item.table === null);
    const after = all ? 1 : new Set([...this.topics.tables, ...items.map((item) => item.table)]).size;
    if (after > maxTopics) throw new ProtocolError('too_many_topics');
    return items;
  }

  #begin({ arrivedMs, items, frame }: Subscribe, now: Served): Replay | null {
    const { timeline, delivered, majority } = now;
    const { timings, nowMs } = this.#shared;
    const decision = admit(
      { arrivedMs, items, seen: frame.seen, epoch: frame.epoch },
      { delivered, majority, epoch: timeline.epoch, nowMs: nowMs(), holdMs: timings.holdMs },
    );
    if (decision === 'wait') return null;
    if (decision === 'behind') {
      // Never a snapshot lower than what the client has seen: another instance, or this one later, can serve it.
      this.closed();
      this.#link.close(CLOSE.draining, timings.behindRetryMs);
      return null;
    }
    for (const { table } of items) {
      // A single table that is taken up again is left first, so that its replay cannot overtake live events.
      if (table !== null) this.topics.remove(table);
    }
    return createReplay(items, timeline, delivered, decision === 'future', this.topics.tables);
  }

  #acknowledge({ items, frame }: Subscribe, replay: Replay, { timeline, delivered, status }: Served): void {
    for (const { table } of items) {
      if (table === null) this.topics.addAll();
      else this.topics.add(table);
    }
    this.topics.settle();
    const { epoch } = timeline;
    const results = replay.results();
    this.#link.send(frameOf({ type: 'subscribed', id: frame.id, epoch, position: delivered, topics: results }));
    this.#shared.observer.subscribed(results);
    if (status !== null) this.#link.send(status);
    // Who joins while a snapshot is owed hears that it is.
    for (const table of timeline.owed.keys()) {
      if (items.some((item) => item.table === null || item.table === table)) {
        this.#link.send(frameOf({ type: 'reset', topic: topicOf(table), reason: 'unknown', epoch }));
      }
    }
  }

  #leave({ id, topics }: Unsubscribe): void {
    const directory = this.#shared.served()?.timeline.state.directory;
    const left: string[] = [];
    for (const topic of topics) {
      if (topic === ALL_TABLES && this.topics.removeAll()) left.push(ALL_TABLES);
      const reference = tableReference(topic) ?? '';
      for (const table of directory?.resolve(reference) ?? (isTableId(reference) ? [reference] : [])) {
        if (this.topics.remove(table)) left.push(topicOf(table));
      }
    }
    this.topics.settle();
    this.#link.send(frameOf({ type: 'unsubscribed', id, topics: left }));
  }
}

/**
 * Serves subscribe, unsubscribe and recovery for every transport.
 * INVARIANT seam: the last chunk of a replay, the ack and the joining of the topic happen in one synchronous tick, so
 * that no event falls between them.
 */
export function createSubscribers(
  publish: Publish,
  served: () => Served | null,
  nowMs: () => number,
  timings: Pick<FeedTimings, 'holdMs' | 'behindRetryMs'>,
  observer: DeliveryObserver,
): Subscribers {
  const shared: Shared = {
    connections: new Set(),
    busy: new Set(),
    timings,
    observer,
    waitingInAll: 0,
    served,
    nowMs,
  };
  const { connections, busy } = shared;
  const audience = createAudience();
  let isReset = false;
  /** The tables that were served when the former state ended. */
  let before: readonly TableId[] = [];

  /** Serves whoever waits, and others between them: what a fresh state owes all of them at once takes its time. */
  const pumpAll = async (): Promise<void> => {
    const pace = createPace(nowMs);
    for (const connection of [...busy]) {
      connection.pump();
      if (pace.isDue) await pace.rest();
    }
  };

  return {
    get connections() {
      return connections.size;
    },
    get waiting() {
      return busy.size;
    },
    standing() {
      const now = served();
      return now === null ? null : { epoch: now.timeline.epoch, position: now.delivered };
    },
    open(link, options) {
      const connection = new OpenConnection(shared, link, options, audience.member(link));
      connections.add(connection);
      return connection;
    },
    advance() {
      for (const connection of [...busy]) connection.pump();
    },
    reset(reason, epoch, told) {
      // Told once: until the fresh state stands, another reset would say nothing new.
      if (isReset) return;
      isReset = true;
      const toldTopics = new Set([...told.keys()].map(topicOf));
      const tables = served()?.timeline.state.tables() ?? [];
      before = [...new Set([...tables, ...told.keys()])];
      if (tables.length > 0 && tables.every((table) => told.has(table))) toldTopics.add(ALL_TABLES);
      for (const topic of audience.topics()) {
        if (!toldTopics.has(topic)) publish(topic, frameOf({ type: 'reset', topic, reason, epoch }));
      }
    },
    refresh() {
      const now = served();
      if (now === null || !isReset) return;
      isReset = false;
      // Those that are no more get an empty one.
      const all = [...new Set([...before, ...now.timeline.state.tables()])];
      before = [];
      for (const connection of connections) connection.owe(all);
      void pumpAll();
    },
    hearing: audience.hearing,
    subscriptions: audience.subscriptions,
  };
}
