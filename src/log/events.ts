/**
 * Every event that a log line may name, and what it says. Closed, so that alerts and searches can rely on the names; a
 * test compares this list with the calls in the code.
 */
export const LOG_EVENTS = {
  starting: 'The process begins; version, Node, configuration in brief.',
  config_note: 'Something in the configuration that an operator should read.',
  mongo_chosen: 'Which MongoDB is used, in words.',
  listening: 'The port is open.',
  ready: 'Caught up with the database; subscribers are served.',
  stopping: 'A signal asked for the end; clients are sent away over the drain time.',
  stopped: 'Everything is closed.',
  failed: 'The process cannot go on; it exits with an error.',
  log_level: 'The level of this log changed while running.',

  feed_phase: 'The feed went from one phase to another, and why.',
  feed_reopen: 'The change stream broke and is opened again.',
  feed_fresh: 'The state is read anew from the database, and why.',
  feed_condition: 'What subscribers are told about the feed changed: live, stale or down.',
  feed_event_oversized: 'An event was too large to be sent; it was passed and its document read at rest.',
  feed_token_unreadable: 'A resume token had an unknown form; positions are counted instead.',

  request_failed: 'An HTTP request ended in an error of ours.',
  ingest_failed: 'Posted numbers or strategies could not be stored.',
  callback_failed: 'A callback of the network layer threw; its connection was ended.',
  connections_capped_by_descriptors: 'The descriptor limit allows fewer connections than configured.',
  forwarded_header_from_untrusted_peer: 'X-Forwarded-For came from an address that is not in TRUSTED_PROXIES.',
  origin_refused: 'A page of an origin that is not allowed tried to connect.',
  token_refused: "A subscriber's token was missing, wrong or expired.",
  jwks_unavailable: 'The keys for tokens could not be fetched from JWKS_URL; those of before are kept.',
  ingest_unauthorized: 'Somebody tried to post without a key that is accepted.',
  indexes: 'Indexes that were made at start.',
  index_refused: 'An index could not be made; what to run, in words.',
  alert_firing: 'Something is wrong, in words; told once, also to ALERT_WEBHOOK_URL.',
  alert_resolved: 'It is over.',
  alert_undelivered: 'ALERT_WEBHOOK_URL did not take a message.',
  alerts_failed: 'The rules of the alerts could not be evaluated; a defect.',
  worker_started: 'A worker process was started.',
  worker_died: 'A worker process ended by itself; it is started again.',
  unlisted: 'A room named an event that is not on this list; a defect.',
} as const satisfies Readonly<Record<string, string>>;

export type LogEvent = keyof typeof LOG_EVENTS;

export const isLogEvent = (name: string): name is LogEvent => Object.hasOwn(LOG_EVENTS, name);
