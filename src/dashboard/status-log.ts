import { isFields } from '../client/read.ts';
import { type AnswerFields, listIn } from './fields.ts';
import type { Model } from './model.ts';
import { asError } from './trust.ts';

/** What is plotted over the last hour. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly lagMs: number;
  readonly rate: number;
  readonly connections: number;
  /** Seconds that a reconnect may bridge. */
  readonly recoverySeconds: number;
  readonly memoryMb: number;
}

export interface AlertEntry {
  readonly key: string;
  /** Its kind, by the server's name for it. */
  readonly alert: string;
  readonly summary: string;
  /** ISO-8601. */
  readonly since: string;
  /** ISO-8601; null while it holds. */
  readonly until: string | null;
}

/** What the server tells of itself: its `/status` now, its last hour and its last alerts. */
export interface StatusLog {
  readonly status: AnswerFields | null;
  /** Why there is no status; null while there is. */
  readonly problem: Error | null;
  /** Oldest first. */
  readonly samples: readonly Sample[];
  /** Newest first. */
  readonly alerts: readonly AlertEntry[];
  /** Why there is no last hour, which is for administrators alone; null while there is. */
  readonly historyProblem: Error | null;
  /** The admin key; '' for none. */
  key: string;
  /** Asks now, and then every few seconds for as long as the page is open. */
  look(): void;
  /** Calls back after every answer. Returns its stop. */
  watch(draw: () => void): () => void;
}

const EVERY_MS = 5_000;
export const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

const numberIn = (of: AnswerFields, name: string): number => {
  const value = of[name];
  return typeof value === 'number' ? value : 0;
};

/** The open connections by transport, whatever the server calls the list. */
export function connectionsIn(status: AnswerFields | null): AnswerFields | null {
  const counts = status?.['connections'] ?? status?.['open'];
  return isFields(counts) ? counts : null;
}

const sampleIn = (of: AnswerFields): Sample => ({
  at: Date.parse(String(of['at'])),
  lagMs: numberIn(of, 'lag_ms'),
  rate: numberIn(of, 'events_per_second'),
  connections: numberIn(of, 'connections'),
  recoverySeconds: numberIn(of, 'recovery_seconds'),
  memoryMb: numberIn(of, 'memory_bytes') / 1_048_576,
});

const alertIn = (of: AnswerFields): AlertEntry => ({
  key: String(of['key']),
  alert: String(of['alert']),
  summary: String(of['summary']),
  since: String(of['since']),
  until: typeof of['until'] === 'string' ? of['until'] : null,
});

/** What is known from before with what is new: of the same time, the new. */
function joined(before: readonly Sample[], fresh: readonly Sample[]): readonly Sample[] {
  const from = fresh[0]?.at ?? Number.POSITIVE_INFINITY;
  const to = fresh.at(-1)?.at ?? Date.now();
  return [...before.filter(({ at }) => at < from && to - at < HOUR_MS), ...fresh];
}

const EMPTY = { status: null, problem: null, samples: [], alerts: [], historyProblem: null } as const;

export function createStatusLog(model: Model): StatusLog {
  const watchers = new Set<() => void>();
  let timer = 0;
  let asked = '';

  /** The last hour at first, and then what came since; nothing for those who may not see it. */
  const readHistory = async (key: string | undefined) => {
    const newest = log.samples.at(-1);
    const minutes = newest === undefined ? 60 : Math.min(60, Math.ceil((Date.now() - newest.at) / MINUTE_MS) + 1);
    const answer = await model.ask(`/api/v1/status/history?minutes=${Math.max(1, minutes)}`, {}, key);
    return { fresh: listIn(answer, 'samples').map(sampleIn), alerts: listIn(answer, 'alerts').map(alertIn) };
  };

  const take = async (server: string): Promise<void> => {
    const key = log.key === '' ? undefined : log.key;
    const [status, history] = await Promise.all([model.ask('/status', {}, key), readHistory(key).catch(asError)]);
    if (!isFields(status)) throw new TypeError('no status');
    if (model.server !== server) return;
    const known =
      history instanceof Error
        ? { historyProblem: history }
        : {
            samples: joined(log.samples, history.fresh),
            alerts: history.alerts,
          };
    Object.assign(log, EMPTY, { status }, known);
  };

  const log = {
    ...EMPTY,
    status: null as AnswerFields | null,
    problem: null as Error | null,
    samples: [] as readonly Sample[],
    alerts: [] as readonly AlertEntry[],
    historyProblem: null as Error | null,
    key: '',
    async look() {
      clearTimeout(timer);
      const { server } = model;
      if (server !== asked) Object.assign(log, EMPTY);
      asked = server;
      try {
        await take(server);
      } catch (error) {
        Object.assign(log, { status: null, problem: asError(error) });
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
