import type { GatewayCounters } from './counters.ts';
import type { ReplayBudget } from './replay-budget.ts';

/** When a connection's replay pauses, and goes on. */
export interface Pace {
  /** Books a frame just sent. False asks for a pause; `goOn` follows. */
  sent(bytes: number): boolean;
  /** The socket took some of its backlog. */
  drained(): void;
  stop(): void;
}

/**
 * A replay pauses for three reasons: the socket is backed up; the budget that all connections share is used up; or this
 * connection sent a portion in one turn of the event loop, since the system's own buffers take megabytes from a fast
 * reader without a sign of backlog, and everybody else would wait for all of it.
 */
export function createPace(
  budget: ReplayBudget,
  portionBytes: number,
  hasRoom: () => boolean,
  goOn: () => void,
  counters: GatewayCounters,
): Pace {
  let paused = false;
  let stopped = false;
  let usedInTurn = 0;
  let stopWaiting: (() => void) | null = null;

  function tryOn(): void {
    if (stopped || !paused || stopWaiting !== null || usedInTurn >= portionBytes || !hasRoom()) return;
    if (budget.isLeft()) {
      paused = false;
      goOn();
    } else stopWaiting = budget.wait(afterWait);
  }

  function afterWait(): void {
    stopWaiting = null;
    tryOn();
  }

  function nextTurn(): void {
    usedInTurn = 0;
    tryOn();
  }

  return {
    sent(bytes) {
      if (usedInTurn === 0) setImmediate(nextTurn);
      usedInTurn += bytes;
      const affordable = budget.take(bytes);
      const room = hasRoom();
      if (room && affordable && usedInTurn < portionBytes) return true;
      if (!paused && !room) counters.pausedForSocket += 1;
      if (!paused && room && !affordable) counters.pausedForBudget += 1;
      paused = true;
      return false;
    },
    drained: tryOn,
    stop() {
      stopped = true;
      stopWaiting?.();
    },
  };
}
