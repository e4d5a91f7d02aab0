import { expiredMs, type Grant } from '../gateway/door/access.ts';
import { count } from '../gateway/door/counters.ts';
import type { Visit } from '../gateway/door/door.ts';
import { type Bucket, fullBucket, type Rate, spend } from '../gateway/door/limits.ts';
import { type ConnectedClient, endOfLife, type Group } from '../gateway/live/connections.ts';
import { drained, newPace, type Pacing, type SendPace, sent } from '../gateway/live/pace.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { CLOSE, type CloseCode, type ProtocolError } from '../protocol/errors.ts';
import type { GuardedSocket } from './exchange.ts';
import { type Packet, packetOf } from './payloads.ts';
import type { EngineConnection, Member } from './rooms.ts';
import { packetRate } from './wire.ts';

/** One connection of Engine.IO: a WebSocket, or a session of polls that may become one. */
export interface LegacySession extends Member {
  readonly visit: Visit;
  readonly openedAt: number;
  /** Monotonic milliseconds of the maximum lifetime's end. */
  readonly endsAt: number;
  readonly bucket: Bucket;
  readonly pace: SendPace;
  alive: boolean;
  closing: boolean;
  /** Monotonic milliseconds at which it was first seen closing. */
  closingAt: number | null;
  /** Bytes that wait for the client's next poll. */
  unpolled: number;
  /** What its token allows; null before it joined. */
  grant: Grant | null;
  /** Null until the client joined Socket.IO's main namespace. */
  conversation: Conversation | null;
}

/** What one client gets and asks; what it needs to be told of its connection. */
export interface Conversation {
  /** The connection has room again. */
  drained(): void;
  closed(): void;
  /** The topics that it follows now, and the packets that it was sent. */
  topics(): readonly string[];
  sent(): number;
}

/** How long a session of polls may wait for the poll that takes its goodbye. */
const FAREWELL_MS = 2_000;

/** How connections are spoken to, limited and ended: one of these for each gateway. */
export class Sessions {
  readonly #parts: GatewayParts;
  readonly #socketOf: (transport: object) => GuardedSocket | null;
  readonly #rate: Rate;
  readonly #byTransport = new WeakMap<object, LegacySession>();
  readonly #group: Group<LegacySession>;
  readonly #pacing: Pacing<LegacySession>;

