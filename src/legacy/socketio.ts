import { Server, type Socket } from 'socket.io';
import { type Grant, OPEN_GRANT } from '../gateway/door/access.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import type { NetworkApp } from '../gateway/network/network.ts';
import { EVERYONE } from '../protocol/delivery.ts';
import { CLOSE, ProtocolError } from '../protocol/errors.ts';
import { ALL_TABLES } from '../protocol/messages.ts';
import { createBroadcast } from './broadcast.ts';
import { ClientConversation, type ConversationTools, type LegacySource } from './conversation.ts';
import type { CopiedRequest } from './exchange.ts';
import { authField, textOf } from './requests.ts';
import { createRooms, type EngineConnection, type Rooms } from './rooms.ts';
import { type LegacySession, Sessions } from './session.ts';
import { Wire } from './wire.ts';

/** Socket.IO for RunCash's first clients, on the gateway's own port. */
export interface LegacySockets {
  /** A transport of the gateway. */
  serve(app: NetworkApp, parts: GatewayParts): void;
  /** Ends Socket.IO's own timers; after the gateway closed the connections. */
  stop(): Promise<void>;
}

/** A POST of the polling transport holds several packets; a WebSocket frame holds one. */
const FRAMES_PER_POST = 4;

/** What a peer may take for the answer to a ping. */
const PONG_WAIT_MS = 20_000;

const isCopied = (request: object): request is CopiedRequest => 'visit' in request && 'taken' in request;

/** Who is connected, between Engine.IO's connection and Socket.IO's. */
interface Admitted {
  readonly byConnection: WeakMap<EngineConnection, LegacySession>;
  readonly grants: WeakMap<Socket, Grant>;
  /** Those that showed a bad token: the answer to it ends them, at once or late. */
  readonly refused: WeakSet<EngineConnection>;
}

/** Takes a connection of Engine.IO whose request passed the gateway's door. */
function acceptConnection(conn: EngineConnection, { byConnection }: Admitted, sessions: Sessions, rooms: Rooms): void {
  const request: object = conn.request;
  const visit = isCopied(request) ? request.visit : null;
  if (!isCopied(request) || visit === null) {
    conn.close(true);
    return;
  }
  request.taken = true;
  const session = sessions.open(conn, visit);
  byConnection.set(conn, session);
  conn.on('upgrade', () => rooms.upgraded(session));
  conn.once('close', () => {
    session.conversation?.closed();
    session.conversation = null;
  });
}

/** Checks the token of the handshake, or of the request, where one is needed. */
function authorize(socket: Socket, next: (error?: Error) => void, admitted: Admitted, tools: ConversationTools): void {
  const { parts, sessions } = tools;
  const { authenticator, log } = parts;
  if (authenticator === null) {
    next();
    return;
  }
  if (admitted.refused.has(socket.conn)) return;
  const session = admitted.byConnection.get(socket.conn);
  const visit = session?.visit;
  const given = authField(socket.handshake.auth, 'token');
  const token = typeof given === 'string' && given !== '' ? given : (visit?.token ?? null);
  const refuse = (error: unknown): void => {
    if (admitted.refused.has(socket.conn)) return;
    admitted.refused.add(socket.conn);
    const cause = error instanceof ProtocolError ? String(error.cause ?? error.message) : String(error);
    log.info('token_refused', { address: visit?.visitor.text, cause });
    parts.arrivals.refuse(visit?.visitor.key ?? '', () => {
      next(Object.assign(new Error('unauthorized'), { data: { code: 'unauthorized' } }));
      // As on /ws: who shows a bad token is sent away, and cannot try the next one on the same connection.
      if (session !== undefined) sessions.close(session, CLOSE.authFailed);
    });
  };
  if (token === null) {
    refuse(new ProtocolError('unauthorized'));
    return;
  }
  authenticator
    .authenticate(token)
    .then((grant) => {
      admitted.grants.set(socket, grant);
      next();
    }, refuse)
    .catch((error: unknown) => {
      parts.failure('socketio_admission', error);
      socket.disconnect(true);
    });
}

function startConversation(socket: Socket, { byConnection, grants }: Admitted, tools: ConversationTools): void {
  const session = byConnection.get(socket.conn);
  // One conversation per connection: a second join would live on under the later of two tokens.
  if (session === undefined || !session.alive || session.conversation !== null) {
    socket.disconnect(true);
    return;
  }
  try {
    const grant = grants.get(socket) ?? OPEN_GRANT;
    session.grant = grant;
    const after = textOf(authField(socket.handshake.auth, 'after'));
    const conversation = new ClientConversation(session, grant, after, tools);
    session.conversation = conversation;
    conversation.begin(socket);
    socket.once('disconnect', () => {
      conversation.closed();
      if (session.conversation === conversation) session.conversation = null;
    });
  } catch (error) {
    tools.sessions.fail(session, 'socketio_connection', error);
  }
}

/**
 * Socket.IO by its own library (`attachApp`), under the gateway's limits: who connects passes its door, tokens are those
 * of `AUTH`, slow consumers are closed, and connections are sent away when the service stops.
 */
export function createLegacySockets(source: LegacySource, broadcast: boolean): LegacySockets {
  let server: Server | null = null;

  return {
    serve(app, parts) {
      const { options, delivery, fanout } = parts;
      const wire = new Wire(app, parts, {
        dropped(transport) {
          parts.counters.droppedFrames += 1;
          const session = sessions.of(transport);
          if (session !== null) sessions.close(session, CLOSE.slowConsumer);
        },
      });
      const sessions = new Sessions(parts, wire.socketOf);
      const rooms = createRooms(wire.socketOf, wire.app.publish);
      const tools: ConversationTools = { parts, rooms, sessions, source, broadcast };
      const io = new Server({
        serveClient: false,
        // Compression runs once per recipient.
        httpCompression: false,
        maxHttpBufferSize: options.maxFrameBytes * FRAMES_PER_POST,
        pingInterval: options.pingSeconds * 1000,
        pingTimeout: PONG_WAIT_MS,
        connectTimeout: options.firstFrameMs,
      });
      server = io;
      io.attachApp(wire.app);

      const admitted: Admitted = { byConnection: new WeakMap(), grants: new WeakMap(), refused: new WeakSet() };
      io.engine.on('connection', (conn: EngineConnection) => acceptConnection(conn, admitted, sessions, rooms));
      io.use((socket, next) => authorize(socket, next, admitted, tools));
      io.on('connection', (socket) => startConversation(socket, admitted, tools));

      const tell = createBroadcast(rooms, source, broadcast, () => delivery.reached()?.epoch ?? '');
      const deliver = (frame: Parameters<typeof tell>[0]): void => {
        try {
          tell(frame);
        } catch (error) {
          parts.failure('socketio_broadcast', error);
        }
      };
      fanout.join(ALL_TABLES, { deliver });
      fanout.join(EVERYONE, { deliver });
    },
    stop: async () => await server?.close(),
  };
}
