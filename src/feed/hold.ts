import { type ClusterTime, type Position, timeOf } from '../protocol/position.ts';
import { highestOf, type Item } from './request.ts';

/** How far beyond the database's own time a position must lie to be no position of this database. */
const FUTURE_SECONDS = 5;

/** What a held subscribe is measured against. Times are of a monotonic clock, in ms. */
export interface HoldView {
  readonly epoch: string;
  readonly delivered: Position;
  /** The majority time as last asked, and when the question was put; null when Mongo cannot be asked. */
  readonly majority: { readonly time: ClusterTime; readonly askedMs: number } | null;
  readonly nowMs: number;
  readonly holdMs: number;
}

export interface HeldRequest {
  readonly arrivedMs: number;
  readonly items: readonly Item[];
  readonly seen: string | undefined;
  /** The epoch that `seen` belongs to. */
  readonly epoch: string | undefined;
}

/**
 * Whether a subscribe must wait for this instance to catch up: `future` when its position is of no such database,
 * `behind` when it waited in vain. Epochs are compared only after waiting, since a lagging instance may not know the
 * newest yet.
 */
export function holdOf(request: HeldRequest, view: HoldView): 'wait' | 'serve' | 'future' | 'behind' {
  const highest = highestOf(request.items, request.seen);
  if (highest === null || highest <= view.delivered) return 'serve';
  const { majority } = view;
  // Asked now: an old answer would call a client that is a few seconds ahead a forger.
  const fresh = majority !== null && majority.askedMs >= request.arrivedMs;
  if (fresh && timeOf(highest).t > majority.time.t + FUTURE_SECONDS) return 'future';
  if (view.nowMs - request.arrivedMs < view.holdMs) return 'wait';
  const isOther = (epoch: string | undefined): boolean => epoch !== undefined && epoch !== view.epoch;
  const other =
    request.items.some(({ after, epoch }) => after !== undefined && isOther(epoch)) ||
    (request.seen !== undefined && isOther(request.epoch));
  return other && fresh ? 'serve' : 'behind';
}
