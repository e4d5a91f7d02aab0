import type { Frame, Subscriber, SubscriberLink } from '../../protocol/delivery.ts';
import { CLOSE, type CloseCode, ProtocolError } from '../../protocol/errors.ts';
import { type Grant, OPEN_GRANT } from '../door/access.ts';
import { retryDelay } from '../door/admission.ts';
import { count } from '../door/counters.ts';
import type { Visit } from '../door/door.ts';
import type { Authenticate } from '../door/jwt.ts';
import { endRefused } from '../door/writer.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { OpenResponse } from './connections.ts';
import type { Listener } from './fanout.ts';
import { errorOf } from './frames.ts';
import { type HttpStream, openHttpStream } from './http-stream.ts';
import type { GatewayParts } from './parts.ts';
import { parseTopicsQuery, type TopicsQuery } from './topics-query.ts';

/** How a transport over HTTP carries frames; the session around it is the same for all of them. */
export interface Carrier {
  /** Sends or keeps one frame; false asks the feed to pause its replay. */
  carry(frame: Frame): boolean;
  /** Everything sent was taken after `carry` had said false. */
  room(): void;
  /** The session ends by this side's decision; the carrier ends the stream. */
  end(code: CloseCode, retryMs: number): void;
  /** Nothing of the answer is out yet: an error can still be a status. */
  isFresh(): boolean;
  /** The stream is over. */
  gone(): void;
  /** Looks at deadlines of its own; `now` is monotonic milliseconds. */
  tick(now: number): void;
}

/** What a carrier gets to work with. */
export interface HttpSession {
  readonly stream: HttpStream;
  readonly visit: Visit;
  readonly request: TopicsQuery;
  /** Tells the feed that a paused replay may go on. */
  resume(): void;
  /** Ends the subscription; the carrier then finishes the stream. */
  leave(): void;
}

/** How long a reader may take nothing at all while something waits for it. */
const MAX_STALL_MS = 30_000;

/** Serves one request as a subscriber. Synchronous up to the first await, as uWebSockets demands. */
export function serveHttpSubscriber(
  res: HttpResponse,
  req: HttpRequest,
  kind: 'sse' | 'poll',
  parts: GatewayParts,
  filler: string,
  carrierOf: (session: HttpSession) => Carrier,
): void {
  const visit = parts.door.enter(res, req, kind);
  if (visit === null) return;
  const lastEventId = visit.head.headers.get('last-event-id') ?? '';
  startSession(res, visit, lastEventId, parts, filler, carrierOf);
}

