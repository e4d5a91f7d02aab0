import type { Frame, LogPortion } from '../protocol/delivery.ts';
import type { Position } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { Timeline } from './timeline.ts';

/** A portion has so many events, or so many bytes, and is then full: it is the same whoever asks, and when. */
const FULL_EVENTS = 500;
const FULL_BYTES = 256 * 1024;

/**
 * What is remembered of a table, or of all (null), after a position (null: of all that there is). Events of one change
 * share a position and are never parted.
 */
export function readLog(
  { epoch, ring, logFloor }: Pick<Timeline, 'epoch' | 'ring' | 'logFloor'>,
  table: TableId | null,
  after: Position | null,
  sees: (table: TableId) => boolean,
): LogPortion {
  const floor = logFloor(table);
  const newest = table === null ? ring.newest : ring.lastOf(table);
  const frames: Frame[] = [];
  let bytes = 0;
  let more = false;
  let last: Position | null = null;
  for (const { table: of, position, frame } of ring.above(after ?? floor, table)) {
    if (!sees(of)) continue;
    if (position !== last && (frames.length >= FULL_EVENTS || bytes >= FULL_BYTES)) {
      more = true;
      break;
    }
    frames.push(frame);
    bytes += frame.text.length;
    last = position;
  }
  return { epoch, floor, tail: newest === null || newest < floor ? floor : newest, frames, last, more };
}
