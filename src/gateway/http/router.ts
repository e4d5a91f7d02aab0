import type { Log } from '../../log/log.ts';
import { ERRORS, ProtocolError } from '../../protocol/errors.ts';
import { type Answer, asProtocolError, problem, withHeaders } from '../door/answer.ts';
import { type Arrival, type Arrivals, createArrivals } from '../door/arrival.ts';
import { BodyTimeout, bodyBudget, type Exchange, type OpenExchange, openExchange } from '../door/exchange.ts';
import { type Limiter, limiter, shares } from '../door/limits.ts';
import type { NetworkApp } from '../network/network.ts';
import type { HttpObserver } from './deps.ts';
import type { HttpOptions } from './options.ts';
import type { Respond, Route } from './route.ts';

/** HEAD and 304 per address; beyond, 304 becomes 200, which is paced, and HEAD 429. A proxy asks for all its clients. */
const BODILESS = { perSecond: 20, burst: 400 } as const;

/** Bytes of an answer that count as one read: a list of some 40 tables has fewer. */
const READ_BYTES = 16_384;

const UNKNOWN: Route = { pattern: '/*' };

/** Clients may send any word as a method; measurements know only these. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']);

const methodsOf = (route: Route): string[] => [
  ...(route.get === undefined ? [] : ['GET', 'HEAD']),
  ...(route.post === undefined ? [] : ['POST']),
  ...(route.delete === undefined ? [] : ['DELETE']),
];

const respondOf = (route: Route, method: string): Respond | undefined => {
  if (method === 'GET' || method === 'HEAD') return route.get;
  if (method === 'DELETE') return route.delete;
  return method === 'POST' ? route.post : undefined;
};

/** What the router needs of the room's dependencies. */
interface RouterDeps {
  readonly log: Log;
  readonly observe: HttpObserver;
  /** True while the process is stopping: connections then end with their next answer. */
  draining(): boolean;
}

/**
 * Registers the routes and, for every other address, 404. All answers carry the security headers, CORS and a request id;
 * whatever a route throws becomes an answer, and what is not a ProtocolError is logged as `request_failed`.
 */
export function registerRoutes(
  app: NetworkApp,
  routes: readonly Route[],
  deps: RouterDeps,
  options: HttpOptions,
  arrivals: Arrivals = createArrivals(options, deps.log),
): void {
  const budget = bodyBudget(options.maxBufferedBytes);
  const bodiless = shares(BODILESS);
  const rate = { perSecond: options.readsPerSecondPerAddress, burst: 5 * options.readsPerSecondPerAddress };
  const reads = limiter(() => rate);
  const answer = (route: Route, arrival: Arrival, exchange: Exchange) => {
    arrivals.check(arrival);
    if (route.essential === true) return answerTo(route, arrival, exchange, arrivals);
    admit(arrival, route, reads);
    const charged = (given: Answer): Answer => {
      reads.owe(arrival.visitor.key, extraReads(arrival, given));
      return given;
    };
    const answered = answerTo(route, arrival, exchange, arrivals);
    return answered instanceof Promise ? answered.then(charged) : charged(answered);
  };
  const limits = { ...options, spareBodiless: (key: string) => bodiless(key, 1) === 0 };
  for (const route of [...routes, UNKNOWN]) {
    const paramCount = route.pattern.split('/').filter((part) => part.startsWith(':')).length;
    app.any(route.pattern, (res, req) => {
      try {
        const arrival = arrivals.take(res, req);
        const exchange = openExchange(res, req, arrival, paramCount, limits, budget);
        serve(exchange, () => answer(route, arrival, exchange), route, deps, arrivals.refuse);
      } catch (error) {
        // Nothing of a request that could not even be taken over can be answered; an exception here ends the process.
        deps.log.error('request_failed', { route: route.pattern, err: error });
        res.close();
      }
    });
  }
}

