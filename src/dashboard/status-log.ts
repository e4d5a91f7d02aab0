import { isFields } from '../client/read.ts';
import type { Model } from './model.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What is plotted over the last hour. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly lagMs: number;
  /** Events per second since the sample before. */
  readonly rate: number;
  readonly connections: number;
  /** Seconds that a reconnect may bridge. */
  readonly ringSeconds: number;
  readonly memoryMb: number;
}

export interface AlertEntry {
  readonly key: string;
  readonly summary: string;
  readonly remedy: string;
  /** ISO-8601. */
  readonly since: string;
  /** Milliseconds since 1970; null while it holds. */
  readonly until: number | null;
}

/** What `/status` said, now and over the last hour, from the first look at it on. */
export interface StatusLog {
  readonly status: Fields | null;
  /** Why there is no status; '' while there is. */
  readonly problem: string;
  readonly samples: readonly Sample[];
  /** Newest first, ended ones too. */
  readonly alerts: readonly AlertEntry[];
  /** The admin key; '' for none. */
  key: string;
  /** Asks now, and then every few seconds for as long as the page is open. */
  look(): void;
  /** Calls back after every answer. Returns its stop. */
  watch(draw: () => void): () => void;
}

const EVERY_MS = 5_000;
export const HOUR_MS = 3_600_000;
const MAX_ALERTS = 100;

const numberIn = (of: Fields | null, name: string): number => {
  const value = of?.[name];
  return typeof value === 'number' ? value : 0;
};
const partOf = (of: Fields | null, name: string): Fields | null => {
  const value = of?.[name];
  return isFields(value) ? value : null;
};
const sumOf = (of: Fields | null): number => Object.keys(of ?? {}).reduce((sum, name) => sum + numberIn(of, name), 0);

/** The open connections by transport, whatever the server calls the list. */
export const connectionsIn = (status: Fields | null): Fields | null =>
  partOf(status, 'connections') ?? partOf(status, 'open');

function alertsAfter(before: readonly AlertEntry[], active: unknown, now: number): readonly AlertEntry[] {
  const holding = (Array.isArray(active) ? active : []).filter(isFields).map((each) => ({
    key: String(each['key']),
    summary: String(each['summary']),
    remedy: String(each['remedy']),
    since: String(each['since']),
    until: null,
  }));
  const isHolding = ({ key, since }: AlertEntry): boolean =>
    holding.some((each) => each.key === key && each.since === since);
  const ended = before.filter((each) => !isHolding(each)).map((each) => ({ ...each, until: each.until ?? now }));
  return [...holding, ...ended].slice(0, MAX_ALERTS);
}

export function createStatusLog(model: Model): StatusLog {
  const watchers = new Set<() => void>();
  let timer = 0;
  let asked = '';
  let published = 0;

  const take = (status: Fields): void => {
    const now = Date.now();
    const feed = partOf(status, 'feed');
    const total = sumOf(partOf(feed, 'published'));
    const before = log.samples.at(-1);
    const seconds = before === undefined ? 0 : (now - before.at) / 1000;
    log.samples = [
      ...log.samples.filter(({ at }) => now - at < HOUR_MS),
      {
        at: now,
        lagMs: numberIn(feed, 'lagMs'),
        rate: seconds === 0 ? 0 : Math.max(0, total - published) / seconds,
        connections: sumOf(connectionsIn(status)),
        ringSeconds: numberIn(partOf(feed, 'ring'), 'seconds'),
        memoryMb: numberIn(partOf(status, 'memory'), 'rss') / 1_048_576,
      },
    ];
    published = total;
    log.alerts = alertsAfter(log.alerts, status['alerts'], now);
    log.status = status;
    log.problem = '';
  };

  const log = {
    status: null as Fields | null,
    problem: '',
    samples: [] as readonly Sample[],
    alerts: [] as readonly AlertEntry[],
    key: '',
    async look() {
      clearTimeout(timer);
      const { server } = model;
      if (server !== asked) Object.assign(log, { status: null, samples: [], alerts: [] });
      asked = server;
      try {
        const status = await model.ask('/status', {}, log.key === '' ? undefined : log.key);
        if (!isFields(status)) throw new TypeError('no status');
        if (model.server === server) take(status);
      } catch (error) {
        log.status = null;
        log.problem = error instanceof Error ? error.message : String(error);
      }
      for (const draw of watchers) draw();
      clearTimeout(timer);
      timer = window.setTimeout(log.look, EVERY_MS);
    },
    watch(draw: () => void) {
      watchers.add(draw);
      return () => watchers.delete(draw);
    },
  };
  return log;
}
