import type { Clock } from './clock.ts';

/** How often the wall clock is looked at, and by how much a look may be late before the computer must have slept. */
const TICK_MS = 5_000;
const JUMP_MS = 15_000;
/** A page that was hidden for longer may have been frozen by its browser. */
const HIDDEN_MS = 20_000;

interface EventSource {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

const isEventSource = (value: unknown): value is EventSource =>
  typeof value === 'object' && value !== null && 'addEventListener' in value && 'removeEventListener' in value;

export interface WakeEvents {
  /** The computer slept, the clock jumped, or the page came back from the background. */
  woke(): void;
  online(): void;
  offline(): void;
}

/** Watches for sleep by the clock everywhere, and for what a browser says of the page and the network. Returns its stop. */
export function watchWake(clock: Clock, events: WakeEvents): () => void {
  const page: unknown = Reflect.get(globalThis, 'document');
  const hidden = (): boolean => isEventSource(page) && Reflect.get(page, 'visibilityState') === 'hidden';
  const undo: (() => void)[] = [];
  let hiddenSince: number | null = null;
  let last = clock.now();
  let stopTick = (): void => undefined;

  const tick = (): void => {
    const now = clock.now();
    const late = now - last - TICK_MS;
    last = now;
    stopTick = clock.after(TICK_MS, tick);
    // Browsers slow the timers of hidden pages down; that is no sleep.
    if ((late > JUMP_MS || late < -TICK_MS) && !hidden()) events.woke();
  };
  stopTick = clock.after(TICK_MS, tick);

  const on = (target: unknown, type: string, listener: () => void): void => {
    if (!isEventSource(target)) return;
    target.addEventListener(type, listener);
    undo.push(() => target.removeEventListener(type, listener));
  };
  on(page, 'visibilitychange', () => {
    if (hidden()) {
      hiddenSince = clock.now();
      return;
    }
    const away = hiddenSince === null ? 0 : clock.now() - hiddenSince;
    hiddenSince = null;
    last = clock.now();
    if (away > HIDDEN_MS) events.woke();
  });
  // Only pages know of networks; Node's global object has listeners in newer versions, and never these events.
  if (isEventSource(page)) {
    on(globalThis, 'online', events.online);
    on(globalThis, 'offline', events.offline);
  }

  return () => {
    stopTick();
    for (const each of undo) each();
  };
}
