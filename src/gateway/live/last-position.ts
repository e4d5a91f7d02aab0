import { ALL_TABLES, type Frame } from '../../protocol/messages.ts';
import { formatLastPosition, type LastPosition } from './topics-query.ts';

/** What a frame does to the one position of a reader of event streams or polls. */
type PositionMove =
  | { readonly kind: 'keep' }
  | { readonly kind: 'clear' }
  | { readonly kind: 'set'; readonly id: string };

/** Follows the frames sent to one reader and knows what it may resume from. */
interface PositionTracker {
  /** To be asked for every frame, in the order of sending. */
  move(frame: Frame): PositionMove;
  /** `epoch.position`, with what `LastPosition` has behind it; null when only a fresh start is right. */
  current(): string | null;
}

type Uneven = () => LastPosition['uneven'];

const KEEP: PositionMove = { kind: 'keep' };
const CLEAR: PositionMove = { kind: 'clear' };

/**
 * Only events, `sync` and `subscribed` move the position. A snapshot does not, but one of another epoch, or below what
 * the reader had, makes the old position void: a connection that breaks then must start over. `uneven` is asked for what
 * topics mean whenever an id is made.
 */
export function createPositionTracker(after: LastPosition | null, epochNow: string, uneven: Uneven): PositionTracker {
  let epoch = after?.epoch ?? epochNow;
  let position: string | null = after?.position ?? null;
  let acknowledged = false;
  /** Topics that were reset and not yet given a snapshot. */
  const owed = new Set<string>();
  let snapshotSinceReset = false;
  /** A `~` that the reader came with counts until the acknowledgement, which follows its snapshots. */
  let cameOwed = after?.owed === true;

  const isOwed = (): boolean => cameOwed || owed.size > 0;
  const current = (): string | null =>
    position === null ? null : formatLastPosition(epoch, position, isOwed(), uneven());
  const set = (): PositionMove => {
    const id = current();
    return id === null ? KEEP : { kind: 'set', id };
  };

  function snapshot(frame: Frame): PositionMove {
    owed.delete(frame.topic ?? '');
    snapshotSinceReset = true;
    if (position === null) {
      epoch = frame.epoch ?? epoch;
      return KEEP;
    }
    const otherEpoch = frame.epoch !== null && frame.epoch !== epoch;
    const lower = !acknowledged && frame.position !== null && frame.position < position;
    if (!otherEpoch && !lower) return KEEP;
    epoch = frame.epoch ?? epoch;
    position = null;
    return CLEAR;
  }

  function advance(frame: Frame): PositionMove {
    if (frame.position === null) return KEEP;
    // A reset of all tables names none; it is over when the snapshots that followed it are, that is, with the next move.
    if (snapshotSinceReset) owed.delete(ALL_TABLES);
    if (frame.type === 'subscribed') {
      acknowledged = true;
      cameOwed = false;
      epoch = frame.epoch ?? epoch;
    }
    position = frame.position;
    return set();
  }

  return {
    current,
    move(frame) {
      switch (frame.type) {
        case 'snapshot':
          return snapshot(frame);
        case 'reset':
          owed.add(frame.topic ?? ALL_TABLES);
          snapshotSinceReset = false;
          return set();
        case 'subscribed':
        case 'sync':
        case 'new_number':
        case 'number_corrected':
        case 'number_removed':
        case 'strategy_update':
          return advance(frame);
        case 'hello':
        case 'pong':
        case 'unsubscribed':
        case 'authenticated':
        case 'table_added':
        case 'resolved':
        case 'status':
        case 'error':
        case 'bye':
          return KEEP;
        default:
          return frame.type satisfies never;
      }
    },
  };
}
