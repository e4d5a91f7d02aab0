import type { Log } from '../../log/log.ts';
import { ERRORS, type ErrorCode, ProtocolError } from '../../protocol/errors.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { GatewayOptions } from '../options.ts';
import { CREDENTIALS } from './address.ts';
import { type Admission, isRefusal, retryDelay, type Ticket } from './admission.ts';
import { asProtocolError, openWriter, refuse } from './answer.ts';
import type { Arrival, Arrivals } from './arrival.ts';
import { count, type GatewayCounters, type RefusalReason, type TransportKind } from './counters.ts';

/** A request that may become a connection. Everything of it was read while the request was valid. */
export interface Visit extends Arrival {
  readonly ticket: Ticket;
  /** What the visitor showed as its token, from whichever place; not checked yet. */
  readonly token: string | null;
}

/** Whether the gateway takes new connections now. */
export interface Readiness {
  readonly ready: () => boolean;
  readonly draining: () => boolean;
}

/** Decides about every subscriber's request before it costs anything. */
export interface Door {
  /** The visit, or null when the request was answered with a refusal. Synchronous, in the request's own callback. */
  enter(res: HttpResponse, req: HttpRequest, kind: TransportKind): Visit | null;
  /**
   * For one more request of a connection that has its place: Host, Origin and headers alone. Null when it was answered
   * with a refusal.
   */
  enterAgain(res: HttpResponse, req: HttpRequest, kind: TransportKind): Arrival | null;
  /** Answers what is no subscriber's request at a subscriber's address: a preflight, or with these methods alone. */
  answerOther(res: HttpResponse, req: HttpRequest, methods: readonly string[]): void;
  /** Answers a request that is refused for a reason that its transport knows. */
  turnAway(res: HttpResponse, arrival: Arrival, reason: RefusalReason): null;
}

const BEARER = /^bearer +(\S+) *$/i;

/** The subprotocols that a WebSocket client offers, in its order. */
export const offeredProtocols = (header: string): string[] =>
  header
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

/** What a request shows as its token: `Authorization: Bearer`, a subprotocol, or `?token=`, in this order. Never a cookie. */
export function tokenOf(authorization: string, protocols: string, query: URLSearchParams): string | null {
  const bearer = BEARER.exec(authorization)?.[1];
  if (bearer !== undefined) return bearer;
  const offered = offeredProtocols(protocols).find((entry) => entry.startsWith('bearer.'));
  return offered?.slice('bearer.'.length) ?? query.get('token');
}

const REFUSALS: Record<RefusalReason, ErrorCode> = {
  bad_request: 'invalid',
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

/** Refusals that the visitor itself brought about. */
const OWN_DOING: ReadonlySet<RefusalReason> = new Set(['address_capacity', 'address_rate']);

/** How errors of every request are counted here. */
const REASONS: Partial<Record<ErrorCode, RefusalReason>> = {
  headers_too_large: 'headers',
  wrong_host: 'bad_host',
  bad_origin: 'bad_origin',
};

/** What goes with a refusal that asks for another kind of request. */
const UPGRADE = { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' } as const;

const headerOf = ({ head }: Arrival, name: string): string => head.headers.get(name) ?? '';

/** The same request, whose answer has these headers too. */
const answeredWith = (arrival: Arrival, headers: Arrival['answerHeaders']): Arrival => ({
  ...arrival,
  answerHeaders: { ...arrival.answerHeaders, ...headers },
});

/** Why a transport serves nobody new now, or not this one; null when it does. */
function whyNot(readiness: Readiness, arrival: Arrival, kind: TransportKind): RefusalReason | null {
  if (kind === 'websocket' && headerOf(arrival, 'sec-websocket-version') !== '13') return 'bad_version';
  if (arrival.socket.reserved) return 'capacity';
  if (readiness.draining()) return 'draining';
  return readiness.ready() ? null : 'not_ready';
}

export function createDoor(
  arrivals: Arrivals,
  options: GatewayOptions,
  admission: Admission,
  readiness: Readiness,
  counters: GatewayCounters,
  log: Log,
  now: () => number,
): Door {
  function take(res: HttpResponse, req: HttpRequest): Arrival {
    const arrival = arrivals.take(res, req);
    return answeredWith(arrival, CREDENTIALS);
  }

  /** Refuses for what is wrong with any request; true when it was. */
  function turnedAway(res: HttpResponse, arrival: Arrival): boolean {
    try {
      arrivals.check(arrival);
      arrivals.checkOrigin(arrival);
      return false;
    } catch (cause) {
      const error = asProtocolError(cause);
      count(counters.refused, REASONS[error.code] ?? 'bad_request');
      if (error.code === 'bad_origin')
        log.info('origin_refused', { origin: headerOf(arrival, 'origin').slice(0, 200) });
      refuse(res, error, arrival);
      return true;
    }
  }

  function turnAway(res: HttpResponse, arrival: Arrival, reason: RefusalReason): null {
    count(counters.refused, reason);
    const wait = ERRORS[REFUSALS[reason]].retry === 'after' ? { retryMs: retryDelay(options) } : {};
    const headers = reason === 'bad_version' ? UPGRADE : {};
    refuse(res, new ProtocolError(REFUSALS[reason], wait), answeredWith(arrival, headers));
    return null;
  }

  return {
    turnAway,
    enterAgain(res, req) {
      const arrival = take(res, req);
      return turnedAway(res, arrival) ? null : arrival;
    },
    enter(res, req, kind) {
      const arrival = take(res, req);
      if (turnedAway(res, arrival)) return null;
      const reason = whyNot(readiness, arrival, kind);
      if (reason !== null) return turnAway(res, arrival, reason);
      const ticket = admission.admit(arrival.visitor, kind, now());
      if (isRefusal(ticket)) {
        const error = new ProtocolError(REFUSALS[ticket.reason], { retryMs: ticket.retryMs });
        refuse(res, error, arrival, (write) => {
          // Only who asks too often itself waits.
          if (OWN_DOING.has(ticket.reason)) arrivals.refuse(arrival.visitor.key, write);
          else write();
        });
        return null;
      }
      const protocols = kind === 'websocket' ? headerOf(arrival, 'sec-websocket-protocol') : '';
      return {
        ...arrival,
        ticket,
        token: tokenOf(headerOf(arrival, 'authorization'), protocols, arrival.head.query),
      };
    },
    answerOther(res, req, methods) {
      const arrival = take(res, req);
      if (turnedAway(res, arrival)) return;
      if (arrival.head.method !== 'OPTIONS') {
        const headers = { Allow: [...methods, 'OPTIONS'].join(', ') };
        refuse(res, new ProtocolError('method_not_allowed'), answeredWith(arrival, headers));
        return;
      }
      const answer = arrivals.preflight(arrival, methods);
      openWriter(res, arrival).whole({ ...answer, headers: { ...arrival.answerHeaders, ...answer.headers } }, true);
    },
  };
}
