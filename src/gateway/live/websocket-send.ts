import type { Subscriber } from '../../protocol/delivery.ts';
import { CLOSE, CLOSES, type CloseCode, type ProtocolError } from '../../protocol/errors.ts';
import type { Frame, RequestId } from '../../protocol/messages.ts';
import { retryDelay, type Ticket } from '../door/admission.ts';
import { count } from '../door/counters.ts';
import type { Bucket } from '../door/limits.ts';
import type { ServerSocket } from '../network/network.ts';
import { byeFrame, errorFrame } from './frames.ts';
import type { SendPace } from './pace.ts';
import type { GatewayParts } from './parts.ts';
import type { SocketCredentials } from './websocket-auth.ts';

/** What uWebSockets keeps beside a socket. */
export interface SocketData {
  readonly ticket: Ticket;
  readonly address: string;
  /** The token of the upgrade request, until it is checked. */
  token: string | null;
  /** The client asked for another protocol version. */
  readonly wrongVersion: boolean;
  session: WebsocketSession | null;
}

/**
 * One WebSocket's conversation. A record without methods, since an idle connection should cost little more than what
 * uWebSockets keeps for it.
 * INVARIANT never-touch-a-dead-socket: `alive` is false from the close callback on, and nothing calls the socket without
 * looking at it; closing is always deferred, since uWebSockets crashes when a socket ends inside `dropped`.
 */
export interface WebsocketSession {
  readonly ws: ServerSocket<SocketData>;
  readonly openedAt: number;
  /** Monotonic milliseconds of the maximum lifetime's end. */
  readonly endsAt: number;
  readonly bucket: Bucket;
  readonly pace: SendPace;
  alive: boolean;
  closing: boolean;
  /** A frame came, of whatever kind. */
  heard: boolean;
  errors: number;
  /** Frames sent, less what its topics had published when it joined them. */
  sent: number;
  subscriber: Subscriber | null;
  /** Null where no token is asked for. */
  credentials: SocketCredentials | null;
}

/** How a WebSocket is spoken to and ended. */
export interface SocketSender {
  reply(session: WebsocketSession, frame: Frame): void;
  /** Answers with an error; too many of them end the connection. */
  refuse(session: WebsocketSession, error: ProtocolError, id: RequestId | undefined): void;
  /** Says goodbye and closes, in the next turn of the event loop. */
  close(session: WebsocketSession, code: CloseCode, retryMs?: number): void;
  /** Ends the connection after an exception that is this side's defect. */
  fail(session: WebsocketSession, where: string, error: unknown): void;
  abort(session: WebsocketSession): void;
}

/** Closes without `bye` and handshake: who does not read would not read them. */
const isCut = (code: CloseCode): boolean => code === CLOSE.slowConsumer;

export function createSender(parts: GatewayParts): SocketSender {
  const { options, counters } = parts;

  function reply(session: WebsocketSession, frame: Frame): void {
    if (!session.alive) return;
    session.sent += 1;
    counters.directFrames += 1;
    counters.directBytes += frame.text.length;
    session.ws.send(frame.text);
  }

  function close(session: WebsocketSession, code: CloseCode, retryMs?: number): void {
    if (!session.alive || session.closing) return;
    count(counters.closes, code);
    const comesBack = CLOSES[code].retry !== 'never' && !isCut(code);
    if (comesBack) reply(session, byeFrame(code, retryMs ?? retryDelay(options)));
    session.closing = true;
    setImmediate(() => {
      if (!session.alive) return;
      if (isCut(code)) session.ws.close();
      else session.ws.end(code, CLOSES[code].text);
    });
  }

  function abort(session: WebsocketSession): void {
    if (session.alive) session.ws.close();
  }

  function fail(session: WebsocketSession, where: string, error: unknown): void {
    parts.failure(where, error);
    session.closing = true;
    setImmediate(() => {
      if (session.alive) session.ws.end(1011, 'internal');
    });
  }

  function refuse(session: WebsocketSession, error: ProtocolError, id: RequestId | undefined): void {
    count(counters.errors, error.code);
    reply(session, errorFrame(error, id));
    session.errors += 1;
    if (session.errors >= options.maxErrors) close(session, CLOSE.tooManyErrors);
  }

  return { reply, refuse, close, fail, abort };
}
