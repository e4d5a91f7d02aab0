import type { Ticket } from '../door/admission.ts';
import { offeredProtocols } from '../door/door.ts';
import type { HttpRequest, HttpResponse, NetworkApp, ServerSocket } from '../network/network.ts';
import type { GatewayOptions } from '../options.ts';
import type { GatewayParts } from './parts.ts';
import type { SocketData, WebsocketSession } from './websocket-send.ts';
import { Conversations } from './websocket-session.ts';

/** The subprotocol of this protocol's first version; a client need not ask for any. */
const SUBPROTOCOL = 'runcash.v1';

/** Seconds that uWebSockets waits between its automatic ping and the close, for idle timeouts from 32 s on. */
const PONG_WAIT_SECONDS = 16;

/**
 * What to answer to offered subprotocols: browsers fail the connection when none is chosen. The one that carries a
 * token is chosen only when it is the only one.
 */
function chosenProtocol(header: string): string {
  const offered = offeredProtocols(header);
  if (offered.includes(SUBPROTOCOL)) return SUBPROTOCOL;
  return offered.find((entry) => entry.startsWith('bearer.')) ?? '';
}

/** The limits of uWebSockets.js for every WebSocket of this port, whatever is spoken over it. */
export const socketLimits = (options: GatewayOptions) => ({
  maxPayloadLength: options.maxFrameBytes,
  maxBackpressure: options.maxBacklogBytes,
  // Without it `publish` skips messages for a slow reader, silently.
  closeOnBackpressureLimit: 1,
  idleTimeout: options.pingSeconds + PONG_WAIT_SECONDS,
  sendPingsAutomatically: true,
  maxLifetime: 0,
});

/** Serves `/ws`. A plain request there is answered 426. */
export function serveWebsocket(app: NetworkApp, parts: GatewayParts): void {
  const { options } = parts;
  const conversations = new Conversations(parts);

  /** A throw inside a uWebSockets callback would end the process; this ends the one connection. */
  function guarded(where: string, ws: ServerSocket<SocketData>, act: (session: WebsocketSession) => void): void {
    const { session } = ws.getUserData();
    if (session === null) return;
    try {
      act(session);
    } catch (error) {
      conversations.fail(session, where, error);
    }
  }

  app.ws<SocketData>('/ws', {
    ...socketLimits(options),

    upgrade(res, req, context) {
      let ticket: Ticket | null = null;
      try {
        const visit = parts.door.enter(res, req, 'websocket');
        if (visit === null) return;
        ticket = visit.ticket;
        const wanted = visit.head.query.get('protocol');
        const data: SocketData = {
          ticket,
          address: visit.visitor.text,
          token: visit.token,
          wrongVersion: wanted !== null && wanted !== '1',
          session: null,
        };
        res.upgrade(
          data,
          req.getHeader('sec-websocket-key'),
          chosenProtocol(req.getHeader('sec-websocket-protocol')),
          '',
          context,
        );
        visit.socket.upgraded();
      } catch (error) {
        if (ticket !== null) parts.admission.release(ticket);
        parts.failure('upgrade', error);
        res.close();
      }
    },

    open(ws) {
      const data = ws.getUserData();
      try {
        conversations.open(ws);
      } catch (error) {
        if (data.session !== null) conversations.fail(data.session, 'open', error);
        else parts.failure('open', error);
      }
    },
    message: (ws, bytes, isBinary) =>
      guarded('message', ws, (session) => conversations.message(session, bytes, isBinary)),
    ping: (ws) => guarded('ping', ws, (session) => conversations.control(session)),
    drain: (ws) => guarded('drain', ws, (session) => conversations.drained(session)),
    dropped: (ws) => guarded('dropped', ws, (session) => conversations.dropped(session)),
    close(ws) {
      const data = ws.getUserData();
      parts.admission.release(data.ticket);
      try {
        if (data.session !== null) conversations.closed(data.session);
      } catch (error) {
        parts.failure('close', error);
      }
    },
  });

  function notAnUpgrade(res: HttpResponse, req: HttpRequest): void {
    const arrival = parts.door.enterAgain(res, req, 'websocket');
    if (arrival !== null) parts.door.turnAway(res, arrival, 'bad_version');
  }
  // Both: uWebSockets prefers a route of the method, also a wildcard of somebody else, to one of any method.
  app.get('/ws', notAnUpgrade);
  app.any('/ws', notAnUpgrade);
}
