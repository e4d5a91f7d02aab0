import type { Clock } from './clock.ts';
import { pollTransport } from './poll.ts';
import { sseTransport } from './sse.ts';
import type { Transport, TransportName } from './transport.ts';
import type { ConnectOptions } from './types.ts';
import { webSocketTransport } from './websocket.ts';

/** Attempts with a transport that never answered, before the next one is tried. */
const PATIENCE = 2;
const MEMORY_KEY = 'runcash-live.transport';

/** Which transport to use, remembered for the browser's session. */
export interface Ways {
  current(): Transport;
  /** The best one, when it is not the one in use, takes no part in a forced choice, and can be tried beside it. */
  better(): Transport | null;
  worked(): void;
  /** It never answered; after some patience the next one is current. */
  failed(): void;
  useBest(): void;
  force(name: TransportName | null): void;
}

/** The page's session storage; null outside browsers, and where it is forbidden. */
function storage(): { getItem(key: string): string | null; setItem(key: string, value: string): void } | null {
  try {
    const found: unknown = Reflect.get(globalThis, 'sessionStorage');
    return found instanceof Object && 'getItem' in found && 'setItem' in found ? memoryOf(found) : null;
  } catch {
    // Browsers throw on the mere access where storage is blocked; then nothing is remembered, and nothing is lost.
    return null;
  }
}

const memoryOf = (found: object) => ({
  getItem(key: string): string | null {
    const value: unknown = Reflect.apply(Reflect.get(found, 'getItem'), found, [key]);
    return typeof value === 'string' ? value : null;
  },
  setItem(key: string, value: string): void {
    Reflect.apply(Reflect.get(found, 'setItem'), found, [key, value]);
  },
});

function build(wish: TransportName | Transport, options: ConnectOptions, clock: Clock): Transport {
  switch (wish) {
    case 'websocket':
      return webSocketTransport(options.WebSocket);
    case 'sse':
      return sseTransport(options.fetch);
    case 'poll':
      return pollTransport(clock, options.fetch);
    default:
      return wish;
  }
}

/** Throws TypeError when the platform has none of the transports asked for. */
export function createWays(options: ConnectOptions, clock: Clock): Ways {
  const asked = options.transports ?? (['websocket', 'sse', 'poll'] as const);
  const order = asked.map((wish) => build(wish, options, clock)).filter(({ available }) => available);
  const [best] = order;
  if (!best) throw new TypeError('this platform has none of the transports asked for');
  const memory = options.transports ? null : storage();
  const named = (name: string | null): Transport | undefined => order.find((each) => each.name === name);
  let forced: Transport | null = null;
  let current = named(memory?.getItem(MEMORY_KEY) ?? null) ?? best;
  let failures = 0;

  return {
    current: () => forced ?? current,
    better: () => (forced === null && current !== best && best.ask === null ? best : null),
    worked() {
      failures = 0;
      if (forced === null) memory?.setItem(MEMORY_KEY, current.name);
    },
    failed() {
      failures += 1;
      if (failures < PATIENCE || forced !== null) return;
      failures = 0;
      current = order[(order.indexOf(current) + 1) % order.length] ?? best;
    },
    useBest() {
      current = best;
      failures = 0;
    },
    force(name) {
      forced = name === null ? null : (named(name) ?? build(name, options, clock));
      if (!forced?.available) forced = null;
      failures = 0;
    },
  };
}
