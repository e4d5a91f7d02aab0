/**
 * Every event of the log with the sentence that its lines say; `{name}` is filled in from the line's fields. The list is
 * closed, so that alerts and searches can rely on the names: an event that is not here, or a sentence without one of its
 * fields, does not compile.
 */
export const LOG_EVENTS = {
  starting: 'Starting RunCash Live {version} on Node.js {node}',
  config_note: 'Configuration: {words}',
  mongo_chosen: '{words}',
  mongo_report: 'Built-in MongoDB: {words}',
  mongo_ended: '{words}',
  mongo_memory: 'The built-in MongoDB holds {heldMb} MB, its limit is {limitMb} MB',
  mongo_unasked: 'Could not ask MongoDB for its status, trying again: {error}',
  mongo_started: 'The built-in MongoDB runs as process {mongoPid}',
  listening: 'Listening on {url} with {network}',
  ready: 'Ready: caught up, {tables} tables',
  stopping: 'Received {signal}: sending clients away, stopping within {drainSeconds} s',
  stopped: 'Stopped',
  failed: 'Cannot go on: {error}',
  log_level: 'The log level is now {to}',

  feed_phase: 'The feed is {phase}',
  feed_reopen: 'The change stream ended and is opened again: {words}',
  feed_fresh: 'Reading all tables again: {reason} ({words})',
  feed_tables_read: 'Read these tables again because of deletions or rows that cannot be read: {tables} ({words})',
  feed_condition: 'Subscribers are told that the data is {condition}',
  feed_table_late:
    'Numbers of table {table} are dated {offset} before they are stored, so they are not published as live',
  feed_event_oversized: 'An event was too large to send; its document is read from the collection instead',
  feed_document_skipped: 'Skipped {times} documents since the last such line, the last of them {id} in {ns}: {reason}',
  double_zero_unnoted: 'Could not note that tables have a double zero, trying again: {tables} ({error})',
  collections_unread: 'Could not read which collections the tables name, asking again at the next change: {error}',
  document_skipped: 'Skipped a document of {ns} that cannot be read: {reason}, _id {id}',

  request_failed: 'An HTTP request failed with an internal error: {route}',
  ingest_failed: 'Could not store what was posted: {code}',
  callback_failed: 'A network callback threw and its connection was closed: {where}',
  network_spare: 'Running without uWebSockets.js ({reason}): {cost}',
  connections_capped_by_descriptors: 'Only {cap} connections fit the limit of open files, {wanted} are configured',
  forwarded_header_from_untrusted_peer: 'Ignored X-Forwarded-For from {peer}, which is not in TRUSTED_PROXIES',
  requests_unreadable:
    'Connections of {address} bring no request that can be read: a proxy that speaks HTTP/1.0 (nginx needs `proxy_http_version 1.1;`), or TLS where none is spoken',
  connection_cut: 'Cut a connection of {address} before its first request: {reason}',
  origin_refused: 'Refused a connection from a page of {origin}, which is not in ALLOWED_ORIGINS',
  admin_action: 'Operator at {address}: {action} {target}',
  removal_uncounted: 'Ordered the connections of {subject} closed, but not all workers said how many: {error}',
  orders_unread: 'Could not read which tokens are revoked, trying again: {error}',
  token_refused: 'Refused a token: {cause}',
  jwks_unavailable: 'Could not fetch the keys for tokens from JWKS_URL, the earlier ones stay in use: {cause}',
  ingest_unauthorized: 'Rejected a post to {route}: missing or wrong key',
  indexes: 'Created indexes: {created}',
  index_refused: 'Could not create an index: {words}',
  alert_firing: 'Alert {alert}: {words}',
  alert_resolved: 'Alert {alert} is over',
  alert_undelivered: 'ALERT_WEBHOOK_URL did not accept a message after {attempts} attempts',
  alerts_failed: 'The alert rules failed: {error}',
  reader_started: 'Started the process that reads the change stream',
  reader_failed: 'The process that reads the change stream could not be started or signalled: {error}',
  reader_died: 'The process that reads the change stream died and is started again in {restartMs} ms',
  worker_started: 'Started worker {worker}',
  worker_failed: 'Worker {worker} could not be started or signalled: {error}',
  worker_unanswered: 'Could not answer another worker about {about}, which goes on without this one',
  worker_died: 'Worker {worker} died and is started again in {restartMs} ms',
} as const;

export type LogEvent = keyof typeof LOG_EVENTS;

export type LogFields = Readonly<Record<string, unknown>>;

type FieldsIn<Sentence extends string> = Sentence extends `${string}{${infer Field}}${infer Rest}`
  ? Field | FieldsIn<Rest>
  : never;

/** What a line of this event is given: the fields that its sentence names, and any others. */
export type FieldsOf<Event extends LogEvent> = LogFields &
  Readonly<Record<FieldsIn<(typeof LOG_EVENTS)[Event]>, unknown>>;

/** Events whose sentence names no field. */
export type PlainEvent = {
  [Event in LogEvent]: FieldsIn<(typeof LOG_EVENTS)[Event]> extends never ? Event : never;
}[LogEvent];

export const isLogEvent = (name: unknown): name is LogEvent =>
  typeof name === 'string' && Object.hasOwn(LOG_EVENTS, name);

/**
 * Events that anybody outside can cause as often as they like. Their first line is written at once; what follows within
 * five seconds is counted and becomes one line.
 */
export const THROTTLED: ReadonlySet<LogEvent> = new Set<LogEvent>([
  'connection_cut',
  'document_skipped',
  'forwarded_header_from_untrusted_peer',
  'ingest_failed',
  'ingest_unauthorized',
  'origin_refused',
  'requests_unreadable',
  'request_failed',
  'token_refused',
]);

/** The field names that a sentence fills in. */
export const namesIn = (sentence: string): string[] =>
  [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');

/** The sentence of a line. Texts are taken as they are, everything else as JSON. */
export const sentenceOf = (event: LogEvent, fields: LogFields): string =>
  LOG_EVENTS[event].replace(/\{(\w+)\}/g, (_, name: string) => shown(fields[name]));

export const shown = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? 'unknown' : JSON.stringify(value);
