import { NETWORKS } from '../gateway/network/choose.ts';
import { ALERT_NAMES } from './alert-names.ts';
import {
  AUDIENCES,
  CLIENT_FRAMES,
  CLOSE_CODES,
  ERROR_CODES,
  INGEST_KINDS,
  LIMITS,
  MEMORY_KINDS,
  OUTCOMES,
  PHASES,
  PUBLISHED_TYPES,
  RECOVERY_RESULTS,
  REFUSALS,
  REOPEN_REASONS,
  RESET_REASONS,
  SKIPS,
  SUBSCRIPTION_KINDS,
  TRANSPORTS,
} from './labels.ts';

/** Where the values of an open label come from, and so what bounds them. */
type OpenLabel = 'known tables' | 'configured keys' | 'registered routes' | 'methods' | 'statuses' | 'this build';

type Labels = Readonly<Record<string, readonly string[] | OpenLabel>>;

export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: Labels;
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[];
}

const counter = <L extends Labels>(help: string, labels: L) => ({ type: 'counter', help, labels }) as const;
const gauge = <L extends Labels>(help: string, labels: L) => ({ type: 'gauge', help, labels }) as const;
const histogram = <L extends Labels>(help: string, labels: L, buckets: readonly number[]) =>
  ({ type: 'histogram', help, labels, buckets }) as const;

/** From a fan-out in memory to a stalled machine, in seconds. */
const SHORT = [0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1];
/** Of calls over a network, in seconds. */
const LONG = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const AGES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60];
const SIZES = [0, 1, 5, 20, 50, 200, 1_000, 5_000];

