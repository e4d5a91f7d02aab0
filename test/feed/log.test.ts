import { describe, expect, it } from 'vitest';
import { createReplicaState } from '../../src/feed/replica-state.ts';
import { readLog } from '../../src/feed/ring.ts';
import { createServedTimeline } from '../../src/feed/timeline.ts';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import { topicOf } from '../../src/protocol/messages.ts';
import { ORIGIN, positionOf } from '../../src/protocol/position.ts';
import { tableId } from '../support/http-deps.ts';

const MINE = tableId('2010017');
const ALSO_MINE = tableId('2010033');
const OTHER = tableId('2010097');
const at = (second: number) => positionOf({ t: second, i: 1 }, 0);
const silent = () => undefined;

function startTimeline() {
  const timeline = createServedTimeline(
    {
      epoch: 'e1',
      state: createReplicaState(),
      floor: ORIGIN,
      ringSeconds: 10,
      ringBytes: 1e6,
      tally: { published: silent, skipped: silent, reset: silent, late: silent, onTime: silent },
      observer: { publishing: silent, subscribed: silent, snapshot: silent },
      learnt: silent,
      nowMs: () => 0,
      timings: FEED_TIMINGS,
    },
    silent,
  );
  const push = (second: number, table: typeof MINE): void => {
    const position = at(second);
    const frame = { type: 'new_number', text: `${second}`, topic: topicOf(table), position, epoch: null } as const;
    timeline.take({ kind: 'frame', table, newest: true, frame }, { position, committedMs: second * 1000 }, 'live');
    timeline.ring.evict(second);
  };
  return { timeline, push };
}

describe('the log of some tables', () => {
  const mine = new Set([MINE, ALSO_MINE]);

  it('reaches back as far as they do, whatever other tables did since', () => {
    const { timeline, push } = startTimeline();
    push(5, MINE);
    push(6, OTHER);
    push(8, ALSO_MINE);
    // The ring lets go of everything up to there, and an import of the other table begins.
    for (let second = 9; second <= 100; second++) push(second, OTHER);
    timeline.take({ kind: 'backfill', table: OTHER, ageMs: 1 }, { position: at(101), committedMs: 101_000 }, 'live');
    const log = readLog(timeline, mine, at(8));
    expect(log).toMatchObject({ floor: at(8), frames: [], last: at(100), more: false });
    expect(readLog(timeline, null, at(8)).floor).toBe(at(101));
    push(102, MINE);
    expect(readLog(timeline, mine, log.last)).toMatchObject({ floor: at(8), frames: [{ text: '102' }], last: at(102) });
  });

  it('does not reach back to what they lost themselves', () => {
    const { timeline, push } = startTimeline();
    push(5, MINE);
    timeline.take({ kind: 'backfill', table: ALSO_MINE, ageMs: 1 }, { position: at(6), committedMs: 6_000 }, 'live');
    expect(readLog(timeline, mine, null)).toMatchObject({ floor: at(6), frames: [] });
    expect(readLog(timeline, new Set([MINE]), null)).toMatchObject({ floor: ORIGIN, frames: [{ text: '5' }] });
  });
});
