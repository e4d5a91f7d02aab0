import type { LinkClosed } from './transport.ts';

/**
 * What to do after a link ended. Close codes carry the policy: 4000-4099 stop, 4100-4199 back off, 4200-4299 come back
 * after `retry_ms`; everything else backs off.
 */
export type Verdict =
  | { readonly action: 'stop'; readonly code: number | null; readonly reason: string }
  | { readonly action: 'wait'; readonly retryMs: number | null; readonly smaller: boolean };

/** Longest wait that a server may ask for, in milliseconds. */
const MAX_RETRY_MS = 300_000;

/** HTTP answers that repeating does not change: bad request, credentials, origin, address, host. */
const FINAL_STATUS: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 421]);

/** RFC 6455: the message was too big, so the same one must not be sent again. */
const TOO_BIG = 1009;

export function verdictOf(end: LinkClosed): Verdict {
  const { code, reason } = end;
  if (code !== null && !end.foreign && ((code >= 4000 && code < 4100) || FINAL_STATUS.has(code))) {
    return { action: 'stop', code, reason: end.problem ?? reason };
  }
  const asked = end.retryMs;
  const retryMs = asked === undefined || !(asked >= 0) ? null : Math.min(asked, MAX_RETRY_MS);
  return { action: 'wait', retryMs, smaller: code === TOO_BIG };
}

/**
 * Milliseconds before attempt `attempt` (0 is the first after a loss): uniform 0-1 s at first, then
 * 250 + rand(0..min(15000, 500 * 2^n)). What the server asked for overrides it, except that a server which keeps asking
 * for less does not get a hot loop.
 */
export function delayBefore(attempt: number, askedMs: number | null, random: () => number): number {
  const own = attempt === 0 ? random() * 1000 : 250 + random() * Math.min(15_000, 500 * 2 ** attempt);
  if (askedMs === null) return own;
  return attempt === 0 ? askedMs : Math.max(askedMs, own);
}
