import type { Clock } from './clock.ts';

/** Timers by name: arming one again replaces it. */
export interface Timers {
  arm(name: string, delayMs: number, task: () => void): void;
  stop(name: string): void;
  has(name: string): boolean;
  stopAll(): void;
}

/** Once `isOver` none is armed any more, whoever still tries. */
export function createTimers(clock: Clock, isOver: () => boolean): Timers {
  const running = new Map<string, () => void>();
  const stop = (name: string): void => {
    running.get(name)?.();
    running.delete(name);
  };
  return {
    stop,
    arm(name, delayMs, task) {
      stop(name);
      if (isOver()) return;
      const run = (): void => {
        running.delete(name);
        task();
      };
      running.set(name, clock.after(delayMs, run));
    },
    has: (name) => running.has(name),
    stopAll() {
      for (const name of running.keys()) stop(name);
    },
  };
}