/** Every metric of the service. What is not known is not shown: an absent series is no zero. */
export const METRICS = {
  runcash_build_info: gauge('Always 1; what runs here is in the labels.', {
    version: 'this build',
    node: 'this build',
    instance_id: 'this build',
  }),
  process_start_time_seconds: gauge('When the process started, seconds since 1970.', {}),
  process_cpu_seconds_total: counter('CPU time of the process, user and system.', {}),
  runcash_memory_bytes: gauge('Memory of the process, as Node counts it.', { kind: MEMORY_KINDS }),
  runcash_event_loop_lag_seconds: histogram('How late a timer of 100 ms was.', {}, LONG),

  runcash_network: gauge('1 for the network library that serves, 0 for the other; node is slower.', {
    library: NETWORKS,
  }),
  runcash_connections: gauge('Open connections.', { transport: TRANSPORTS }),
  runcash_connections_accepted_total: counter('Connections taken.', { transport: TRANSPORTS }),
  runcash_connections_refused_total: counter('Connections not taken.', { reason: REFUSALS }),
  runcash_connections_ended_total: counter('Connections that ended, whoever ended them.', { transport: TRANSPORTS }),
  runcash_closes_total: counter('Connections that this side ended, by close code.', { code: CLOSE_CODES }),
  runcash_slow_consumers_total: counter('Connections closed because what they did not read piled up.', {}),
  runcash_limit_hits_total: counter('Limits that a client or scraper ran into.', { limit: LIMITS }),
  runcash_limits_passed_total: counter('What LIMITS=count let through though a limit says no.', {
    reason: [...REFUSALS, 'flood'],
  }),
  runcash_subscriptions: gauge('Topics held by connections: single tables, and all tables at once.', {
    kind: SUBSCRIPTION_KINDS,
  }),
  runcash_client_frames_total: counter('Frames from WebSocket clients.', { type: CLIENT_FRAMES }),
  runcash_client_errors_total: counter('Errors answered to subscribers.', { code: ERROR_CODES }),
  runcash_callback_failures_total: counter('Exceptions in network callbacks; each one is a defect.', {}),
  runcash_untrusted_forwards_total: counter('X-Forwarded-For headers from peers outside TRUSTED_PROXIES.', {}),

  runcash_published_total: counter('Frames published, each once however many connections get it.', {
    type: PUBLISHED_TYPES,
  }),
  runcash_deliveries_total: counter('Frames times the connections that they were fanned out to.', {
    audience: AUDIENCES,
  }),
  runcash_delivered_bytes_total: counter('Bytes of these deliveries, before framing.', { audience: AUDIENCES }),
  runcash_direct_frames_total: counter('Frames sent to one connection: snapshots, replays, answers.', {}),
  runcash_direct_bytes_total: counter('Bytes of these frames, before framing.', {}),
  runcash_snapshots_sent_total: counter('Snapshots sent to one connection.', {}),
  runcash_dropped_frames_total: counter('Frames not sent to a connection that is being closed for its backlog.', {}),
  runcash_replay_pauses_total: counter('Pauses of replays, for a full socket or for the shared budget.', {
    cause: ['socket', 'budget'],
  }),
  runcash_publish_seconds: histogram(
    'Time to hand one frame to all connections of a topic that any hears.',
    { audience: AUDIENCES },
    SHORT,
  ),
  runcash_event_age_seconds: histogram(
    "From the commit in MongoDB to the publish, by MongoDB's clock and ours; up to 1 s too high below server 6.0.",
    {},
    AGES,
  ),

  runcash_feed_phase: gauge('1 for the phase that the feed is in, 0 for the others.', { phase: PHASES }),
  runcash_feed_ready: gauge('1 once subscribers can be served, else 0.', {}),
  runcash_feed_lag_seconds: gauge(
    'How far the feed is behind what the replica set has committed; absent if unknown.',
    {},
  ),
  runcash_feed_position_seconds: gauge('Cluster time that everything is delivered up to, seconds since 1970.', {}),
  runcash_majority_stalled: gauge('1 while the replica set cannot commit; absent if unknown.', {}),
  runcash_database_up: gauge('1 while MongoDB takes writes from here, else 0.', {}),
  runcash_builtin_mongo_bytes: gauge(
    'Memory of the built-in MongoDB: data, indexes and oplog, the limit of all, and the oplog alone; absent for a real one.',
    { kind: ['held', 'limit', 'oplog'] },
  ),
  runcash_builtin_mongo_refusing: gauge(
    '1 while the built-in MongoDB refuses inserts for want of disk or memory, else 0; absent for a real one.',
    {},
  ),
  runcash_ring_events: gauge('Events kept for recovery.', {}),
  runcash_ring_bytes: gauge('Bytes of these events.', {}),
  runcash_ring_seconds: gauge('How far back clients can be recovered.', {}),
  runcash_tables: gauge('Tables known.', {}),
  runcash_table_silence_seconds: gauge("Since a table's last number, by that number's own timestamp.", {
    table: 'known tables',
  }),
  runcash_table_offset_seconds: gauge(
    'How long before they are stored the numbers of a table are dated, where all of its last ones are: they are not live.',
    { table: 'known tables' },
  ),
  runcash_tables_partial: gauge(
    'Tables that could not be read to the end: shown with what there is, marked stale.',
    {},
  ),
  runcash_recovery_reach_seconds: gauge(
    'How long a client may have been away and is still sent all that it missed.',
    {},
  ),
  runcash_feed_reopens_total: counter('Change streams opened again, by what ended the one before.', {
    reason: REOPEN_REASONS,
  }),
  runcash_resets_total: counter('Tables or whole states that had to be shown anew.', { reason: RESET_REASONS }),
  runcash_fresh_states_total: counter('Times that the whole state was read again.', {
    reason: RESET_REASONS,
  }),
  runcash_recoveries_total: counter('Topics taken up by subscribers, by how.', { result: RECOVERY_RESULTS }),
  runcash_recovery_events: histogram('Events replayed to a topic that was recovered.', {}, SIZES),
  runcash_skipped_documents_total: counter('Documents that are no number or strategy.', { reason: SKIPS }),
  runcash_suspect_numbers_total: counter('Numbers published with the mark suspeito.', {}),
  runcash_backfilled_numbers_total: counter('Numbers too old to be live: kept in the history, not published.', {}),

  runcash_ingest_total: counter('Posted numbers and strategies, by how each ended.', {
    kind: INGEST_KINDS,
    key: 'configured keys',
    outcome: OUTCOMES,
  }),
  runcash_ingest_insert_seconds: histogram(
    'Time of one call to MongoDB for posted items.',
    { kind: INGEST_KINDS },
    LONG,
  ),
  runcash_ingest_unauthorized_total: counter('Attempts to post without, or with wrong, credentials.', {
    route: 'registered routes',
  }),
  runcash_http_requests_total: counter('Answers over HTTP.', {
    route: 'registered routes',
    method: 'methods',
    status: 'statuses',
  }),
  runcash_http_request_seconds: histogram('Time to answer over HTTP.', { route: 'registered routes' }, LONG),

  runcash_alerts_firing: gauge('Alerts of this instance that hold now.', { alert: ALERT_NAMES }),
  runcash_alert_messages_total: counter('Messages to ALERT_WEBHOOK_URL.', {
    result: ['delivered', 'failed', 'dropped'],
  }),
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof METRICS;

type NamesOf<Type extends Definition['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type HistogramName = NamesOf<'histogram'>;

/** The labels of a metric, all of them. */
export type LabelsOf<Name extends MetricName> = {
  readonly [Label in keyof (typeof METRICS)[Name]['labels']]: string;
};
