import { WebSocket } from 'ws';
import type { Server } from './reader.ts';

/** A service at `ws://127.0.0.1:PORT/ws`, for readers. The port may change between two connections. */
export function socketServer(port: () => number): Server {
  return {
    connect(events) {
      const socket = new WebSocket(`ws://127.0.0.1:${port()}/ws`);
      let requests = 0;
      const waiting: string[] = [];
      socket.on('open', () => {
        for (const text of waiting.splice(0)) socket.send(text);
      });
      socket.on('message', (data) => events.frame(data.toString()));
      // The close that follows says all that a reader needs to know.
      socket.on('error', () => undefined);
      socket.on('close', (code) => events.closed(code));
      return {
        subscribe(request) {
          const text = JSON.stringify({ type: 'subscribe', id: ++requests, ...request });
          if (socket.readyState === WebSocket.OPEN) socket.send(text);
          else waiting.push(text);
        },
        cut: () => socket.terminate(),
      };
    },
  };
}