  constructor(parts: GatewayParts, socketOf: (transport: object) => GuardedSocket | null) {
    const { options, counters, connections, replayBudget: budget } = parts;
    this.#parts = parts;
    this.#socketOf = socketOf;
    this.#rate = packetRate(options);
    this.#group = connections.group<LegacySession>({
      tick: (session, now) => this.#tick(session, now),
      end: (session, code) => this.close(session, code),
      abort: (session) => this.#abort(session),
      client: (session, now) => this.#client(session, now),
    });
    this.#pacing = {
      budget,
      portionBytes: options.softBacklogBytes,
      counters,
      hasRoom: ({ alive, conn, unpolled }) =>
        alive && (socketOf(conn.transport)?.backlog() ?? unpolled) < options.softBacklogBytes,
      goOn: (session) => this.#goOn(session),
    };
  }

  open(conn: EngineConnection, visit: Visit): LegacySession {
    const { now, options } = this.#parts;
    const openedAt = now();
    const session: LegacySession = {
      conn,
      visit,
      rooms: new Set(),
      sent: 0,
      openedAt,
      endsAt: endOfLife(openedAt, options.maxLifetimeSeconds),
      bucket: fullBucket(this.#rate, openedAt),
      pace: newPace(),
      alive: true,
      closing: false,
      closingAt: null,
      unpolled: 0,
      grant: null,
      conversation: null,
    };
    this.#byTransport.set(conn.transport, session);
    this.#group.add(session);
    this.#watch(session);
    return session;
  }

  of(transport: object): LegacySession | null {
    return this.#byTransport.get(transport) ?? null;
  }

  /** Sends an event to this one. */
  send(session: LegacySession, packet: Packet): void {
    if (!session.alive || session.closing) return;
    const { counters } = this.#parts;
    const text = packetOf(packet);
    counters.directFrames += 1;
    counters.directBytes += text.length;
    session.sent += 1;
    session.conn.write(text);
  }

  refuse(session: LegacySession, { code, message, retryMs }: ProtocolError): void {
    count(this.#parts.counters.errors, code);
    this.send(session, ['error', { code, message, ...(retryMs === undefined ? {} : { retry_ms: retryMs }) }]);
  }

  /** Books bytes just sent; false asks the feed to pause, and `drained` follows. */
  paced(session: LegacySession, bytes: number): boolean {
    return session.alive && !session.closing && sent(session, bytes, this.#pacing);
  }

  /** Takes from what the client may send; false, and the connection is closed, when that is used up. */
  allow(session: LegacySession, cost: number): boolean {
    const { now, options, counters } = this.#parts;
    if (spend(session.bucket, this.#rate, cost, now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else this.close(session, CLOSE.flood);
    return options.dryRun;
  }

  /** Closes, in the next turn of the event loop. Clients of Socket.IO come back by themselves, with a delay. */
  close(session: LegacySession, code: CloseCode): void {
    if (!session.alive || session.closing) return;
    session.closing = true;
    count(this.#parts.counters.closes, code);
    setImmediate(() => {
      if (!session.alive) return;
      // Who does not read would not read a goodbye either.
      if (code === CLOSE.slowConsumer) this.#abort(session);
      else session.conn.close();
    });
  }

  fail(session: LegacySession, where: string, error: unknown): void {
    this.#parts.failure(where, error);
    session.closing = true;
    setImmediate(() => session.conn.close());
  }

  #watch(session: LegacySession): void {
    const { conn, visit } = session;
    const { options, admission } = this.#parts;
    conn.on('upgrade', (transport: object) => void this.#byTransport.set(transport, session));
    // Frames of WebSockets are counted where they come in.
    conn.on('packet', () => {
      if (conn.transport.name === 'polling') this.allow(session, 1);
    });
    // Polls are answered by the client's leave only: what gathers until then is what a slow reader's backlog is.
    conn.on('packetCreate', ({ data }: { readonly data?: unknown }) => {
      if (conn.transport.name !== 'polling' || typeof data !== 'string') return;
      session.unpolled += data.length;
      if (session.unpolled > options.maxBacklogBytes) this.close(session, CLOSE.slowConsumer);
    });
    conn.on('flush', () => {
      session.unpolled = 0;
    });
    conn.once('close', () => {
      session.alive = false;
      session.pace.stopWaiting?.();
      admission.release(visit.ticket);
      this.#group.remove(session);
    });
  }

  #goOn(session: LegacySession): void {
    try {
      if (session.alive && !session.closing) session.conversation?.drained();
    } catch (error) {
      this.fail(session, 'socketio_drained', error);
    }
  }

  #abort({ conn }: LegacySession): void {
    const { transport } = conn;
    this.#socketOf(transport)?.cut();
    conn.close(true);
    // Between two polls Engine.IO waits half a minute for the next one, to answer it with the close.
    if (conn.readyState !== 'closed') transport.emit('close');
  }

  #client({ conn, visit, grant, conversation, openedAt, unpolled }: LegacySession, now: number): ConnectedClient {
    return {
      transport: 'socketio',
      address: visit.visitor.text,
      grant,
      topics: conversation?.topics() ?? [],
      ageMs: now - openedAt,
      sent: conversation?.sent() ?? 0,
      unsentBytes: this.#socketOf(conn.transport)?.backlog() ?? unpolled,
    };
  }

  #tick(session: LegacySession, now: number): void {
    const { options, clock } = this.#parts;
    if (session.conn.readyState === 'closing') {
      session.closingAt ??= now;
      if (now - session.closingAt > FAREWELL_MS) this.#abort(session);
    } else if (expiredMs(session.grant, clock()) > options.authGraceMs) this.close(session, CLOSE.tokenExpired);
    else if (now > session.endsAt) this.close(session, CLOSE.lifetime);
    else drained(session, this.#pacing);
  }
}
