import { EVERYONE, type SubscriberLink } from '../../protocol/delivery.ts';
import { CLOSE, type CloseCode, ProtocolError } from '../../protocol/errors.ts';
import { type Frame, frameOf } from '../../protocol/messages.ts';
import { ORIGIN } from '../../protocol/position.ts';
import { type ClientFrame, parseClientFrame } from '../../protocol/requests.ts';
import { type Grant, OPEN_GRANT } from '../door/access.ts';
import { chargeFlood } from '../door/admission.ts';
import { count } from '../door/counters.ts';
import { fullBucket, type Rate, spend } from '../door/limits.ts';
import type { ServerSocket } from '../network/network.ts';
import { type ConnectedClient, endOfLife, type Group } from './connections.ts';
import type { Fanout } from './fanout.ts';
import { costOf, helloFrame, requestIdOf } from './frames.ts';
import { drained, newPace, type Pacing, sent } from './pace.ts';
import type { GatewayParts } from './parts.ts';
import { createCredentials, type SocketCredentials } from './websocket-auth.ts';
import { createSender, type SocketData, type SocketSender, type WebsocketSession } from './websocket-send.ts';

/** What one connection is to the feed: shared methods, since closures would cost an idle connection more than all else. */
class Link implements SubscriberLink {
  readonly #session: WebsocketSession;
  readonly #sender: SocketSender;
  readonly #pacing: Pacing<WebsocketSession>;
  readonly #fanout: Fanout;

  constructor(session: WebsocketSession, sender: SocketSender, pacing: Pacing<WebsocketSession>, fanout: Fanout) {
    this.#session = session;
    this.#sender = sender;
    this.#pacing = pacing;
    this.#fanout = fanout;
  }

  send(frame: Frame): boolean {
    const session = this.#session;
    if (!session.alive || session.closing) return false;
    this.#sender.reply(session, frame);
    return sent(session, frame.text.length, this.#pacing);
  }

  join(topic: string): void {
    if (!this.#session.alive) return;
    this.#session.sent -= this.#fanout.published(topic);
    this.#session.ws.subscribe(topic);
  }

  leave(topic: string): void {
    if (!this.#session.alive) return;
    this.#session.sent += this.#fanout.published(topic);
    this.#session.ws.unsubscribe(topic);
  }

  close(code: CloseCode, retryMs?: number): void {
    this.#sender.close(this.#session, code, retryMs);
  }
}

/** What WebSockets do, for all of them: one of these for each gateway. */
export class Conversations {
  readonly #parts: GatewayParts;
  readonly #sender: SocketSender;
  readonly #rate: Rate;
  readonly #pacing: Pacing<WebsocketSession>;
  readonly #group: Group<WebsocketSession>;

  constructor(parts: GatewayParts) {
    const { options, counters, replayBudget: budget } = parts;
    this.#parts = parts;
    this.#sender = createSender(parts);
    this.#rate = { perSecond: options.framesPerSecond, burst: options.frameBurst };
    this.#pacing = {
      budget,
      portionBytes: options.softBacklogBytes,
      counters,
      hasRoom: ({ alive, ws }) => alive && ws.getBufferedAmount() < options.softBacklogBytes,
      goOn: (session) => this.#goOn(session),
    };
    this.#group = parts.connections.group<WebsocketSession>({
      tick: (session, now) => this.#tick(session, now),
      end: this.#sender.close,
      abort: this.#sender.abort,
      client: (session, now) => this.#client(session, now),
    });
  }

