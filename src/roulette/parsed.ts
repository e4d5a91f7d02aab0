/** Why a document is no event. Counted by reason; the set is closed, so that it can label a metric. */
export const SKIP_REASONS = [
  'no_table',
  'unknown_table',
  'no_number',
  'bad_number',
  'no_timestamp',
  'bad_timestamp',
  'bad_id',
  'no_state',
  'bad_state',
  'bad_strategy',
  'wrong_source',
] as const;

export type SkipReason = (typeof SKIP_REASONS)[number];

/** A typed value, or the reason for none. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: SkipReason };

export const accept = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const skip = (reason: SkipReason): { readonly ok: false; readonly reason: SkipReason } => ({
  ok: false,
  reason,
});
