import type { GatewayCounters } from '../door/counters.ts';
import type { ReplayBudget } from './replay-budget.ts';

/** How far a connection's replay is. A record, not an object with methods: there is one per idle connection. */
export interface SendPace {
  /** The feed was told to wait. */
  paused: boolean;
  /** Bytes sent in this turn of the event loop. */
  usedInTurn: number;
  /** Stops waiting for the budget; null while not waiting. */
  stopWaiting: (() => void) | null;
}

/** What all paced connections of a transport share. */
export interface Pacing<Connection> {
  readonly budget: ReplayBudget;
  /** What one connection may send in one turn. */
  readonly portionBytes: number;
  readonly counters: GatewayCounters;
  /** Room in the socket; false for one that is gone. */
  hasRoom(connection: Connection): boolean;
  /** Lets the feed go on. */
  goOn(connection: Connection): void;
}

interface Paced {
  readonly pace: SendPace;
}

export const newPace = (): SendPace => ({ paused: false, usedInTurn: 0, stopWaiting: null });

/**
 * Books a frame just sent. False asks for a pause; `goOn` follows. A replay pauses for three reasons: the socket is
 * backed up; the budget that all connections share is used up; or this connection sent a portion in one turn of the
 * event loop, since the system's own buffers take megabytes from a fast reader without a sign of backlog, and everybody
 * else would wait for all of it.
 */
export function sent<C extends Paced>(connection: C, bytes: number, pacing: Pacing<C>): boolean {
  const { pace } = connection;
  if (pace.usedInTurn === 0) setImmediate(nextTurn<C>, connection, pacing);
  pace.usedInTurn += bytes;
  const affordable = pacing.budget.take(bytes);
  const room = pacing.hasRoom(connection);
  if (room && affordable && pace.usedInTurn < pacing.portionBytes) return true;
  if (!pace.paused && !room) pacing.counters.pausedForSocket += 1;
  if (!pace.paused && room && !affordable) pacing.counters.pausedForBudget += 1;
  pace.paused = true;
  return false;
}

function nextTurn<C extends Paced>(connection: C, pacing: Pacing<C>): void {
  connection.pace.usedInTurn = 0;
  drained(connection, pacing);
}

/** Goes on if nothing is in the way any more; to be called when the socket took some of its backlog. */
export function drained<C extends Paced>(connection: C, pacing: Pacing<C>): void {
  const { pace } = connection;
  if (
    !pace.paused ||
    pace.stopWaiting !== null ||
    pace.usedInTurn >= pacing.portionBytes ||
    !pacing.hasRoom(connection)
  )
    return;
  if (pacing.budget.isLeft()) {
    pace.paused = false;
    pacing.goOn(connection);
    return;
  }
  pace.stopWaiting = pacing.budget.wait(() => {
    pace.stopWaiting = null;
    drained(connection, pacing);
  });
}