/** Statuses of refusals that cost who asks again and again more than us. */
const REFUSED: ReadonlySet<number> = new Set([401, 403, 405, 415, 421, 429]);

function serve(
  exchange: OpenExchange,
  respond: () => Answer | Promise<Answer>,
  route: Route,
  deps: RouterDeps,
  refuse: Arrivals['refuse'],
): void {
  const startedAt = performance.now();
  const tell = (cause: unknown): void =>
    deps.log.error('request_failed', { request: exchange.id, route: route.pattern, err: cause });
  const cut = (cause: unknown): void => {
    if (!(cause instanceof ProtocolError && cause.code === 'unauthorized')) tell(cause);
  };
  /** Does not throw: late refusals are written by a timer. */
  const write = (answer: Answer): void => {
    try {
      exchange.write(answer, cut);
    } catch (cause) {
      tell(cause);
      exchange.write({ status: 500, close: true }, cut);
    }
  };
  const finish = (answer: Answer): void => {
    const closing = deps.draining() ? { ...answer, close: true } : answer;
    const elapsedMs = performance.now() - startedAt;
    deps.observe.request(
      route.pattern,
      METHODS.has(exchange.method) ? exchange.method : 'other',
      answer.status,
      elapsedMs,
    );
    if (REFUSED.has(closing.status)) refuse(exchange.visitor.key, () => write(closing));
    else write(closing);
  };
  const fail = (error: unknown): void => {
    if (exchange.aborted()) return;
    try {
      finish(failed(route, exchange, error, deps.log));
    } catch (cause) {
      tell(cause);
      write({ status: 500, close: true });
    }
  };
  try {
    const answer = respond();
    exchange.seal();
    if (answer instanceof Promise) answer.then(finish).catch(fail);
    else finish(answer);
  } catch (error) {
    fail(error);
  }
}

/**
 * Throws `over_capacity` on the last connections, and `rate_limited` for reads above the share of their address. What is
 * posted has limits of its own; everything else is a read, also a preflight, or a post to an address that takes none.
 */
function admit({ head, visitor, socket }: Arrival, route: Route, reads: Limiter): void {
  if (socket.reserved) throw new ProtocolError('over_capacity', { retryMs: 1000 });
  if (head.method === 'POST' && route.post !== undefined) return;
  reads.take(visitor.key, 1);
}

/** How many reads more a large answer counts as: what it takes to send it is not what it takes to ask. */
const extraReads = ({ head }: Arrival, { status, body = '' }: Answer): number =>
  head.method === 'GET' && status !== 304 ? Math.floor(body.length / READ_BYTES) : 0;

function answerTo(route: Route, arrival: Arrival, exchange: Exchange, arrivals: Arrivals): Answer | Promise<Answer> {
  const { method } = exchange;
  const allowed = route === UNKNOWN ? ['GET', 'HEAD', 'POST'] : methodsOf(route);
  if (method === 'OPTIONS') return arrivals.preflight(arrival, allowed);
  if (route === UNKNOWN) throw new ProtocolError('not_found');
  const respond = respondOf(route, method);
  if (respond === undefined) {
    const answer = problem(new ProtocolError('method_not_allowed'), exchange.id);
    return withHeaders(answer, { Allow: [...allowed, 'OPTIONS'].join(', ') });
  }
  if (method === 'POST' || method === 'DELETE') arrivals.checkOrigin(arrival);
  return respond(exchange);
}

function failed(route: Route, exchange: Exchange, thrown: unknown, log: Log): Answer {
  if (thrown instanceof BodyTimeout) return { status: 408, close: true };
  const error = asProtocolError(thrown);
  if (ERRORS[error.code].status === 500) {
    log.error('request_failed', { request: exchange.id, route: route.pattern, err: error.cause ?? error });
  }
  const answer = route.fail === undefined ? problem(error, exchange.id) : route.fail(error, exchange);
  return error.code === 'headers_too_large' || error.code === 'body_too_large' ? { ...answer, close: true } : answer;
}
