import type { LogPortion } from '../protocol/delivery.ts';
import type { Frame } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { Timeline } from './timeline.ts';

/** A portion has so many events, or so many bytes, and is then full: it is the same whoever asks, and when. */
const FULL_EVENTS = 500;
const FULL_BYTES = 256 * 1024;

/**
 * What is remembered of some tables, or of all (null), after a position (null: of all that there is). Events of one
 * change share a position and are never parted.
 */
export function readLog(
  { epoch, ring, logFloor }: Pick<Timeline, 'epoch' | 'ring' | 'logFloor'>,
  tables: ReadonlySet<TableId> | null,
  after: Position | null,
): LogPortion {
  const floor = logFloor(tables);
  const [first = null] = tables ?? [];
  const sole = tables?.size === 1 ? first : null;
  const newest = sole === null ? ring.newest : ring.lastOf(sole);
  const frames: Frame[] = [];
  let bytes = 0;
  let more = false;
  let last: Position | null = null;
  for (const { table, position, frame } of ring.above(after ?? floor, sole)) {
    if (tables === null || tables.has(table)) {
      if (position !== last && (frames.length >= FULL_EVENTS || bytes >= FULL_BYTES)) {
        more = true;
        break;
      }
      frames.push(frame);
      bytes += frame.text.length;
    }
    // Of other tables, too: who may see little does not look at the same events again and again.
    last = position;
  }
  return { epoch, floor, tail: newest === null || newest < floor ? floor : newest, frames, last, more };
}
