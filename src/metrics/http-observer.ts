import type { HttpObserver, IngestOutcome } from '../gateway/http/deps.ts';
import type { Meter } from './meter.ts';
import type { IngestTotals } from './totals.ts';

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
