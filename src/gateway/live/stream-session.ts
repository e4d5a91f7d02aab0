import type { Subscriber, SubscriberLink } from '../../protocol/delivery.ts';
import { CLOSE, CLOSES, type CloseCode, ProtocolError } from '../../protocol/errors.ts';
import type { Frame } from '../../protocol/messages.ts';
import { expiredMs, type Grant, OPEN_GRANT } from '../door/access.ts';
import { retryDelay } from '../door/admission.ts';
import { endRefused } from '../door/answer.ts';
import { count } from '../door/counters.ts';
import type { Visit } from '../door/door.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import { type ConnectedClient, endOfLife, type OpenResponse } from './connections.ts';
import type { TopicListener } from './fanout.ts';
import { errorOf } from './frames.ts';
import { type HttpStream, openHttpStream } from './http-stream.ts';
import type { GatewayParts } from './parts.ts';
import { type LastPosition, parseTopicsQuery, type TopicsQuery, unevenIn } from './topics-query.ts';

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
  /** Of the request's topics, those of which the reader has another number of tables than one. */
  uneven(): LastPosition['uneven'];
  /** Canonical ids of the tables that the reader may see; null is all. */
  readonly allowed: Grant['allowed'];
  /** Tells the feed that a paused replay may go on. */
  resume(): void;
  /** Ends the subscription; the carrier then finishes the stream. */
  leave(): void;
}

/** How long a reader may take nothing at all while something waits for it. */
const MAX_STALL_MS = 30_000;

/** What is special about one address that serves subscribers over HTTP. */
interface HttpTransport {
  readonly kind: 'sse' | 'poll';
  /** Text that means nothing to its readers. */
  readonly filler: string;
  /** What a request asks for; by default the topics of its query. Throws ProtocolError. */
  readonly read?: (visit: Visit) => TopicsQuery;
  carrierOf(session: HttpSession, parts: GatewayParts): Carrier;
}

/** Serves one request as a subscriber. Synchronous up to the first await, as uWebSockets demands. */
export function serveHttpSubscriber(
  res: HttpResponse,
  req: HttpRequest,
  parts: GatewayParts,
  transport: HttpTransport,
): void {
  const visit = parts.door.enter(res, req, transport.kind);
  if (visit !== null) new StreamSession(res, { parts, visit, transport }).begin();
}

const topicsOf = ({ head }: Visit): TopicsQuery =>
  parseTopicsQuery(head.rawQuery, head.query, head.headers.get('last-event-id') ?? '');

/** What one session is made of. */
interface Opening {
  readonly parts: GatewayParts;
  readonly visit: Visit;
  readonly transport: HttpTransport;
}

/** One event stream or poll: a subscriber of the feed, a listener of its topics, an open response. */
class StreamSession implements SubscriberLink, TopicListener, OpenResponse {
  readonly #parts: GatewayParts;
  readonly #visit: Visit;
  readonly #transport: HttpTransport;
  readonly #stream: HttpStream;
  readonly #joined = new Set<string>();
  readonly #openedAt: number;
  /** Monotonic milliseconds of the maximum lifetime's end. */
  readonly #endsAt: number;
  #closing = false;
  #sent = 0;
  #carrier: Carrier | null = null;
  #subscriber: Subscriber | null = null;
  #grant: Grant | null = null;
  #stopWaiting: (() => void) | null = null;

