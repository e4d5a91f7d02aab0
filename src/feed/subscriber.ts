import type { DeliveryObserver, Subscriber, SubscriberLink, SubscriberOptions } from '../protocol/delivery.ts';
import { CLOSE, ProtocolError } from '../protocol/errors.ts';
import {
  ALL_TABLES,
  type Frame,
  frameOf,
  type RequestId,
  type TopicResult,
  tableReference,
  topicOf,
} from '../protocol/messages.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import type { Directory, TableId } from '../roulette/table.ts';
import type { Membership } from './audience.ts';
import { type Awaited, isIdOf, isSameReference, type Wait } from './awaited.ts';
import { createReplay, type Replay } from './replay.ts';
import {
  type Asked,
  admit,
  type Resolution,
  refusedFrame,
  resolvedFrame,
  resolveTopics,
  type Served,
  visibleTo,
  withPending,
} from './request.ts';
import { DEFAULT_HISTORY } from './timeline.ts';
import type { FeedTimings } from './timings.ts';

/** Requests of one connection that wait for their turn, and of all together: each may be a frame of 4 KB. */
const MAX_WAITING = 32;
const MAX_WAITING_IN_ALL = 20_000;

interface Subscribe {
  readonly frame: SubscribeFrame;
  readonly arrivedMs: number;
  replay: Replay | null;
  /** What it asks for; null before its turn. */
  resolution: Resolution | null;
}

interface Unsubscribe {
  readonly id: RequestId;
  readonly topics: readonly string[];
}

/** A table that an awaited topic came to mean. */
interface Beginning {
  readonly wait: Wait<OpenConnection>;
  readonly table: TableId;
}

const NONE: ReadonlyMap<string, number> = new Map();

/** What all connections share. */
export interface Shared {
  readonly connections: Set<OpenConnection>;
  /** Those that wait for something. */
  readonly busy: Set<OpenConnection>;
  readonly awaited: Awaited<OpenConnection>;
  readonly timings: Pick<FeedTimings, 'catchUpMs' | 'behindRetryMs'>;
  readonly observer: DeliveryObserver;
  /** Requests that wait, of all connections. */
  waitingInAll: number;
  served(): Served | null;
  nowMs(): number;
}

/** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
export class OpenConnection implements Subscriber {
  readonly topics: Membership;
  readonly #shared: Shared;
  readonly #link: SubscriberLink;
  readonly #options: SubscriberOptions;
  readonly #waiting: (Subscribe | Unsubscribe)[] = [];
  /** Tables whose snapshots are owed since a fresh state is complete, and how many of them were sent. */
  #owed: readonly TableId[] = [];
  #paid = 0;
  /** Topics that may come to mean a table, or one more, as they were asked for; null while there is none. */
  #waits: Map<string, Wait<OpenConnection>> | null = null;
  /** Those that did, and could not begin at once. */
  #beginnings: Beginning[] = [];
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
    this.#enqueue(frame.id, { frame, arrivedMs: this.#shared.nowMs(), replay: null, resolution: null });
  }

  unsubscribe(id: RequestId, topics: readonly string[]): void {
    this.#enqueue(id, { id, topics });
  }

  drained(): void {
    this.#paused = false;
    this.pump();
  }

  heardTopics(): readonly string[] {
    const heard = this.topics.all ? [ALL_TABLES] : [...this.topics.tables].map(topicOf);
    return [...heard, ...this.#pending()];
  }

  uneven(): ReadonlyMap<string, number> {
    const uneven = [...(this.#waits?.values() ?? [])].filter(({ tables }) => tables !== 1);
    return uneven.length === 0 ? NONE : new Map(uneven.map(({ topic, tables }) => [topic, tables]));
  }

  /**
   * A table that was waited for appears, and no event of it was published yet: it begins with an empty snapshot, and all
   * that there is comes by events. Not before what is under way on this connection.
   */
  appear(wait: Wait<OpenConnection>, table: TableId): void {
    const now = this.#shared.served();
    const isIdle = this.#waiting.length + this.#beginnings.length === 0 && this.#paid >= this.#owed.length;
    if (now !== null && isIdle && !this.#paused) this.#begin({ wait, table }, 0, now);
    else this.meet(wait, table);
  }

  /** A topic came to mean a table, too: it begins in its turn. */
  meet(wait: Wait<OpenConnection>, table: TableId): void {
    if (this.#ended || this.#beginnings.length > this.#options.maxTopics) return;
    this.#beginnings.push({ wait, table });
    this.#shared.busy.add(this);
  }

  /** A fresh state is complete, which may know more. */
  look(directory: Pick<Directory, 'resolve' | 'has'>): void {
    for (const wait of this.#waits?.values() ?? []) {
      for (const table of visibleTo(this.#options.allowed, wait.reference, directory)) {
        const isHeard = this.topics.all || this.topics.tables.has(table);
        if (!isHeard && directory.has(table)) this.meet(wait, table);
      }
    }
  }

  closed(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.topics.end();
    this.#forgetAll();
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
      const isUnderWay = request !== undefined && 'replay' in request && request.replay !== null;
      if (this.#beginnings.length > 0 && !isUnderWay) {
        if (this.#beginNext()) continue;
        break;
      }
      if (request === undefined) break;
      if ('topics' in request) this.#leave(request);
      else if (!this.#serve(request)) break;
      if (this.#waiting.shift() !== undefined) this.#shared.waitingInAll--;
    }
    const left = this.#waiting.length + this.#beginnings.length;
    const isIdle = this.#ended || (left === 0 && this.#paid >= this.#owed.length);
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

  #refuse(id: RequestId | null, error: ProtocolError): void {
    this.#link.send(refusedFrame(id, error));
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
      request.resolution ??= this.#resolve(request.frame, now);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(request.frame.id, error);
      return true;
    }
    request.replay ??= this.#take(request, request.resolution, now);
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
    this.#acknowledge(request, request.resolution, request.replay.results(), now);
    return true;
  }

  /** Throws ProtocolError: see `resolveTopics`, `too_many_topics`, and `rate_limited` while too many wait for tables. */
  #resolve(frame: SubscribeFrame, { timeline }: Served): Resolution {
    const { allowed, maxTopics } = this.#options;
    const resolution = resolveTopics(frame, timeline.state.directory, allowed);
    const { items, asked } = resolution;
    const pending = new Set([...this.#pending(), ...asked.filter(({ tables }) => tables.length === 0).map(topicAsked)]);
    const all = this.topics.all || items.some((item) => item.table === null);
    const heard = all ? 1 : new Set([...this.topics.tables, ...items.map((item) => item.table)]).size;
    if (heard + pending.size > maxTopics) throw new ProtocolError('too_many_topics');
    const { awaited } = this.#shared;
    if (asked.some(({ isPending, reference }) => isPending && !awaited.takes(reference))) {
      throw new ProtocolError('rate_limited');
    }
    return resolution;
  }

  /** Decides how a request is served; null while it must wait, or is not served here. */
  #take({ arrivedMs, frame }: Subscribe, { items }: Resolution, now: Served): Replay | null {
    const { timeline, delivered, majority } = now;
    const { timings, nowMs } = this.#shared;
    const decision = admit(
      { arrivedMs, items, seen: frame.seen, epoch: frame.epoch },
      { delivered, majority, epoch: timeline.epoch, nowMs: nowMs(), catchUpMs: timings.catchUpMs },
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

  #acknowledge(
    { frame }: Subscribe,
    { items, asked }: Resolution,
    replayed: readonly TopicResult[],
    { timeline, delivered, status }: Served,
  ): void {
    for (const { table } of items) {
      if (table === null) {
        this.topics.addAll();
        this.#forgetAll();
      } else this.topics.add(table);
    }
    for (const each of asked) {
      // What means tables is served also where there is no room to wait for more of them.
      if (each.isPending || this.#shared.awaited.takes(each.reference)) this.#await(each, timeline.state.directory);
    }
    this.#settle();
    const { epoch } = timeline;
    const topics = withPending(replayed, asked);
    this.#link.send(frameOf({ type: 'subscribed', id: frame.id, epoch, position: delivered, topics }));
    this.#shared.observer.subscribed(topics);
    if (status !== null) this.#link.send(status);
    // Who joins while a snapshot is owed hears that it is.
    for (const table of timeline.owed.keys()) {
      if (items.some((item) => item.table === null || item.table === table)) {
        this.#link.send(frameOf({ type: 'reset', topic: topicOf(table), reason: 'unknown', epoch }));
      }
    }
  }

  #settle(): void {
    this.topics.settle(this.#waits !== null);
  }

  /** Topics that mean no table yet. */
  #pending(): string[] {
    return [...(this.#waits?.values() ?? [])].filter(({ tables }) => tables === 0).map(topicAsked);
  }

  #await({ topic, reference, history, tables }: Asked, directory: Pick<Directory, 'resolve'>): void {
    this.#forget(this.#waits?.get(topic));
    const wait = { owner: this, topic, reference, history, tables: tables.length };
    this.#waits ??= new Map();
    this.#waits.set(topic, wait);
    this.#shared.awaited.add(wait);
    // What came to be known while the request was served.
    for (const table of visibleTo(this.#options.allowed, reference, directory)) {
      if (!tables.includes(table)) this.meet(wait, table);
    }
  }

  #forget(wait: Wait<OpenConnection> | undefined): void {
    if (wait === undefined || this.#waits === null) return;
    this.#shared.awaited.remove(wait);
    this.#waits.delete(wait.topic);
    this.#beginnings = this.#beginnings.filter((beginning) => beginning.wait !== wait);
    if (this.#waits.size === 0) this.#waits = null;
  }

  #forgetAll(): void {
    for (const wait of [...(this.#waits?.values() ?? [])]) this.#forget(wait);
  }

  /** False while nothing is served. */
  #beginNext(): boolean {
    const now = this.#shared.served();
    if (now === null) return false;
    const beginning = this.#beginnings.shift();
    if (beginning !== undefined) this.#begin(beginning, beginning.wait.history, now);
    return true;
  }

  /** A table begins on a connection that asked for it before it was known by that: in one tick, as with a request. */
  #begin({ wait, table }: Beginning, history: number, { timeline, delivered, stale }: Served): void {
    const { allowed, maxTopics } = this.#options;
    if (allowed !== null && !allowed.has(table)) return;
    const isHeard = this.topics.all || this.topics.tables.has(table);
    const others = this.topics.tables.size + this.#pending().length;
    if (!isHeard && wait.tables > 0 && others >= maxTopics) {
      this.#refuse(null, new ProtocolError('too_many_topics'));
      return;
    }
    // An id of seven digits is heard from the beginning.
    if (!isHeard || wait.tables === 0) wait.tables++;
    this.#link.send(resolvedFrame(wait.topic, table, timeline.state.nameOf(table)));
    this.#shared.observer.snapshot();
    if (!this.#link.send(timeline.snapshot(table, delivered, history, stale))) this.#paused = true;
    this.topics.add(table);
    if (isIdOf(wait.reference, table)) this.#forget(wait);
    this.#settle();
  }

  #leave({ id, topics }: Unsubscribe): void {
    const directory = this.#shared.served()?.timeline.state.directory;
    const visible = (reference: string): readonly TableId[] | undefined =>
      directory && visibleTo(this.#options.allowed, reference, directory);
    const left = new Set<string>();
    for (const topic of topics) {
      if (topic === ALL_TABLES && this.topics.removeAll()) left.add(ALL_TABLES);
      const reference = tableReference(topic) ?? '';
      const tables = visible(reference) ?? [...this.topics.tables].filter((table) => table === reference);
      for (const table of tables) if (this.topics.remove(table)) left.add(topicOf(table));
      for (const wait of [...(this.#waits?.values() ?? [])]) {
        // Who leaves one table of a name waits for no other table of that name.
        const means = visible(wait.reference)?.some((table) => tables.includes(table)) ?? false;
        if (!means && !isSameReference(wait.reference, reference)) continue;
        if (wait.tables === 0) left.add(wait.topic);
        this.#forget(wait);
      }
    }
    this.#settle();
    this.#link.send(frameOf({ type: 'unsubscribed', id, topics: [...left] }));
  }
}

const topicAsked = ({ topic }: { readonly topic: string }): string => topic;
