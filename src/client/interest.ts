import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { MAX_HISTORY, MAX_STAR_HISTORY, type Progress } from './progress.ts';
import type { Table } from './table.ts';
import { ClientError, type SubscribeOptions, type Subscription, type SubscriptionMessage } from './types.ts';

/** One topic as callers wrote it, and what it turned out to be. */
export interface Reference {
  /** `roulette:` and an id, name, UUID or `*`. */
  readonly topic: string;
  /** A name or UUID: the server says which tables it means, and a name may get more of them later. */
  readonly named: boolean;
  /** Canonical topics; empty until the server said what a name is. */
  readonly topics: Set<string>;
  readonly followers: Set<Follower>;
}

/** One subscription, as the rest of the client sees it. */
export interface Follower {
  readonly history: number;
  deliver(message: SubscriptionMessage, table: Table | null): void;
  /** The server took the topic up. */
  taken(): void;
  /** Whoever waits for it to be taken up need not wait any more; the subscription itself stays. */
  despair(error: ClientError): void;
  /** Ends the subscription, with an error unless that is what its owner wanted. */
  end(error?: ClientError): void;
}

export interface Interest {
  readonly references: ReadonlyMap<string, Reference>;
  follow(topic: string, options: SubscribeOptions): Subscription;
  /** Whether anybody follows a topic, by itself or with all tables. */
  wants(topic: string): boolean;
  /** The tables of a reference, or all that anybody follows, by id. */
  tables(of?: Reference): ReadonlyMap<string, Table>;
  /** Numbers wanted of a topic. */
  depthOf(topic: string): number;
  followersOf(topic: string): readonly Follower[];
  /** All subscriptions there are. */
  followers(): readonly Follower[];
}

const clamp = (count: number): number => Math.max(0, Math.min(MAX_HISTORY, Math.trunc(count)));

/** `changed` is called when something is wanted that was not, or the other way round. */
export function createInterest(
  progress: Pick<Progress, 'standings' | 'known'>,
  defaultHistory: number,
  changed: () => void,
  report: (error: ClientError) => void,
): Interest {
  const references = new Map<string, Reference>();

  const referenceOf = (asked: string): Reference => {
    const text = asked === '*' ? '*' : tableReference(asked);
    if (text === null) throw new ClientError('bad_topic', `no topic: ${asked}`, { topic: asked });
    // `2010165`, `2_2010165` and `2010165_2` are the same table.
    const id = text === '*' ? text : /^(?:\d{1,3}_)?(\d{7})(?:_\d{1,3})?$/.exec(text)?.[1];
    const topic = topicOf(id ?? text);
    const topics = new Set(id === undefined ? [] : [topic]);
    const reference = references.get(topic) ?? { topic, named: id === undefined, topics, followers: new Set() };
    references.set(topic, reference);
    return reference;
  };

  const covers = ({ topics }: Reference, topic: string): boolean => topics.has(topic) || topics.has(ALL_TABLES);

  const covering = (topic: string): Reference[] =>
    [...references.values()].filter((reference) => covers(reference, topic));

  const followersOf = (topic: string): Follower[] => covering(topic).flatMap(({ followers }) => [...followers]);

  const tables = (of?: Reference): ReadonlyMap<string, Table> => {
    const known = new Map<string, Table>();
    for (const { topic, table } of progress.standings.values()) {
      if (table && (of ? covers(of, topic) : covering(topic).length > 0)) known.set(table.id, table);
    }
    return known;
  };

  const follow = (asked: string, options: SubscribeOptions): Subscription => {
    const reference = referenceOf(asked);
    const inboxes = new Set<Inbox>();
    let waiting = createWaiting();
    let taken = false;
    let ended = false;

    const close = (): void => follower.end();
    const follower: Follower = {
      history: clamp(options.history ?? defaultHistory),
      deliver(message, table) {
        if (ended) return;
        for (const inbox of inboxes) inbox.push(message);
        try {
          tell(options, message, table);
        } catch (cause) {
          report(new ClientError('listener', `a listener of ${asked} failed`, { topic: asked, cause }));
        }
      },
      taken() {
        taken = true;
        waiting.resolve();
      },
      despair(error) {
        waiting.reject(error);
        if (!taken) waiting = createWaiting();
      },
      end(error) {
        if (ended) return;
        ended = true;
        options.signal?.removeEventListener('abort', close);
        reference.followers.delete(follower);
        if (reference.followers.size === 0) references.delete(reference.topic);
        for (const inbox of inboxes) inbox.end(error);
        waiting.reject(error ?? new ClientError('failed', 'unsubscribed', { topic: asked }));
        changed();
        if (error && options.onError) options.onError(error);
        else if (error) report(error);
      },
    };
    reference.followers.add(follower);
    options.signal?.addEventListener('abort', close);
    if (options.signal?.aborted) close();
    changed();
    queueMicrotask(() => {
      for (const { topic, table } of progress.standings.values()) {
        const known = progress.known(topic);
        if (known && covers(reference, topic)) follower.deliver(known, table);
      }
    });

    return {
      topic: asked,
      get tables() {
        return ended ? new Map() : tables(reference);
      },
      ready: () => waiting.promise,
      unsubscribe: close,
      [Symbol.asyncIterator]() {
        const inbox = createInbox(() => inboxes.delete(inbox));
        if (ended) inbox.end();
        else inboxes.add(inbox);
        return inbox.iterator;
      },
    };
  };

  return {
    references,
    follow,
    tables,
    followersOf,
    wants: (topic) => covering(topic).length > 0,
    depthOf(topic) {
      const depth = Math.max(0, ...followersOf(topic).map(({ history }) => history));
      return topic === ALL_TABLES ? Math.min(depth, MAX_STAR_HISTORY) : depth;
    },
    followers: () => [...references.values()].flatMap(({ followers }) => [...followers]),
  };
}

interface Waiting {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: ClientError): void;
}

function createWaiting(): Waiting {
  let settle: Pick<Waiting, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Whoever waits is told; that nobody does is no error.
  promise.catch(() => undefined);
  return { promise, resolve: () => settle?.resolve(), reject: (error) => settle?.reject(error) };
}

/** Calls the listener that a message is for. */
function tell(to: SubscribeOptions, message: SubscriptionMessage, table: Table | null): void {
  if (message.type === 'reset') to.onReset?.(message, table);
  else if (message.type === 'gap') to.onGap?.(message);
  else if (!table) return;
  else if (message.type === 'new_number') to.onNumber?.(message, table);
  else if (message.type === 'number_corrected') to.onCorrected?.(message, table);
  else if (message.type === 'number_removed') to.onRemoved?.(message, table);
  else if (message.type === 'strategy_update') to.onStrategy?.(message, table);
  else to.onSnapshot?.(table);
}
