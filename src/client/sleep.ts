import type { Clock } from './clock.ts';
import { SLEPT_MS, TICK_MS } from './limits.ts';

interface EventSource {
  addEventListener(type: string, listener: () => void, options: { readonly signal: AbortSignal }): void;
}

const isEventSource = (value: unknown): value is EventSource => value instanceof Object && 'addEventListener' in value;

export interface SleepEvents {
  /** The computer slept, the clock jumped, or the page came back from the background, where it may have been frozen. */
  woke(): void;
  online(): void;
  offline(): void;
}

/** Watches for sleep by the clock everywhere, and for what a browser says of page and network. Returns its stop. */
export function watchSleep(clock: Clock, { woke, online, offline }: SleepEvents): () => void {
  const page: unknown = globalThis;
  let last = clock.now();
  let stopTick: () => void;

  /** Browsers slow the timers of hidden pages down; that is no sleep, until the page is seen again. */
  const look = (): void => {
    if (Reflect.get(Object(Reflect.get(globalThis, 'document')), 'visibilityState') === 'hidden') return;
    const step = clock.now() - last;
    last += step;
    if (step < 0 || step > SLEPT_MS) woke();
  };
  const tick = (): void => {
    stopTick = clock.after(TICK_MS, tick);
    look();
  };
  stopTick = clock.after(TICK_MS, tick);

  // Only pages have these events, that of the document among them; Node's global object takes listeners, for nothing.
  const over = new AbortController();
  if (isEventSource(page)) {
    for (const [type, listener] of Object.entries({ visibilitychange: look, online, offline })) {
      page.addEventListener(type, listener, over);
    }
  }

  return () => {
    stopTick();
    over.abort();
  };
}
