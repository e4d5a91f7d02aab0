import type { GatewayCounters } from '../gateway/door/counters.ts';
import type { TableOverview } from '../gateway/http/deps.ts';
import { NETWORKS } from '../gateway/network/choose.ts';
import { type BuiltinStatus, builtinTrouble, type FeedStatus } from '../protocol/delivery.ts';
import { timeOf } from '../protocol/position.ts';
import { PHASES } from './labels.ts';
import type { DeliveryTotals, Meter } from './meter.ts';
import type { Totals } from './totals.ts';

/** What is asked when somebody reads the metrics. */
export interface MetricsSources {
  feed(): FeedStatus;
  /** Null until the gateway listens. */
  gateway(): Readonly<GatewayCounters> | null;
  /** Every known table. */
  tables(): readonly Pick<TableOverview, 'roleta_id' | 'roleta_nome' | 'ultimo'>[];
  databaseOk(): boolean;
  builtinMongo(): BuiltinStatus | null;
  /** How many connections hear a topic. */
  hearing(topic: string): number;
  /** Topics held by connections. */
  subscriptions(): { readonly table: number; readonly all: number };
}

/** Tables with a series of their own; how many there are is always shown. */
const MAX_TABLES = 500;

type Counts = Readonly<Partial<Record<PropertyKey, number>>>;

const entriesOf = (counts: Counts): [string, number][] =>
  Object.entries(counts).flatMap(([label, value]) => (value === undefined ? [] : [[label, value]]));

const yes = (value: boolean): number => (value ? 1 : 0);

/** Reads what others count into the metrics. */
export function collect(meter: Meter, sources: MetricsSources, parts: CollectParts): void {
  collectProcess(meter);
  collectFeed(meter, sources.feed());
  const counters = sources.gateway();
  if (counters !== null) collectGateway(meter, counters, parts.totals());
  const { table, all } = sources.subscriptions();
  meter.show('runcash_subscriptions', [
    [{ kind: 'table' }, table],
    [{ kind: 'all' }, all],
  ]);
  collectDelivery(meter, parts.delivery());
  meter.show('runcash_database_up', [[{}, yes(sources.databaseOk())]]);
  collectBuiltin(meter, sources.builtinMongo());
  const date = parts.date();
  meter.show(
    'runcash_table_silence_seconds',
    sources
      .tables()
      .slice(0, MAX_TABLES)
      .flatMap(({ roleta_id: table, ultimo }) =>
        // A table that never had a number is not silent for any known time.
        ultimo === null ? [] : [[{ table }, Math.max(0, date - Date.parse(ultimo.timestamp)) / 1000] as const],
      ),
  );
}

interface CollectParts {
  readonly totals: () => Totals;
  readonly delivery: () => DeliveryTotals;
  /** Milliseconds since 1970. */
  readonly date: () => number;
}

function collectProcess(meter: Meter): void {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  meter.show('runcash_memory_bytes', [
    [{ kind: 'rss' }, rss],
    [{ kind: 'heap_used' }, heapUsed],
    [{ kind: 'heap_total' }, heapTotal],
    [{ kind: 'external' }, external],
    [{ kind: 'array_buffers' }, arrayBuffers],
  ]);
  const { user, system } = process.cpuUsage();
  meter.show('process_cpu_seconds_total', [[{}, (user + system) / 1e6]]);
}

/** A real MongoDB has metrics of its own: nothing is shown of it. */
function collectBuiltin(meter: Meter, status: BuiltinStatus | null): void {
  if (status === null) return;
  meter.show('runcash_builtin_mongo_bytes', [
    [{ kind: 'held' }, status.heldBytes],
    [{ kind: 'limit' }, status.limitBytes],
    [{ kind: 'oplog' }, status.oplogBytes],
  ]);
  meter.show('runcash_builtin_mongo_refusing', [[{}, yes(builtinTrouble(status) !== null)]]);
}

function collectDelivery(meter: Meter, { published, deliveries, bytes, suspects, snapshots }: DeliveryTotals): void {
  meter.show(
    'runcash_published_total',
    [...published].map(([type, value]) => [{ type }, value]),
  );
  const byAudience = (counts: Counts) => entriesOf(counts).map(([audience, value]) => [{ audience }, value] as const);
  meter.show('runcash_deliveries_total', byAudience(deliveries));
  meter.show('runcash_delivered_bytes_total', byAudience(bytes));
  meter.show('runcash_suspect_numbers_total', [[{}, suspects]]);
  meter.show('runcash_snapshots_sent_total', [[{}, snapshots]]);
}

