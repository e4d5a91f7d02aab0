import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, ConfigError } from '../config/load.ts';
import type { Feed } from '../feed/serve.ts';
import { retryDelay } from '../gateway/door/admission.ts';
import { type GatewayCounters, newCounters } from '../gateway/door/counters.ts';
import { clientRoutes } from '../gateway/http/clients.ts';
import type { StaticFile } from '../gateway/http/deps.ts';
import type { HttpOptions } from '../gateway/http/options.ts';
import { httpRoutes } from '../gateway/http/routes.ts';
import { type Connections, createConnections } from '../gateway/live/connections.ts';
import { serveReplicas } from '../gateway/live/replica.ts';
import { NETWORK_NAMES, NETWORK_WORDS } from '../gateway/network/choose.ts';
import { GatewayConfigError } from '../gateway/network/network.ts';
import type { GatewayOptions } from '../gateway/options.ts';
import { type Gateway, type GatewayDeps, startGateway } from '../gateway/server.ts';
import type { LegacySource } from '../legacy/conversation.ts';
import { legacyRoutes } from '../legacy/http.ts';
import { serveRouletteStream } from '../legacy/roulette-stream.ts';
import type { Log } from '../log/log.ts';
import { MongoChoiceError } from '../mongo/choose.ts';
import { groupCommit } from '../store/insert-many.ts';
import { WorkersFailedError } from '../workers/supervise.ts';
import { type Data, startData } from './data.ts';
import { type Observers, startObservers } from './observers.ts';
import { emitEventOptions, gatewayOptions, httpOptions } from './options.ts';
import { followOrders, type OpenClients, type Orders, openClients, operatorDeps } from './orders.ts';
import { bearerCheck } from './upstream.ts';

interface RuncashParts {
  readonly config: Config;
  /** The replica set that was chosen; null: the instances of UPSTREAM stand in for it. */
  readonly mongoUri: string | null;
  readonly version: string;
  readonly log: Log;
  /** Folder of the built page; without it `/` shows JSON only. */
  readonly pageFolder: string;
  /** Which of several processes on one port this is, and where the reader of their stream listens; null: it is alone. */
  readonly worker: { readonly index: number; readonly stream: string } | null;
}

export interface Runcash {
  readonly port: number;
  /** The library that the network runs on. */
  readonly network: string;
  /** Resolves when subscribers are served for the first time. */
  readonly ready: Promise<void>;
  /** Serves on for `announceSeconds` without being ready, sends clients away over `drainSeconds`, closes everything. */
  stop(drainSeconds: number, announceSeconds?: number): Promise<void>;
}

/** Whether only another configuration, or another machine, helps against an error of the start. */
export const isConfigProblem = (error: unknown): boolean =>
  [ConfigError, MongoChoiceError, GatewayConfigError, WorkersFailedError].some((kind) => error instanceof kind);

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

/** What leaves copy this instance by: for holders of the admin key, where there is one. */
function leafParts({ ADMIN_KEY: key }: Config, { replicate }: Feed): NonNullable<GatewayDeps['transports']> {
  if (key === null) return [];
  return [(app, parts) => serveReplicas(app, parts, { replicate, isAllowed: bearerCheck(key) })];
}

/**
 * Starts the whole service in three steps: the feed and the store, who observes them, the gateway that serves. Resolves
 * when the port is open; a database that is away is waited for in the background. Rejects with GatewayStartError when the
 * port cannot be had.
 */
export async function startRuncash(parts: RuncashParts): Promise<Runcash> {
  const { config, mongoUri, version, log } = parts;
  const worker = parts.worker?.index ?? null;
  const gateOptions = gatewayOptions(config, version);
  const http = httpOptions(config, version);
  const counters = newCounters();
  const connections = createConnections();
  let stopping = false;
  const draining = (): boolean => stopping;

  const data = startData({ config, mongoUri, log, stream: parts.worker?.stream ?? null, forReplicas: false });
  const { instance } = gateOptions;
  const clients = openClients(connections, () => retryDelay(gateOptions));
  const observers = startObservers(
    { config, log, version, service: http.service, instance, worker, counters, clients, draining },
    data,
  );
  const orders = followOrders(data.store, clients, log);
  data.metaChanged.add(orders.changed);
  const stopAll = async (): Promise<void> => {
    orders.stop();
    observers.stop();
    await data.stop();
  };
  const needs = { ...parts, gateOptions, http, counters, connections, clients, orders, draining };
  const gateway = await openGateway(needs, data, observers).catch(async (error: unknown) => {
    await stopAll();
    throw error;
  });
  data.published.add(observers.metrics.publish(gateway.publish));

  return {
    port: gateway.port,
    network: NETWORK_NAMES[counters.network],
    ready: data.feed.ready.then(() => {
      const { feed } = data;
      log.info('ready', { position: feed.reached()?.position ?? null, tables: feed.status().tables });
    }),
    async stop(drainSeconds, announceSeconds = 0) {
      stopping = true;
      if (announceSeconds > 0) await sleep(announceSeconds * 1000);
      if (drainSeconds > 0) await gateway.drain(drainSeconds);
      await gateway.stop();
      await stopAll();
    },
  };
}

