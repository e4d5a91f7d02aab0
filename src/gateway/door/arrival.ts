import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { DoorOptions } from '../options.ts';
import {
  type Address,
  hostCheck,
  isSameOrigin,
  originCheck,
  type Peer,
  peerOf,
  REQUEST_HEADERS,
  SECURITY_HEADERS,
  trustedProxies,
  visitorOf,
} from './address.ts';
import { type Answer, json } from './answer.ts';
import { shares } from './limits.ts';
import { type RequestSocket, type Sockets, UNCOUNTED } from './sockets.ts';

/** Refusals of one address that are answered at once. */
const AT_ONCE = { perSecond: 20, burst: 100 } as const;

/** How long the others wait for their answer, at random, so that they do not come back all at once. */
const LATE_MS = { min: 500, max: 1_500 } as const;

/** Refusals that wait at one time, of all addresses together: each holds its connection. */
const MAX_LATE = 1_000;

/** Calls `answer` now, or later where the address that `key` names is refused too often. */
type LateRefusals = (key: string, answer: () => void) => void;

/**
 * A refusal costs about what an answer costs, so that who asks again at once would be served by refusals alone. Beyond
 * its share an address is refused about a second late: a flood that waits for its answers then comes once a second on
 * each of its connections, which are limited. Nobody else waits.
 */
export function createLateRefusals(): LateRefusals {
  const atOnce = shares(AT_ONCE);
  let late = 0;
  return (key, answer) => {
    if (atOnce(key, 1) === 0 || late >= MAX_LATE) {
      answer();
      return;
    }
    late += 1;
    setTimeout(
      () => {
        late -= 1;
        answer();
      },
      LATE_MS.min + Math.random() * (LATE_MS.max - LATE_MS.min),
    ).unref();
  };
}

/** A request line and its headers, copied: uWebSockets.js lends the request only until the first await. */
interface RequestHead {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  /** As it came, without `?`: for values whose commas matter before decoding. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** Lower-case names; a name that came several times is joined with `, `. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: number;
  /** Names of headers that may come only once and came again. */
  readonly repeated: readonly string[];
}

/** Two of one of these mean two readings of one request, and a proxy in front may take the other one. */
const SINGLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'origin',
  'transfer-encoding',
  'x-api-key',
]);

