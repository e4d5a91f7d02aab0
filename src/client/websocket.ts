import type { Transport, WebSocketConstructor } from './transport.ts';

const isConstructor = (value: unknown): value is WebSocketConstructor => typeof value === 'function';

/** The value of a JSON text; null for anything else, which is reported as the malformed frame that it is. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** WebSocket at `<base>/ws`; null where there is none. Node 20 has no global one: there the class is handed in. */
export function webSocketTransport(given?: WebSocketConstructor): Transport | null {
  const found: unknown = given ?? Reflect.get(globalThis, 'WebSocket');
  if (!isConstructor(found)) return null;
  return {
    name: 'websocket',
    duplex: true,
    open({ base }, sink) {
      const socket = new found(`${base.replace('http', 'ws')}/ws`);
      socket.addEventListener('message', ({ data }) => sink.frame(parsed(String(data))));
      // `error` says nothing that `close` does not say after it; without a listener `ws` would throw.
      socket.addEventListener('error', () => undefined);
      socket.addEventListener('close', ({ code, reason }) => sink.closed({ code, reason }));
      return {
        send: (frame) => socket.send(JSON.stringify(frame)),
        close: () => socket.close(1000),
      };
    },
  };
}
