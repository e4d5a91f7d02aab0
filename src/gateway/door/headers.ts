/** What callers may send from pages of other origins: tokens and keys, EventSource, tracing, and the old frontends' own. */
export const REQUEST_HEADERS = [
  'accept',
  'authorization',
  'content-type',
  'idempotency-key',
  'if-none-match',
  'last-event-id',
  'x-api-key',
  'x-signature',
  'x-timestamp',
  'x-request-id',
  'x-requested-with',
  'traceparent',
  'tracestate',
  'baggage',
  'sentry-trace',
  'cache-control',
  'pragma',
  'ngrok-skip-browser-warning',
  'bypass-tunnel-reminder',
].join(', ');

/** Overridden by pages, which bring a policy of their own. */
export const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

/**
 * For subscribers alone: `EventSource` and Socket.IO may ask with credentials though there are none, and a browser then
 * wants to be told that it may. Nothing here reads a cookie.
 */
export const CREDENTIALS = { 'Access-Control-Allow-Credentials': 'true' } as const;

/** Whether the page came from the host that it now calls. */
export function isSameOrigin(origin: string, host: string): boolean {
  return host !== '' && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