interface GatewayNeeds extends RuncashParts {
  readonly gateOptions: GatewayOptions;
  readonly http: HttpOptions;
  readonly counters: GatewayCounters;
  readonly connections: Connections;
  /** The open connections as operators see and end them. */
  readonly clients: OpenClients;
  readonly orders: Orders;
  readonly draining: () => boolean;
}

/** Opens the port: subscribers of every transport, HTTP, and Socket.IO where it is wanted. */
async function openGateway(needs: GatewayNeeds, data: Data, observers: Observers): Promise<Gateway> {
  const { config, log, pageFolder, gateOptions, counters, connections, orders } = needs;
  const { feed, reader, store } = data;
  const legacy = config.SOCKETIO
    ? await legacyParts({ ...reader, databaseOk: store.isUp }, config.SOCKETIO_BROADCAST, pageFolder)
    : null;
  const underWay = new Set<Promise<unknown>>();
  const routes = routesOf(needs, data, observers, underWay, legacy?.files ?? new Map());
  const gateway = await startGateway(gateOptions, {
    delivery: feed,
    transports: [
      serveRouletteStream(reader),
      ...(legacy === null ? [] : [legacy.sockets.serve]),
      ...leafParts(config, feed),
    ],
    routes: [routes],
    resolve: reader.resolve,
    checkGrant: orders.check,
    counters,
    connections,
    log,
    // Writes that were taken up are answered before a drain ends; the answers go out in the turn after.
    async settled() {
      await Promise.allSettled(underWay);
      await new Promise((resolve) => setImmediate(resolve));
    },
  }).catch(async (error: unknown) => {
    await legacy?.sockets.stop();
    throw error;
  });
  return {
    ...gateway,
    async stop() {
      await gateway.stop();
      await legacy?.sockets.stop();
    },
  };
}

/** All HTTP routes; writes that they take up or pass on are in `underWay` until they are done. */
function routesOf(
  { config, log, pageFolder, http, counters, clients, orders, draining }: GatewayNeeds,
  { feed, reader, store, changed, passOn }: Data,
  observers: Observers,
  underWay: Set<Promise<unknown>>,
  legacyFiles: ReadonlyMap<string, StaticFile>,
): ReturnType<typeof httpRoutes> {
  return httpRoutes(
    {
      ...store,
      ...reader,
      ...(passOn === undefined ? {} : { passOn: tracked(underWay, passOn) }),
      insertNumbers: tracked(underWay, groupCommit(store.insertNumbers)),
      insertStrategies: tracked(underWay, groupCommit(store.insertStrategies)),
      log,
      observe: observers.http,
      readLog: feed.readLog,
      changed,
      feedStatus: feed.status,
      databaseOk: store.isUp,
      builtinMongo: observers.builtinMongo,
      draining,
      detail() {
        const workers = observers.workers();
        return {
          alerts: observers.alerts.active(),
          network: NETWORK_WORDS[counters.network],
          connections: counters.open,
          limits: observers.metrics.totals().limits,
          memory: process.memoryUsage(),
          base_read: store.baseProgress(),
          builtin_mongo: observers.builtinMongo(),
          ...(workers === null ? {} : { workers }),
        };
      },
      statusHistory: observers.history,
      metrics: observers.exposition,
      files: new Map([...pageFilesIn(pageFolder), ...legacyFiles]),
    },
    http,
    (tools) => [
      ...legacyRoutes(store, emitEventOptions(config))(tools),
      ...clientRoutes(operatorDeps(store, orders.denials, clients, observers.clients), log, http),
    ],
  );
}

const PAGE: ReadonlyMap<string, [file: string, type: string]> = new Map([
  ['/', ['index.html', 'text/html; charset=utf-8']],
  ['/page.js', ['page.js', 'text/javascript; charset=utf-8']],
  ['/page.css', ['page.css', 'text/css; charset=utf-8']],
  ['/client.js', ['client.js', 'text/javascript; charset=utf-8']],
  ['/client-fallback.js', ['client-fallback.js', 'text/javascript; charset=utf-8']],
  ['/client-extras.js', ['client-extras.js', 'text/javascript; charset=utf-8']],
  ['/client-worker.js', ['client-worker.js', 'text/javascript; charset=utf-8']],
]);

/** The built page and client library in a folder, by path; what is not built is not served. */
function pageFilesIn(folder: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const [path, [file, type]] of PAGE) {
    const full = `${folder}/${file}`;
    if (existsSync(full)) files.set(path, { type, body: readFileSync(full), immutable: false });
  }
  return files;
}
