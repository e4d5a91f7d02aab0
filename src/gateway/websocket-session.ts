import type { WebSocket } from 'uWebSockets.js';
import { type Frame, frameOf, type Subscriber, type SubscriberLink } from '../protocol/delivery.ts';
import { CLOSES, type CloseCode, ProtocolError } from '../protocol/errors.ts';
import type { RequestId } from '../protocol/messages.ts';
import { ORIGIN } from '../protocol/position.ts';
import { type ClientFrame, parseClientFrame } from '../protocol/requests.ts';
import { retryDelay } from './admission.ts';
import { type Grant, OPEN_GRANT } from './auth.ts';
import { type Bucket, fullBucket, type Rate, spend } from './bucket.ts';
import type { Connection } from './connections.ts';
import { count } from './counters.ts';
import type { Visit } from './door.ts';
import { byeFrame, costOf, errorFrame, helloFrame, requestIdOf } from './frames.ts';
import { createPace } from './pace.ts';
import type { GatewayParts } from './parts.ts';
import { createCredentials } from './websocket-credentials.ts';

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
  let heard = false;
  let errorCount = 0;
  let subscriber: Subscriber | null = null;

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

  /** For exceptions outside of uWebSockets' own callbacks, where nothing else would catch them. */
  function fail(where: string, error: unknown): void {
    parts.failure(where, error);
    closing = true;
    setImmediate(() => {
      if (alive) ws.end(1011, 'internal');
    });
  }

  function refuse(error: ProtocolError, id: RequestId | undefined): void {
    count(counters.errors, error.code);
    reply(errorFrame(error, id));
    errorCount += 1;
    if (errorCount >= options.maxErrors) close(4009);
  }

  /** Hands a paused replay back to the feed; `alive` guards the socket, since a pause may outlive it. */
  function goOn(): void {
    if (!alive || closing) return;
    ws.cork(() => {
      try {
        subscriber?.drained();
      } catch (error) {
        fail('drained', error);
      }
    });
  }

  const hasRoom = (): boolean => alive && ws.getBufferedAmount() < options.softBacklogBytes;
  const pace = createPace(parts.replayBudget, options.softBacklogBytes, hasRoom, goOn, counters);

  const link: SubscriberLink = {
    send(frame) {
      if (!alive || closing) return false;
      reply(frame);
      return pace.sent(frame.text.length);
    },
    join(topic) {
      if (alive) ws.subscribe(topic);
    },
    leave(topic) {
      if (alive) ws.unsubscribe(topic);
    },
    close,
  };

  const openSubscriber = ({ allowed }: Grant): void => {
    subscriber ??= delivery.open(link, { allowed, maxTopics: options.maxTopics });
  };

  const credentials = createCredentials(parts, visit.address, {
    isAlive: () => alive && !closing,
    granted: openSubscriber,
    reply,
    refuse,
    close,
    fail,
    replay(frames) {
      for (const frame of frames) take(frame);
    },
    batch: (act) => void ws.cork(act),
  });

  function act(frame: ClientFrame): void {
    switch (frame.type) {
      case 'ping':
        reply(frameOf({ type: 'pong', id: frame.id ?? null, position: delivery.standing()?.position ?? ORIGIN }));
        return;
      case 'auth':
        if (parts.authenticate === null) reply(frameOf({ type: 'authenticated', expires: null }));
        else credentials.present(frame.token, frame.id);
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

  function take(frame: ClientFrame): void {
    if (!alive || closing) return;
    if (frame.type === 'ping' || !credentials.defer(frame)) act(frame);
  }

  function allow(cost: number): boolean {
    if (spend(bucket, rate, cost, parts.now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else close(4103);
    return options.dryRun;
  }

  const connection: Connection = {
    tick(now) {
      const age = now - openedAt;
      if (!credentials.held()) {
        if (age > options.authDeadlineMs) close(4004);
      } else if (!heard && age > options.firstFrameMs) close(4104);
      else if (age > lifetimeMs) close(4201);
      else credentials.tick();
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
    reply(helloFrame(options, standing));
  }

  hello();
  if (wrongVersion) close(4001);
  else if (parts.authenticate === null) openSubscriber(OPEN_GRANT);
  else if (visit.token !== null) credentials.present(visit.token, undefined);
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
    drained: pace.drained,
    dropped() {
      counters.droppedFrames += 1;
      close(4100);
    },
    closed() {
      alive = false;
      pace.stop();
      parts.connections.remove(connection);
      subscriber?.closed();
    },
  };
}
