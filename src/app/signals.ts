import type { Publish } from '../protocol/delivery.ts';

/** Resolves when something is published to a topic, or when the time is over. */
export type Changed = (topic: string, waitMs: number) => Promise<void>;

/** Tells those who wait for a topic: `publish` is to be called with all that is published. */
export function createSignals(): { readonly publish: Publish; readonly changed: Changed } {
  const waiting = new Map<string, Set<() => void>>();
  const wake = (topic: string): void => {
    const woken = waiting.get(topic);
    waiting.delete(topic);
    for (const resume of woken ?? []) resume();
  };
  return {
    publish: wake,
    changed: (topic, waitMs) =>
      new Promise((resolve) => {
        const waiters = waiting.get(topic) ?? new Set();
        waiting.set(topic, waiters);
        const resume = (): void => {
          clearTimeout(timer);
          waiters.delete(resume);
          if (waiters.size === 0 && waiting.get(topic) === waiters) waiting.delete(topic);
          resolve();
        };
        // A process that has finished is not kept alive by this timer.
        const timer = setTimeout(resume, waitMs).unref();
        waiters.add(resume);
      }),
  };
}
