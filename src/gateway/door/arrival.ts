import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { DoorOptions } from '../options.ts';
import { type Address, trustedProxies, visitorOf } from './address.ts';
import { type Answer, json } from './answer.ts';
import { isSameOrigin, REQUEST_HEADERS, SECURITY_HEADERS } from './headers.ts';
import { hostCheck, originCheck } from './origins.ts';
import { type Peer, peerOf } from './peer.ts';
import { checkHead, headOf, type RequestHead } from './request.ts';
import { type RequestSocket, type Sockets, UNCOUNTED } from './sockets.ts';

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
