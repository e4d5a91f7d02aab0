import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../log/log.ts';
import type { MetricsSources } from '../metrics/collect.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type Alerts, createAlerts } from './alerts.ts';
import type { AlertSender } from './message.ts';
import { type AlertReading, type TableReading, usualPauseMs } from './reading.ts';
import { createWebhook, type WebhookClock } from './webhook.ts';

type TableRow = ReturnType<MetricsSources['tables']>[number];

/** What the alerts are handed to look at. */
export interface AlertSources extends Pick<MetricsSources, 'feed' | 'tables' | 'databaseOk' | 'builtinMongo'> {
  /** The timestamps of a table's numbers, newest first, ISO-8601; asked when it has a new one. */
  timestamps(table: TableRow['roleta_id']): readonly string[];
  draining(): boolean;
}

interface AlertOptions {
  /** Where messages go; null only logs. */
  readonly url: string | null;
  readonly secret: string | null;
  readonly sender: AlertSender;
  /** False for all but one of several processes on a port, so that a silent table is told once. */
  readonly tellsForAll: boolean;
}

export interface AlertWatch extends Pick<Alerts, 'active' | 'history'> {
  stop(): void;
}

const EVERY_MS = 5_000;

/** The machine's clock; pauses do not keep a process alive. */
export const webhookClock: WebhookClock = {
  date: () => Date.now(),
  pause: (ms, signal) =>
    delay(ms, undefined, { signal, ref: false }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    }),
};

/** Reads everything that the rules look at. */
function readerOf(
  sources: AlertSources,
  metrics: Pick<Metrics, 'totals'>,
  now: () => number,
  date: () => number,
): () => AlertReading {
  const startedMs = now();
  const known = new Map<string, { readonly newest: string; readonly usualMs: number | null }>();

  const usualOf = (table: TableRow['roleta_id'], newest: string): number | null => {
    const before = known.get(table);
    // Parsing 200 timestamps of every table again and again would be most of the work here.
    if (before?.newest === newest) return before.usualMs;
    const usualMs = usualPauseMs(sources.timestamps(table).map((timestamp) => Date.parse(timestamp)));
    known.set(table, { newest, usualMs });
    return usualMs;
  };

  const readTable = ({ roleta_id: id, roleta_nome: name, ultimo }: TableRow): TableReading[] => {
    if (ultimo === null) return [];
    return [
      { id, name, silentMs: Math.max(0, date() - Date.parse(ultimo.timestamp)), usualMs: usualOf(id, ultimo.id) },
    ];
  };

  return () => ({
    ...metrics.totals(),
    atMs: now(),
    uptimeMs: now() - startedMs,
    feed: sources.feed(),
    databaseUp: sources.databaseOk(),
    builtinMongo: sources.builtinMongo(),
    draining: sources.draining(),
    tables: sources.tables().flatMap(readTable),
  });
}

/** Looks every few seconds whether something is wrong, and tells the webhook once when it begins and once when it ends. */
export function watchAlerts(
  options: AlertOptions,
  sources: AlertSources,
  metrics: Pick<Metrics, 'totals' | 'meter'>,
  log: Log,
): AlertWatch {
  const webhook =
    options.url === null
      ? null
      : createWebhook({
          url: options.url,
          secret: options.secret,
          clock: webhookClock,
          log,
          ended: (result) => metrics.meter.add('runcash_alert_messages_total', { result }),
        });
  const alerts = createAlerts({
    read: readerOf(sources, metrics, () => performance.now(), Date.now),
    send: webhook === null ? null : webhook.send,
    log,
    date: Date.now,
    sender: options.sender,
    tellsForAll: options.tellsForAll,
  });
  const timer = setInterval(() => {
    try {
      alerts.evaluate();
      metrics.meter.show(
        'runcash_alerts_firing',
        alerts.counts().map(([alert, count]) => [{ alert }, count]),
      );
    } catch (error) {
      log.error('alerts_failed', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  }, EVERY_MS);
  return {
    active: alerts.active,
    history: alerts.history,
    stop() {
      clearInterval(timer);
      webhook?.stop();
    },
  };
}
