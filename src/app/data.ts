import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config/load.ts';
import { startFeed, startReplica } from '../feed/feed.ts';
import type { Feed, FeedHearers } from '../feed/serve.ts';
import { KEPT, ROWS_KEPT } from '../feed/table-state.ts';
import { keptForItsCost } from '../gateway/door/kept.ts';
import type { HttpDeps, TableDetail, TableOverview } from '../gateway/http/deps.ts';
import type { Log } from '../log/log.ts';
import type { DeliveryObserver, Publish } from '../protocol/delivery.ts';
import { type TableId, uuidOf } from '../roulette/table.ts';
import { doubleZeroField } from '../roulette/wheel.ts';
import { connectStore, type Store } from '../store/connect.ts';
import { keepIndexed } from '../store/keep-indexed.ts';
import { openStream, serveStream } from '../workers/stream.ts';
import { feedOptions, replicaOptions, sourcesOf, storeOptions } from './options.ts';
import { createUpstream, storeElsewhere, type Upstream } from './upstream.ts';

/** Numbers that one table's page shows. */
const HISTORY = 200;

type Reader = Pick<HttpDeps, 'resolve' | 'nameOf' | 'isKnown' | 'tables' | 'table'>;

/** What HTTP readers ask of the feed's state: from memory, also while MongoDB is away. */
function readFeed(feed: Feed): Reader {
  const overview = (table: TableId): TableOverview | null => {
    const state = feed.tables();
    if (state === null) return null;
    return {
      roleta_id: table,
      roleta_nome: state.nameOf(table),
      uuid: uuidOf(table),
      ultimo: state.numbers(table, 1)[0] ?? null,
      estrategia: state.strategyItem(table),
      ...doubleZeroField(state.isDoubleZero(table)),
    };
  };
  const isKnown = (table: TableId): boolean => feed.tables()?.has(table) ?? false;
  return {
    resolve: (reference) => feed.tables()?.directory.resolve(reference) ?? [],
    nameOf: (table) => (isKnown(table) ? (feed.tables()?.nameOf(table) ?? null) : null),
    isKnown,
    // Whoever heard an event and asks then must find it.
    tables: keptForItsCost(
      () => (feed.tables()?.tables() ?? []).map(overview).filter((table) => table !== null),
      () => feed.reached()?.position,
    ),
    table(table): TableDetail | null {
      const own = isKnown(table) ? overview(table) : null;
      const reached = feed.reached();
      const state = feed.tables();
      if (own === null || state === null) return null;
      return {
        ...own,
        epoch: reached?.epoch ?? '',
        position: reached?.position ?? '',
        stale: reached === null || feed.status().phase !== 'live',
        numeros: state.numbers(table, HISTORY),
      };
    },
  };
}

/** Resolves when something is published to a topic, or when the time is over. */
type Changed = (topic: string, waitMs: number) => Promise<void>;

/** Tells those who wait for a topic: `publish` is to be called with all that is published. */
export function createSignals(): { readonly publish: Publish; readonly changed: Changed; isAwaited(): boolean } {
  const waiting = new Map<string, Set<() => void>>();
  const publish = (topic: string): void => {
    const waiters = waiting.get(topic);
    waiting.delete(topic);
    for (const resume of waiters ?? []) resume();
  };
  return {
    publish,
    isAwaited: () => waiting.size > 0,
    changed: (topic, waitMs) =>
      new Promise((resolve) => {
        const waiters = waiting.get(topic) ?? new Set();
        waiting.set(topic, waiters);
        const resume = (): void => {
          clearTimeout(timer);
          waiters.delete(resume);
          if (waiters.size === 0 && waiting.get(topic) === waiters) waiting.delete(topic);
          resolve();
        };
        // A process that has finished is not kept alive by this timer.
        const timer = setTimeout(resume, waitMs).unref();
        waiters.add(resume);
      }),
  };
}

