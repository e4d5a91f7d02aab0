/** How much an alert asks for: `critical` wants a person now, `warning` wants one today. */
export type Severity = 'critical' | 'warning';

interface AlertEntry {
  readonly severity: Severity;
  /** What it is about: one process, or what all processes see alike, which one of them tells. */
  readonly of: 'process' | 'all';
  /** How long the condition must hold before anybody is told. */
  readonly holdMs: number;
  /** How long it must be over before it is called resolved. */
  readonly calmMs: number;
  /** What to look at first. */
  readonly remedy: string;
}

/** Every alert that this service sends. A name never changes its meaning. */
export const ALERTS = {
  feed_down: {
    severity: 'critical',
    of: 'process',
    holdMs: 15_000,
    calmMs: 10_000,
    remedy: 'Read the reason on /status, then check MongoDB (on a leaf: its cores) and the network in between.',
  },
  feed_lagging: {
    severity: 'warning',
    of: 'process',
    holdMs: 15_000,
    calmMs: 15_000,
    remedy: 'Check the CPU of this process (runcash_event_loop_lag_seconds) and the load of MongoDB.',
  },
  majority_stalled: {
    severity: 'critical',
    of: 'all',
    holdMs: 5_000,
    calmMs: 10_000,
    remedy:
      'Too few members of the replica set are up; rs.status() names them. Nothing new is shown until they are back.',
  },
  database_down: {
    severity: 'critical',
    of: 'all',
    holdMs: 10_000,
    calmMs: 10_000,
    remedy: 'Posted numbers are refused with 503. Check that MongoDB has a primary; on a leaf, that a core is live.',
  },
  database_full: {
    severity: 'critical',
    of: 'all',
    holdMs: 0,
    calmMs: 10_000,
    remedy: 'Make room on its disk, delete old numbers, or raise EMBEDDED_MAX_MB. Nothing is stored twice afterwards.',
  },
  table_silent: {
    severity: 'warning',
    of: 'all',
    // After an outage the first numbers need a moment.
    holdMs: 30_000,
    calmMs: 0,
    remedy: 'Check the scraper of the table, and whether the casino closed it.',
  },
  scraper_clock: {
    severity: 'warning',
    of: 'all',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'Its scraper writes local time without a zone, or has a wrong clock: write UTC, and run NTP.',
  },
  table_partial: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 0,
    remedy: 'Thousands of malformed documents, or of one timestamp, lie above its good ones: delete or mend them.',
  },
  documents_skipped: {
    severity: 'warning',
    of: 'all',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'The log line feed_document_skipped names the collection and a document.',
  },
  state_fresh: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 60_000,
    remedy:
      'Subscribers got snapshots instead of what they missed. Check the reason; a lost history needs a larger oplog.',
  },
  ingest_rejected: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'runcash_ingest_total shows whose posts are refused, and why.',
  },
  slow_consumers: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'Many clients cannot keep up: check the bandwidth of this machine and of the proxy in front of it.',
  },
  limits_hit: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'Raise the limit if this is your own load; otherwise find out who causes it (runcash_limit_hits_total).',
  },
  ingest_unauthorized: {
    severity: 'warning',
    of: 'process',
    holdMs: 0,
    calmMs: 60_000,
    remedy: 'A scraper with an old key, or an attack. The log line ingest_unauthorized names the route.',
  },
} as const satisfies Readonly<Record<string, AlertEntry>>;

export type AlertName = keyof typeof ALERTS;

export const ALERT_NAMES: readonly AlertName[] = Object.freeze(
  Object.keys(ALERTS).filter((name): name is AlertName => Object.hasOwn(ALERTS, name)),
);