  constructor(res: HttpResponse, { parts, visit, transport }: Opening) {
    const { options, now } = parts;
    this.#parts = parts;
    this.#visit = visit;
    this.#transport = transport;
    this.#openedAt = now();
    this.#endsAt = endOfLife(this.#openedAt, options.maxLifetimeSeconds);
    this.#stream = openHttpStream(
      res,
      now,
      { softBytes: options.softBacklogBytes, maxBytes: options.maxBacklogBytes, filler: transport.filler },
      {
        room: () => this.#guarded('room', () => this.#carrier?.room()),
        gone: () => this.#gone(),
        overflow: () => count(parts.counters.closes, CLOSE.slowConsumer),
      },
    );
    parts.responses.add(this);
  }

  /** Subscribes to what the request asks for, once its token is accepted where one is needed. */
  begin(): void {
    const { authenticator, log } = this.#parts;
    const { token, visitor } = this.#visit;
    try {
      const { read = topicsOf } = this.#transport;
      const request = read(this.#visit);
      if (authenticator === null) {
        this.#start(request, OPEN_GRANT);
        return;
      }
      if (token === null) throw new ProtocolError('unauthorized');
      authenticator.authenticate(token).then(
        (grant) => this.#start(request, grant),
        (error: unknown) => {
          log.info('token_refused', { address: visitor.text, cause: causeOf(error) });
          this.#refuseWith(error);
        },
      );
    } catch (error) {
      this.#refuseWith(error);
    }
  }

  #start(request: TopicsQuery, grant: Grant): void {
    if (!this.#stream.isLive() || this.#closing) return;
    const { delivery, options } = this.#parts;
    this.#grant = grant;
    try {
      const session: HttpSession = {
        stream: this.#stream,
        visit: this.#visit,
        request,
        uneven: () => unevenIn(request.frame, this.#subscriber?.uneven() ?? new Map()),
        allowed: grant.allowed,
        resume: () => this.#resume(),
        leave: () => this.#leave(),
      };
      this.#carrier = this.#transport.carrierOf(session, this.#parts);
      this.#subscriber = delivery.open(this, { allowed: grant.allowed, maxTopics: options.maxTopics });
      this.#subscriber.subscribe(request.frame);
    } catch (error) {
      this.#refuseWith(error);
    }
  }

  // What the feed does.

  send(frame: Frame): boolean {
    if (this.#closing) return false;
    const { counters, replayBudget } = this.#parts;
    counters.directFrames += 1;
    counters.directBytes += frame.text.length;
    const budget = replayBudget.take(frame.text.length);
    const room = this.#carry(frame);
    if (!room) counters.pausedForSocket += 1;
    else if (!budget) {
      counters.pausedForBudget += 1;
      this.#stopWaiting ??= replayBudget.wait(() => this.#resume());
    }
    return room && budget;
  }

  join(topic: string): void {
    if (!this.#stream.isLive()) return;
    this.#joined.add(topic);
    this.#parts.fanout.join(topic, this);
  }

  leave(topic: string): void {
    this.#joined.delete(topic);
    this.#parts.fanout.leave(topic, this);
  }

  close(code: CloseCode, retryMs?: number): void {
    if (!this.#stream.isLive() || this.#closing) return;
    this.#closing = true;
    count(this.#parts.counters.closes, code);
    setImmediate(() => this.#closeNow(code, retryMs ?? retryDelay(this.#parts.options)));
  }

  #closeNow(code: CloseCode, retryMs: number): void {
    if (!this.#stream.isLive()) return;
    if (this.#carrier === null || this.#carrier.isFresh()) {
      const isToken = code === CLOSE.tokenExpired || CLOSES[code].retry === 'never';
      this.#refuse(new ProtocolError(isToken ? 'unauthorized' : 'draining', { retryMs }));
      return;
    }
    this.#leave();
    this.#carrier.end(code, retryMs);
  }

  // What was published to a topic.

  deliver(frame: Frame): void {
    this.#guarded('deliver', () => void this.#carry(frame));
  }

  // What looks at all open responses.

  tick(now: number): void {
    const { options, counters, clock } = this.#parts;
    if (expiredMs(this.#grant, clock()) > options.authGraceMs) this.close(CLOSE.tokenExpired);
    else if (now > this.#endsAt) this.close(CLOSE.lifetime);
    else if (this.#stream.stalledMs(now) > MAX_STALL_MS) {
      count(counters.closes, CLOSE.slowConsumer);
      this.#stream.abort();
    } else this.#guarded('tick', () => this.#carrier?.tick(now));
  }

  end(code: CloseCode, retryMs: number): void {
    this.close(code, retryMs);
  }

  abort(): void {
    this.#stream.abort();
  }

  client(now: number): ConnectedClient {
    return {
      transport: this.#visit.ticket.kind,
      address: this.#visit.visitor.text,
      grant: this.#grant,
      topics: this.#subscriber?.heardTopics() ?? [],
      ageMs: now - this.#openedAt,
      sent: this.#sent,
      unsentBytes: this.#stream.unsentBytes(),
    };
  }

  #carry(frame: Frame): boolean {
    if (!this.#stream.isLive() || this.#carrier === null) return false;
    if (frame.type === 'error' && this.#carrier.isFresh()) {
      const error = errorOf(frame);
      // Not in the feed's own call: it may still be at work on this subscriber.
      setImmediate(() => this.#refuse(error));
      return false;
    }
    this.#sent += 1;
    return this.#carrier.carry(frame);
  }

  #resume(): void {
    this.#stopWaiting = null;
    this.#guarded('resume', () => this.#subscriber?.drained());
  }

  /** Ends the subscription. */
  #leave(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = null;
    for (const topic of this.#joined) this.#parts.fanout.leave(topic, this);
    this.#joined.clear();
    const left = this.#subscriber;
    this.#subscriber = null;
    this.#guarded('closed', () => left?.closed());
  }

  #gone(): void {
    this.#leave();
    this.#parts.admission.release(this.#visit.ticket);
    this.#parts.responses.remove(this);
    this.#guarded('gone', () => this.#carrier?.gone());
  }

  #refuse(error: ProtocolError): void {
    count(this.#parts.counters.errors, error.code);
    this.#leave();
    this.#stream.answer((res) => endRefused(res, error, this.#visit));
  }

  #refuseWith(error: unknown): void {
    if (error instanceof ProtocolError) this.#refuse(error);
    else {
      this.#parts.failure('subscribe', error);
      this.#refuse(new ProtocolError('internal', { cause: error }));
    }
  }

  /** An exception in a callback would end the process; it ends this one response. */
  #guarded(where: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#parts.failure(where, error);
      setImmediate(() => this.#stream.abort());
    }
  }
}

/** The reason behind a refusal, for the log alone. */
const causeOf = (error: unknown): string =>
  error instanceof ProtocolError ? String(error.cause ?? error.message) : String(error);
