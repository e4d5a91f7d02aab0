import type { Server, ServerOptions } from 'socket.io';
import { z } from 'zod';

const topics = z.array(z.string());

/** The side of Socket.IO that its users write: a subscribe joins rooms and is answered. */
export function serveRooms(io: Server): void {
  io.on('connection', (socket) => {
    socket.on('subscribe', (wanted: unknown) => {
      void socket.join(topics.parse(wanted));
      socket.emit('subscribed');
    });
  });
}

/** WebSocket alone, no compression: what its documentation recommends for speed. */
export const IO_OPTIONS: Partial<ServerOptions> = {
  transports: ['websocket'],
  perMessageDeflate: false,
  serveClient: false,
};
