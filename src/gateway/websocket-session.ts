import type { WebSocket } from 'uWebSockets.js';
import { type Frame, frameOf, type Subscriber, type SubscriberLink } from '../protocol/delivery.ts';
import { CLOSES, type CloseCode, ProtocolError } from '../protocol/errors.ts';
import { PROTOCOL_VERSION, type RequestId } from '../protocol/messages.ts';
import { ORIGIN } from '../protocol/position.ts';
import { type ClientFrame, parseClientFrame } from '../protocol/requests.ts';
import { retryDelay } from './admission.ts';
import { type Grant, OPEN_GRANT } from './auth.ts';
import { type Bucket, fullBucket, type Rate, spend } from './bucket.ts';
import type { Connection } from './connections.ts';
import { count } from './counters.ts';
import type { Visit } from './door.ts';
import { byeFrame, costOf, errorFrame, requestIdOf } from './frames.ts';
import type { GatewayParts } from './parts.ts';

/** What uWebSockets keeps beside a socket. */
export interface SocketData {
  readonly visit: Visit;
  /** Set when the client asked for another protocol version. */
  readonly wrongVersion: boolean;
  session: WebsocketSession | null;
  /** True from the close callback on: the socket must not be touched any more. */
  gone: boolean;
}

/** One WebSocket's conversation. None of these may be called after `closed`. */
export interface WebsocketSession {
  message(bytes: ArrayBuffer, isBinary: boolean): void;
  /** A protocol-level ping or pong came: no frame, but it is counted against floods. */
  control(): void;
  drained(): void;
  dropped(): void;
  closed(): void;
}

const NO_BYE: ReadonlySet<CloseCode> = new Set([4100]);

/**
 * Starts the conversation on a socket that just opened.
 * INVARIANT never-touch-a-dead-socket: `alive` is false from the close callback on, and nothing below calls the socket
 * without looking at it; closing is always deferred, since uWebSockets crashes when a socket ends inside `dropped`.
 */
