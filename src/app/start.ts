import { setTimeout as sleep } from 'node:timers/promises';
import { watchAlerts } from '../alerts/watch.ts';
import type { Config } from '../config/load.ts';
import { startFeed } from '../feed/feed.ts';
import { KEPT, ROWS_KEPT } from '../feed/table-state.ts';
import type { HttpObserver } from '../gateway/http/deps.ts';
import { httpRoutes } from '../gateway/http/routes.ts';
import { NETWORK_WORDS, NetworkMissingError } from '../gateway/network/choose.ts';
import { type Gateway, startGateway } from '../gateway/server.ts';
import type { LegacySource } from '../legacy/conversation.ts';
import { legacyRoutes } from '../legacy/http.ts';
import type { Log } from '../log/log.ts';
import { mergeExpositions } from '../metrics/merge.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { MongoChoiceError } from '../mongo/choose.ts';
import { connectStore } from '../store/connect.ts';
import { groupCommit } from '../store/group-commit.ts';
import { type Indexing, keepIndexed } from '../store/keep-indexed.ts';
import { openWorkerLink } from '../workers/link.ts';
import { emitEventOptions, feedOptions, gatewayOptions, httpOptions, storeOptions } from './options.ts';
import { pageFilesIn } from './page-files.ts';
import { readFeed } from './read-feed.ts';

export interface RuncashParts {
  readonly config: Config;
  /** The replica set that was chosen. */
  readonly mongoUri: string;
  readonly version: string;
  readonly log: Log;
  /** Folder of the built page; without it `/` shows JSON only. */
  readonly pageFolder: string;
  /** Which of several processes on one port this is; null when it is alone. */
  readonly worker: number | null;
}

export interface Runcash {
  readonly port: number;
  /** Resolves when subscribers are served for the first time. */
  readonly ready: Promise<void>;
  /** Serves on for `announceSeconds` without being ready, sends clients away over `drainSeconds`, closes everything. */
  stop(drainSeconds: number, announceSeconds?: number): Promise<void>;
}

/** Whether only another configuration, or another machine, helps against an error of the start. */
export const isConfigProblem = (error: unknown): boolean =>
  error instanceof MongoChoiceError || error instanceof NetworkMissingError;

/** Remembers calls while they are under way. */
function tracked<A extends readonly unknown[], R>(underWay: Set<Promise<unknown>>, call: (...args: A) => Promise<R>) {
  return (...args: A): Promise<R> => {
    const running = call(...args);
    underWay.add(running);
    const done = (): void => void underWay.delete(running);
    running.then(done, done);
    return running;
  };
}

/** Socket.IO and its page. Loaded here and not above, so that who does not use it does not pay for it. */
async function legacyParts(source: LegacySource, broadcast: boolean, pageFolder: string) {
  const [{ createLegacySockets }, { legacyFiles }] = await Promise.all([
    import('../legacy/socketio.ts'),
    import('../legacy/files.ts'),
  ]);
  return { sockets: createLegacySockets(source, broadcast), files: legacyFiles(pageFolder) };
}

/**
 * Starts the whole service: the feed reads the database, the gateway serves subscribers and ingest, the store writes
 * and reads at rest. Resolves when the port is open; a database that is away is waited for in the background.
 * Rejects with GatewayStartError when the port cannot be had.
 */
