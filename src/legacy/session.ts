import { type Bucket, fullBucket, spend } from '../gateway/door/bucket.ts';
import { count } from '../gateway/door/counters.ts';
import type { Visit } from '../gateway/door/door.ts';
import { drained, newPace, type Pace, type Pacing, sent } from '../gateway/live/pace.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { CLOSE, type CloseCode, type ProtocolError } from '../protocol/errors.ts';
import type { GuardedSocket } from './exchange.ts';
import { type Packet, packetOf } from './payloads.ts';
import type { Connection, Member } from './rooms.ts';
import { packetRate } from './wire.ts';

/** One connection of Engine.IO: a WebSocket, or a session of polls that may become one. */
export interface LegacySession extends Member {
  readonly visit: Visit;
  readonly openedAt: number;
  /** Monotonic milliseconds of the maximum lifetime's end. */
  readonly endsAt: number;
  readonly bucket: Bucket;
  readonly pace: Pace;
  alive: boolean;
  closing: boolean;
  /** Monotonic milliseconds at which it was first seen closing. */
  closingAt: number | null;
  /** Bytes that wait for the client's next poll. */
  unpolled: number;
  /** Milliseconds since 1970 at which its token ends; null where none does. */
  expiresMs: number | null;
  /** Null until the client joined Socket.IO's main namespace. */
  conversation: Conversation | null;
}

/** What one client gets and asks; what it needs to be told of its connection. */
export interface Conversation {
  /** The connection has room again. */
  drained(): void;
  closed(): void;
}

/** How connections are spoken to, limited and ended. */
export interface Sessions {
  open(conn: Connection, visit: Visit): LegacySession;
  of(transport: object): LegacySession | null;
  /** Sends an event to this one. */
  send(session: LegacySession, packet: Packet): void;
  refuse(session: LegacySession, error: ProtocolError): void;
  /** Books bytes just sent; false asks the feed to pause, and `drained` follows. */
  paced(session: LegacySession, bytes: number): boolean;
  /** Takes from what the client may send; false, and the connection is closed, when that is used up. */
  allow(session: LegacySession, cost: number): boolean;
  /** Closes, in the next turn of the event loop. Clients of Socket.IO come back by themselves, with a delay. */
  close(session: LegacySession, code: CloseCode): void;
  fail(session: LegacySession, where: string, error: unknown): void;
}

/** How long a session of polls may wait for the poll that takes its goodbye. */
const FAREWELL_MS = 2_000;

export function createSessions(parts: GatewayParts, socketOf: (transport: object) => GuardedSocket | null): Sessions {
  const { options, counters } = parts;
  const rate = packetRate(options);
  const byTransport = new WeakMap<object, LegacySession>();
  const group = parts.connections.group<LegacySession>({ tick, end: close, abort });
  const pacing: Pacing<LegacySession> = {
    budget: parts.replayBudget,
    portionBytes: options.softBacklogBytes,
    counters,
    hasRoom: ({ alive, conn, unpolled }) =>
      alive && (socketOf(conn.transport)?.backlog() ?? unpolled) < options.softBacklogBytes,
    goOn(session) {
      try {
        if (session.alive && !session.closing) session.conversation?.drained();
      } catch (error) {
        fail(session, 'socketio_drained', error);
      }
    },
  };

  function send(session: LegacySession, packet: Packet): void {
    if (!session.alive || session.closing) return;
    const text = packetOf(packet);
    counters.directFrames += 1;
    counters.directBytes += text.length;
    session.conn.write(text);
  }

  function close(session: LegacySession, code: CloseCode): void {
    if (!session.alive || session.closing) return;
    session.closing = true;
    count(counters.closes, code);
    setImmediate(() => {
      if (!session.alive) return;
      // Who does not read would not read a goodbye either.
      if (code === CLOSE.slowConsumer) abort(session);
      else session.conn.close();
    });
  }

  function abort({ conn }: LegacySession): void {
    const { transport } = conn;
    socketOf(transport)?.cut();
    conn.close(true);
    // Between two polls Engine.IO waits half a minute for the next one, to answer it with the close.
    if (conn.readyState !== 'closed') transport.emit('close');
  }

  function fail(session: LegacySession, where: string, error: unknown): void {
    parts.failure(where, error);
    session.closing = true;
    setImmediate(() => session.conn.close());
  }

  function tick(session: LegacySession, now: number): void {
    if (session.conn.readyState === 'closing') {
      session.closingAt ??= now;
      if (now - session.closingAt > FAREWELL_MS) abort(session);
    } else if (session.expiresMs !== null && parts.clock() - session.expiresMs > options.authGraceMs)
      close(session, CLOSE.tokenExpired);
    else if (now > session.endsAt) close(session, CLOSE.lifetime);
    else drained(session, pacing);
  }

  function allow(session: LegacySession, cost: number): boolean {
    if (spend(session.bucket, rate, cost, parts.now())) return true;
    if (options.dryRun) count(counters.passed, 'flood');
    else close(session, CLOSE.flood);
    return options.dryRun;
  }

  return {
    open(conn, visit) {
      const openedAt = parts.now();
      const session: LegacySession = {
        conn,
        visit,
        rooms: new Set(),
        openedAt,
        endsAt: openedAt + options.maxLifetimeSeconds * 1000 * (1 - Math.random() / 10),
        bucket: fullBucket(rate, openedAt),
        pace: newPace(),
        alive: true,
        closing: false,
        closingAt: null,
        unpolled: 0,
        expiresMs: null,
        conversation: null,
      };
      byTransport.set(conn.transport, session);
      group.add(session);
      conn.on('upgrade', (transport: object) => void byTransport.set(transport, session));
      // Frames of WebSockets are counted where they come in.
      conn.on('packet', () => {
        if (conn.transport.name === 'polling') allow(session, 1);
      });
      // Polls are answered by the client's leave only: what gathers until then is what a slow reader's backlog is.
      conn.on('packetCreate', ({ data }: { readonly data?: unknown }) => {
        if (conn.transport.name !== 'polling' || typeof data !== 'string') return;
        session.unpolled += data.length;
        if (session.unpolled > options.maxBacklogBytes) close(session, CLOSE.slowConsumer);
      });
      conn.on('flush', () => {
        session.unpolled = 0;
      });
      conn.once('close', () => {
        session.alive = false;
        session.pace.stopWaiting?.();
        parts.admission.release(visit.ticket);
        group.remove(session);
      });
      return session;
    },
    of: (transport) => byTransport.get(transport) ?? null,
    send,
    refuse(session, error) {
      count(counters.errors, error.code);
      const { code, message, retryMs } = error;
      send(session, ['error', { code, message, ...(retryMs === undefined ? {} : { retry_ms: retryMs }) }]);
    },
    paced: (session, bytes) => session.alive && !session.closing && sent(session, bytes, pacing),
    allow,
    close,
    fail,
  };
}
