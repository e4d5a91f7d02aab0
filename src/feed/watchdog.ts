/** Watches one thing that must answer in time, and tells a dead peer from an event loop that was itself blocked. */
export interface Watchdog {
  /** A command was sent. */
  sent(): void;
  /** Its answer, of whatever kind, is here. */
  answered(): void;
  stop(): void;
}

const TICK_MS = 250;
/** A tick this late means that our own event loop stood still, so that answers may be waiting unread. */
const BLOCKED_MS = 1_000;

/** Calls `bite` once when no answer came for `limitMs`; sending again arms it anew. */
export function startWatchdog(limitMs: number, nowMs: () => number, bite: () => void): Watchdog {
  let sentMs: number | null = null;
  let tickMs = nowMs();
  const timer = setInterval(() => {
    const now = nowMs();
    const blocked = now - tickMs > TICK_MS + BLOCKED_MS;
    tickMs = now;
    if (sentMs === null) return;
    if (blocked) sentMs = now;
    else if (now - sentMs > limitMs) {
      sentMs = null;
      bite();
    }
  }, TICK_MS);
  timer.unref();
  return {
    sent() {
      sentMs = nowMs();
    },
    answered() {
      sentMs = null;
    },
    stop: () => clearInterval(timer),
  };
}
