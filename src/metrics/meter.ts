import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  type CounterName,
  type Definition,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  METRICS,
  type MetricName,
} from './table.ts';

/** Labels and value of one series. */
export type SeriesRow<Name extends MetricName> = readonly [labels: LabelsOf<Name>, value: number];

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
