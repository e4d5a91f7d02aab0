/** The age from which a number is no live event any more, unless configured otherwise. */
export const DEFAULT_LIVE_MAX_AGE_MS = 120_000;

/**
 * Whether a number was old when it was committed: an import or a migration, which enters the state but is no spin.
 * `committedMs` is the time of the commit by the server's clock, so that every instance decides alike.
 */
export const isBackfill = (timestampMs: number, committedMs: number, liveMaxAgeMs: number): boolean =>
  committedMs - timestampMs > liveMaxAgeMs;