function startSession(
  res: HttpResponse,
  visit: Visit,
  lastEventId: string,
  parts: GatewayParts,
  filler: string,
  carrierOf: (session: HttpSession) => Carrier,
): void {
  const { options, counters, delivery } = parts;
  let closing = false;
  let carrier: Carrier | null = null;
  let subscriber: Subscriber | null = null;
  let grant: Grant | null = null;
  let stopWaiting: (() => void) | null = null;
  const joined = new Set<string>();
  const openedAt = parts.now();
  const lifetimeMs = options.maxLifetimeSeconds * 1000 * (1 - Math.random() / 10);

  /** An exception in a callback would end the process; it ends this one response. */
  function guarded(where: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      parts.failure(where, error);
      setImmediate(stream.abort);
    }
  }

  const stream = openHttpStream(
    res,
    parts.now,
    { softBytes: options.softBacklogBytes, maxBytes: options.maxBacklogBytes, filler },
    {
      room: () => guarded('room', () => carrier?.room()),
      gone() {
        leave();
        parts.admission.release(visit.ticket);
        parts.responses.remove(connection);
        guarded('gone', () => carrier?.gone());
      },
      overflow: () => count(counters.closes, CLOSE.slowConsumer),
    },
  );

  function leave(): void {
    stopWaiting?.();
    stopWaiting = null;
    for (const topic of joined) parts.fanout.leave(topic, listener);
    joined.clear();
    const left = subscriber;
    subscriber = null;
    guarded('closed', () => left?.closed());
  }

  function refuse(error: ProtocolError): void {
    count(counters.errors, error.code);
    leave();
    stream.answer((open) => endRefused(open, error, visit));
  }

  function carry(frame: Frame): boolean {
    if (!stream.isLive() || carrier === null) return false;
    if (frame.type === 'error' && carrier.isFresh()) {
      const error = errorOf(frame);
      // Not in the feed's own call: it may still be at work on this subscriber.
      setImmediate(() => refuse(error));
      return false;
    }
    return carrier.carry(frame);
  }

  const listener: Listener = { deliver: (frame) => guarded('deliver', () => void carry(frame)) };

  function close(code: CloseCode, retryMs?: number): void {
    if (!stream.isLive() || closing) return;
    closing = true;
    count(counters.closes, code);
    setImmediate(() => {
      if (!stream.isLive()) return;
      const wait = retryMs ?? retryDelay(options);
      if (carrier === null || carrier.isFresh())
        refuse(new ProtocolError(code === CLOSE.tokenExpired ? 'unauthorized' : 'draining', { retryMs: wait }));
      else {
        leave();
        carrier.end(code, wait);
      }
    });
  }

  const link: SubscriberLink = {
    send(frame) {
      if (closing) return false;
      counters.directFrames += 1;
      counters.directBytes += frame.text.length;
      const budget = parts.replayBudget.take(frame.text.length);
      const room = carry(frame);
      if (!room) counters.pausedForSocket += 1;
      else if (!budget) {
        counters.pausedForBudget += 1;
        stopWaiting ??= parts.replayBudget.wait(resume);
      }
      return room && budget;
    },
    join(topic) {
      if (!stream.isLive()) return;
      joined.add(topic);
      parts.fanout.join(topic, listener);
    },
    leave(topic) {
      joined.delete(topic);
      parts.fanout.leave(topic, listener);
    },
    close,
  };

  function resume(): void {
    stopWaiting = null;
    guarded('resume', () => subscriber?.drained());
  }

  const connection: OpenResponse = {
    tick(now) {
      if (grant !== null && grant.expiresMs !== null && parts.clock() - grant.expiresMs > options.authGraceMs)
        close(CLOSE.tokenExpired);
      else if (now - openedAt > lifetimeMs) close(CLOSE.lifetime);
      else if (stream.stalledMs(now) > MAX_STALL_MS) {
        count(counters.closes, CLOSE.slowConsumer);
        stream.abort();
      } else guarded('tick', () => carrier?.tick(now));
    },
    end: close,
    abort: stream.abort,
  };
  parts.responses.add(connection);

  function refuseWith(error: unknown): void {
    if (error instanceof ProtocolError) refuse(error);
    else {
      parts.failure('subscribe', error);
      refuse(new ProtocolError('internal', { cause: error }));
    }
  }

  function start(request: TopicsQuery, allowed: Grant): void {
    if (!stream.isLive() || closing) return;
    grant = allowed;
    try {
      carrier = carrierOf({ stream, visit, request, resume, leave });
      subscriber = delivery.open(link, { allowed: allowed.allowed, maxTopics: options.maxTopics });
      subscriber.subscribe(request.frame);
    } catch (error) {
      refuseWith(error);
    }
  }

  function authenticated(request: TopicsQuery, authenticate: Authenticate): void {
    if (visit.token === null) throw new ProtocolError('unauthorized');
    authenticate(visit.token).then(
      (fresh) => start(request, fresh),
      (error: unknown) => {
        parts.log.info('token_refused', { address: visit.visitor.text, cause: causeOf(error) });
        refuseWith(error);
      },
    );
  }

  try {
    const request = parseTopicsQuery(visit.head.rawQuery, visit.head.query, lastEventId);
    if (parts.authenticate === null) start(request, OPEN_GRANT);
    else authenticated(request, parts.authenticate);
  } catch (error) {
    refuseWith(error);
  }
}

/** The reason behind a refusal, for the log alone. */
const causeOf = (error: unknown): string =>
  error instanceof ProtocolError ? String(error.cause ?? error.message) : String(error);