export function openWebsocketSession(ws: WebSocket<SocketData>, parts: GatewayParts): WebsocketSession {
  const { options, counters, delivery } = parts;
  const { visit, wrongVersion } = ws.getUserData();
  const rate: Rate = { perSecond: options.framesPerSecond, burst: options.frameBurst };
  const openedAt = parts.now();
  const bucket: Bucket = fullBucket(rate, openedAt);
  const lifetimeMs = options.maxLifetimeSeconds * 1000 * (1 - Math.random() / 10);

  let alive = true;
  let closing = false;
  let paused = false;
  let stopWaiting: (() => void) | null = null;
  let heard = false;
  let errorCount = 0;
  let grant: Grant | null = parts.authenticate === null ? OPEN_GRANT : null;
  let warnedOfExpiry = false;
  let subscriber: Subscriber | null = null;
  /** Frames that came while a token was being checked; their number is bounded by the bucket. */
  let queued: ClientFrame[] | null = null;

  function reply(frame: Frame): void {
    if (!alive) return;
    counters.directFrames += 1;
    counters.directBytes += frame.text.length;
    ws.send(frame.text);
  }

  function close(code: CloseCode, retryMs?: number): void {
    if (!alive || closing) return;
    count(counters.closes, code);
    if (CLOSES[code].retry !== 'never' && !NO_BYE.has(code)) reply(byeFrame(code, retryMs ?? retryDelay(options)));
    closing = true;
    setImmediate(() => {
      if (!alive) return;
      if (NO_BYE.has(code)) ws.close();
      else ws.end(code, CLOSES[code].text);
    });
  }

  function refuse(error: ProtocolError, id: RequestId | undefined): void {
    count(counters.errors, error.code);
    reply(errorFrame(error, id));
    errorCount += 1;
    if (errorCount >= options.maxErrors) close(4009);
  }

  function hasRoom(): boolean {
    return ws.getBufferedAmount() < options.softBacklogBytes;
  }

  /** Goes on with a paused replay once both the socket and the budget that all share have room. */
  function resume(): void {
    stopWaiting = null;
    if (!alive || closing || !paused || !hasRoom()) return;
    if (!parts.replayBudget.take(0)) {
      stopWaiting = parts.replayBudget.wait(resume);
      return;
    }
    paused = false;
    ws.cork(() => subscriber?.drained());
  }

  const link: SubscriberLink = {
    send(frame) {
      if (!alive || closing) return false;
      reply(frame);
      const budget = parts.replayBudget.take(frame.text.length);
      const room = hasRoom();
      if (room && budget) return true;
      if (!paused) {
        if (!room) counters.pausedForSocket += 1;
        else counters.pausedForBudget += 1;
      }
      paused = true;
      if (room && stopWaiting === null) stopWaiting = parts.replayBudget.wait(resume);
      return false;
    },
    join(topic) {
      if (alive) ws.subscribe(topic);
    },
    leave(topic) {
      if (alive) ws.unsubscribe(topic);
    },
    close,
  };

  const openSubscriber = (allowed: Grant['allowed']): Subscriber =>
    delivery.open(link, { allowed, maxTopics: options.maxTopics });

  function act(frame: ClientFrame): void {
    switch (frame.type) {
      case 'ping':
        reply(frameOf({ type: 'pong', id: frame.id ?? null, position: delivery.standing()?.position ?? ORIGIN }));
        return;
      case 'auth':
        if (parts.authenticate === null) reply(frameOf({ type: 'authenticated', expires: null }));
        else verify(frame.token, frame.id);
        return;
      case 'subscribe':
      case 'unsubscribe':
        if (subscriber === null) {
          refuse(new ProtocolError('unauthorized', { message: 'Send an auth frame first.' }), frame.id);
        } else if (frame.type === 'subscribe') subscriber.subscribe(frame);
        else subscriber.unsubscribe(frame.id, frame.topics);
        return;
      default:
        frame satisfies never;
    }
  }

  function verify(token: string, id: RequestId | undefined): void {
    const { authenticate } = parts;
    if (authenticate === null) return;
    queued ??= [];
    authenticate(token)
      .then((fresh) => ({ fresh }))
      .catch((error: unknown) => ({
        error: error instanceof ProtocolError ? error : new ProtocolError('internal', { cause: error }),
      }))
      .then((outcome) => {
        if (!alive) return;
        ws.cork(() => {
          if ('error' in outcome) failed(outcome.error, id);
          else granted(outcome.fresh, id);
          const waiting = queued ?? [];
          queued = null;
          for (const frame of waiting) take(frame);
        });
      })
      .catch((error: unknown) => parts.failure('auth', error));
  }

  function granted(fresh: Grant, id: RequestId | undefined): void {
    if (grant !== null && !sameTables(grant.allowed, fresh.allowed)) {
      // The tables of a connection are fixed when it subscribes; another set needs another connection.
      const message = 'The new token names other tables; connect again with it.';
      refuse(new ProtocolError('forbidden', { message }), id);
      return;
    }
    subscriber ??= openSubscriber(fresh.allowed);
    grant = fresh;
    warnedOfExpiry = false;
    const expires = fresh.expiresMs === null ? null : new Date(fresh.expiresMs).toISOString();
    reply(frameOf({ type: 'authenticated', expires }));
  }

  /** A bad first token ends the connection; a bad second one only does not extend it. */
  function failed(error: ProtocolError, id: RequestId | undefined): void {
    parts.log.info('token_refused', { address: visit.address.text, cause: String(error.cause ?? error.message) });
    refuse(error, id);
    if (grant === null) close(4004);
  }

  function take(frame: ClientFrame): void {
    if (!alive || closing) return;
    if (queued === null || frame.type === 'ping') act(frame);
    else queued.push(frame);
  }

  function allow(cost: number): boolean {
    if (spend(bucket, rate, cost, parts.now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else close(4103);
    return options.dryRun;
  }

  function tickGrant(held: Grant): void {
    if (held.expiresMs === null) return;
    const over = parts.clock() - held.expiresMs;
    if (over > options.authGraceMs) close(4105);
    else if (over > 0 && !warnedOfExpiry) {
      warnedOfExpiry = true;
      const message = 'The token expired; send a new one in an auth frame to stay.';
      reply(errorFrame(new ProtocolError('unauthorized', { message }), undefined));
    }
  }

  const connection: Connection = {
    tick(now) {
      const age = now - openedAt;
      if (grant === null) {
        if (age > options.authDeadlineMs) close(4004);
      } else if (!heard && age > options.firstFrameMs) close(4104);
      else if (age > lifetimeMs) close(4201);
      else tickGrant(grant);
    },
    end: close,
    abort() {
      if (alive) ws.close();
    },
  };

  function hello(): void {
    const standing = delivery.standing();
    if (standing === null) {
      close(4200);
      return;
    }
    reply(
      frameOf({
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        server: options.version,
        instance: options.instance,
        ...standing,
        ping_s: options.pingSeconds,
        auth: options.auth.mode,
        limits: { topics: options.maxTopics, frame_bytes: options.maxFrameBytes },
      }),
    );
  }

  hello();
  if (wrongVersion) close(4001);
  else if (grant !== null) subscriber = openSubscriber(grant.allowed);
  else if (visit.token !== null) verify(visit.token, undefined);
  parts.connections.add(connection);

  return {
    message(bytes, isBinary) {
      if (closing) return;
      heard = true;
      if (isBinary) {
        close(4000);
        return;
      }
      const text = Buffer.from(bytes).toString('utf8');
      let frame: ClientFrame;
      try {
        frame = parseClientFrame(text);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        if (allow(1)) refuse(error, requestIdOf(text));
        return;
      }
      counters.framesIn[frame.type] += 1;
      if (allow(costOf(frame))) take(frame);
    },
    control() {
      if (!closing) allow(1);
    },
    drained: resume,
    dropped() {
      counters.droppedFrames += 1;
      close(4100);
    },
    closed() {
      alive = false;
      stopWaiting?.();
      parts.connections.remove(connection);
      subscriber?.closed();
    },
  };
}

const sameTables = (a: Grant['allowed'], b: Grant['allowed']): boolean =>
  a === null || b === null ? a === b : a.size === b.size && [...a].every((id) => b.has(id));
