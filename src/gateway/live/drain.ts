import { setTimeout as delay } from 'node:timers/promises';
import { CLOSE } from '../../protocol/errors.ts';
import type { Connections } from './connections.ts';

const STEP_MS = 50;

/**
 * Closes all connections with 4200, evenly over `totalMs`: those who come back meet the other instances as a trickle,
 * and the last ones are served to the end. Connections that close by themselves shorten nothing; `aborted` does.
 */
export async function spreadCloses(
  connections: Connections,
  totalMs: number,
  retryMs: () => number,
  aborted: () => boolean,
): Promise<void> {
  const steps = Math.max(1, Math.ceil(totalMs / STEP_MS));
  for (let left = steps; left > 0 && !aborted(); left -= 1) {
    if (connections.size() === 0) return;
    connections.endShare(1 / left, CLOSE.draining, retryMs);
    if (left > 1) await delay(Math.min(STEP_MS, totalMs));
  }
}
