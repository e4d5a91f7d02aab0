import uWS, { type HttpResponse, type TemplatedApp, type WebSocket } from 'uWebSockets.js';
import { count } from './counters.ts';
import { offeredProtocols } from './door.ts';
import type { GatewayParts } from './parts.ts';
import { answerProblem } from './problem.ts';
import { openWebsocketSession, type SocketData, type WebsocketSession } from './websocket-session.ts';

/** The subprotocol of this protocol's first version; a client need not ask for any. */
export const SUBPROTOCOL = 'runcash.v1';

/** Seconds that uWebSockets waits between its automatic ping and the close, for idle timeouts from 32 s on. */
const PONG_WAIT_SECONDS = 16;

/**
 * What to answer to offered subprotocols: browsers fail the connection when none is chosen. The one that carries a
 * token is chosen only when it stands alone.
 */
function chosenProtocol(header: string): string {
  const offered = offeredProtocols(header);
  if (offered.includes(SUBPROTOCOL)) return SUBPROTOCOL;
  return offered.find((entry) => entry.startsWith('bearer.')) ?? '';
}

/** Serves `/ws`. A plain request there is answered 426. */
export function serveWebsocket(app: TemplatedApp, parts: GatewayParts): void {
  const { options, counters } = parts;

  /** A throw inside a uWebSockets callback would end the process; this ends the one connection. */
  function failed(where: string, ws: WebSocket<SocketData>, error: unknown): void {
    parts.failure(where, error);
    const data = ws.getUserData();
    setImmediate(() => {
      if (!data.gone) ws.end(1011, 'internal');
    });
  }

  function guarded(where: string, ws: WebSocket<SocketData>, act: (session: WebsocketSession) => void): void {
    const { session } = ws.getUserData();
    try {
      if (session !== null) act(session);
    } catch (error) {
      failed(where, ws, error);
    }
  }

  app.ws<SocketData>('/ws', {
    compression: uWS.DISABLED,
    maxPayloadLength: options.maxFrameBytes,
    maxBackpressure: options.maxBacklogBytes,
    // Without it `publish` skips messages for a slow reader, silently.
    closeOnBackpressureLimit: 1,
    idleTimeout: options.pingSeconds + PONG_WAIT_SECONDS,
    sendPingsAutomatically: true,
    maxLifetime: 0,

    upgrade(res, req, context) {
      let taken: (() => void) | null = null;
      try {
        const visit = parts.door.enter(res, req, 'websocket');
        if (visit === null) return;
        taken = () => visit.ticket.release();
        const wanted = visit.query.get('protocol');
        const data: SocketData = { visit, wrongVersion: wanted !== null && wanted !== '1', session: null, gone: false };
        res.upgrade(
          data,
          req.getHeader('sec-websocket-key'),
          chosenProtocol(req.getHeader('sec-websocket-protocol')),
          '',
          context,
        );
      } catch (error) {
        taken?.();
        parts.failure('upgrade', error);
        answerProblem(res, 'internal');
      }
    },

    open(ws) {
      const data = ws.getUserData();
      try {
        data.session = openWebsocketSession(ws, parts);
      } catch (error) {
        failed('open', ws, error);
      }
    },
    message: (ws, bytes, isBinary) => guarded('message', ws, (session) => session.message(bytes, isBinary)),
    ping: (ws) => guarded('ping', ws, (session) => session.control()),
    drain: (ws) => guarded('drain', ws, (session) => session.drained()),
    dropped: (ws) => guarded('dropped', ws, (session) => session.dropped()),
    close(ws) {
      const data = ws.getUserData();
      data.gone = true;
      data.visit.ticket.release();
      try {
        data.session?.closed();
      } catch (error) {
        parts.failure('close', error);
      }
    },
  });

  function notAnUpgrade(res: HttpResponse): void {
    count(counters.refused, 'bad_version');
    answerProblem(res, 'upgrade_required', { headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' } });
  }
  // Both: uWebSockets prefers a route of the method, also a wildcard of somebody else, to one of any method.
  app.get('/ws', notAnUpgrade);
  app.any('/ws', notAnUpgrade);
}
