import type { Transport, WebSocketConstructor } from './transport.ts';

const isConstructor = (value: unknown): value is WebSocketConstructor => typeof value === 'function';

/** WebSocket at `<base>/ws`. Node 20 has no global one: there the class is handed in, or the transport is unavailable. */
export function webSocketTransport(given?: WebSocketConstructor): Transport {
  const found: unknown = given ?? Reflect.get(globalThis, 'WebSocket');
  return {
    name: 'websocket',
    available: isConstructor(found),
    open(target, sink) {
      if (!isConstructor(found)) throw new TypeError('no WebSocket on this platform');
      const socket = new found(`${target.base.replace(/^http/, 'ws')}/ws`);
      let over = false;
      const end = (code: number, reason: string): void => {
        if (over) return;
        over = true;
        sink.closed({ code, reason });
      };
      socket.addEventListener('open', () => {
        if (!over) sink.opened();
      });
      socket.addEventListener('message', ({ data }) => {
        if (over) return;
        let value: unknown;
        try {
          value = JSON.parse(String(data));
        } catch {
          // Reported as the malformed frame that it is.
          value = null;
        }
        sink.frame(value);
      });
      // `error` says nothing that `close` does not say after it; without a listener `ws` would throw.
      socket.addEventListener('error', () => undefined);
      socket.addEventListener('close', ({ code, reason }) => end(code, reason));
      return {
        send: (frame) => socket.send(JSON.stringify(frame)),
        close() {
          over = true;
          socket.close(1000);
        },
      };
    },
    ask: null,
  };
}
