import { ALL_TABLES, tableReference } from '../protocol/topic.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { canonicalTopic, MAX_STAR_HISTORY } from './progress.ts';
import type { Table } from './table.ts';
import { ClientError, type SubscribeOptions, type Subscription, type SubscriptionMessage } from './types.ts';

/** One topic as callers wrote it, and what it turned out to be. */
export interface Reference {
  /** `roulette:` and an id, name, UUID or `*`. */
  readonly topic: string;
  /** A name may get more tables later; an id or UUID is one table for ever. */
  readonly growing: boolean;
  /** Canonical topics; empty until the server said what a name or UUID is. */
  readonly topics: Set<string>;
  readonly followers: Set<Follower>;
}

/** One subscription, as the rest of the client sees it. */
export interface Follower {
  readonly history: number;
  deliver(message: SubscriptionMessage, table: Table | null): void;
  /** The server took the topic up. */
  taken(): void;
  /** Ends the subscription with an error. */
  fail(error: ClientError): void;
  /** Whoever waits for it to be taken up need not wait any more; the subscription itself stays. */
  despair(error: ClientError): void;
  close(): void;
}

export interface InterestEvents {
  /** Something is wanted that was not, or the other way round. */
  changed(): void;
  /** A follower joined a topic whose table may be known already. */
  joined(follower: Follower, reference: Reference): void;
  error(error: ClientError): void;
  tables(): ReadonlyMap<string, Table>;
}

export interface Interest {
  readonly references: ReadonlyMap<string, Reference>;
  follow(topic: string, options: SubscribeOptions): Subscription;
  wantsAll(): boolean;
  /** Whether anybody follows a topic, by itself or with all tables. */
  wants(topic: string): boolean;
  /** Canonical topics wanted, without `roulette:*`. */
  wanted(): ReadonlySet<string>;
  /** Numbers wanted of a topic. */
  depthOf(topic: string): number;
  followersOf(topic: string): Iterable<Follower>;
  /** Ends all subscriptions of a reference. */
  fail(reference: Reference, error: ClientError): void;
  /** All subscriptions there are. */
  followers(): readonly Follower[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const MAX_HISTORY = 200;

export function createInterest(events: InterestEvents, defaultHistory: number): Interest {
  const references = new Map<string, Reference>();

  const referenceOf = (asked: string): Reference => {
    const text = asked === '*' ? '*' : tableReference(asked);
    if (text === null) throw new ClientError('bad_topic', `no topic: ${asked}`, { topic: asked });
    const direct = canonicalTopic(text);
    const topic = direct ?? `roulette:${text}`;
    const known = references.get(topic);
    if (known) return known;
    const reference: Reference = {
      topic,
      growing: direct === null && !UUID.test(text),
      topics: new Set(direct === null ? [] : [direct]),
      followers: new Set(),
    };
    references.set(topic, reference);
    return reference;
  };

  const covers = (reference: Reference, topic: string): boolean =>
    reference.topics.has(topic) || reference.topics.has(ALL_TABLES);

  function* covering(topic: string): Iterable<Follower> {
    for (const reference of references.values()) if (covers(reference, topic)) yield* [...reference.followers];
  }

  const follow = (asked: string, options: SubscribeOptions): Subscription => {
    const reference = referenceOf(asked);
    const history = Math.max(0, Math.min(MAX_HISTORY, Math.trunc(options.history ?? defaultHistory)));
    const inboxes = new Set<Inbox>();
    const waiters = new Set<{ resolve(): void; reject(error: ClientError): void }>();
    let taken = false;
    let ended: ClientError | null = null;

    const finish = (error: ClientError | null): void => {
      if (ended) return;
      ended = error ?? new ClientError('failed', 'the subscription was ended', { topic: asked });
      options.signal?.removeEventListener('abort', follower.close);
      reference.followers.delete(follower);
      if (reference.followers.size === 0) references.delete(reference.topic);
      for (const inbox of [...inboxes]) inbox.end(error ?? undefined);
      for (const waiter of waiters) waiter.reject(ended);
      waiters.clear();
      events.changed();
    };

    const follower: Follower = {
      history,
      deliver(message, table) {
        if (ended) return;
        for (const inbox of inboxes) inbox.push(message);
        try {
          tell(options, message, table);
        } catch (cause) {
          events.error(new ClientError('listener', `a listener of ${asked} failed`, { topic: asked, cause }));
        }
      },
      taken() {
        taken = true;
        for (const waiter of waiters) waiter.resolve();
        waiters.clear();
      },
      despair(error) {
        for (const waiter of waiters) waiter.reject(error);
        waiters.clear();
      },
      fail(error) {
        if (ended) return;
        finish(error);
        if (options.onError) options.onError(error);
        else events.error(error);
      },
      close: () => finish(null),
    };
    reference.followers.add(follower);
    options.signal?.addEventListener('abort', follower.close, { once: true });
    if (options.signal?.aborted) follower.close();
    else {
      events.joined(follower, reference);
      events.changed();
    }

    return {
      topic: asked,
      get tables() {
        const own = [...events.tables()].filter(([, table]) => covers(reference, table.topic));
        return new Map(ended ? [] : own);
      },
      ready: () =>
        new Promise((resolve, reject) => {
          if (taken) resolve();
          else if (ended) reject(ended);
          else waiters.add({ resolve, reject });
        }),
      unsubscribe: follower.close,
      [Symbol.asyncIterator]() {
        const inbox = createInbox((left) => inboxes.delete(left));
        if (ended) inbox.end();
        else inboxes.add(inbox);
        return inbox.iterator;
      },
    };
  };

  return {
    references,
    follow,
    wantsAll: () => references.has(ALL_TABLES),
    wants: (topic) => [...references.values()].some((reference) => covers(reference, topic)),
    wanted() {
      const topics = new Set<string>();
      for (const reference of references.values()) for (const topic of reference.topics) topics.add(topic);
      topics.delete(ALL_TABLES);
      return topics;
    },
    depthOf(topic) {
      let depth = 0;
      if (topic === ALL_TABLES) {
        for (const { history } of references.get(ALL_TABLES)?.followers ?? []) depth = Math.max(depth, history);
        return Math.min(depth, MAX_STAR_HISTORY);
      }
      for (const follower of covering(topic)) depth = Math.max(depth, follower.history);
      return depth;
    },
    followersOf: covering,
    fail(reference, error) {
      for (const follower of [...reference.followers]) follower.fail(error);
    },
    followers: () => [...references.values()].flatMap((reference) => [...reference.followers]),
  };
}

/** Calls the listener that a message is for. */
function tell(options: SubscribeOptions, message: SubscriptionMessage, table: Table | null): void {
  switch (message.type) {
    case 'new_number':
      if (table) options.onNumber?.(message, table);
      return;
    case 'number_corrected':
      if (table) options.onCorrected?.(message, table);
      return;
    case 'number_removed':
      if (table) options.onRemoved?.(message, table);
      return;
    case 'strategy_update':
      if (table) options.onStrategy?.(message, table);
      return;
    case 'snapshot':
      if (table) options.onSnapshot?.(table);
      return;
    case 'reset':
      options.onReset?.(message, table);
      return;
    case 'gap':
      options.onGap?.(message);
      return;
    default:
      message satisfies never;
  }
}
