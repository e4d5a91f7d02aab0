/** Yields the turn of the event loop when it was kept for long enough: others are served while the past is played. */
export interface Pace {
  readonly isDue: boolean;
  rest(): Promise<void>;
}

const TURN_MS = 10;

export function createPace(nowMs: () => number): Pace {
  let beganMs = nowMs();
  return {
    get isDue() {
      return nowMs() - beganMs > TURN_MS;
    },
    async rest() {
      await new Promise((resolve) => setImmediate(resolve));
      beganMs = nowMs();
    },
  };
}
