import { ALL_TABLES, tableReference, topicOf } from '../protocol/messages.ts';
import { MAX_HISTORY, MAX_STAR_HISTORY, MAX_WAITING } from './limits.ts';
import type { TopicProgress } from './progress.ts';
import type { MaybePosition, Table } from './table.ts';
import {
  ClientError,
  type SnapshotReason,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionMessage,
} from './types.ts';

/** Messages on their way to one `for await`. */
interface Inbox {
  push(message: SubscriptionMessage): void;
  /** What waits is handed on first, then the error. */
  end(error?: ClientError): void;
  readonly iterator: AsyncIterator<SubscriptionMessage, undefined>;
}

/** `left` is called once, at the end. */
function createInbox(left: () => void): Inbox {
  const waiting: SubscriptionMessage[] = [];
  let came = (): void => undefined;
  let ended = false;
  let failure: ClientError | undefined;

  async function* messages(): AsyncGenerator<SubscriptionMessage, undefined> {
    for (;;) {
      const message = waiting.shift();
      if (message) yield message;
      else if (failure) throw failure;
      else if (ended) return;
      else {
        await new Promise<void>((resolve) => {
          came = resolve;
        });
      }
    }
  }

  const iterator = messages();
  const inbox: Inbox = {
    push(message) {
      if (waiting.length < MAX_WAITING) waiting.push(message);
      else inbox.end(new ClientError('overflow', 'messages were not taken'));
      came();
    },
    end(error) {
      ended = true;
      failure ??= error;
      left();
      came();
    },
    iterator: {
      next: () => iterator.next(),
      return() {
        waiting.length = 0;
        inbox.end();
        return iterator.return(undefined);
      },
    },
  };
  return inbox;
}

/** One subscription, as the rest of the client sees it. */
export interface Follow {
  /** `roulette:` and an id, name, UUID or `*`. */
  readonly topic: string;
  /** A name or UUID: the server says which tables it means, and a name may get more of them later. */
  readonly named: boolean;
  /** Canonical topics; none until the server said what a name is. */
  readonly topics: Set<string>;
  /** Up to here the name was answered for, '' before that: where it goes on from while it means no table. */
  pendingAt: MaybePosition;
  readonly history: number;
  deliver(message: SubscriptionMessage, table: Table | null, reason?: SnapshotReason): void;
  /** Hands on what is known of a topic that this subscription covers from now on. */
  show(topic: string, reason: SnapshotReason): void;
  /**
   * The server took the topic up; or, with an error, need not be waited for. The subscription itself stays. Whether
   * somebody waits, and so was told of the error.
   */
  settle(error?: ClientError): boolean;
  /** Ends the subscription, with an error unless that is what its owner wanted. */
  finish(error?: ClientError): void;
}

export interface Interest {
  /** All subscriptions there are. */
  readonly followers: ReadonlySet<Follow>;
  follow(topic: string, options: SubscribeOptions): Subscription;
  /** Who follows a topic, by itself or with all tables. */
  followersOf(topic: string): readonly Follow[];
  wants(topic: string): boolean;
  /** The tables of those topics that are known, by id. */
  tablesOf(of: (topic: string) => boolean): ReadonlyMap<string, Table>;
  /** Numbers wanted of a topic. */
  depthOf(topic: string): number;
}

const covers = ({ topics }: Follow, topic: string): boolean => topics.has(topic) || topics.has(ALL_TABLES);

/** The canonical topic of a table or of all, or that of a name, which the server has to say the tables of. */
function meaningOf(asked: string): Pick<Follow, 'topic' | 'named'> {
  const reference = asked === '*' ? '*' : tableReference(asked);
  if (reference === null) throw new ClientError('bad_topic', `no topic: ${asked}`, asked);
  // `2010165`, `2_2010165` and `2010165_2` are the same table.
  const id = /^(?:\d{1,3}_)?(\d{7}|\*)(?:_\d{1,3})?$/.exec(reference)?.[1];
  return { topic: topicOf(id ?? reference), named: id === undefined };
}

/** Tables with as many numbers as one subscription wants; the same object for the same table. */
function createViews(history: number): (table: Table) => Table {
  const views = new WeakMap<Table, Table>();
  return (table) => {
    if (table.numeros.length <= history) return table;
    const view = views.get(table) ?? { ...table, numeros: table.numeros.slice(0, history) };
    views.set(table, view);
    return view;
  };
}

/** What all subscriptions of a client share. */
interface FollowGround {
  readonly followers: Set<Follow>;
  readonly progress: Pick<TopicProgress, 'states' | 'known'>;
  readonly defaultHistory: number;
  readonly tablesOf: Interest['tablesOf'];
  /** Something is wanted that was not, or the other way round. */
  changed(): void;
  /** `told`: whoever waited for it has the error already. */
  report(error: ClientError, told?: boolean): void;
}

