import { ProtocolError } from '../../protocol/errors.ts';
import { refuse } from '../door/answer.ts';
import type { NetworkApp, ServerSocket } from '../network/network.ts';
import type { GatewayParts } from './parts.ts';
import { socketLimits } from './websocket.ts';

/** What serves one line to a leaf: told what comes on it, when it has room again, and of its end. */
interface ReplicaPeer {
  /** May throw for what it cannot read. */
  said(message: string): void;
  drained(): void;
  closed(): void;
}

interface ReplicaDeps {
  /** Serves a line on which text is sent both ways. */
  replicate(link: { send(message: string): void; hasRoom(): boolean; close(): void }): ReplicaPeer;
  /** Whether a request with this `Authorization` may copy everything. */
  isAllowed(authorization: string): boolean;
}

/** A leaf that does not take what it is sent is cut off: it comes again, and is given what it missed. */
const MAX_UNSENT_BYTES = 256 * 1024 * 1024;
/** Unsent bytes at which a copy waits. */
const SOFT_UNSENT_BYTES = 1024 * 1024;

interface ReplicaData {
  peer: ReplicaPeer | null;
}

/** Serves `/api/v1/replica`: the WebSocket on which a leaf copies what this instance serves. */
export function serveReplicas(app: NetworkApp, parts: GatewayParts, { replicate, isAllowed }: ReplicaDeps): void {
  const end = (socket: ServerSocket<ReplicaData>, where: string, error: unknown): void => {
    parts.failure(where, error);
    socket.close();
  };

  app.ws<ReplicaData>('/api/v1/replica', {
    ...socketLimits(parts.options),
    maxBackpressure: MAX_UNSENT_BYTES,
    upgrade(res, req, context) {
      try {
        const arrival = parts.door.enterAgain(res, req, 'websocket');
        if (arrival === null) return;
        if (!isAllowed(arrival.head.headers.get('authorization') ?? '')) {
          refuse(res, new ProtocolError('unauthorized'), arrival);
          return;
        }
        res.upgrade<ReplicaData>({ peer: null }, req.getHeader('sec-websocket-key'), '', '', context);
        arrival.socket.upgraded();
      } catch (error) {
        parts.failure('upgrade', error);
        res.close();
      }
    },
    open(socket) {
      let isOpen = true;
      const data = socket.getUserData();
      const peer = replicate({
        send(message) {
          if (isOpen) socket.send(message);
        },
        hasRoom: () => isOpen && socket.getBufferedAmount() < SOFT_UNSENT_BYTES,
        close() {
          if (isOpen) socket.close();
        },
      });
      data.peer = {
        said: peer.said,
        drained: peer.drained,
        closed() {
          isOpen = false;
          peer.closed();
        },
      };
    },
    message(socket, bytes) {
      try {
        socket.getUserData().peer?.said(Buffer.from(bytes).toString());
      } catch (error) {
        end(socket, 'replica', error);
      }
    },
    drain: (socket) => socket.getUserData().peer?.drained(),
    dropped: () => undefined,
    close: (socket) => socket.getUserData().peer?.closed(),
  });
}
