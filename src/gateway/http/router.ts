import type { Log } from '../../log/log.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { type Answer, asProtocolError, problem, withHeaders } from '../door/answer.ts';
import { type Arrival, type Arrivals, createArrivals } from '../door/arrival.ts';
import { BodyTimeout, bodyBudget } from '../door/body.ts';
import { type Exchange, type OpenExchange, openExchange } from '../door/exchange.ts';
import { shares } from '../door/limits.ts';
import type { NetworkApp } from '../network/network.ts';
import type { HttpObserver } from './deps.ts';
import type { HttpOptions } from './options.ts';
import type { Respond, Route } from './route.ts';

/** HEAD and 304 per address; beyond, 304 becomes 200, which is paced, and HEAD 429. A proxy asks for all its clients. */
const BODILESS = { perSecond: 20, burst: 400 } as const;

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
export interface RouterDeps {
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
  const reads = readRate(options.readsPerSecondPerAddress);
  const answer = (route: Route, arrival: Arrival, exchange: Exchange) => {
    arrivals.check(arrival);
    if (route.essential !== true) admit(arrival, reads);
    return answerTo(route, arrival, exchange, arrivals);
  };
  const limits = { ...options, spareBodiless: (key: string) => bodiless(key, 1) === 0 };
  for (const route of [...routes, UNKNOWN]) {
    const paramCount = route.pattern.split('/').filter((part) => part.startsWith(':')).length;
    app.any(route.pattern, (res, req) => {
      try {
        const arrival = arrivals.take(res, req);
        const exchange = openExchange(res, req, arrival, paramCount, limits, budget);
        serve(exchange, () => answer(route, arrival, exchange), route, deps);
      } catch (error) {
        // Nothing of a request that could not even be taken over can be answered; an exception here ends the process.
        deps.log.error('request_failed', { route: route.pattern, err: error });
        res.close();
      }
    });
  }
}

function serve(exchange: OpenExchange, respond: () => Answer | Promise<Answer>, route: Route, deps: RouterDeps): void {
  const startedAt = performance.now();
  const cut = (cause: unknown): void =>
    deps.log.error('request_failed', { request: exchange.id, route: route.pattern, err: cause });
  const finish = (answer: Answer): void => {
    const closing = deps.draining() ? { ...answer, close: true } : answer;
    const elapsedMs = performance.now() - startedAt;
    deps.observe.request(
      route.pattern,
      METHODS.has(exchange.method) ? exchange.method : 'other',
      answer.status,
      elapsedMs,
    );
    exchange.write(closing, cut);
  };
  const fail = (error: unknown): void => {
    if (exchange.aborted()) return;
    try {
      finish(failed(route, exchange, error, deps.log));
    } catch (cause) {
      deps.log.error('request_failed', { request: exchange.id, route: route.pattern, err: cause });
      exchange.write({ status: 500, close: true }, cut);
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

/** Takes a read of an address's share; the milliseconds after which it fits, 0 when it did. */
type ReadRate = (key: string) => number;

function readRate(perSecond: number): ReadRate {
  if (perSecond === 0) return () => 0;
  const take = shares({ perSecond, burst: 5 * perSecond });
  return (key) => take(key, 1);
}

/** Throws `over_capacity` on the last connections, and `rate_limited` for reads above the share of their address. */
function admit({ head, visitor, socket }: Arrival, reads: ReadRate): void {
  if (socket.reserved) throw new ProtocolError('over_capacity', { retryMs: 1000 });
  if (head.method === 'POST' || head.method === 'OPTIONS') return;
  const retryMs = reads(visitor.key);
  if (retryMs > 0) throw new ProtocolError('rate_limited', { retryMs });
}

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
  if (error.code === 'internal') {
    log.error('request_failed', { request: exchange.id, route: route.pattern, err: error.cause ?? error });
  }
  const answer = route.fail === undefined ? problem(error, exchange.id) : route.fail(error, exchange);
  return error.code === 'headers_too_large' || error.code === 'body_too_large' ? { ...answer, close: true } : answer;
}
