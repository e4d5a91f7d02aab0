import type { Clock } from './clock.ts';
import { PATIENCE } from './limits.ts';
import type { Transport, TransportName } from './transport.ts';
import type { ConnectOptions } from './types.ts';
import { webSocketTransport } from './websocket.ts';

const MEMORY_KEY = 'runcash-live.transport';

/** Which way to the server to use, remembered for the browser's session. */
export interface TransportChoice {
  name(): TransportName;
  /** What most clients never need is loaded when it is to be used. */
  load(): Promise<Transport>;
  /** Whether it answered. When it does not, the next one is current after some patience. */
  tried(worked: boolean): void;
  /** Uses this one alone, if the platform has it; null is the usual order again, from the best on. */
  force(name: TransportName | null): void;
}

/** The page's session storage, whose entries are its properties; an empty object where there is none, or it is forbidden. */
function storage(): object {
  try {
    return Object(Reflect.get(globalThis, 'sessionStorage'));
  } catch {
    // Browsers throw on the mere access where storage is blocked; then nothing is remembered, and nothing is lost.
    return {};
  }
}

/** Throws TypeError when the platform has none of the transports asked for. */
export function createTransportChoice(options: ConnectOptions, clock: Clock, random: () => number): TransportChoice {
  const wayOf = (wish: TransportName | Transport) =>
    wish === 'websocket' ? webSocketTransport(options.WebSocket) : typeof wish === 'string' ? { name: wish } : wish;
  const wishes = options.transports ?? (['websocket', 'sse', 'poll'] as const);
  const order = wishes.map(wayOf).filter((way) => way !== null);
  const [best] = order;
  if (!best) throw new TypeError('no transport');
  const memory = options.transports ? {} : storage();
  const remembered: unknown = Reflect.get(memory, MEMORY_KEY);
  let current = order.find((way) => way.name === remembered) ?? best;
  let forced: typeof current | null = null;
  /** What a worker has too, which can be given nothing of the page's own. */
  const isUsual = !options.transports && !options.WebSocket;
  let failures = 0;

  return {
    name: () => (forced ?? current).name,
    async load() {
      const way = forced ?? current;
      if ('open' in way) return options.share ? (await import('./extras.ts')).shareTransport(way, isUsual) : way;
      const { fallbackTransport } = await import('./fallback.ts');
      const better = !forced && 'open' in best ? best : null;
      return fallbackTransport(way.name, better, clock, random, options.fetch);
    },
    tried(worked) {
      failures = worked ? 0 : failures + 1;
      if (forced) return;
      if (worked) Reflect.set(memory, MEMORY_KEY, current.name);
      if (failures < PATIENCE) return;
      failures = 0;
      current = order[(order.indexOf(current) + 1) % order.length] ?? best;
    },
    force(name) {
      forced = name && (order.find((way) => way.name === name) ?? wayOf(name));
      current = best;
      failures = 0;
    },
  };
}
