import type { Clock } from '../../src/client/clock.ts';

/** A clock that moves only when told, and that runs what waits on it in the order of its time. */
export interface VirtualClock extends Clock {
  /** Moves on by `ms`, running every timer on the way and everything that promises continue with. */
  advance(ms: number): Promise<void>;
  /** The computer sleeps: time passes, timers do not run. */
  sleep(ms: number): void;
  readonly waiting: number;
}

interface Timer {
  readonly at: number;
  readonly serial: number;
  readonly task: () => void;
}

/** Lets pending promise reactions run; a macrotask comes after all of them. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function createVirtualClock(start = Date.parse('2026-11-24T13:00:00.000Z')): VirtualClock {
  let now = start;
  let serial = 0;
  const heap: Timer[] = [];
  const dead = new Set<Timer>();
  const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.serial < b.serial);

  const push = (timer: Timer): void => {
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (!parent || before(parent, timer)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = timer;
  };

  const pop = (): Timer | undefined => {
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      const right = heap[down + 1];
      if (!left) break;
      if (right && before(right, left)) down += 1;
      const child = heap[down];
      if (!child || before(last, child)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
    return top;
  };

  return {
    now: () => now,
    after(delayMs, task) {
      serial += 1;
      // Whole milliseconds, as timers have in truth: what is due at one instant runs together.
      const timer: Timer = { at: Math.ceil(now + Math.max(0, delayMs)), serial, task };
      push(timer);
      return () => dead.add(timer);
    },
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (;;) {
        const [next] = heap;
        if (!next || next.at > until) break;
        // Everything that is due at one instant runs before promises are looked at again.
        now = Math.max(now, next.at);
        for (let due = heap[0]; due && due.at <= now; due = heap[0]) {
          pop();
          if (!dead.delete(due)) due.task();
        }
        await settle();
      }
      now = Math.max(now, until);
    },
    sleep(ms) {
      now += ms;
    },
    get waiting() {
      return heap.length - dead.size;
    },
  };
}
