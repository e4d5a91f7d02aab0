import { build, decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js';

/** Ten minutes in microseconds: what takes longer is recorded as this. */
const HIGHEST_US = 600e6;

/** Latencies in microseconds, to three digits. */
export function createHistogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: HIGHEST_US, numberOfSignificantValueDigits: 3 });
}

/** Records a latency; clocks of two processors may differ by less than one microsecond, hence the floor. */
export const record = (histogram: Histogram, us: number): void =>
  histogram.recordValue(Math.min(HIGHEST_US, Math.max(1, Math.round(us))));

/** Histograms that other processes encoded, as one. */
export function merged(encoded: readonly string[]): Histogram {
  const sum = createHistogram();
  for (const text of encoded) sum.add(decodeFromCompressedBase64(text));
  return sum;
}

/** p50, p90, p99, p99.9 and max in milliseconds, with a prefix. */
export function percentiles(histogram: Histogram, prefix = ''): Record<string, number> {
  const ms = (us: number): number => us / 1e3;
  return {
    [`${prefix}p50_ms`]: ms(histogram.getValueAtPercentile(50)),
    [`${prefix}p90_ms`]: ms(histogram.getValueAtPercentile(90)),
    [`${prefix}p99_ms`]: ms(histogram.getValueAtPercentile(99)),
    [`${prefix}p99.9_ms`]: ms(histogram.getValueAtPercentile(99.9)),
    [`${prefix}max_ms`]: ms(histogram.maxValue),
  };
}

/** The same of single values in microseconds. */
export function percentilesOf(valuesUs: Iterable<number>, prefix = ''): Record<string, number> {
  const histogram = createHistogram();
  for (const us of valuesUs) record(histogram, us);
  return percentiles(histogram, prefix);
}
