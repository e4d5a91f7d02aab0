import type { Log } from '../../log/log.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { GatewayOptions } from '../options.ts';
import { type Address, addressOfBytes, trustedProxies, visitorOf } from './address.ts';
import { type Admission, isRefusal, retryDelay, type Ticket } from './admission.ts';
import { count, type GatewayCounters, type RefusalReason, type TransportKind } from './counters.ts';
import { isSameOrigin } from './headers.ts';
import { hostCheck, originCheck } from './origins.ts';
import { answerProblem, type ProblemDetails } from './problem.ts';

/** A request that may become a connection. Everything of it was read while the request was valid. */
export interface Visit {
  readonly ticket: Ticket;
  readonly address: Address;
  /** As it came, for values whose commas matter before decoding. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** What the visitor showed as its token, from whichever place; not checked yet. */
  readonly token: string | null;
  /** Headers for answers that pages of the visitor's origin may read. */
  readonly cors: Readonly<Record<string, string>>;
}

/** Whether the gateway takes new connections now. */
export interface Standing {
  readonly ready: () => boolean;
  readonly draining: () => boolean;
}

/** Decides about every subscriber's request before it costs anything. */
export interface Door {
  /** The visit, or null when the request was answered with a refusal. Synchronous, in the request's own callback. */
  enter(res: HttpResponse, req: HttpRequest, kind: TransportKind): Visit | null;
  /**
   * For one more request of a connection that has its place: Host, Origin and headers alone. The headers for its
   * answer, or null when it was answered with a refusal.
   */
  enterAgain(res: HttpResponse, req: HttpRequest, kind: TransportKind): Visit['cors'] | null;
}

const BEARER = /^bearer +(\S+) *$/i;

/** The subprotocols that a WebSocket client offers, in its order. */
export const offeredProtocols = (header: string): string[] =>
  header
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

function tokenOf(authorization: string, protocols: string, query: URLSearchParams): string | null {
  const bearer = BEARER.exec(authorization)?.[1];
  if (bearer !== undefined) return bearer;
  const offered = offeredProtocols(protocols).find((entry) => entry.startsWith('bearer.'));
  return offered?.slice('bearer.'.length) ?? query.get('token');
}

/** Typed as text, but undefined for a request without a query. */
function queryOf(req: HttpRequest): string {
  const query: unknown = req.getQuery();
  return typeof query === 'string' ? query : '';
}

const REFUSALS: Record<RefusalReason, ErrorCode> = {
  bad_host: 'wrong_host',
  bad_origin: 'bad_origin',
  bad_version: 'upgrade_required',
  headers: 'headers_too_large',
  not_ready: 'not_ready',
  draining: 'draining',
  capacity: 'over_capacity',
  transport_capacity: 'over_capacity',
  address_capacity: 'rate_limited',
  accept_rate: 'over_capacity',
  address_rate: 'over_capacity',
};

export function createDoor(
  options: GatewayOptions,
  admission: Admission,
  standing: Standing,
  counters: GatewayCounters,
  log: Log,
  now: () => number,
): Door {
  const originAllowed = originCheck(options.origins);
  const hostAllowed = hostCheck(options.hosts);
  const trusted = trustedProxies(options.trustedProxies);

  function addressOf(res: HttpResponse, req: HttpRequest): Address {
    const peer = addressOfBytes(new Uint8Array(res.getRemoteAddress()));
    const forwarded = req.getHeader('x-forwarded-for');
    if (forwarded === '') return peer;
    if (trusted(peer)) return visitorOf(peer, forwarded, trusted);
    if (counters.untrustedForwards === 0) log.warn('forwarded_header_from_untrusted_peer', { peer: peer.text });
    counters.untrustedForwards += 1;
    return peer;
  }

  const corsFor = (origin: string): Record<string, string> =>
    origin === '' ? { Vary: 'Origin' } : { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' };

  /** Header lines as they came; two Host headers are the start of request smuggling. */
  function measure(req: HttpRequest): { bytes: number; hosts: number } {
    let bytes = req.getUrl().length + queryOf(req).length;
    let hosts = 0;
    req.forEach((name, value) => {
      bytes += name.length + value.length + 4;
      if (name === 'host') hosts += 1;
    });
    return { bytes, hosts };
  }

  function whyNot(req: HttpRequest, kind: TransportKind, origin: string): RefusalReason | null {
    const { bytes, hosts } = measure(req);
    if (bytes > options.maxHeaderBytes) return 'headers';
    if (hosts !== 1 || !hostAllowed(req.getHeader('host'))) return 'bad_host';
    if (kind === 'websocket' && req.getHeader('sec-websocket-version') !== '13') return 'bad_version';
    if (!originAllowed(origin) && !isSameOrigin(origin, req.getHeader('host'))) return 'bad_origin';
    return null;
  }

  function whyNotNow(): RefusalReason | null {
    if (standing.draining()) return 'draining';
    return standing.ready() ? null : 'not_ready';
  }

  function refuse(res: HttpResponse, reason: RefusalReason, details: ProblemDetails): null {
    answerProblem(res, REFUSALS[reason], details);
    return null;
  }

  function turnAway(res: HttpResponse, reason: RefusalReason, origin: string): null {
    count(counters.refused, reason);
    if (reason === 'bad_origin') log.info('origin_refused', { origin: origin });
    const wait = reason === 'draining' || reason === 'not_ready' ? { retryMs: retryDelay(options) } : {};
    const headers: Record<string, string> = reason === 'bad_version' ? { 'Sec-WebSocket-Version': '13' } : {};
    if (reason !== 'bad_origin') Object.assign(headers, corsFor(origin));
    return refuse(res, reason, { ...wait, headers });
  }

  return {
    enterAgain(res, req, kind) {
      const origin = req.getHeader('origin');
      const reason = whyNot(req, kind, origin);
      return reason === null ? corsFor(origin) : turnAway(res, reason, origin);
    },
    enter(res, req, kind) {
      const origin = req.getHeader('origin');
      const reason = whyNot(req, kind, origin) ?? whyNotNow();
      if (reason !== null) return turnAway(res, reason, origin);
      const address = addressOf(res, req);
      const ticket = admission.admit(address, kind, now());
      if (isRefusal(ticket)) {
        return refuse(res, ticket.reason, { retryMs: ticket.retryMs, headers: corsFor(origin) });
      }
      const rawQuery = queryOf(req);
      const query = new URLSearchParams(rawQuery);
      const protocols = kind === 'websocket' ? req.getHeader('sec-websocket-protocol') : '';
      return {
        ticket,
        address,
        rawQuery,
        query,
        token: tokenOf(req.getHeader('authorization'), protocols, query),
        cors: corsFor(origin),
      };
    },
  };
}
