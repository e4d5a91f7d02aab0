import { type Position, timeOf } from '../protocol/position.ts';
import type { Ring } from './ring.ts';

/** Of positions in whole seconds none is younger. */
const YOUNGEST_SECONDS = 1;

/**
 * Tells when subscribers must hear how far everything was sent. A subscriber of quiet tables stands where it was told so
 * last: before half of what can be replayed has passed since, however short that is for so many events, and at the
 * latest after `syncMs`.
 */
export function createSyncPace(nowMs: () => number, syncMs: number) {
  let told: Position | null = null;
  let toldMs = nowMs();
  return {
    /** Everybody is told of this position, or was; gives it back. */
    told(position: Position): Position {
      told = position;
      toldMs = nowMs();
      return position;
    },
    isDue({ renewAfterSeconds }: Pick<Ring, 'renewAfterSeconds'>, delivered: Position): boolean {
      if (told === null || nowMs() - toldMs >= syncMs) return true;
      return timeOf(delivered).t - timeOf(told).t >= Math.max(YOUNGEST_SECONDS, renewAfterSeconds);
    },
  };
}
