import { SLEPT_MS, TICK_MS } from './limits.ts';

/** Time as the client sees it; tests bring a virtual one. All values are milliseconds. */
export interface Clock {
  /** Milliseconds since 1970 by the wall clock: it goes on while a computer sleeps, which is how sleep is noticed. */
  now(): number;
  /** Runs `task` once after `delayMs`; the returned function takes it back. */
  after(delayMs: number, task: () => void): () => void;
}

/** The clock of the platform. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Timers by name: arming one again replaces it. */
export interface Timers {
  arm(name: string, delayMs: number, task: () => void): void;
  cancel(name: string): void;
  isArmed(name: string): boolean;
  stopAll(): void;
}

/** Once `isOver` none is armed any more, whoever still tries. */
export function createTimers(clock: Clock, isOver: () => boolean): Timers {
  const running = new Map<string, () => void>();
  const cancel = (name: string): void => {
    running.get(name)?.();
    running.delete(name);
  };
  return {
    cancel,
    arm(name, delayMs, task) {
      cancel(name);
      if (isOver()) return;
      const run = (): void => {
        running.delete(name);
        task();
      };
      running.set(name, clock.after(delayMs, run));
    },
    isArmed: (name) => running.has(name),
    stopAll() {
      for (const name of running.keys()) cancel(name);
    },
  };
}

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
