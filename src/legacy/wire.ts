import type { Arrival } from '../gateway/door/arrival.ts';
import { count } from '../gateway/door/counters.ts';
import { type Bucket, fullBucket, type Rate, spend } from '../gateway/door/limits.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { socketLimits } from '../gateway/live/websocket.ts';
import type {
  HttpRequest,
  HttpResponse,
  NetworkApp,
  ServerSocket,
  SocketBehavior,
  UpgradeContext,
} from '../gateway/network/network.ts';
import type { GatewayOptions } from '../gateway/options.ts';
import { CLOSE } from '../protocol/errors.ts';
import {
  type CopiedRequest,
  copyRequest,
  type EngineSocketData,
  type GuardedResponse,
  type GuardedSocket,
  guardResponse,
} from './exchange.ts';

/** Code of a connection that ended without a close frame (RFC 6455, 7.4.1). */
const ABNORMAL_CLOSURE = 1006;

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
  upgrade(res: GuardedResponse, req: CopiedRequest, context: UpgradeContext<EngineSocketData>): void;
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

export interface WireEvents {
  /** A socket took less than was sent and is being closed. */
  dropped(transport: object): void;
}

/**
 * Between the network and Engine.IO. Engine.IO lets no limit be set on who connects, calls responses and sockets that are
 * gone, and lets exceptions of its own reach the network, which then ends the process: here every request passes the
 * gateway's door first, and everything Engine.IO holds is safe to call at any time.
 */
export class Wire {
  /** What Engine.IO takes for an app of uWebSockets.js. */
  readonly app: EngineApp;
  readonly #parts: GatewayParts;
  readonly #events: WireEvents;
  readonly #rate: Rate;
  readonly #sockets = new WeakMap<object, GuardedSocket>();

  constructor(app: NetworkApp, parts: GatewayParts, events: WireEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#rate = packetRate(parts.options);
    const engineApp: EngineApp = {
      any: (path, serve) => {
        app.any(path, (res, req) => this.#request(res, req, serve));
        return engineApp;
      },
      ws: (path, behavior) => {
        app.ws<EngineSocketData>(path, this.#behaviorOf(behavior));
        return engineApp;
      },
      publish: (topic, message) => void app.publish(topic, message),
    };
    this.app = engineApp;
  }

  /** The WebSocket of an Engine.IO transport; null for polling. */
  readonly socketOf = (transport: object): GuardedSocket | null => this.#sockets.get(transport) ?? null;

  #request(res: HttpResponse, req: HttpRequest, serve: (res: GuardedResponse, req: CopiedRequest) => void): void {
    try {
      if (req.getMethod() === 'options') {
        this.#parts.door.answerOther(res, req, ['GET', 'POST']);
        return;
      }
      const entered = this.#admitted(res, req, false);
      if (entered === null) return;
      const [copy, response] = entered;
      try {
        serve(response, copy);
      } catch (error) {
        this.#failed('socketio_request', error, response.close);
      }
    } catch (error) {
      this.#parts.failure('socketio_request', error);
      res.close();
    }
  }

  #behaviorOf(engine: EngineBehavior): SocketBehavior<EngineSocketData> {
    return {
      ...socketLimits(this.#parts.options),
      upgrade: (res, req, context) => this.#upgrade(res, req, context, engine),
      open: (ws) => {
        const data = ws.getUserData();
        const socket = guardSocket(ws, data);
        data.socket = socket;
        this.#sockets.set(data.carried.transport, socket);
        this.#guarded('socketio_open', data, () => engine.open(socket));
      },
      message: (ws, message, isBinary) => {
        const data = ws.getUserData();
        if (this.#allows(data))
          this.#guarded('socketio_message', data, (socket) => engine.message(socket, message, isBinary));
      },
      dropped: (ws) => {
        const data = ws.getUserData();
        this.#guarded('socketio_dropped', data, () => this.#events.dropped(data.carried.transport));
      },
      close: (ws, code, message) => {
        const data = ws.getUserData();
        const { socket } = data;
        data.socket = null;
        if (socket === null) return;
        try {
          engine.close(socket, code, message);
        } catch (error) {
          this.#parts.failure('socketio_close', error);
        }
      },
    };
  }

  #upgrade(
    res: HttpResponse,
    req: HttpRequest,
    context: UpgradeContext<EngineSocketData>,
    engine: EngineBehavior,
  ): void {
    try {
      const entered = this.#admitted(res, req, true);
      if (entered === null) return;
      const [copy, response] = entered;
      response.upgrades((carried) =>
        engine.close({ getUserData: () => carried }, ABNORMAL_CLOSURE, new ArrayBuffer(0)),
      );
      try {
        engine.upgrade(response, copy, context);
      } catch (error) {
        this.#failed('socketio_upgrade', error, response.close);
      }
    } catch (error) {
      this.#parts.failure('socketio_upgrade', error);
      res.close();
    }
  }

  /** The request as Engine.IO sees it; null when it was answered here. */
  #admitted(res: HttpResponse, req: HttpRequest, upgrades: boolean): [CopiedRequest, GuardedResponse] | null {
    const { door, admission } = this.#parts;
    const copy = copyRequest(req);
    if (!copy.opens(upgrades)) {
      const arrival = door.enterAgain(res, req, 'socketio');
      return arrival === null ? null : [copy, this.#guardResponse(res, arrival)];
    }
    const visit = door.enter(res, req, 'socketio');
    if (visit === null) return null;
    copy.visit = visit;
    // What no connection came of gives its place back; Engine.IO makes one in the microtasks of this turn.
    setImmediate(() => {
      if (!copy.taken) admission.release(visit.ticket);
    });
    return [copy, this.#guardResponse(res, visit)];
  }

  #guardResponse(res: HttpResponse, arrival: Arrival): GuardedResponse {
    const bucketOf = (): Bucket => fullBucket(this.#rate, this.#parts.now());
    return guardResponse(res, arrival, bucketOf, (where, error, cut) => this.#failed(where, error, cut));
  }

  /** Takes a frame from what the socket may send; false, and the socket is cut, when that is used up. */
  #allows(data: EngineSocketData): boolean {
    const { options, counters, now } = this.#parts;
    if (spend(data.bucket, this.#rate, 1, now()) || options.dryRun) return true;
    if (!data.flooding) {
      data.flooding = true;
      count(counters.closes, CLOSE.flood);
      data.socket?.cut();
    }
    return false;
  }

  #guarded(where: string, { socket }: EngineSocketData, act: (socket: GuardedSocket) => void): void {
    if (socket === null) return;
    try {
      act(socket);
    } catch (error) {
      this.#failed(where, error, socket.end);
    }
  }

  #failed(where: string, error: unknown, cut: () => void): void {
    this.#parts.failure(where, error);
    setImmediate(cut);
  }
}

function guardSocket(ws: ServerSocket<EngineSocketData>, data: EngineSocketData): GuardedSocket {
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