/** Begins a subscription among those of `ground`. Throws `bad_topic` for what no table can be called. */
function follow(ground: FollowGround, asked: string, options: SubscribeOptions): Subscription {
  const { progress, followers, tablesOf, report, changed } = ground;
  const { topic, named } = meaningOf(asked);
  const { signal, history = ground.defaultHistory } = options;
  const inboxes = new Set<Inbox>();
  let waiting = createWaiting();
  let taken = false;
  const limit = Math.max(0, Math.min(MAX_HISTORY, Math.trunc(history)));
  const viewOf = createViews(limit);

  const isOwn = (each: string): boolean => followers.has(follower) && covers(follower, each);
  const close = (): void => follower.finish();
  const follower: Follow = {
    topic,
    named,
    topics: new Set(named ? [] : [topic]),
    pendingAt: '',
    history: limit,
    deliver(message, table, reason = 'new') {
      if (!followers.has(follower)) return;
      for (const inbox of inboxes) inbox.push(message);
      try {
        tell(options, message, table && viewOf(table), reason);
      } catch (cause) {
        report(new ClientError('listener', `a listener failed: ${asked}`, asked, cause));
      }
    },
    show(each, why) {
      const known = progress.known(each);
      if (known) follower.deliver(known, progress.states.get(each)?.table ?? null, why);
    },
    settle(error) {
      const told = waiting.requested;
      waiting.answer(error);
      taken ||= !error;
      if (!taken) waiting = createWaiting();
      return told;
    },
    finish(error) {
      if (!followers.delete(follower)) return;
      signal?.removeEventListener('abort', close);
      const told = waiting.requested || inboxes.size > 0;
      for (const inbox of inboxes) inbox.end(error);
      waiting.answer(error ?? new ClientError('failed', 'unsubscribed', asked));
      changed();
      if (!error) return;
      if (options.onError) options.onError(error);
      else report(error, told);
    },
  };
  followers.add(follower);
  signal?.addEventListener('abort', close);
  if (signal?.aborted) close();
  changed();
  // What is known already need not be waited for.
  queueMicrotask(() => {
    for (const table of tablesOf(isOwn).values()) follower.show(table.topic, 'known');
  });

  return {
    topic: asked,
    get tables() {
      return new Map([...tablesOf(isOwn)].map(([key, table]) => [key, viewOf(table)]));
    },
    get ended() {
      return !followers.has(follower);
    },
    ready() {
      waiting.requested = true;
      return waiting.promise;
    },
    unsubscribe: close,
    [Symbol.asyncIterator]() {
      const inbox = createInbox(() => inboxes.delete(inbox));
      inboxes.add(inbox);
      if (!followers.has(follower)) inbox.end();
      return inbox.iterator;
    },
  };
}

/** `changed` is called when something is wanted that was not, or the other way round. */
export function createInterest(
  progress: Pick<TopicProgress, 'states' | 'known'>,
  defaultHistory: number,
  changed: () => void,
  report: (error: ClientError, told?: boolean) => void,
): Interest {
  const followers = new Set<Follow>();

  const followersOf = (topic: string): Follow[] => [...followers].filter((each) => covers(each, topic));
  const wants = (topic: string): boolean => followersOf(topic).length > 0;

  const tablesOf = (of: (topic: string) => boolean): ReadonlyMap<string, Table> => {
    const known = new Map<string, Table>();
    for (const { topic, table } of progress.states.values()) {
      if (table && of(topic)) known.set(table.id, table);
    }
    return known;
  };
  const ground = { followers, progress, defaultHistory, tablesOf, changed, report };

  return {
    followers,
    follow: (asked, options) => follow(ground, asked, options),
    followersOf,
    wants,
    tablesOf,
    depthOf(topic) {
      const depth = Math.max(0, ...followersOf(topic).map(({ history }) => history));
      return topic === ALL_TABLES ? Math.min(depth, MAX_STAR_HISTORY) : depth;
    },
  };
}

/** A promise with its answer: an error, or none. */
function createWaiting() {
  let answer = (_error?: ClientError): void => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    answer = (error) => (error ? reject(error) : resolve());
  });
  // Whoever waits is told; that nobody does is no error.
  promise.catch(() => undefined);
  return { promise, answer, requested: false };
}

/** Calls the listeners that a message is for. */
function tell(to: SubscribeOptions, message: SubscriptionMessage, table: Table | null, reason: SnapshotReason): void {
  if (message.type === 'reset') to.onReset?.(message, table);
  else if (message.type === 'gap') to.onGap?.(message);
  else if (message.type === 'recovered') to.onRecovered?.(message);
  else if (message.type === 'lost') to.onLost?.(message);
  else if (!table) return;
  else if (message.type === 'new_number') to.onNumber?.(message, table);
  else if (message.type === 'number_corrected') to.onCorrected?.(message, table);
  else if (message.type === 'number_removed') to.onRemoved?.(message, table);
  else if (message.type === 'strategy_update') to.onStrategy?.(message, table);
  else if (message.type === 'snapshot') to.onSnapshot?.(table, { reason });
  if (table && message.type !== 'gap') to.onTable?.(table);
}
