import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { HttpObserver, IngestOutcome } from '../gateway/http/deps.ts';
import { type DeliveryObserver, EVERYONE, type Publish } from '../protocol/delivery.ts';
import { ALL_TABLES, type Frame } from '../protocol/messages.ts';
import type { AudienceKind } from './labels.ts';
import {
  type CounterName,
  type Definition,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  METRICS,
  type MetricName,
} from './table.ts';
import type { IngestTotals } from './totals.ts';

/** Labels and value of one series. */
type SeriesRow<Name extends MetricName> = readonly [labels: LabelsOf<Name>, value: number];

/** The metrics of the table, to be filled. Labels are checked here, so that no caller can make them unbounded. */
export interface Meter {
  add<Name extends CounterName>(name: Name, labels: LabelsOf<Name>, by?: number): void;
  observe<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** Replaces what a metric shows. A gauge without rows is not shown at all: unknown is not zero. */
  show<Name extends CounterName | GaugeName>(name: Name, rows: readonly SeriesRow<Name>[]): void;
  /** Everything, in the Prometheus exposition format 0.0.4. */
  text(): Promise<string>;
}

/** Values of one open label; beyond, they are counted together. */
const MAX_VALUES = 500;
const OTHER = 'other';

type Raw = Readonly<Record<string, string>>;

/** Folds what is not on a closed list, or too much of an open one, into `other`. */
function bounding({ labels }: Definition): (given: Raw) => Record<string, string> {
  if (Object.keys(labels).length === 0) return () => ({});
  const rules = Object.entries(labels).map(([label, values]) => {
    const seen = new Set<string>(typeof values === 'string' ? [] : values);
    const open = typeof values === 'string';
    const bounded = (value: string): string => {
      if (seen.has(value)) return value;
      if (!open || seen.size >= MAX_VALUES) return OTHER;
      seen.add(value);
      return value;
    };
    return [label, bounded] as const;
  });
  return (given) => Object.fromEntries(rules.map(([label, bounded]) => [label, bounded(given[label] ?? OTHER)]));
}

/** Every combination of closed labels; none when a label is open. Counters that never counted are zero, and known to be. */
function combinationsOf({ labels }: Definition): Raw[] {
  let all: Raw[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (typeof values === 'string') return [];
    all = all.flatMap((before) => values.map((value) => ({ ...before, [label]: value })));
  }
  return all;
}

interface Series {
  readonly definition: Definition;
  readonly bound: (given: Raw) => Record<string, string>;
  readonly zeros: readonly Raw[];
  readonly metric: Counter | Gauge | Histogram;
}

function seriesOf(name: string, definition: Definition, registry: Registry): Series {
  const settings = { name, help: definition.help, labelNames: Object.keys(definition.labels), registers: [registry] };
  const metric =
    definition.type === 'counter'
      ? new Counter(settings)
      : definition.type === 'gauge'
        ? new Gauge(settings)
        : new Histogram({ ...settings, buckets: [...(definition.buckets ?? [])] });
  const zeros = definition.type === 'counter' ? combinationsOf(definition) : [];
  const series = { definition, bound: bounding(definition), zeros, metric };
  clear(series);
  return series;
}

function clear({ metric, zeros }: Series): void {
  metric.reset();
  if (metric instanceof Counter) for (const labels of zeros) metric.inc(labels, 0);
  // A gauge without labels would show zero after a reset.
  if (metric instanceof Gauge) metric.remove({});
}

/** Makes every metric of the table, in a registry of its own. */
export function createMeter(): Meter {
  const registry = new Registry();
  const all = new Map<string, Series>();
  for (const [name, definition] of Object.entries<Definition>(METRICS)) {
    all.set(name, seriesOf(name, definition, registry));
  }
  const of = (name: MetricName): Series => {
    const series = all.get(name);
    if (series === undefined) throw new Error(`no metric ${name}`);
    return series;
  };
  return {
    add(name, labels, by = 1) {
      const { metric, bound } = of(name);
      if (metric instanceof Counter) metric.inc(bound(labels), by);
    },
    observe(name, labels, value) {
      const { metric, bound } = of(name);
      if (metric instanceof Histogram) metric.observe(bound(labels), value);
    },
    show(name, rows) {
      const series = of(name);
      const { metric, bound } = series;
      clear(series);
      for (const [labels, value] of rows) {
        if (metric instanceof Counter) metric.inc(bound(labels), value);
        if (metric instanceof Gauge) metric.set(bound(labels), value);
      }
    },
    text: () => registry.metrics(),
  };
}

