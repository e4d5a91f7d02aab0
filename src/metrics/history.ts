import type { StatusHistory, StatusSample } from '../gateway/http/schemas.ts';
import type { FeedStatus } from '../protocol/delivery.ts';

interface HistorySources {
  feed(): Pick<FeedStatus, 'lagMs' | 'recoverySeconds' | 'published'>;
  /** Open connections of all transports. */
  connections(): number;
  /** Bytes that the process holds. */
  memory(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

/** The last hour of one process, a sample each ten seconds. */
interface SampleHistory {
  /** Samples of the last so many minutes, oldest first. */
  samples(minutes: number): readonly StatusSample[];
  stop(): void;
}

export const SAMPLE_MS = 10_000;
/** A timer may fire some milliseconds early: it is set past the boundary, or its sample would be dated to the slot before. */
const PAST_BOUNDARY_MS = 50;
const MINUTE_MS = 60_000;
const KEPT = 360;

/** Takes samples, each dated to its ten seconds of the clock: so those of several processes can be put together. */
export function keepHistory(sources: HistorySources): SampleHistory {
  let samples: readonly StatusSample[] = [];
  let before = { total: 0, atMs: sources.date() };
  const take = (): void => {
    const atMs = sources.date();
    const { lagMs, recoverySeconds, published } = sources.feed();
    const total = Object.values(published).reduce((sum, count) => sum + count, 0);
    const seconds = Math.max(1, atMs - before.atMs) / 1000;
    const sample: StatusSample = {
      at: new Date(atMs - (atMs % SAMPLE_MS)).toISOString(),
      lag_ms: lagMs ?? null,
      events_per_second: Math.max(0, total - before.total) / seconds,
      connections: sources.connections(),
      recovery_seconds: recoverySeconds,
      memory_bytes: sources.memory(),
    };
    before = { total, atMs };
    samples = [...samples.filter(({ at }) => at !== sample.at), sample].slice(-KEPT);
  };
  let timer: NodeJS.Timeout;
  const next = (): void => {
    timer = setTimeout(
      () => {
        take();
        next();
      },
      SAMPLE_MS - (sources.date() % SAMPLE_MS) + PAST_BOUNDARY_MS,
    );
  };
  next();
  return {
    samples(minutes) {
      const since = sources.date() - minutes * MINUTE_MS;
      return samples.filter(({ at }) => Date.parse(at) >= since);
    },
    stop: () => clearTimeout(timer),
  };
}

type PastAlert = StatusHistory['alerts'][number];

const known = (...values: readonly (number | null)[]): number[] => values.filter((value) => value !== null);
const reduced = (reduce: (...values: number[]) => number, values: readonly number[]): number | null =>
  values.length === 0 ? null : reduce(...values);

/** What two processes had in the same ten seconds: they publish the same events, each to connections of its own. */
const together = (a: StatusSample, b: StatusSample): StatusSample => ({
  at: a.at,
  lag_ms: reduced(Math.max, known(a.lag_ms, b.lag_ms)),
  events_per_second: Math.max(a.events_per_second, b.events_per_second),
  connections: a.connections + b.connections,
  recovery_seconds: reduced(Math.min, known(a.recovery_seconds, b.recovery_seconds)),
  memory_bytes: a.memory_bytes + b.memory_bytes,
});

const later = (a: string | null, b: string | null): string | null => (a === null || b === null ? null : a > b ? a : b);

/** One alert out of those of the same key that held at the same time; newest first. */
function joinAlerts(alerts: readonly PastAlert[]): PastAlert[] {
  const joined: PastAlert[] = [];
  for (const alert of [...alerts].sort((a, b) => (a.since < b.since ? -1 : 1))) {
    const at = joined.findIndex(({ key, until }) => key === alert.key && (until === null || until >= alert.since));
    const earlier = joined[at];
    if (earlier === undefined) joined.push(alert);
    else joined[at] = { ...earlier, until: later(earlier.until, alert.until) };
  }
  return joined.reverse();
}

/** The history of a machine out of those of its processes. */
export function mergeHistories(parts: readonly StatusHistory[]): StatusHistory {
  const slots = new Map<string, StatusSample>();
  for (const sample of parts.flatMap(({ samples }) => samples)) {
    const earlier = slots.get(sample.at);
    slots.set(sample.at, earlier === undefined ? sample : together(earlier, sample));
  }
  return {
    samples: [...slots.values()].sort((a, b) => (a.at < b.at ? -1 : 1)),
    alerts: joinAlerts(parts.flatMap(({ alerts }) => alerts)),
  };
}