export async function startRuncash(parts: RuncashParts): Promise<Runcash> {
  const { config, mongoUri, version, log, pageFolder, worker } = parts;
  let gateway: Gateway | null = null;
  let indexing: Indexing | null = null;
  const gateOptions = gatewayOptions(config, version);
  const counters = () => gateway?.counters() ?? null;
  const metrics = createMetrics(
    { version, instance: gateOptions.instance },
    {
      feed: () => feed.status(),
      gateway: counters,
      tables: () => reader.tables(),
      databaseOk: () => store.isUp(),
      hearing: (topic) => feed.hearing(topic),
      subscriptions: () => feed.subscriptions(),
    },
  );
  const publish = metrics.publish((topic, frame) => {
    gateway?.publish(topic, frame);
    if (frame.type === 'table_added') indexing?.again();
  });

  const feed = startFeed(feedOptions(config, mongoUri), {
    publish,
    log,
    observer: metrics.deliveryObserver,
    readBase: async (_client, afterClusterTime, known) => {
      // Without its indexes a large collection would be read whole.
      await indexing?.first;
      return await store.readBase({ afterClusterTime, numbersPerTable: KEPT, rowsPerTable: ROWS_KEPT, known });
    },
  });
  const reader = readFeed(feed);
  const store = connectStore({
    ...storeOptions(config, mongoUri),
    resolve: (reference) => reader.resolve(reference)[0] ?? null,
    nameOf: reader.nameOf,
    skipped: (reason, ns, id) => log.warn('document_skipped', { reason, ns, id }),
  });
  const indexed = keepIndexed(store, log);
  indexing = indexed;

  const observe: HttpObserver = {
    ...metrics.observe,
    unauthorized(route) {
      metrics.observe.unauthorized(route);
      log.warn('ingest_unauthorized', { route });
    },
  };
  let stopping = false;
  const draining = (): boolean => stopping;
  const http = httpOptions(config, version);
  const alerts = watchAlerts(
    {
      url: config.ALERT_WEBHOOK_URL,
      secret: config.ALERT_WEBHOOK_SECRET,
      sender: { service: http.service, version, instance: gateOptions.instance },
      tellsForAll: worker === null || worker === 1,
    },
    {
      feed: feed.status,
      tables: reader.tables,
      timestamps: (table) => reader.table(table)?.numeros.map(({ timestamp }) => timestamp) ?? [],
      databaseOk: store.isUp,
      draining,
    },
    metrics,
    log,
  );
  const underWay = new Set<Promise<unknown>>();
  /** Writes that were taken up are answered before a drain ends; the answers go out in the turn after. */
  const settled = async (): Promise<void> => {
    await Promise.allSettled(underWay);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const link =
    worker === null
      ? null
      : openWorkerLink(
          () => ({
            worker,
            pid: process.pid,
            ready: feed.status().ready,
            position: feed.standing()?.position ?? null,
            connections: metrics.totals().connections,
          }),
          metrics.text,
        );
  const legacy = config.SOCKETIO
    ? await legacyParts({ ...reader, databaseOk: store.isUp }, config.SOCKETIO_BROADCAST, pageFolder)
    : null;
  const routes = httpRoutes(
    {
      ...store,
      ...reader,
      insertNumbers: tracked(underWay, groupCommit(store.insertNumbers)),
      insertStrategies: tracked(underWay, groupCommit(store.insertStrategies)),
      log,
      observe,
      stats: async (table, last) => reader.stats(table, last) ?? (await store.tableStats(table, last)),
      feedStatus: feed.status,
      databaseOk: store.isUp,
      draining,
      detail: () => ({
        alerts: alerts.active(),
        network: NETWORK_WORDS[counters()?.network ?? 'uws'],
        connections: counters()?.open,
        limits: metrics.totals().limits,
        memory: process.memoryUsage(),
        base_read: store.baseProgress(),
        ...(link === null ? {} : { workers: link.briefs() }),
      }),
      metrics: async () => (link === null ? await metrics.text() : mergeExpositions(await link.metrics())),
      files: new Map([...pageFilesIn(pageFolder), ...(legacy?.files ?? [])]),
    },
    http,
    legacyRoutes(store, emitEventOptions(config)),
  );

  const stopAll = async (): Promise<void> => {
    await legacy?.sockets.stop();
    link?.stop();
    alerts.stop();
    metrics.stop();
    indexed.stop();
    // A base read under way may take minutes: the end of its connections ends it.
    await Promise.all([feed.stop(), store.close()]);
  };
  try {
    gateway = await startGateway(gateOptions, {
      delivery: feed,
      transports: legacy === null ? [] : [legacy.sockets.serve],
      routes: [routes],
      resolve: reader.resolve,
      log,
      settled,
    });
  } catch (error) {
    await stopAll();
    throw error;
  }
  const running = gateway;

  const ready = feed.ready.then(() => {
    log.info('ready', { position: feed.standing()?.position ?? null, tables: feed.status().tables });
  });

  return {
    port: running.port,
    ready,
    async stop(drainSeconds, announceSeconds = 0) {
      stopping = true;
      if (announceSeconds > 0) await sleep(announceSeconds * 1000);
      if (drainSeconds > 0) await running.drain(drainSeconds);
      await running.stop();
      await stopAll();
    },
  };
}
