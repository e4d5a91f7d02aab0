import { type AlertSources, type AlertWatch, watchAlerts } from '../alerts/watch.ts';
import type { Config } from '../config/load.ts';
import type { GatewayCounters } from '../gateway/door/counters.ts';
import { type ClientItem, clientItems } from '../gateway/http/clients.ts';
import type { HttpObserver } from '../gateway/http/deps.ts';
import { STATUS_HISTORY, type StatusHistory } from '../gateway/http/schemas.ts';
import type { Log } from '../log/log.ts';
import { keepHistory, mergeHistories } from '../metrics/history.ts';
import { createMetrics, type Metrics, mergeExpositions } from '../metrics/metrics.ts';
import { watchBuiltin } from '../store/builtin-status.ts';
import { openWorkerLink, type WorkerAnswer, type WorkerLink } from '../workers/link.ts';
import type { Data } from './data.ts';
import { clientPage, type OpenClients, type PortClients } from './orders.ts';

interface ObserverParts {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly service: string;
  readonly instance: string;
  /** Which of several processes on one port this is; null when it is alone. */
  readonly worker: number | null;
  /** What the gateway counts. */
  readonly counters: Readonly<GatewayCounters>;
  readonly clients: OpenClients;
  readonly draining: () => boolean;
}

/** Who looks at the rest and tells of it: metrics, alerts, and the line to the other workers. */
export interface Observers {
  readonly metrics: Pick<Metrics, 'publish' | 'totals'>;
  readonly alerts: Pick<AlertWatch, 'active'>;
  /** What the built-in MongoDB reports; null of a real one. */
  readonly builtinMongo: AlertSources['builtinMongo'];
  /** What the HTTP routes report to. */
  readonly http: HttpObserver;
  /** What the other workers said of themselves; null when this process is alone. */
  readonly workers: () => ReturnType<WorkerLink['briefs']> | null;
  /** The metrics of this process, or of all workers. */
  exposition(): Promise<string>;
  /** The same of the last hour and its alerts. */
  history(minutes: number): Promise<StatusHistory>;
  readonly clients: PortClients;
  stop(): void;
}

export function startObservers(parts: ObserverParts, data: Data): Observers {
  const { config, log, version, service, instance, worker, counters, clients, draining } = parts;
  const { feed, reader, store } = data;
  const { status: builtinMongo, stop: stopBuiltin } = watchBuiltin(store.builtinStatus, log);
  const metrics = createMetrics(
    { version, instance },
    {
      feed: feed.status,
      gateway: () => counters,
      tables: reader.tables,
      databaseOk: store.isUp,
      builtinMongo,
      hearing: feed.hearing,
      subscriptions: feed.subscriptions,
    },
  );
  data.observe(metrics.deliveryObserver);
  const alerts = watchAlerts(
    {
      url: config.ALERT_WEBHOOK_URL,
      secret: config.ALERT_WEBHOOK_SECRET,
      sender: { service, version, instance },
      tellsForAll: worker === null || worker === 1,
    },
    alertSources(data, builtinMongo, draining),
    metrics,
    log,
  );
  const samples = keepHistory({
    feed: feed.status,
    connections: () => metrics.totals().connections,
    memory: process.memoryUsage.rss,
    date: Date.now,
  });
  const history = (minutes: number): StatusHistory => ({
    samples: [...samples.samples(minutes)],
    alerts: [...alerts.history()],
  });
  const link = worker === null ? null : linkOf(worker, data, { metrics, clients, history }, log);
  return {
    metrics,
    alerts,
    builtinMongo,
    http: {
      ...metrics.observe,
      unauthorized(route) {
        metrics.observe.unauthorized(route);
        log.warn('ingest_unauthorized', { route });
      },
    },
    workers: () => link?.briefs() ?? null,
    exposition: async () =>
      link === null ? await metrics.text() : mergeExpositions(await link.ask({ about: 'metrics' })),
    history: async (minutes) =>
      link === null ? history(minutes) : mergeHistories(historiesIn(await link.ask({ about: 'history', minutes }))),
    clients: portClients(parts, link),
    stop() {
      link?.stop();
      samples.stop();
      alerts.stop();
      metrics.stop();
      stopBuiltin();
    },
  };
}

/** The connections of this process, or of all workers. */
const portClients = ({ worker, clients, config, log }: ObserverParts, link: WorkerLink | null): PortClients => ({
  list: async (page) =>
    link === null
      ? clientPage(clients, worker, page)
      : mergeClients(await link.ask({ about: 'clients', ...page }), page.limit),
  async remove(subject, atMs) {
    if (link === null) return clients.remove(subject, atMs);
    try {
      const answers = await link.ask({ about: 'removal', subject, atMs });
      return answers.length < config.WORKERS ? null : answers.reduce((sum, { text }) => sum + Number(text), 0);
    } catch (error) {
      // The order is stored, and each worker carries it out by the stream: only its count is missing.
      log.warn('removal_uncounted', { subject, error: String(error) });
      return null;
    }
  },
});

/** One page of what all workers have. */
const mergeClients = (answers: readonly WorkerAnswer[], limit: number): ClientItem[] =>
  answers
    .flatMap(({ text }) => clientItems.parse(JSON.parse(text)))
    .sort((a, b) => a.id - b.id)
    .slice(0, limit);

const historiesIn = (answers: readonly WorkerAnswer[]): StatusHistory[] =>
  answers.map(({ text }) => STATUS_HISTORY.parse(JSON.parse(text)));

const alertSources = (
  { feed, reader, store }: Data,
  builtinMongo: AlertSources['builtinMongo'],
  draining: () => boolean,
): AlertSources => ({
  feed: feed.status,
  tables: reader.tables,
  timestamps: (table) => reader.table(table)?.numeros.map(({ timestamp }) => timestamp) ?? [],
  databaseOk: store.isUp,
  builtinMongo,
  draining,
});

/** What a worker tells the others of itself when asked. */
interface WorkerParts {
  readonly metrics: Metrics;
  readonly clients: OpenClients;
  readonly history: (minutes: number) => StatusHistory;
}

const linkOf = (worker: number, { feed }: Data, { metrics, clients, history }: WorkerParts, log: Log): WorkerLink =>
  openWorkerLink(
    () => ({
      worker,
      pid: process.pid,
      ready: feed.status().ready,
      position: feed.reached()?.position ?? null,
      connections: metrics.totals().connections,
    }),
    async (question) => {
      switch (question.about) {
        case 'metrics':
          return await metrics.text();
        case 'history':
          return JSON.stringify(history(question.minutes));
        case 'clients':
          return JSON.stringify(clientPage(clients, worker, question));
        case 'removal':
          return String(clients.remove(question.subject, question.atMs));
        default:
          return question satisfies never;
      }
    },
    log,
  );
