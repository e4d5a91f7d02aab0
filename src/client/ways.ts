import type { Clock } from './clock.ts';
import type { Conversation, Ground } from './conversation.ts';
import { createDuplex } from './duplex.ts';
import type { Transport, TransportName } from './transport.ts';
import type { ConnectOptions } from './types.ts';
import { webSocketTransport } from './websocket.ts';

/** Attempts with a transport that never answered, before the next one is tried. */
const PATIENCE = 2;
const MEMORY_KEY = 'runcash-live.transport';

/** A transport, and how topics are asked for on it. */
export interface Means {
  readonly transport: Transport;
  readonly converse: (ground: Ground) => Conversation;
}

/** One way to the server. What most clients never need is loaded when it is to be used. */
export interface Way {
  readonly name: TransportName;
  readonly available: boolean;
  /** Of a way that takes frames: it can be tried beside the one in use. */
  readonly duplex: Transport | null;
  load(): Promise<Means>;
}

/** Which way to use, remembered for the browser's session. */
export interface Ways {
  current(): Way;
  /** The best one, when it is not the one in use, takes no part in a forced choice, and can be tried beside it. */
  better(): Transport | null;
  worked(): void;
  /** It never answered; after some patience the next one is current. */
  failed(): void;
  useBest(): void;
  force(name: TransportName | null): void;
}

type SessionStorage = { getItem(key: string): unknown; setItem(key: string, value: string): void };

const isStorage = (value: unknown): value is SessionStorage =>
  value instanceof Object && 'getItem' in value && 'setItem' in value;

/** The page's session storage; null outside browsers, and where it is forbidden. */
function storage(): SessionStorage | null {
  try {
    const found: unknown = Reflect.get(globalThis, 'sessionStorage');
    return isStorage(found) ? found : null;
  } catch {
    // Browsers throw on the mere access where storage is blocked; then nothing is remembered, and nothing is lost.
    return null;
  }
}

function wayOf(wish: TransportName | Transport, options: ConnectOptions, clock: Clock): Way {
  if (wish === 'sse' || wish === 'poll') {
    return {
      name: wish,
      available: typeof (options.fetch ?? Reflect.get(globalThis, 'fetch')) === 'function',
      duplex: null,
      async load() {
        const { fallbackTransport, createOneWay } = await import('./fallback.ts');
        return { transport: fallbackTransport(wish, clock, options.fetch), converse: createOneWay };
      },
    };
  }
  const transport = wish === 'websocket' ? webSocketTransport(options.WebSocket) : wish;
  const { name, available, ask } = transport;
  return {
    name,
    available,
    duplex: ask ? null : transport,
    load: async () => ({ transport, converse: ask ? (await import('./fallback.ts')).createOneWay : createDuplex }),
  };
}

/** Throws TypeError when the platform has none of the transports asked for. */
export function createWays(options: ConnectOptions, clock: Clock): Ways {
  const wishes = options.transports ?? (['websocket', 'sse', 'poll'] as const);
  const order = wishes.map((wish) => wayOf(wish, options, clock)).filter(({ available }) => available);
  const [best] = order;
  if (!best) throw new TypeError('no transport');
  const memory = options.transports ? null : storage();
  const remembered = memory?.getItem(MEMORY_KEY);
  let forced: Way | null = null;
  let current = order.find(({ name }) => name === remembered) ?? best;
  let failures = 0;

  return {
    current: () => forced ?? current,
    better: () => (forced || current === best ? null : best.duplex),
    worked() {
      failures = 0;
      if (!forced) memory?.setItem(MEMORY_KEY, current.name);
    },
    failed() {
      failures += 1;
      if (failures < PATIENCE || forced) return;
      failures = 0;
      current = order[(order.indexOf(current) + 1) % order.length] ?? best;
    },
    useBest() {
      current = best;
      failures = 0;
    },
    force(name) {
      const way = name && (order.find((each) => each.name === name) ?? wayOf(name, options, clock));
      forced = way?.available ? way : null;
      failures = 0;
    },
  };
}
