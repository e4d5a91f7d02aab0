import { type FeedOptions, startFeed, startReplica } from '../../src/feed/feed.ts';
import type { ReplicaLink } from '../../src/feed/replica.ts';
import type { Feed, FeedHearers } from '../../src/feed/serve.ts';
import { KEPT } from '../../src/feed/table-state.ts';
import type { FeedTimings } from '../../src/feed/timings.ts';
import { logTo } from '../../src/log/log.ts';
import type { Publish, Subscriber, SubscriberLink } from '../../src/protocol/delivery.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { readBase } from '../../src/store/base.ts';
import type { SubscribeRequest } from './follower.ts';

/** One connection to an instance, without a network: frames wait in a queue that a cut loses. */
export interface Wire {
  subscribe(request: SubscribeRequest): void;
  /** Ends it from the client's side; what is still on its way is lost. */
  cut(): void;
}

export interface WireEvents {
  frame(text: string): void;
  /** The server ended it. */
  closed(code: number): void;
}

/** How a reader takes its frames: so many per turn of the event loop; beyond `room` waiting ones it asks for a pause. */
export interface Pace {
  readonly perTurn: number;
  readonly room: number;
}

export const FAST: Pace = { perTurn: 10_000, room: 10_000 };
/** Slow enough that replays of a few events are paced. */
export const SLOW: Pace = { perTurn: 3, room: 2 };

/** The real feed with an in-process fan-out in place of the gateway. */
export interface Instance {
  readonly feed: Feed;
  /** Lines of its log, newest last. */
  readonly lines: readonly string[];
  connect(events: WireEvents, pace?: Pace): Wire;
  readonly connections: number;
  stop(): Promise<void>;
}

/** Times for a test machine: what the design gives as seconds, in fractions of them. */
export const QUICK: Partial<FeedTimings> = {
  syncMs: 150,
  majorityPollMs: 100,
  tickMs: 25,
  stallMs: 1_500,
  catchUpMs: 1_500,
  behindRetryMs: 50,
  backfillQuietMs: 150,
  backfillLatestMs: 600,
  resetQuietMs: 100,
  resetLatestMs: 500,
  downAfterMs: 300,
  staleAfterMs: 600,
  watchdogMarginMs: 1_000,
  connectMs: 1_000,
  selectionMs: 1_000,
  heartbeatMs: 500,
  backoffBaseMs: 20,
  backoffCapMs: 500,
  configurationRetryMs: 300,
  rewindBudgetMs: 5_000,
  mendApartMs: 2_000,
  freshApartMs: 2_000,
};

interface Open {
  readonly topics: Set<string>;
  deliver(frame: Frame): void;
  end(): void;
}

/** Starts one over the MongoDB at `uri`; the caller stops it. */
export function startInstance(uri: string, database: string, options: Partial<FeedOptions> = {}): Instance {
  const tablesDatabase = options.tablesDatabase ?? database;
  const follow = {
    uri,
    database,
    tablesDatabase,
    recoveryWindowSeconds: 600,
    ringBytes: 64e6,
    liveMaxAgeMs: 120_000,
    minSpinIntervalMs: 15_000,
    awaitMs: 200,
    ...options,
    timings: { ...QUICK, ...options.timings },
  };
  return instanceOf((hearers) =>
    startFeed(follow, {
      ...hearers,
      readBase: (client, afterClusterTime, inserted, tables) =>
        readBase(
          {
            databases: {
              client,
              shared: client.db(database),
              tables: client.db(tablesDatabase),
              sources: DEFAULT_SOURCES,
            },
          },
          { afterClusterTime, numbersPerTable: KEPT, known: inserted, tables },
        ),
    }),
  );
}

/** Starts one that follows any of others, the next one each time; the caller stops it. */
export function startLeaf(others: () => readonly Instance[]): Instance {
  let turn = 0;
  const connect = async (): Promise<ReplicaLink> => {
    const all = others();
    const other = all[turn++ % Math.max(1, all.length)];
    if (other === undefined) throw new Error('nobody is there to be followed');
    return lineTo(other.feed);
  };
  const bounds = { recoveryWindowSeconds: 600, ringBytes: 64e6 };
  return instanceOf((hearers) => startReplica({ ...bounds, timings: QUICK, connect }, hearers));
}

/** A line without a network: what is on its way when it ends is lost. */
function lineTo(feed: Feed): ReplicaLink {
  const sent: string[] = [];
  let isOpen = true;
  let wake = (): void => undefined;
  const close = (): void => {
    isOpen = false;
    replica.closed();
    wake();
  };
  const send = (message: string): void => {
    sent.push(message);
    wake();
  };
  const replica = feed.replicate({ send, hasRoom: () => true, close });
  async function* messages(): AsyncGenerator<string, void> {
    while (isOpen) {
      const message = sent.shift();
      if (message !== undefined) yield message;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  return { messages: messages(), send: (message) => replica.said(message), close };
}

function instanceOf(start: (hearers: FeedHearers) => Feed): Instance {
  const open = new Set<Open>();
  const lines: string[] = [];
  const note = (event: string, fields: object): void => {
    lines.push(`${event} ${JSON.stringify(fields)}`);
    if (lines.length > 500) lines.shift();
  };
  const publish: Publish = (topic, frame) => {
    for (const link of open) if (link.topics.has(topic)) link.deliver(frame);
  };
  const feed = start({ publish, log: logTo((_level, event, fields) => note(event, fields)) });
  return {
    feed,
    lines,
    get connections() {
      return open.size;
    },
    connect: (events, pace = FAST) => connect(feed, open, events, pace),
    async stop() {
      for (const link of [...open]) link.end();
      await feed.stop();
    },
  };
}

function connect(feed: Feed, open: Set<Open>, events: WireEvents, pace: Pace): Wire {
  const topics = new Set<string>();
  const queue: string[] = [];
  let scheduled = false;
  let ended = false;
  let paused = false;
  let requests = 0;
  let subscriber: Subscriber | null = null;

  const flush = (): void => {
    scheduled = false;
    for (const text of queue.splice(0, pace.perTurn)) if (!ended) events.frame(text);
    if (queue.length > 0) schedule();
    else if (paused && !ended) {
      paused = false;
      subscriber?.drained();
    }
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  };
  const deliver = (frame: Frame): void => {
    if (ended) return;
    queue.push(frame.text);
    schedule();
  };
  const end = (): void => {
    if (ended) return;
    ended = true;
    open.delete(link);
    subscriber?.closed();
  };
  const finish = (code: number): void => {
    if (ended) return;
    end();
    events.closed(code);
  };
  const link: Open & SubscriberLink = {
    topics,
    deliver,
    end: () => finish(1006),
    send(frame) {
      deliver(frame);
      paused = queue.length > pace.room;
      return !paused;
    },
    join: (topic) => topics.add(topic),
    leave: (topic) => topics.delete(topic),
    close: finish,
  };
  open.add(link);
  subscriber = feed.open(link, { allowed: null, maxTopics: 100 });
  const opened = subscriber;
  return {
    subscribe(request) {
      opened.subscribe({ type: 'subscribe', id: ++requests, ...request });
    },
    cut: end,
  };
}
