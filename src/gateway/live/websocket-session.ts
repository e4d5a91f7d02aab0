import { type Frame, frameOf, type SubscriberLink } from '../../protocol/delivery.ts';
import { CLOSE, type CloseCode, ProtocolError } from '../../protocol/errors.ts';
import { ORIGIN } from '../../protocol/position.ts';
import { type ClientFrame, parseClientFrame } from '../../protocol/requests.ts';
import { type Grant, OPEN_GRANT } from '../door/access.ts';
import { fullBucket, type Rate, spend } from '../door/bucket.ts';
import { count } from '../door/counters.ts';
import type { ServerSocket } from '../network/network.ts';
import { costOf, helloFrame, requestIdOf } from './frames.ts';
import { drained, newPace, type Pacing, sent } from './pace.ts';
import type { GatewayParts } from './parts.ts';
import { createCredentials } from './websocket-auth.ts';
import { createVoice, type SocketData, type WebsocketSession } from './websocket-send.ts';

/** What WebSockets do, for all of them. */
export interface Conversations {
  open(ws: ServerSocket<SocketData>): WebsocketSession;
  message(session: WebsocketSession, bytes: ArrayBuffer, isBinary: boolean): void;
  /** A protocol-level ping came: no frame, but it is counted against floods. */
  control(session: WebsocketSession): void;
  drained(session: WebsocketSession): void;
  dropped(session: WebsocketSession): void;
  closed(session: WebsocketSession): void;
  /** After an exception that is this side's defect. */
  fail(session: WebsocketSession, where: string, error: unknown): void;
}

export function createConversations(parts: GatewayParts): Conversations {
  const { options, counters, delivery, authenticate } = parts;
  const rate: Rate = { perSecond: options.framesPerSecond, burst: options.frameBurst };
  const voice = createVoice(parts);
  const { reply, refuse, close, fail } = voice;
  const pacing: Pacing<WebsocketSession> = {
    budget: parts.replayBudget,
    portionBytes: options.softBacklogBytes,
    counters,
    hasRoom: ({ alive, ws }) => alive && ws.getBufferedAmount() < options.softBacklogBytes,
    goOn,
  };
  const group = parts.connections.group<WebsocketSession>({ tick, end: close, abort: voice.abort });

  function openSubscriber(session: WebsocketSession, { allowed }: Grant): void {
    session.subscriber ??= delivery.open(new Link(session), { allowed, maxTopics: options.maxTopics });
  }

  /** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
  class Link implements SubscriberLink {
    readonly #session: WebsocketSession;

    constructor(session: WebsocketSession) {
      this.#session = session;
    }

    send(frame: Frame): boolean {
      const session = this.#session;
      if (!session.alive || session.closing) return false;
      reply(session, frame);
      return sent(session, frame.text.length, pacing);
    }

    join(topic: string): void {
      if (this.#session.alive) this.#session.ws.subscribe(topic);
    }

    leave(topic: string): void {
      if (this.#session.alive) this.#session.ws.unsubscribe(topic);
    }

    close(code: CloseCode, retryMs?: number): void {
      close(this.#session, code, retryMs);
    }
  }

  function goOn(session: WebsocketSession): void {
    if (!session.alive || session.closing) return;
    session.ws.cork(() => {
      try {
        session.subscriber?.drained();
      } catch (error) {
        fail(session, 'drained', error);
      }
    });
  }

  function act(session: WebsocketSession, frame: ClientFrame): void {
    const { subscriber, credentials } = session;
    switch (frame.type) {
      case 'ping': {
        const position = delivery.standing()?.position ?? ORIGIN;
        reply(session, frameOf({ type: 'pong', id: frame.id ?? null, position }));
        return;
      }
      case 'auth':
        if (credentials === null) reply(session, frameOf({ type: 'authenticated', expires: null }));
        else credentials.present(frame.token, frame.id);
        return;
      case 'subscribe':
      case 'unsubscribe':
        if (subscriber === null) {
          refuse(session, new ProtocolError('unauthorized', { message: 'Send an auth frame first.' }), frame.id);
        } else if (frame.type === 'subscribe') subscriber.subscribe(frame);
        else subscriber.unsubscribe(frame.id, frame.topics);
        return;
      default:
        frame satisfies never;
    }
  }

  function take(session: WebsocketSession, frame: ClientFrame): void {
    if (!session.alive || session.closing) return;
    const deferred = frame.type !== 'ping' && session.credentials?.defer(frame) === true;
    if (!deferred) act(session, frame);
  }

  function allow(session: WebsocketSession, cost: number): boolean {
    if (spend(session.bucket, rate, cost, parts.now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else close(session, CLOSE.flood);
    return options.dryRun;
  }

  function tick(session: WebsocketSession, now: number): void {
    const { credentials } = session;
    const ageMs = now - session.openedAt;
    if (credentials?.held() === false) {
      if (ageMs > options.authDeadlineMs) close(session, CLOSE.authFailed);
    } else if (!session.heard && ageMs > options.firstFrameMs) close(session, CLOSE.silent);
    else if (now > session.endsAt) close(session, CLOSE.lifetime);
    else credentials?.tick();
  }

  return {
    open(ws) {
      const data = ws.getUserData();
      const openedAt = parts.now();
      const session: WebsocketSession = {
        ws,
        openedAt,
        endsAt: openedAt + options.maxLifetimeSeconds * 1000 * (1 - Math.random() / 10),
        bucket: fullBucket(rate, openedAt),
        pace: newPace(),
        alive: true,
        closing: false,
        heard: false,
        errors: 0,
        subscriber: null,
        credentials: null,
      };
      data.session = session;
      group.add(session);
      const standing = delivery.standing();
      if (standing !== null) reply(session, helloFrame(options, standing));
      if (authenticate !== null) {
        session.credentials = createCredentials(parts, data.address, {
          isAlive: () => session.alive && !session.closing,
          granted: (grant) => openSubscriber(session, grant),
          reply: (frame) => reply(session, frame),
          refuse: (error, id) => refuse(session, error, id),
          close: (code) => close(session, code),
          fail: (where, error) => fail(session, where, error),
          replay(frames) {
            for (const frame of frames) take(session, frame);
          },
          batch: (send) => void ws.cork(send),
        });
      }
      if (data.wrongVersion) close(session, CLOSE.protocolVersion);
      else if (standing === null) close(session, CLOSE.draining);
      else if (session.credentials === null) openSubscriber(session, OPEN_GRANT);
      else if (data.token !== null) session.credentials.present(data.token, undefined);
      data.token = null;
      return session;
    },

    message(session, bytes, isBinary) {
      if (session.closing) return;
      session.heard = true;
      if (isBinary) {
        close(session, CLOSE.badFrame);
        return;
      }
      const text = Buffer.from(bytes).toString('utf8');
      let frame: ClientFrame;
      try {
        frame = parseClientFrame(text);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        if (allow(session, 1)) refuse(session, error, requestIdOf(text));
        return;
      }
      counters.framesIn[frame.type] += 1;
      if (allow(session, costOf(frame))) take(session, frame);
    },

    control(session) {
      if (!session.closing) allow(session, 1);
    },

    drained: (session) => drained(session, pacing),

    dropped(session) {
      counters.droppedFrames += 1;
      close(session, CLOSE.slowConsumer);
    },

    closed(session) {
      session.alive = false;
      session.pace.stopWaiting?.();
      group.remove(session);
      session.subscriber?.closed();
    },

    fail,
  };
}