/** MongoDB in motion and at rest: what everything else of the service is made from. */
export interface Data {
  readonly feed: Feed;
  /** What HTTP readers ask of the feed's state. */
  readonly reader: Reader;
  readonly store: Store;
  /** Answers what needs MongoDB at rest, where there is none. */
  readonly passOn?: Upstream['passOn'];
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

/** Between two tries to note what could not be noted. */
const NOTE_AGAIN_MS = 1_000;

/** Notes that tables have a double zero; those that cannot be noted are tried again until they are. */
function createNoter(note: Store['noteDoubleZeros'], log: Log) {
  const unnoted = new Set<TableId>();
  const stopping = new AbortController();
  const { signal } = stopping;
  const write = oneAtATime(async () => {
    while (unnoted.size > 0 && !signal.aborted) {
      const tables = [...unnoted];
      try {
        await note(tables);
        for (const table of tables) unnoted.delete(table);
      } catch (error) {
        log.warn('double_zero_unnoted', { tables, error: String(error) });
        await pause(NOTE_AGAIN_MS, undefined, { signal }).catch((cause: unknown) => {
          if (!signal.aborted) throw cause;
        });
      }
    }
  });
  return {
    add(tables: readonly TableId[]): void {
      for (const table of tables) unnoted.add(table);
      write();
    },
    stop: (): void => stopping.abort(),
  };
}

interface DataParts {
  readonly config: Config;
  /** The replica set that was chosen; null: the instances of UPSTREAM stand in for it. */
  readonly mongoUri: string | null;
  /** Where the process listens that reads the change stream for this one; null: this one reads it itself. */
  readonly stream: string | null;
  /** Whether this process reads for others alone. */
  readonly forReplicas: boolean;
  readonly log: Log;
}

/** One observer for all of them, also those that come later. */
const observedBy = (observers: readonly DeliveryObserver[]): DeliveryObserver => ({
  publishing(...given) {
    for (const each of observers) each.publishing(...given);
  },
  subscribed(results) {
    for (const each of observers) each.subscribed(results);
  },
  snapshot() {
    for (const each of observers) each.snapshot();
  },
});

/** Starts to follow the database and connects to it for reads and writes; one that is away is waited for. */
export function startData({ config, mongoUri, stream, forReplicas, log }: DataParts): Data {
  const published: Data['published'] = hearers();
  const metaChanged: Data['metaChanged'] = hearers();
  const observers: DeliveryObserver[] = [];
  const signals = createSignals();
  published.add(signals.publish);
  const sources = sourcesOf(config);
  const told: FeedHearers = {
    publish: published.tell,
    isAwaited: signals.isAwaited,
    metaChanged: metaChanged.tell,
    log,
    observer: observedBy(observers),
  };
  const upstream = createUpstream(config.UPSTREAM, config.UPSTREAM_KEY ?? '');
  const read = (uri: string): Feed =>
    startFeed(
      { ...feedOptions(config, uri), sources, forReplicas },
      {
        ...told,
        doubleZeros: (tables) => noter.add(tables),
        readBase: async (from, afterClusterTime, known, tables) => {
          // Without its indexes a large collection would be read whole.
          await indexing?.first;
          const request = { afterClusterTime, numbersPerTable: KEPT, rowsPerTable: ROWS_KEPT, known, tables };
          return await store.readBase(from, request);
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
  const noter = createNoter(store.noteDoubleZeros, log);
  const indexing = stream === null && mongoUri !== null ? keepIndexed(store, log) : null;
  // What the stream covers is known where it is read; the store of another process asks by itself.
  const learnCollections = oneAtATime(async () => {
    if (stream === null || mongoUri === null) return;
    await store.learnCollections().catch((error: unknown) => log.warn('collections_unread', { error: String(error) }));
  });
  published.add((_topic, { type }) => {
    if (type !== 'table_added') return;
    indexing?.again();
    learnCollections();
  });
  // Other collections make a fresh state, of which nobody is told where nobody listens.
  metaChanged.add(learnCollections);
  return {
    feed,
    reader,
    store,
    ...(mongoUri === null ? { passOn: upstream.passOn } : {}),
    published,
    changed: signals.changed,
    metaChanged,
    observe: (observer) => void observers.push(observer),
    async stop() {
      indexing?.stop();
      noter.stop();
      // A base read under way may take minutes: the end of its connections ends it.
      await Promise.all([feed.stop(), store.close()]);
    },
  };
}

interface ReaderParts extends Omit<DataParts, 'stream' | 'forReplicas'> {
  /** Where workers connect to. */
  readonly path: string;
}

interface StreamReader {
  /** Resolves when workers can be served for the first time. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** Starts the process that reads MongoDB for the workers of this machine. Rejects when the path cannot be had. */
export async function startReader({ path, ...parts }: ReaderParts): Promise<StreamReader> {
  const data = startData({ ...parts, stream: null, forReplicas: true });
  const server = await serveStream(path, data.feed.replicate).catch(async (error: unknown) => {
    await data.stop();
    throw error;
  });
  return {
    ready: data.feed.ready,
    async stop() {
      await server.stop();
      await data.stop();
    },
  };
}