function headOf(req: HttpRequest): RequestHead {
  const headers = new Map<string, string>();
  const repeated: string[] = [];
  const path = req.getUrl();
  const rawQuery = req.getQuery() ?? '';
  let bytes = path.length + rawQuery.length;
  req.forEach((name, value) => {
    bytes += name.length + value.length + 4;
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) repeated.push(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  const query = new URLSearchParams(rawQuery);
  return { method: req.getMethod().toUpperCase(), path, rawQuery, query, headers, bytes, repeated };
}

/**
 * The body's framing can be read in two ways (RFC 9112, 6.3). uWebSockets.js takes the first of two lengths, and any
 * transfer coding for `chunked`; a proxy may not. Such a request is refused and its connection ends.
 */
export function isAmbiguous(head: RequestHead): boolean {
  const coding = head.headers.get('transfer-encoding');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return true;
  if (coding !== undefined && head.headers.has('content-length')) return true;
  return head.repeated.some((name) => name === 'content-length' || name === 'transfer-encoding' || name === 'host');
}

/** Throws `headers_too_large`, or `invalid` naming each header that came twice, or that Host is missing (RFC 9112, 3.2). */
function checkHead(head: RequestHead, maxHeaderBytes: number): void {
  if (head.bytes > maxHeaderBytes) throw new ProtocolError('headers_too_large');
  if (isAmbiguous(head)) {
    throw new ProtocolError('invalid', { problems: [{ path: 'headers', message: 'the framing is ambiguous' }] });
  }
  if (!head.headers.has('host')) {
    throw new ProtocolError('invalid', { problems: [{ path: 'host', message: 'is required' }] });
  }
  if (head.repeated.length > 0) {
    const problems = head.repeated.map((name) => ({ path: name, message: 'this header may come only once' }));
    throw new ProtocolError('invalid', { problems });
  }
}

/** Whether `Accept` names a media type itself (`*\/*` does not count) and does not rule it out with `q=0`. */
export function acceptNames(accept: string, type: string): boolean {
  return accept.split(',').some((entry) => {
    const [name = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    return name === type && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

/** One request, whatever it is for, copied out of the network's hands. */
export interface Arrival {
  /** Names this request in answers and logs. */
  readonly id: string;
  readonly head: RequestHead;
  readonly peer: Peer;
  /** Whom limits count: the peer, or whom a trusted proxy names. */
  readonly visitor: Address;
  /** Its connection, as far as the answer is concerned. */
  readonly socket: RequestSocket;
  /** Of its answer, whatever that is: security, CORS, the id. */
  readonly answerHeaders: Readonly<Record<string, string>>;
}

/** What is asked of every request, whichever transport it is for. */
export interface Arrivals {
  /** Synchronous, in the request's own callback. */
  take(res: HttpResponse, req: HttpRequest): Arrival;
  /** Throws `headers_too_large`, `invalid` for a head that can be read in two ways, or `wrong_host`. */
  check(arrival: Arrival): void;
  /** Throws `bad_origin` when a page of a foreign origin asks for what only pages of allowed ones may. */
  checkOrigin(arrival: Arrival): void;
  /** The answer to OPTIONS: for a CORS preflight, or with the allowed methods alone. Throws `bad_origin`. */
  preflight(arrival: Arrival, methods: readonly string[]): Answer;
  /** Writes the refusal of a visitor, at once or late. */
  readonly refuse: LateRefusals;
}

let sequence = 0;
const INSTANCE = Math.random().toString(36).slice(2, 6);

function newId(): string {
  sequence += 1;
  return `${INSTANCE}-${sequence.toString(36)}`;
}

const headerOf = ({ head }: Pick<Arrival, 'head'>, name: string): string => head.headers.get(name) ?? '';

/** `untrusted` counts forwarding headers that no trusted proxy wrote; the first is logged. Throws RangeError for origins or proxies that are none. */
export function createArrivals(
  options: DoorOptions,
  log: Log,
  sockets: Pick<Sockets, 'request'> = UNCOUNTED,
  untrusted: () => void = () => undefined,
): Arrivals {
  const isHost = hostCheck(options.hosts);
  const isOrigin = originCheck(options.origins);
  const isTrusted = trustedProxies(options.trustedProxies);
  let warned = false;
  const fixed = options.https
    ? { ...SECURITY_HEADERS, 'Strict-Transport-Security': 'max-age=31536000' }
    : SECURITY_HEADERS;

  const allows = (origin: string, host: string): boolean => isOrigin(origin) || isSameOrigin(origin, host);

  function answerHeaders(id: string, origin: string, host: string): Record<string, string> {
    const headers = { ...fixed, 'X-Request-Id': id, Vary: 'Origin' };
    if (origin === '' || !allows(origin, host)) return headers;
    return {
      ...headers,
      // The name itself, not `*`: a page's own origin passes where others do not.
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers':
        'ETag, Retry-After, X-Request-Id, Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date',
    };
  }

  function visitorAt({ address }: Peer, forwardedFor: string): Address {
    if (forwardedFor !== '' && !isTrusted(address)) {
      if (!warned) log.warn('forwarded_header_from_untrusted_peer', { peer: address.text });
      warned = true;
      untrusted();
    }
    return visitorOf(address, forwardedFor, isTrusted);
  }

  return {
    refuse: createLateRefusals(),
    take(res, req) {
      const head = headOf(req);
      const peer = peerOf(res.getRemoteAddress());
      const id = newId();
      const of = (name: string): string => headerOf({ head }, name);
      return {
        id,
        head,
        peer,
        visitor: visitorAt(peer, of('x-forwarded-for')),
        socket: sockets.request(peer.address),
        answerHeaders: answerHeaders(id, of('origin'), of('host')),
      };
    },
    check(arrival) {
      checkHead(arrival.head, options.maxHeaderBytes);
      if (!isHost(headerOf(arrival, 'host'))) throw new ProtocolError('wrong_host');
    },
    checkOrigin(arrival) {
      const origin = headerOf(arrival, 'origin');
      if (!allows(origin, headerOf(arrival, 'host'))) throw new ProtocolError('bad_origin');
    },
    preflight(arrival, methods) {
      const allow = [...methods, 'OPTIONS'].join(', ');
      const asked = headerOf(arrival, 'access-control-request-method');
      if (headerOf(arrival, 'origin') === '' || asked === '') return json(200, { methods }, { Allow: allow });
      this.checkOrigin(arrival);
      const headers = {
        'Access-Control-Allow-Methods': allow,
        'Access-Control-Allow-Headers': REQUEST_HEADERS,
        'Access-Control-Max-Age': '600',
      };
      return json(200, { methods }, headers);
    },
  };
}
