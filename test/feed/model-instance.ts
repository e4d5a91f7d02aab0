import type { Change, ChangeOf } from '../../src/feed/change.ts';
import { playBack, rollBack } from '../../src/feed/rewind.ts';
import { createState } from '../../src/feed/state.ts';
import { createWatch } from '../../src/feed/stream.ts';
import { createTimeline, type EntryObserver, type FollowedTimeline, type Timeline } from '../../src/feed/timeline.ts';
import { createPace, FEED_TIMINGS } from '../../src/feed/timings.ts';
import { ORIGIN, type Position } from '../../src/protocol/position.ts';
import { isTableId } from '../../src/roulette/table.ts';
import { type DatabaseModel, MODEL_SOURCES } from './database-model.ts';

const watch = createWatch('rc', 'rc', MODEL_SOURCES);
const tally = {
  published: () => undefined,
  skipped: () => undefined,
  reset: () => undefined,
  late: () => undefined,
  onTime: () => undefined,
};

/** An instance of the service without a network, over the model of a database. */
export interface Instance {
  timeline: FollowedTimeline;
  /** Changes applied so far. */
  at: number;
  /** Documents were read as they stood after so many changes. */
  readAhead: number;
  readonly entries: EntryObserver | undefined;
}

const pace = createPace(() => 0);

const isUpdate = (change: Change): change is ChangeOf<'update'> => change.kind === 'update';

/** Builds a timeline by a rewind over changes `from`..`to`, with the base read after `read` changes, at most `to`. */
export async function boot(
  model: DatabaseModel,
  from: number,
  read: number,
  to: number,
  entries?: EntryObserver,
): Promise<Instance> {
  let start = from;
  let base = read;
  for (;;) {
    const state = createState({
      liveMaxAgeMs: 120_000,
      minSpinIntervalMs: 15_000,
      sourceOf: watch.sourceOf,
      isRead: watch.isRead,
      isForeign: () => false,
      isDropped: watch.isDropped,
    });
    const changes = model.changes.slice(start, to);
    const doubtful = await rollBack(state, model.baseAt(base), changes, pace);
    // Read last of all: later than the base, and than the stream is.
    const readAhead = doubtful.length === 0 ? to : Math.min(model.changes.length, to + 3);
    const reread = new Map(
      doubtful.filter(isUpdate).map((change) => [change.position, model.rereadAt(change, readAhead)]),
    );
    const floor = model.changes[start - 1]?.position ?? ORIGIN;
    const limits = { ringSeconds: 1e6, ringBytes: 1e9, timings: FEED_TIMINGS };
    const rest = {
      tally,
      observer: { publishing: () => undefined, subscribed: () => undefined, snapshot: () => undefined },
      learnt: () => undefined,
      nowMs: () => 0,
      ...(entries === undefined ? {} : { entries }),
    };
    const timeline = createTimeline({ epoch: 'e', state, floor, ...limits, ...rest }, () => undefined);
    const fresh = await playBack(timeline, changes, reread, pace);
    if (fresh === null) {
      if (readAhead <= to) timeline.state.settle();
      return { timeline, at: to, readAhead, entries };
    }
    const { plan } = fresh;
    if (plan.kind === 'after') start = model.changes.findIndex(({ position }) => position > plan.skip);
    if (start < 0) start = model.changes.length;
    base = to;
  }
}

export async function follow(
  model: DatabaseModel,
  instance: Instance,
  to: number,
  chance: () => number,
): Promise<Instance> {
  let current = instance;
  while (current.at < to) {
    const change = model.changes[current.at];
    if (change === undefined) break;
    current.at++;
    const { state } = current.timeline;
    const isDoubtful = isUpdate(change) && state.isDoubtful(change, 'live');
    const seen = Math.min(to, current.at + Math.floor(chance() * 4));
    const reread = isDoubtful ? model.rereadAt(change, seen) : undefined;
    if (isDoubtful) current.readAhead = Math.max(current.readAhead, seen);
    const fresh = current.timeline.apply(change, 'live', reread);
    if (fresh !== null) current = await boot(model, current.at, to, to, current.entries);
    else if (current.at >= current.readAhead) state.settle();
  }
  return current;
}

const later = (a: Position, b: Position): Position => (a > b ? a : b);

/** What both must serve alike: frames above both floors (`prev` masked at the later floor) and the snapshots. */
export function served(timeline: Timeline, other: Timeline): string[] {
  const out: string[] = [];
  const tables = [...new Set([...timeline.state.tables(), ...other.state.tables()])].filter(isTableId).sort();
  for (const table of tables) {
    const floor = later(timeline.floorOf(table), other.floorOf(table));
    for (const entry of timeline.ring.above(floor, table)) {
      const prev = /"prev":"([0-9a-f]{22})"/.exec(entry.frame.text)?.[1] ?? '';
      out.push(
        prev > floor ? entry.frame.text : entry.frame.text.replace(/"prev":("[0-9a-f]{22}"|null)/, '"prev":"-"'),
      );
    }
    out.push(timeline.snapshot(table, ORIGIN, 200, false).text);
  }
  return out;
}
