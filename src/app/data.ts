import type { Config } from '../config/load.ts';
import { type Feed, type FeedHearers, startFeed, startReplica } from '../feed/feed.ts';
import { KEPT, ROWS_KEPT } from '../feed/table-state.ts';
import type { Log } from '../log/log.ts';
import type { BuiltinStatus, DeliveryObserver, Publish } from '../protocol/delivery.ts';
import { watchBuiltin } from '../store/builtin-status.ts';
import { connectStore, type Store } from '../store/connect.ts';
import { keepIndexed } from '../store/keep-indexed.ts';
import { openStream } from '../workers/stream.ts';
import { feedOptions, replicaOptions, sourcesOf, storeOptions } from './options.ts';
import { type Reader, readFeed } from './read-feed.ts';
import { type Changed, createSignals } from './signals.ts';
import { createUpstream, storeElsewhere, type Upstream } from './upstream.ts';

/** MongoDB in motion and at rest: what everything else of the service is made from. */
export interface Data {
  readonly feed: Feed;
  /** What HTTP readers ask of the feed's state. */
  readonly reader: Reader;
  readonly store: Store;
  /** Answers what needs MongoDB at rest, where there is none. */
  readonly passOn?: Upstream['passOn'];
  /** What the built-in MongoDB reports; null of a real one. */
  readonly builtinMongo: () => BuiltinStatus | null;
  /** Who hears every frame, in the order in which they were added. */
  readonly published: Hearers<Parameters<Publish>>;
  /** Waits for what is published to a topic. */
  readonly changed: Changed;
  /** Who hears that a document of `_rt_meta` may have changed, the epoch apart. */
  readonly metaChanged: Hearers<[]>;
  /** Tells an observer what is delivered from now on. */
  observe(observer: DeliveryObserver): void;
  stop(): Promise<void>;
}

/** Functions that are all called with the same; one that is added later hears what comes later. */
interface Hearers<A extends readonly unknown[]> {
  tell(...args: A): void;
  add(hear: (...args: A) => void): void;
}

function hearers<A extends readonly unknown[]>(): Hearers<A> {
  const all: ((...args: A) => void)[] = [];
  return {
    tell(...args) {
      for (const hear of all) hear(...args);
    },
    add: (hear) => void all.push(hear),
  };
}

/** Does work one at a time: what asks meanwhile, however often, gets it done once more. The work does not reject. */
function oneAtATime(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    again = running;
    if (running) return;
    running = true;
    await work();
    running = false;
    if (again) await run();
  };
  return () => void run();
}

export interface DataParts {
  readonly config: Config;
  /** The replica set that was chosen; null: the instances of UPSTREAM stand in for it. */
  readonly mongoUri: string | null;
  /** Where the process listens that reads the change stream for this one; null: this one reads it itself. */
  readonly stream: string | null;
  readonly log: Log;
}

/** Starts to follow the database and connects to it for reads and writes; one that is away is waited for. */
export function startData({ config, mongoUri, stream, log }: DataParts): Data {
  const published: Data['published'] = hearers();
  const metaChanged: Data['metaChanged'] = hearers();
  const observers: DeliveryObserver[] = [];
  const signals = createSignals();
  published.add(signals.publish);
  const sources = sourcesOf(config);
  const told: FeedHearers = {
    publish: published.tell,
    metaChanged: metaChanged.tell,
    log,
    observer: {
      publishing(frame, committedMs) {
        for (const each of observers) each.publishing(frame, committedMs);
      },
      subscribed(results) {
        for (const each of observers) each.subscribed(results);
      },
      snapshot() {
        for (const each of observers) each.snapshot();
      },
    },
  };
  const upstream = createUpstream(config.UPSTREAM, config.UPSTREAM_KEY ?? '');
  const read = (uri: string): Feed =>
    startFeed(
      { ...feedOptions(config, uri), sources },
      {
        ...told,
        readBase: async (_client, afterClusterTime, known, tables) => {
          // Without its indexes a large collection would be read whole.
          await indexing?.first;
          return await store.readBase({
            afterClusterTime,
            numbersPerTable: KEPT,
            rowsPerTable: ROWS_KEPT,
            known,
            tables,
          });
        },
      },
    );
  const follow = (connect: Upstream['connect']): Feed => startReplica({ ...replicaOptions(config), connect }, told);
  const feed =
    stream !== null ? follow(() => openStream(stream)) : mongoUri === null ? follow(upstream.connect) : read(mongoUri);
  const reader = readFeed(feed);
  const store: Store =
    mongoUri === null
      ? storeElsewhere({ isUp: () => feed.status().phase === 'live', readOrders: upstream.readOrders })
      : connectStore({
          ...storeOptions(config, mongoUri),
          sources,
          resolve: (reference) => reader.resolve(reference)[0] ?? null,
          nameOf: reader.nameOf,
          skipped: (reason, ns, id) => log.warn('document_skipped', { reason, ns, id }),
        });
  const indexing = stream === null && mongoUri !== null ? keepIndexed(store, log) : null;
  const builtin = watchBuiltin(store.builtinStatus, log);
  // What the stream covers is known where it is read; the store of another process asks by itself.
  const learnCollections = oneAtATime(async () => {
    if (stream === null || mongoUri === null) return;
    await store.learnCollections().catch((error: unknown) => log.warn('collections_unread', { error: String(error) }));
  });
  learnCollections();
  published.add((_topic, { type }) => {
    if (type === 'table_added') indexing?.again();
    if (type === 'table_added' || type === 'reset') learnCollections();
  });
  return {
    feed,
    reader,
    store,
    ...(mongoUri === null ? { passOn: upstream.passOn } : {}),
    builtinMongo: builtin.status,
    published,
    changed: signals.changed,
    metaChanged,
    observe: (observer) => void observers.push(observer),
    async stop() {
      indexing?.stop();
      builtin.stop();
      // A base read under way may take minutes: the end of its connections ends it.
      await Promise.all([feed.stop(), store.close()]);
    },
  };
}
