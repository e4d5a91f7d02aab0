import type { HttpObserver } from '../gateway/http/deps.ts';
import type { DeliveryObserver, Publish } from '../protocol/delivery.ts';
import { collect, type MetricsSources } from './collect.ts';
import { createMeter, type Meter, type MetricsClock, measureDelivery, observeHttp, PROCESS_CLOCK } from './meter.ts';
import { type Totals, totalsOf } from './totals.ts';

const EVERY_MS = 500;

/** Measures how late timers are: what keeps them waiting keeps every connection waiting. Returns how to stop. */
function watchLoopLag(meter: Meter, now: () => number): () => void {
  let dueMs = now() + EVERY_MS;
  const timer = setInterval(() => {
    const atMs = now();
    meter.observe('runcash_event_loop_lag_seconds', {}, Math.max(0, atMs - dueMs) / 1000);
    dueMs = atMs + EVERY_MS;
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** What runs here, for the labels of `runcash_build_info`. */
export interface Build {
  readonly version: string;
  readonly instance: string;
}

/** The metrics of one process: what measures, and what shows it. */
export interface Metrics {
  /** Measures what goes to topics; put it around the gateway's own. */
  publish(inner: Publish): Publish;
  /** To be told by the feed. */
  readonly deliveryObserver: DeliveryObserver;
  readonly observe: HttpObserver;
  /** What happened since the start. */
  totals(): Totals;
  /** For what is shown by others: the alerts. */
  readonly meter: Pick<Meter, 'add' | 'show'>;
  /** All metrics, in the Prometheus exposition format. */
  text(): Promise<string>;
  stop(): void;
}

/** Starts measuring; `sources` is asked at every `text()`. */
export function createMetrics(build: Build, sources: MetricsSources, clock: MetricsClock = PROCESS_CLOCK): Metrics {
  const meter = createMeter();
  const delivery = measureDelivery(meter, sources.hearing, clock);
  const http = observeHttp(meter);
  const stop = watchLoopLag(meter, clock.now);
  meter.show('runcash_build_info', [
    [{ version: build.version, node: process.version, instance_id: build.instance }, 1],
  ]);
  meter.show('process_start_time_seconds', [[{}, performance.timeOrigin / 1000]]);
  const totals = (): Totals => totalsOf(sources.gateway(), http.totals());
  const parts = { totals, delivery: delivery.totals, date: clock.date };
  return {
    publish: delivery.publish,
    deliveryObserver: delivery.observer,
    observe: http.observe,
    totals,
    meter,
    text() {
      collect(meter, sources, parts);
      return meter.text();
    },
    stop,
  };
}

/** The exposition of one process of several. */
interface WorkerText {
  readonly worker: string;
  readonly text: string;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

/** Adds the label `worker` to a sample line, before those that it has. */
function labelled(line: string, worker: string): string {
  const name = NAME.exec(line)?.[0] ?? '';
  const rest = line.slice(name.length);
  const label = `worker="${worker}"`;
  return rest.startsWith('{')
    ? `${name}{${label}${rest.startsWith('{}') ? '' : ','}${rest.slice(1)}`
    : `${name}{${label}}${rest}`;
}

/**
 * One Prometheus exposition out of those of several processes: every sample keeps its value and gets the label
 * `worker`, so that sums are made where they are asked for and nothing that cannot be summed is.
 */
export function mergeExpositions(parts: readonly WorkerText[]): string {
  const families = new Map<string, { heads: string[]; samples: string[] }>();
  for (const { worker, text } of parts) {
    let family = { heads: [] as string[], samples: [] as string[] };
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const head = /^# (HELP|TYPE) (\S+)/.exec(line);
      if (head === null) {
        if (!line.startsWith('#')) family.samples.push(labelled(line, worker));
        continue;
      }
      const name = head[2] ?? '';
      family = families.get(name) ?? { heads: [], samples: [] };
      families.set(name, family);
      if (!family.heads.some((known) => known.startsWith(`# ${head[1]} `))) family.heads.push(line);
    }
  }
  const lines = [...families.values()].flatMap(({ heads, samples }) => [...heads, ...samples]);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