function collectFeed(meter: Meter, feed: FeedStatus): void {
  const known = <T>(value: T | null | undefined, read: (value: T) => number): [object, number][] =>
    value === null || value === undefined ? [] : [[{}, read(value)]];
  meter.show(
    'runcash_feed_phase',
    PHASES.map((phase) => [{ phase }, yes(feed.phase === phase)]),
  );
  meter.show('runcash_feed_ready', [[{}, yes(feed.ready)]]);
  meter.show(
    'runcash_feed_lag_seconds',
    known(feed.lagMs, (ms) => ms / 1000),
  );
  meter.show(
    'runcash_feed_position_seconds',
    known(feed.position, (position) => timeOf(position).t),
  );
  // A set whose majority time cannot be asked may be stalled or not.
  const asked = feed.majorityStalled || feed.lagMs !== undefined;
  meter.show('runcash_majority_stalled', asked ? [[{}, yes(feed.majorityStalled)]] : []);
  meter.show('runcash_ring_events', [[{}, feed.ring.events]]);
  meter.show('runcash_ring_bytes', [[{}, feed.ring.bytes]]);
  meter.show('runcash_ring_seconds', [[{}, feed.ring.seconds]]);
  meter.show('runcash_tables', [[{}, feed.tables]]);
  const { backfill, ...resets } = feed.resets;
  meter.show('runcash_backfilled_numbers_total', [[{}, backfill ?? 0]]);
  meter.show(
    'runcash_resets_total',
    entriesOf(resets).map(([reason, value]) => [{ reason }, value]),
  );
  meter.show(
    'runcash_feed_reopens_total',
    entriesOf(feed.reopens).map(([reason, value]) => [{ reason }, value]),
  );
  meter.show(
    'runcash_fresh_states_total',
    entriesOf(feed.fresh).map(([reason, value]) => [{ reason }, value]),
  );
  meter.show(
    'runcash_table_offset_seconds',
    feed.late.slice(0, MAX_TABLES).map(({ roleta_id: table, offset_ms: ms }) => [{ table }, ms / 1000]),
  );
  meter.show('runcash_tables_partial', [[{}, feed.partial.length]]);
  meter.show(
    'runcash_recovery_reach_seconds',
    known(feed.recoverySeconds, (seconds) => seconds),
  );
  meter.show(
    'runcash_skipped_documents_total',
    entriesOf(feed.skipped).map(([reason, value]) => [{ reason }, value]),
  );
}

function collectGateway(meter: Meter, counters: Readonly<GatewayCounters>, totals: Totals): void {
  const byTransport = (counts: Counts) =>
    entriesOf(counts).map(([transport, value]) => [{ transport }, value] as const);
  meter.show(
    'runcash_network',
    NETWORKS.map((library) => [{ library }, yes(counters.network === library)]),
  );
  meter.show('runcash_connections', byTransport(counters.open));
  meter.show('runcash_connections_accepted_total', byTransport(counters.opened));
  meter.show('runcash_connections_ended_total', byTransport(counters.closed));
  meter.show(
    'runcash_connections_refused_total',
    entriesOf(counters.refused).map(([reason, value]) => [{ reason }, value]),
  );
  meter.show(
    'runcash_limits_passed_total',
    entriesOf(counters.passed).map(([reason, value]) => [{ reason }, value]),
  );
  meter.show(
    'runcash_limit_hits_total',
    entriesOf(totals.limits).map(([limit, value]) => [{ limit }, value]),
  );
  meter.show(
    'runcash_closes_total',
    entriesOf(counters.closes).map(([code, value]) => [{ code }, value]),
  );
  meter.show('runcash_slow_consumers_total', [[{}, totals.slowConsumers]]);
  meter.show(
    'runcash_client_frames_total',
    entriesOf(counters.framesIn).map(([type, value]) => [{ type }, value]),
  );
  meter.show(
    'runcash_client_errors_total',
    entriesOf(counters.errors).map(([code, value]) => [{ code }, value]),
  );
  meter.show('runcash_callback_failures_total', [[{}, counters.failures]]);
  meter.show('runcash_untrusted_forwards_total', [[{}, counters.untrustedForwards]]);
  meter.show('runcash_direct_frames_total', [[{}, counters.directFrames]]);
  meter.show('runcash_direct_bytes_total', [[{}, counters.directBytes]]);
  meter.show('runcash_dropped_frames_total', [[{}, counters.droppedFrames]]);
  meter.show('runcash_replay_pauses_total', [
    [{ cause: 'socket' }, counters.pausedForSocket],
    [{ cause: 'budget' }, counters.pausedForBudget],
  ]);
}
