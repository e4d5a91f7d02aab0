import { describe, expect, it } from 'vitest';
import { createReplay } from '../../src/feed/replay.ts';
import type { Item } from '../../src/feed/request.ts';
import { createRing, type RingEntry } from '../../src/feed/ring.ts';
import { createState } from '../../src/feed/state.ts';
import { createWatch } from '../../src/feed/stream.ts';
import { createTimeline, type Timeline } from '../../src/feed/timeline.ts';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import { encodeContent, type Frame, frameOf, snapshotFrame } from '../../src/protocol/messages.ts';
import { isPosition, ORIGIN, type Position, positionOf } from '../../src/protocol/position.ts';
import { canonicalId, type TableId } from '../../src/roulette/table.ts';

const tableOf = (id: number): TableId => {
  const table = canonicalId(String(id));
  if (table === null) throw new Error(`no table: ${id}`);
  return table;
};

function timelineOf(): Timeline {
  const { sourceOf, isRead, isDropped } = createWatch('rc', 'rc');
  const state = createState({
    liveMaxAgeMs: 120_000,
    minSpinIntervalMs: 15_000,
    sourceOf,
    isRead,
    isForeign: () => false,
    isDropped,
  });
  const nothing = (): undefined => undefined;
  return createTimeline(
    {
      epoch: 'e',
      state,
      floor: ORIGIN,
      ringSeconds: 1e6,
      ringBytes: 1e9,
      tally: { published: nothing, skipped: nothing, reset: nothing, late: nothing, onTime: nothing },
      observer: { publishing: nothing, subscribed: nothing, snapshot: nothing },
      learnt: nothing,
      nowMs: () => 0,
      timings: FEED_TIMINGS,
    },
    nothing,
  );
}

const START = positionOf({ t: 1_000, i: 0 }, 0);

function entryOf(table: TableId, position: Position, text = `${table} ${position}`): RingEntry {
  return {
    table,
    position,
    frame: { type: 'strategy_update', text, topic: `roulette:${table}`, position, epoch: null },
  };
}

const itemOf = (table: TableId | null, after: Position): Item => ({
  table,
  after,
  epoch: 'e',
  history: 20,
  owed: false,
  announced: null,
});

describe('a replay', () => {
  it('left events out: it sends every change, also when it pauses between two that share a position', () => {
    const timeline = timelineOf();
    const [one, two] = [tableOf(2_010_011), tableOf(2_010_012)];
    const shared = positionOf({ t: 1_001, i: 1 }, 0);
    const last = positionOf({ t: 1_002, i: 1 }, 0);
    for (const entry of [entryOf(one, shared), entryOf(two, shared), entryOf(one, last)]) timeline.ring.push(entry);
    for (const items of [[itemOf(one, START), itemOf(two, START)]]) {
      const replay = createReplay(items, timeline, last, false, new Set());
      const sent: Frame[] = [];
      // The link asks for a pause after each frame.
      const send = (frame: Frame): boolean => {
        sent.push(frame);
        return false;
      };
      for (let steps = 0; !replay.step(timeline, last, send, false); steps++) expect(steps).toBeLessThan(9);
      expect(sent.map(({ text }) => text)).toEqual([`${one} ${shared}`, `${two} ${shared}`, `${one} ${last}`]);
      expect(replay.results()).toMatchObject([
        { recovered: true, replayed: 2 },
        { recovered: true, replayed: 1 },
      ]);
    }
  });

  it('looked at every event: one of 50 topics costs what they have, not what the ring has', () => {
    const quiet = Array.from({ length: 50 }, (_, n) => tableOf(2_020_000 + n));
    const busy = Array.from({ length: 50 }, (_, n) => tableOf(2_030_000 + n));
    const cpuOf = (events: number): number => {
      const timeline = timelineOf();
      let last = START;
      for (let n = 0; n < events; n++) {
        last = positionOf({ t: 1_001 + n, i: 1 }, 0);
        const table = (n < 50 ? quiet : busy)[n % 50];
        if (table !== undefined) timeline.ring.push(entryOf(table, last, ''));
      }
      const items = quiet.map((table) => itemOf(table, START));
      const once = (): number => {
        const began = process.cpuUsage();
        const replay = createReplay(items, timeline, last, false, new Set());
        let sent = 0;
        replay.step(timeline, last, () => ++sent > 0, false);
        expect(sent).toBe(50);
        const { user, system } = process.cpuUsage(began);
        return user + system;
      };
      for (let warm = 0; warm < 20; warm++) once();
      return Array.from({ length: 21 }, once).sort((a, b) => a - b)[10] ?? 0;
    };
    // 50 times the events cost nearly the same; when each was looked at they cost 50 times as much.
    expect(cpuOf(100_000)).toBeLessThan(cpuOf(2_000) * 12 + 200);
  });
});

it('entries of a chunk come in the order of the ring, whatever their tables', () => {
  const ring = createRing(ORIGIN, { seconds: 1e6, bytes: 1e9 });
  const tables = [tableOf(2_010_011), tableOf(2_010_012), tableOf(2_010_016)];
  const positions = Array.from({ length: 30 }, (_, n) => positionOf({ t: 1_000 + n, i: 1 }, 0));
  for (const [n, position] of positions.entries()) {
    const table = tables[(n * 7) % 3];
    if (table !== undefined) ring.push(entryOf(table, position));
  }
  const first = ring.chunk(ring.numberAbove(ORIGIN), 20, tables.slice(0, 2));
  const rest = ring.chunk(first.next, 20, tables.slice(0, 2));
  const came = [...first.entries, ...rest.entries].map(({ position }) => position);
  expect(came).toEqual([...came].sort());
  expect(came).toHaveLength(20);
  expect([first.last, rest.last]).toEqual([positions[19], positions[29]]);
  expect(ring.chunk(rest.next, 20, null)).toMatchObject({ entries: [], last: null });
});

it('a snapshot around its encoded content is the text of the whole message', () => {
  const position = positionOf({ t: 1, i: 2 }, 3);
  const content = { roleta_id: '2010011', roleta_nome: 'Mesa "VIP" \u2028', numeros: [], estrategia: null };
  const place = { topic: 'roulette:2010011', epoch: 'e"1', position, stale: true };
  expect(isPosition(position)).toBe(true);
  expect(snapshotFrame(place, encodeContent(content))).toEqual(
    frameOf({ type: 'snapshot', topic: place.topic, epoch: place.epoch, position, ...content, stale: true }),
  );
});