/** Fills the metrics of HTTP and ingest. */
export function observeHttp(meter: Meter): { readonly observe: HttpObserver; totals(): IngestTotals } {
  const outcomes = new Map<IngestOutcome, number>();
  let unauthorized = 0;
  return {
    observe: {
      request(route, method, status, elapsedMs) {
        meter.add('runcash_http_requests_total', { route, method, status: String(status) });
        meter.observe('runcash_http_request_seconds', { route }, elapsedMs / 1000);
      },
      ingest(kind, key, outcome) {
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        meter.add('runcash_ingest_total', { kind, key, outcome });
      },
      inserted(kind, _items, elapsedMs) {
        meter.observe('runcash_ingest_insert_seconds', { kind }, elapsedMs / 1000);
      },
      unauthorized(route) {
        unauthorized += 1;
        meter.add('runcash_ingest_unauthorized_total', { route });
      },
    },
    totals: () => ({ outcomes, unauthorized }),
  };
}

/** Times as this file needs them, so that tests can hold them. */
export interface MetricsClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

/** The process's own. */
export const PROCESS_CLOCK: MetricsClock = { now: () => performance.now(), date: () => Date.now() };

/**
 * Measures where the feed and the transports meet. Everything here is synchronous and adds nothing between a frame and
 * its topic; who hears what is asked, not counted again.
 */
interface MeasuredDelivery {
  publish(inner: Publish): Publish;
  readonly observer: DeliveryObserver;
  totals(): DeliveryTotals;
}

/** What passed since the start. Plain numbers, since they are counted for every frame and read once in ten seconds. */
export interface DeliveryTotals {
  /** Frames, each once however many connections get it, by type. */
  readonly published: ReadonlyMap<string, number>;
  /** Frames times connections, and their bytes. */
  readonly deliveries: Readonly<Record<AudienceKind, number>>;
  readonly bytes: Readonly<Record<AudienceKind, number>>;
  readonly suspects: number;
  readonly snapshots: number;
}

const kindOf = (topic: string): AudienceKind =>
  topic === EVERYONE ? 'everyone' : topic === ALL_TABLES ? 'all' : 'table';

/** `hearing` tells how many connections hear a topic. */
export function measureDelivery(
  meter: Meter,
  hearing: (topic: string) => number,
  clock: MetricsClock,
): MeasuredDelivery {
  const published = new Map<string, number>();
  const deliveries: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  const bytes: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  let suspects = 0;
  let snapshots = 0;

  const countOnce = ({ type }: Frame): void => void published.set(type, (published.get(type) ?? 0) + 1);

  return {
    publish: (inner) => (topic, frame) => {
      // What goes to the topic of a table goes to that of all tables too.
      const isCopy = topic === ALL_TABLES && frame.topic !== ALL_TABLES && frame.type !== 'table_added';
      if (!isCopy) countOnce(frame);
      const connections = hearing(topic);
      if (connections === 0) {
        inner(topic, frame);
        return;
      }
      const audience = kindOf(topic);
      const startedMs = clock.now();
      inner(topic, frame);
      meter.observe('runcash_publish_seconds', { audience }, (clock.now() - startedMs) / 1000);
      deliveries[audience] += connections;
      bytes[audience] += connections * Buffer.byteLength(frame.text);
    },
    observer: {
      publishing({ suspect }, committedMs) {
        meter.observe('runcash_event_age_seconds', {}, Math.max(0, clock.date() - committedMs) / 1000);
        if (suspect) suspects += 1;
      },
      subscribed(results) {
        for (const result of results) {
          meter.add('runcash_recoveries_total', { result: result.recovered ? 'recovered' : result.reason });
          if (result.recovered) meter.observe('runcash_recovery_events', {}, result.replayed);
        }
      },
      snapshot() {
        snapshots += 1;
      },
    },
    totals: () => ({ published, deliveries, bytes, suspects, snapshots }),
  };
}