  open(ws: ServerSocket<SocketData>): void {
    const { now, options, delivery } = this.#parts;
    const { close, reply } = this.#sender;
    const data = ws.getUserData();
    const openedAt = now();
    const session: WebsocketSession = {
      ws,
      openedAt,
      endsAt: endOfLife(openedAt, options.maxLifetimeSeconds),
      bucket: fullBucket(this.#rate, openedAt),
      pace: newPace(),
      alive: true,
      closing: false,
      heard: false,
      errors: 0,
      sent: 0,
      subscriber: null,
      credentials: null,
    };
    data.session = session;
    this.#group.add(session);
    const at = delivery.reached();
    if (at !== null) reply(session, helloFrame(options, at));
    if (this.#parts.authenticator !== null) session.credentials = this.#credentialsOf(session, data.address);
    if (data.wrongVersion) close(session, CLOSE.protocolVersion);
    else if (at === null) close(session, CLOSE.draining);
    else if (session.credentials === null) this.#subscribe(session, OPEN_GRANT);
    else if (data.token !== null) session.credentials.present(data.token, undefined);
    data.token = null;
  }

  #client({ ws, openedAt, subscriber, credentials, sent: frames }: WebsocketSession, now: number): ConnectedClient {
    const topics = subscriber?.heardTopics() ?? [];
    const heard = topics.length === 0 ? [] : [...topics, EVERYONE];
    return {
      transport: 'websocket',
      address: ws.getUserData().address,
      grant: credentials === null ? OPEN_GRANT : credentials.grant(),
      topics,
      ageMs: now - openedAt,
      sent: heard.reduce((sum, topic) => sum + this.#parts.fanout.published(topic), frames),
      unsentBytes: ws.getBufferedAmount(),
    };
  }

  message(session: WebsocketSession, bytes: ArrayBuffer, isBinary: boolean): void {
    if (session.closing) return;
    session.heard = true;
    if (isBinary) {
      this.#sender.close(session, CLOSE.badFrame);
      return;
    }
    const text = Buffer.from(bytes).toString('utf8');
    let frame: ClientFrame;
    try {
      frame = parseClientFrame(text);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (this.#allow(session, 1)) this.#sender.refuse(session, error, requestIdOf(text));
      return;
    }
    this.#parts.counters.framesIn[frame.type] += 1;
    if (this.#allow(session, costOf(frame))) this.#take(session, frame);
  }

  /** A protocol-level ping came: no frame, but it is counted against floods. */
  control(session: WebsocketSession): void {
    if (!session.closing) this.#allow(session, 1);
  }

  drained(session: WebsocketSession): void {
    drained(session, this.#pacing);
  }

  dropped(session: WebsocketSession): void {
    this.#parts.counters.droppedFrames += 1;
    this.#sender.close(session, CLOSE.slowConsumer);
  }

  closed(session: WebsocketSession): void {
    session.alive = false;
    session.pace.stopWaiting?.();
    this.#group.remove(session);
    session.subscriber?.closed();
  }

  /** After an exception that is this side's defect. */
  fail(session: WebsocketSession, where: string, error: unknown): void {
    this.#sender.fail(session, where, error);
  }

  #subscribe(session: WebsocketSession, { allowed }: Grant): void {
    const { delivery, options } = this.#parts;
    const link = new Link(session, this.#sender, this.#pacing, this.#parts.fanout);
    session.subscriber ??= delivery.open(link, { allowed, maxTopics: options.maxTopics });
  }

  #credentialsOf(session: WebsocketSession, address: string): SocketCredentials {
    const { reply, refuse, close, fail } = this.#sender;
    return createCredentials(this.#parts, address, {
      isAlive: () => session.alive && !session.closing,
      granted: (grant) => this.#subscribe(session, grant),
      reply: (frame) => reply(session, frame),
      refuse: (error, id) => refuse(session, error, id),
      close: (code) => close(session, code),
      fail: (where, error) => fail(session, where, error),
      replay: (frames) => {
        for (const frame of frames) this.#take(session, frame);
      },
      batch: (send) => void session.ws.cork(send),
    });
  }

  #goOn(session: WebsocketSession): void {
    if (!session.alive || session.closing) return;
    session.ws.cork(() => {
      try {
        session.subscriber?.drained();
      } catch (error) {
        this.#sender.fail(session, 'drained', error);
      }
    });
  }

  /** Acts on a frame, now or once the token that is being checked is accepted. */
  #take(session: WebsocketSession, frame: ClientFrame): void {
    if (!session.alive || session.closing) return;
    const deferred = frame.type !== 'ping' && session.credentials?.defer(frame) === true;
    if (!deferred) this.#act(session, frame);
  }

  #act(session: WebsocketSession, frame: ClientFrame): void {
    const { reply, refuse } = this.#sender;
    const { subscriber, credentials } = session;
    switch (frame.type) {
      case 'ping': {
        const position = this.#parts.delivery.reached()?.position ?? ORIGIN;
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

  #allow(session: WebsocketSession, cost: number): boolean {
    const { options, counters, now } = this.#parts;
    if (spend(session.bucket, this.#rate, cost, now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else {
      chargeFlood(session.ws.getUserData().ticket);
      this.#sender.close(session, CLOSE.flood);
    }
    return options.dryRun;
  }

  #tick(session: WebsocketSession, now: number): void {
    const { options } = this.#parts;
    const { close } = this.#sender;
    const { credentials } = session;
    const ageMs = now - session.openedAt;
    if (credentials !== null && credentials.grant() === null) {
      if (ageMs > options.authDeadlineMs) close(session, CLOSE.authFailed);
    } else if (!session.heard && ageMs > options.firstFrameMs) close(session, CLOSE.silent);
    else if (now > session.endsAt) close(session, CLOSE.lifetime);
    else credentials?.tick();
  }
}
