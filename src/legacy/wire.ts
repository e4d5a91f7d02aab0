import { type Bucket, fullBucket, type Rate, spend } from '../gateway/door/bucket.ts';
import { count } from '../gateway/door/counters.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { socketLimits } from '../gateway/live/websocket.ts';
import type {
  HttpRequest,
  HttpResponse,
  NetworkApp,
  ServerSocket,
  UpgradeContext,
} from '../gateway/network/network.ts';
import type { GatewayOptions } from '../gateway/options.ts';
import { CLOSE } from '../protocol/errors.ts';
import {
  type CopiedRequest,
  copyRequest,
  type GuardedResponse,
  type GuardedSocket,
  guardResponse,
  type SocketData,
} from './exchange.ts';

/** A first client sends a packet per card and another for its strategy, all at once. */
const PACKETS_PER_FRAME = 5;

/** What a client may send, in packets of Engine.IO. */
export const packetRate = ({ framesPerSecond, frameBurst }: GatewayOptions): Rate => ({
  perSecond: framesPerSecond * PACKETS_PER_FRAME,
  burst: frameBurst * PACKETS_PER_FRAME,
});

/** What Engine.IO registers for its WebSockets. */
interface EngineBehavior {
  readonly maxPayloadLength: number;
  upgrade(res: GuardedResponse, req: CopiedRequest, context: UpgradeContext<SocketData>): void;
  open(socket: GuardedSocket): void;
  message(socket: GuardedSocket, message: ArrayBuffer, isBinary: boolean): void;
  close(socket: Pick<GuardedSocket, 'getUserData'>, code: number, message: ArrayBuffer): void;
}

/** The part of a uWebSockets app that `attachApp` of Socket.IO touches. */
export interface EngineApp {
  any(path: string, serve: (res: GuardedResponse, req: CopiedRequest) => void): EngineApp;
  ws(path: string, behavior: EngineBehavior): EngineApp;
  publish(topic: string, message: string): void;
}

export interface Wire {
  readonly app: EngineApp;
  /** The WebSocket of an Engine.IO transport; null for polling. */
  socketOf(transport: object): GuardedSocket | null;
}

export interface WireEvents {
  /** A socket took less than was sent and is being closed. */
  dropped(transport: object): void;
}

/**
 * Stands between uWebSockets and Engine.IO. Engine.IO lets no limit be set on who connects, calls responses and sockets
 * that are gone, and lets exceptions of its own reach uWebSockets, which then ends the process: here every request
 * passes the gateway's door first, and everything Engine.IO holds is safe to call at any time.
 */
export function guardedWire(app: NetworkApp, parts: GatewayParts, events: WireEvents): Wire {
  const { options, door } = parts;
  const rate = packetRate(options);
  const sockets = new WeakMap<object, GuardedSocket>();

  const failed = (where: string, error: unknown, cut: () => void): void => {
    parts.failure(where, error);
    setImmediate(cut);
  };

  const bucketOf = (): Bucket => fullBucket(rate, parts.now());

  /** The request as Engine.IO sees it; null when it was answered here. */
  function admitted(res: HttpResponse, req: HttpRequest, upgrades: boolean): [CopiedRequest, GuardedResponse] | null {
    const copy = copyRequest(req);
    if (!copy.opens(upgrades)) {
      const arrival = door.enterAgain(res, req, 'socketio');
      return arrival === null ? null : [copy, guardResponse(res, arrival.answerHeaders, bucketOf, failed)];
    }
    const visit = door.enter(res, req, 'socketio');
    if (visit === null) return null;
    copy.visit = visit;
    // What no connection came of gives its place back; Engine.IO makes one in the microtasks of this turn.
    setImmediate(() => {
      if (!copy.taken) parts.admission.release(visit.ticket);
    });
    return [copy, guardResponse(res, visit.answerHeaders, bucketOf, failed)];
  }

  function guardSocket(ws: ServerSocket<SocketData>, data: SocketData): GuardedSocket {
    const live = (act: () => void): void => {
      if (data.socket !== null) act();
    };
    return {
      getUserData: () => data.carried,
      send: (message, isBinary) => live(() => void ws.send(message, isBinary ?? false, false)),
      // Deferred: Engine.IO ends sockets in the middle of whatever it does, also inside `dropped`.
      end: () => void setImmediate(() => live(() => ws.end())),
      cut: () => void setImmediate(() => live(() => ws.close())),
      subscribe: (topic) => live(() => void ws.subscribe(topic)),
      unsubscribe: (topic) => live(() => void ws.unsubscribe(topic)),
      backlog: () => (data.socket === null ? 0 : ws.getBufferedAmount()),
    };
  }

  const engineApp: EngineApp = {
    any(path, serve) {
      app.any(path, (res, req) => {
        try {
          if (req.getMethod() === 'options') {
            door.answerOther(res, req, ['GET', 'POST']);
            return;
          }
          const entered = admitted(res, req, false);
          if (entered === null) return;
          const [copy, response] = entered;
          try {
            serve(response, copy);
          } catch (error) {
            failed('socketio_request', error, response.close);
          }
        } catch (error) {
          parts.failure('socketio_request', error);
          res.close();
        }
      });
      return engineApp;
    },
    ws(path, behavior) {
      app.ws<SocketData>(path, {
        ...socketLimits(options),
        upgrade(res, req, context) {
          try {
            const entered = admitted(res, req, true);
            if (entered === null) return;
            const [copy, response] = entered;
            response.upgrades((carried) => {
              const closed = { getUserData: () => carried };
              behavior.close(closed, 1006, new ArrayBuffer(0));
            });
            try {
              behavior.upgrade(response, copy, context);
            } catch (error) {
              failed('socketio_upgrade', error, response.close);
            }
          } catch (error) {
            parts.failure('socketio_upgrade', error);
            res.close();
          }
        },
        open(ws) {
          const data = ws.getUserData();
          const socket = guardSocket(ws, data);
          data.socket = socket;
          sockets.set(data.carried.transport, socket);
          guarded('socketio_open', data, () => behavior.open(socket));
        },
        message(ws, message, isBinary) {
          const data = ws.getUserData();
          if (spend(data.bucket, rate, 1, parts.now()) || options.dryRun) {
            guarded('socketio_message', data, (socket) => behavior.message(socket, message, isBinary));
          } else if (!data.flooding) {
            data.flooding = true;
            count(parts.counters.closes, CLOSE.flood);
            data.socket?.cut();
          }
        },
        dropped(ws) {
          const data = ws.getUserData();
          guarded('socketio_dropped', data, () => events.dropped(data.carried.transport));
        },
        close(ws, code, message) {
          const data = ws.getUserData();
          const socket = data.socket;
          data.socket = null;
          if (socket === null) return;
          try {
            behavior.close(socket, code, message);
          } catch (error) {
            parts.failure('socketio_close', error);
          }
        },
      });
      return engineApp;
    },
    publish: (topic, message) => void app.publish(topic, message),
  };

  function guarded(where: string, { socket }: SocketData, act: (socket: GuardedSocket) => void): void {
    if (socket === null) return;
    try {
      act(socket);
    } catch (error) {
      failed(where, error, socket.end);
    }
  }

  return { app: engineApp, socketOf: (transport) => sockets.get(transport) ?? null };
}
