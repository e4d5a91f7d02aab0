import { MAX_RETRY_MS } from './limits.ts';
import type { LinkClosed } from './transport.ts';

/** 4000-4099, and the HTTP answers that repeating does not change: bad request, credentials, origin, address, host. */
const FINAL = /^(40\d\d|40[01345]|421)$/;

/**
 * Whether a link ended for good. Close codes carry the policy: 4000-4099 stop, 4100-4199 back off, 4200-4299 come back
 * after `retry_ms`; everything else backs off.
 */
export const isFinal = ({ code, foreign }: LinkClosed): boolean => !foreign && FINAL.test(String(code));

/**
 * Milliseconds before attempt `attempt` (0 is the first after a loss): uniform 0-1 s at first, then
 * 250 + rand(0..min(15000, 500 * 2^n)). What the server asked for overrides it, except that a server which keeps asking
 * for less does not get a hot loop.
 */
export function delayBefore(attempt: number, askedMs: number | null, random: () => number): number {
  const own = attempt === 0 ? random() * 1000 : 250 + random() * Math.min(15_000, 500 * 2 ** attempt);
  if (askedMs === null) return own;
  return Math.max(Math.min(askedMs, MAX_RETRY_MS), attempt === 0 ? 0 : own);
}
