import { ALERT_NAMES, type AlertName } from '../metrics/alert-names.ts';
import { builtinTrouble } from '../protocol/delivery.ts';
import type { AlertReading, TableReading } from './reading.ts';

/** Something that is wrong now. The same `key` is the same alert, however its words change. */
export interface AlertCondition {
  readonly alert: AlertName;
  readonly key: string;
  /** One sentence for a person. */
  readonly words: string;
}

/** How far back counts are compared. */
export const WINDOW_MS = 60_000;

const LAG_MS = 5_000;
/** A table is silent beyond its rhythm after so many of its usual longest pauses, and never sooner than two minutes. */
const SILENT_PAUSES = 5;
const SILENT_LEAST_MS = 120_000;
/** A table that had stopped so long before this process started is closed, and no news. */
const CLOSED_MS = 3_600_000;
/** Of its limit, what the built-in MongoDB may hold before somebody is told. */
const FULL_SHARE = 0.9;
const SKIPPED_LEAST = 20;
const REJECTED_LEAST = 20;
const REJECTED_SHARE = 0.2;
const SLOW_LEAST = 10;
const SLOW_SHARE = 0.02;
const UNAUTHORIZED_LEAST = 5;
/** Limits of one client or address: one such client is no news. */
const EACH_LEAST = 50;
const SHARED_LIMITS: ReadonlySet<string> = new Set(['capacity', 'transport_capacity', 'accept_rate', 'pending_writes']);

type Rule = (now: AlertReading, before: AlertReading) => readonly Omit<AlertCondition, 'alert'>[];

const one = (key: AlertName, words: string): readonly Omit<AlertCondition, 'alert'>[] => [{ key, words }];
const none: readonly Omit<AlertCondition, 'alert'>[] = [];

/** `1 min 5 s`, `3 h 2 min`: the two largest units. */
export function spoken(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? '' : ` ${minutes % 60} min`}`;
}

const grown = (now: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): [string, number][] =>
  Object.entries(now)
    .map(([name, value]): [string, number] => [name, value - (before[name] ?? 0)])
    .filter(([, by]) => by > 0)
    .sort(([, a], [, b]) => b - a);

const listed = (entries: readonly [string, number][]): string =>
  entries.map(([name, by]) => `${name} ${by}`).join(', ');

const isSilent = ({ silentMs, usualMs }: TableReading, uptimeMs: number): boolean =>
  usualMs !== null && silentMs > Math.max(SILENT_LEAST_MS, SILENT_PAUSES * usualMs) && silentMs - uptimeMs < CLOSED_MS;

const RULES: Readonly<Record<AlertName, Rule>> = {
  feed_down: ({ feed, draining }) =>
    draining || (feed.ready && feed.phase === 'live')
      ? none
      : one('feed_down', `The change stream is ${feed.phase}: ${feed.reason ?? 'no reason is known'}.`),

  feed_lagging: ({ feed }) =>
    feed.lagMs === undefined || feed.lagMs < LAG_MS
      ? none
      : one('feed_lagging', `The feed is ${spoken(feed.lagMs)} behind what the replica set has committed.`),

  majority_stalled: ({ feed }) =>
    feed.majorityStalled ? one('majority_stalled', 'The replica set cannot commit: no majority answers.') : none,

  database_down: ({ databaseUp, draining }) =>
    databaseUp || draining ? none : one('database_down', 'The database takes no writes from here.'),

  database_full: ({ builtinMongo }) => {
    const refusing = builtinTrouble(builtinMongo);
    if (refusing !== null) return one('database_full', refusing);
    if (builtinMongo === null || builtinMongo.heldBytes < FULL_SHARE * builtinMongo.limitBytes) return none;
    return one('database_full', `The built-in MongoDB holds more than ${FULL_SHARE * 100} % of what it may.`);
  },

  // Without a live feed silence says nothing about the tables.
  table_silent: ({ feed, tables, uptimeMs }) =>
    feed.phase !== 'live' || !feed.ready
      ? none
      : tables
          .filter((table) => isSilent(table, uptimeMs))
          .map(({ id, name, silentMs, usualMs }) => ({
            key: `table_silent ${id}`,
            words: `Table ${id} (${name}) has been silent for ${spoken(silentMs)}; its usual pauses are up to ${spoken(usualMs ?? 0)}.`,
          })),

  scraper_clock: ({ feed, tables }) =>
    feed.late.map(({ roleta_id: id, offset_ms: ms }) => ({
      key: `scraper_clock ${id}`,
      words: `Table ${id} (${tables.find((table) => table.id === id)?.name ?? 'no name'}) gets numbers dated ${spoken(ms)} before they are stored; none is published as live.`,
    })),

  table_partial: ({ feed, tables }) =>
    feed.partial.map((id) => ({
      key: `table_partial ${id}`,
      words: `Table ${id} (${tables.find((table) => table.id === id)?.name ?? 'no name'}) could not be read to the end: older numbers or its strategy may be missing.`,
    })),

  documents_skipped(now, before) {
    const reasons = grown(now.feed.skipped, before.feed.skipped);
    const skipped = reasons.reduce((sum, [, by]) => sum + by, 0);
    if (skipped < SKIPPED_LEAST) return none;
    return one('documents_skipped', `${skipped} documents were skipped in a minute: ${listed(reasons)}.`);
  },

  state_fresh(now, before) {
    const reasons = grown(now.feed.fresh, before.feed.fresh);
    return reasons.length === 0 ? none : one('state_fresh', `All tables were read again: ${listed(reasons)}.`);
  },

  ingest_rejected(now, before) {
    const reasons = grown(now.rejected, before.rejected);
    const rejected = reasons.reduce((sum, [, by]) => sum + by, 0);
    const posted = rejected + now.stored - before.stored;
    if (rejected < REJECTED_LEAST || rejected < posted * REJECTED_SHARE) return none;
    return one(
      'ingest_rejected',
      `${rejected} of ${posted} posted items were refused in a minute: ${listed(reasons)}.`,
    );
  },

  slow_consumers(now, before) {
    const closed = now.slowConsumers - before.slowConsumers;
    if (closed < Math.max(SLOW_LEAST, now.connections * SLOW_SHARE)) return none;
    return one('slow_consumers', `${closed} slow consumers were closed in a minute; ${now.connections} are connected.`);
  },

  limits_hit(now, before) {
    const hit = grown(now.limits, before.limits).filter(([limit, by]) => SHARED_LIMITS.has(limit) || by >= EACH_LEAST);
    return hit.length === 0 ? none : one('limits_hit', `Limits were run into in a minute: ${listed(hit)}.`);
  },

  ingest_unauthorized(now, before) {
    const attempts = now.unauthorized - before.unauthorized;
    if (attempts < UNAUTHORIZED_LEAST) return none;
    return one('ingest_unauthorized', `${attempts} attempts in a minute to post without valid credentials.`);
  },
};

/** What is wrong at `now`, compared with `before`, about a minute earlier. */
export const conditionsOf = (now: AlertReading, before: AlertReading): AlertCondition[] =>
  ALERT_NAMES.flatMap((alert) => RULES[alert](now, before).map((condition) => ({ ...condition, alert })));
