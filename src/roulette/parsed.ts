import type { SkipReason } from '../protocol/delivery.ts';

/** A typed value, or the reason for none. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: SkipReason };

export const accept = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const skip = (reason: SkipReason): { readonly ok: false; readonly reason: SkipReason } => ({
  ok: false,
  reason,
});
