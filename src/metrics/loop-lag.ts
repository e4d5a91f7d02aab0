import type { Meter } from './meter.ts';

const EVERY_MS = 100;

/** Measures how late timers are: what keeps them waiting keeps every connection waiting. Returns how to stop. */
export function watchLoopLag(meter: Meter, now: () => number): () => void {
  let dueMs = now() + EVERY_MS;
  const timer = setInterval(() => {
    const atMs = now();
    meter.observe('runcash_event_loop_lag_seconds', {}, Math.max(0, atMs - dueMs) / 1000);
    dueMs = atMs + EVERY_MS;
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
