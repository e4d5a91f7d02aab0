import { describe, expect, it } from 'vitest';
import { playBack, rollBack } from '../../src/feed/rewind.ts';
import { createState } from '../../src/feed/state.ts';
import { createTimeline, type Timeline } from '../../src/feed/timeline.ts';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import { createWatch } from '../../src/feed/watch.ts';
import { ORIGIN, type Position } from '../../src/protocol/position.ts';
import { isTableId } from '../../src/roulette/table.ts';
import { chanceFrom, createDatabaseModel, type DatabaseModel } from './database-model.ts';

const watch = createWatch('rc', 'rc');
const tally = { published: () => undefined, skipped: () => undefined, reset: () => undefined };

interface Instance {
  timeline: Timeline;
  /** Changes applied so far. */
  at: number;
}

/** Builds a timeline by a rewind over changes `from`..`to`, with the base read after `read` changes, at most `to`. */
function boot(model: DatabaseModel, from: number, read: number, to: number): Instance {
  let start = from;
  let base = read;
  for (;;) {
    const state = createState({
      liveMaxAgeMs: 120_000,
      minSpinIntervalMs: 15_000,
      sourceOf: watch.sourceOf,
      isDropped: watch.isDropped,
    });
    const changes = model.changes.slice(start, to);
    rollBack(state, model.baseAt(base), changes);
    const floor = model.changes[start - 1]?.position ?? ORIGIN;
    const limits = { ringSeconds: 1e6, ringBytes: 1e9, timings: FEED_TIMINGS };
    const rest = { tally, committed: () => undefined, nowMs: () => 0 };
    const timeline = createTimeline({ epoch: 'e', state, floor, ...limits, ...rest }, () => undefined);
    // How far it had come before the read is known less well than the read itself.
    const sure = base === to ? changes.length : Math.max(0, Math.floor((base - start) / 2));
    const interrupted = playBack(timeline, changes, sure);
    if (interrupted === null) return { timeline, at: to };
    if (interrupted.reason !== 'unknown') start = model.changes.indexOf(interrupted.change) + 1;
    base = to;
  }
}

function follow(model: DatabaseModel, instance: Instance, to: number): Instance {
  let current = instance;
  while (current.at < to) {
    const change = model.changes[current.at];
    if (change === undefined) break;
    current.at++;
    if (current.timeline.apply(change, 'live') !== null) current = boot(model, current.at, to, to);
  }
  return current;
}

const later = (a: Position, b: Position): Position => (a > b ? a : b);

/** What both must serve alike: frames above both floors (`prev` masked at the later floor) and the snapshots. */
function served(timeline: Timeline, other: Timeline): string[] {
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

describe('two instances', () => {
  it.each([
    ['calm', true],
    ['with drops and renames', false],
  ])(
    'send the same frames and snapshots wherever each began (%s database)',
    (_name, calm) => {
      let compared = 0;
      for (let seed = 1; seed <= 500; seed++) {
        const model = createDatabaseModel(seed, calm);
        while (model.changes.length < 160) model.write();
        const total = model.changes.length;
        const chance = chanceFrom(seed + 1_000_000);
        const spot = (low: number): number => low + Math.floor(chance() * (total - low + 1));
        const start = (from: number): Instance => {
          const read = spot(from);
          return boot(model, from, read, Math.min(total, read + Math.floor(chance() * 8)));
        };
        const first = follow(model, start(0), total);
        const second = follow(model, start(spot(0)), total);
        expect(served(second.timeline, first.timeline), `seed ${seed}`).toEqual(
          served(first.timeline, second.timeline),
        );
        compared += served(first.timeline, second.timeline).length;
      }
      expect(compared).toBeGreaterThan(8_000);
    },
    120_000,
  );
});
