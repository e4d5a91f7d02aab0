import ipaddr from 'ipaddr.js';

/** Where a connection comes from. */
export interface Address {
  /** As text (RFC 5952 for IPv6), IPv4-mapped addresses as IPv4: for logs. */
  readonly text: string;
  /** What limits count by: the IPv4 address, or the /64 of an IPv6 address, since one visitor owns a whole /64. */
  readonly key: string;
}

/** 16 bytes of an IPv6 address begin like this when they hold an IPv4 address. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

const NOBODY: Address = { text: 'unknown', key: 'unknown' };

function addressOf(parsed: ipaddr.IPv4 | ipaddr.IPv6): Address {
  if (parsed instanceof ipaddr.IPv4) return { text: parsed.toString(), key: parsed.toString() };
  if (parsed.isIPv4MappedAddress()) return addressOf(parsed.toIPv4Address());
  const network = new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]);
  return { text: parsed.toRFC5952String(), key: `${network.toRFC5952String()}/64` };
}

/** Reads an address as a proxy writes it, with or without brackets, a port or a zone; null when it is none. */
export function parseAddress(raw: string): Address | null {
  const text = raw.trim().replace(/^\[([^\]]*)\](?::\d+)?$/, '$1');
  const bare = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text;
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return addressOf(ipaddr.IPv4.parse(bare));
  return ipaddr.IPv6.isValid(bare) ? addressOf(ipaddr.IPv6.parse(bare)) : null;
}

/** The address of a socket from its 4 or 16 bytes; none for a unix socket, which is nobody's. */
export function addressOfBytes(bytes: Uint8Array): Address {
  const v4 = bytes.length === 16 && MAPPED.equals(bytes.subarray(0, 12)) ? bytes.subarray(12) : bytes;
  if (v4.length === 4) {
    const text = v4.join('.');
    return { text, key: text };
  }
  return bytes.length === 16 ? addressOf(ipaddr.fromByteArray([...bytes])) : NOBODY;
}

/** Whether an address is this machine's own: 127.0.0.0/8 or ::1. */
const isLoopback = ({ text }: Address): boolean => text.startsWith('127.') || text === '::1';

/** The addresses and CIDR ranges of `TRUSTED_PROXIES`; throws RangeError naming the entry that is neither. */
export function trustedProxies(entries: readonly string[]): (address: Address) => boolean {
  const ranges = entries.map((entry) => {
    const text = entry.trim();
    if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
    if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) {
      throw new RangeError(`"${entry}" is neither an address nor a range like 10.0.0.0/8`);
    }
    const base = ipaddr.parse(text);
    return [base, base.kind() === 'ipv4' ? 32 : 128] satisfies [unknown, number];
  });
  if (ranges.length === 0) return () => false;
  return ({ text }) => {
    if (text === NOBODY.text) return false;
    const address = ipaddr.parse(text);
    return ranges.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
  };
}

/**
 * The visitor behind the proxies: `X-Forwarded-For` is read from its right end, and an entry counts only while
 * everything to its right is a trusted proxy. Anyone can write the rest of that header.
 */
export function visitorOf(peer: Address, forwardedFor: string, trusted: (address: Address) => boolean): Address {
  let visitor = peer;
  if (forwardedFor === '') return visitor;
  for (const entry of forwardedFor.split(',').reverse()) {
    if (!trusted(visitor)) return visitor;
    const next = parseAddress(entry);
    if (next === null) return visitor;
    visitor = next;
  }
  return visitor;
}

/** Who is at the other end of the connection itself, whatever headers say. */
export interface Peer {
  readonly address: Address;
  /** 127.0.0.0/8, ::1, or an IPv4 loopback address mapped into IPv6. */
  readonly loopback: boolean;
}

/** Reads the binary address of uWebSockets.js: 4 or 16 bytes, none for a unix socket (which is not loopback). */
export function peerOf(binary: ArrayBuffer): Peer {
  const address = addressOfBytes(new Uint8Array(binary));
  return { address, loopback: isLoopback(address) };
}

/** Headers by which a proxy or a cloud says that it passed the request on: the peer is then not the caller. */
const FORWARDING =
  /^(forwarded|via|x-(forwarded|original|envoy|amzn|azure|appengine|cloud-trace)(-.*)?|(cf|fly|fastly|ngrok)-.*|(x-real|x-client|x-cluster-client|true-client)-?ip)$/;

/** Whether the request comes straight from this machine, not through a proxy on it. */
function isDirectLoopback(peer: Peer, headers: ReadonlyMap<string, string>): boolean {
  return peer.loopback && ![...headers.keys()].some((name) => FORWARDING.test(name));
}

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
type HostCheck = (host: string) => boolean;

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
