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
