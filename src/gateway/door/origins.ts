import { isDirectLoopback, type Peer } from './address.ts';

/** Decides whether pages of an `Origin` header may use this server; an empty header means no browser page asked. */
type OriginCheck = (origin: string) => boolean;

const EXACT = /^https?:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d{1,5})?$/;
const WILDCARD = /^(https?:\/\/)\*(\.[a-z0-9.-]+(?::\d{1,5})?)$/;
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/**
 * Rules as `ALLOWED_ORIGINS` lists them: `https://a.example`, `https://*.example` (any depth of subdomains, never the
 * bare domain), or `*`. The origin `null` (sandboxed frames, files) is refused under every rule. Throws RangeError
 * naming the rule that is none of these.
 */
export function originCheck(rules: readonly string[]): OriginCheck {
  const exact = new Set<string>();
  const wildcards: { readonly head: string; readonly tail: string }[] = [];
  let all = false;
  for (const rule of rules) {
    const text = rule.trim().toLowerCase().replace(/\/$/, '');
    const wildcard = WILDCARD.exec(text);
    if (text === '*') all = true;
    else if (wildcard) wildcards.push({ head: wildcard[1] ?? '', tail: wildcard[2] ?? '' });
    else if (EXACT.test(text)) exact.add(text);
    else throw new RangeError(`"${rule}" is neither an origin, nor https://*.domain, nor *`);
  }
  return (header) => {
    if (header === '') return true;
    const origin = header.toLowerCase();
    if (!EXACT.test(origin)) return false;
    if (all || exact.has(origin)) return true;
    return wildcards.some(
      ({ head, tail }) =>
        origin.startsWith(head) &&
        origin.endsWith(tail) &&
        LABELS.test(origin.slice(head.length, Math.max(head.length, origin.length - tail.length))),
    );
  };
}

/** Decides whether a `Host` header names this server. No rules accept every host. */
export type HostCheck = (host: string) => boolean;

/** Rules as `ALLOWED_HOSTS` lists them: names or addresses, with a port only where the port matters. */
export function hostCheck(rules: readonly string[]): HostCheck {
  const allowed = new Set(rules.map((rule) => rule.trim().toLowerCase()).filter((rule) => rule !== ''));
  if (allowed.size === 0) return () => true;
  return (header) => {
    const host = header.trim().toLowerCase();
    return allowed.has(host) || allowed.has(host.replace(/:\d+$/, ''));
  };
}

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

/** Names by which this machine calls itself: a page that points its own name at 127.0.0.1 has another Host. */
const isLoopbackHost = hostCheck(['localhost', '127.0.0.1', '[::1]']);

/** Of a request, what tells where it comes from. */
interface Caller {
  readonly peer: Peer;
  readonly headers: ReadonlyMap<string, string>;
  header(name: string): string;
}

/** Browsers say by themselves where a request began, also where they send no Origin (Fetch Metadata). */
const fromElsewhere = (request: Caller): boolean => /^(cross|same)-site$/i.test(request.header('sec-fetch-site'));

/**
 * Whether a program on this machine calls: through the loopback interface, by a loopback name, not through a proxy.
 * A web page in a browser here passes only when it is the service's own, or of an origin that `isNamedOrigin` takes.
 * A proxy on this machine that adds no header and keeps a loopback Host cannot be told apart: keys are for that.
 */
export function isLocalProgram(request: Caller, isNamedOrigin: OriginCheck = () => false): boolean {
  const host = request.header('host');
  if (!isDirectLoopback(request.peer, request.headers) || !isLoopbackHost(host)) return false;
  const origin = request.header('origin');
  if (origin === '') return !fromElsewhere(request);
  return isSameOrigin(origin, host) || isNamedOrigin(origin);
}
