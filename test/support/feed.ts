import { type FeedOptions, type FeedParts, startFeed } from '../../src/feed/feed.ts';
import type { Feed } from '../../src/feed/serve.ts';
import { KEPT, ROWS_KEPT } from '../../src/feed/table-state.ts';
import { logTo } from '../../src/log/log.ts';
import type { Publish, Subscriber, SubscriberLink } from '../../src/protocol/delivery.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import type { SubscribeFrame } from '../../src/protocol/requests.ts';
import { createSources } from '../../src/roulette/source.ts';
import { connectStore } from '../../src/store/connect.ts';

/** A subscriber without a network: it keeps every frame that it was sent, parsed. */
export interface TestSubscriber {
  readonly frames: readonly Record<string, unknown>[];
  readonly texts: readonly string[];
  readonly closedWith: number | null;
  subscribe(request: Omit<SubscribeFrame, 'type' | 'id'>): void;
  /** Resolves with the first frame, present or to come, that `wanted` accepts. */
  next(wanted: (frame: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  end(): void;
}

export interface TestFeed {
  readonly feed: Feed;
  readonly publish: Publish;
  connect(maxTopics?: number): TestSubscriber;
  stop(): Promise<void>;
}

interface Link extends SubscriberLink {
  readonly topics: Set<string>;
  deliver(frame: Frame): void;
}

/** The real feed over a real or built-in MongoDB, with an in-process fan-out in place of the gateway. */
export function startTestFeed(
  uri: string,
  database: string,
  options: Partial<FeedOptions> = {},
  parts: Partial<FeedParts> = {},
): TestFeed {
  const links = new Set<Link>();
  const publish: Publish = (topic, frame) => {
    for (const link of links) if (link.topics.has(topic)) link.deliver(frame);
  };
  const tablesDatabase = options.tablesDatabase ?? database;
  const { sources = createSources() } = options;
  const store = connectStore({
    uri,
    database,
    tablesDatabase,
    layout: 'shared',
    sources,
    minSpinIntervalMs: 15_000,
    resolve: () => null,
    nameOf: () => null,
  });
  const feed = startFeed(
    {
      uri,
      database,
      tablesDatabase,
      recoveryWindowSeconds: 600,
      ringBytes: 64e6,
      liveMaxAgeMs: 120_000,
      minSpinIntervalMs: 15_000,
      awaitMs: 500,
      ...options,
      sources,
    },
    {
      publish,
      log: logTo(() => undefined),
      // One that fails, as the test wants its database to, is not tried again here; the service does that.
      doubleZeros: (tables) => void store.noteDoubleZeros(tables).catch(() => undefined),
      readBase: (from, afterClusterTime, known, tables) =>
        store.readBase(from, { afterClusterTime, numbersPerTable: KEPT, rowsPerTable: ROWS_KEPT, known, tables }),
      ...parts,
    },
  );
  return {
    feed,
    publish,
    connect: (maxTopics) => connect(feed, links, maxTopics),
    async stop() {
      await Promise.all([feed.stop(), store.close()]);
    },
  };
}

function connect(feed: Feed, links: Set<Link>, maxTopics = 100): TestSubscriber {
  const frames: Record<string, unknown>[] = [];
  const texts: string[] = [];
  const waiting = new Set<() => void>();
  let closedWith: number | null = null;
  let requests = 0;
  let subscriber: Subscriber | null = null;
  const topics = new Set<string>();
  const deliver = (frame: Frame): void => {
    texts.push(frame.text);
    frames.push(JSON.parse(frame.text));
    for (const look of waiting) look();
  };
  const link: Link = {
    topics,
    deliver,
    send(frame) {
      deliver(frame);
      return true;
    },
    join: (topic) => topics.add(topic),
    leave: (topic) => topics.delete(topic),
    close(code) {
      closedWith = code;
      end();
      for (const look of waiting) look();
    },
  };
  const end = (): void => {
    links.delete(link);
    subscriber?.closed();
  };
  links.add(link);
  subscriber = feed.open(link, { allowed: null, maxTopics });
  const opened = subscriber;
  return {
    frames,
    texts,
    get closedWith() {
      return closedWith;
    },
    subscribe(request) {
      opened.subscribe({ type: 'subscribe', id: ++requests, ...request });
    },
    next(wanted) {
      return new Promise((resolve) => {
        let at = 0;
        const look = (): void => {
          for (; at < frames.length; at++) {
            const frame = frames[at];
            if (frame === undefined || !wanted(frame)) continue;
            waiting.delete(look);
            resolve(frame);
            return;
          }
        };
        waiting.add(look);
        look();
      });
    },
    end,
  };
}
