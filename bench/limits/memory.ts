import { ObjectId } from 'mongodb';
import { createReplay } from '../../src/feed/replay.ts';
import type { Item } from '../../src/feed/request.ts';
import { createWatch } from '../../src/feed/stream.ts';
import type { Timeline } from '../../src/feed/timeline.ts';
import { type ClusterTime, endOf, type Position, positionOf } from '../../src/protocol/position.ts';
import { keyOf } from '../../src/roulette/bson-value.ts';
import { isTableId, type TableId } from '../../src/roulette/table.ts';
import { memoryTimeline } from '../feed/stage.ts';

/** What a feed does in memory, without a database: its CPU by what it holds. */

const DATABASE = 'bench';
const FIRST_SECOND = 1_800_000_000;
const IN_A_SECOND = 20;
/** So often is what is measured repeated before it counts, for the compiler. */
const WARM_UP = 200;

/** A feed's memory, which takes numbers one after the other. */
interface Memory {
  readonly timeline: ReturnType<typeof memoryTimeline>;
  readonly delivered: Position;
  insert(table: number): void;
}

export function tableAt(index: number): TableId {
  const id = String(2_000_000 + index);
  if (!isTableId(id)) throw new TypeError(`${id} is no id of a table`);
  return id;
}

function createMemory(): Memory {
  const timeline = memoryTimeline(createWatch(DATABASE, DATABASE), 1e9, () => undefined);
  const time: ClusterTime & { t: number; i: number } = { t: FIRST_SECOND, i: 0 };
  let count = 0;
  return {
    timeline,
    get delivered() {
      return endOf(time);
    },
    insert(table) {
      if (++time.i > IN_A_SECOND) {
        time.t++;
        time.i = 1;
      }
      const id = new ObjectId();
      const timestamp = new Date(time.t * 1_000 + time.i);
      const fields = {
        _id: id,
        roleta_id: tableAt(table),
        roleta_nome: `Roleta ${table}`,
        numero: count++ % 37,
        timestamp,
      };
      const place = {
        position: positionOf(time, 0),
        time: { ...time },
        ns: `${DATABASE}.roleta_numeros`,
        wallTimeMs: null,
      };
      timeline.apply({ ...place, kind: 'insert', key: keyOf(id), id, document: fields }, 'live');
    },
  };
}

function filled(tables: number, each: number): Memory {
  const memory = createMemory();
  for (let round = 0; round < each; round++) for (let table = 0; table < tables; table++) memory.insert(table);
  return memory;
}

/** CPU of one call in microseconds, the median of five runs. */
function cpuUs(times: number, call: (at: number) => void): number {
  const runs = Array.from({ length: 5 }, () => {
    const began = process.cpuUsage();
    for (let at = 0; at < times; at++) call(at);
    const { user, system } = process.cpuUsage(began);
    return (user + system) / times;
  });
  return runs.sort((a, b) => a - b)[2] ?? Number.NaN;
}

/** A live number among so many tables, in microseconds of CPU. */
export function eventUs(tables: number, times: number): number {
  const memory = filled(tables, 20);
  const one = (at: number): void => memory.insert((at * 7) % tables);
  for (let at = 0; at < WARM_UP; at++) one(at);
  return cpuUs(times, one);
}

/** Serves a subscribe to its end; how many frames it took. */
function serve(timeline: Timeline, items: readonly Item[], delivered: Position): number {
  let frames = 0;
  const count = (): boolean => {
    frames++;
    return true;
  };
  createReplay(items, timeline, delivered, false, new Set()).step(timeline, delivered, count, false);
  return frames;
}

export interface Cost {
  readonly cpuMs: number;
  /** Frames that did not come, or came too often. */
  readonly wrong: number;
}

/**
 * A client that comes back to `topics` quiet tables, each with one number more since it left, in a ring of so many
 * events, nearly all of them later and of other tables.
 */
export function resumeMs(events: number, topics: number, times: number): Cost {
  const memory = createMemory();
  const others = 950;
  for (let table = 0; table < topics; table++) memory.insert(others + table);
  const after = memory.delivered;
  for (let table = 0; table < topics; table++) memory.insert(others + table);
  for (let at = memory.timeline.ring.events; at < events; at++) memory.insert(at % others);
  const items = Array.from({ length: topics }, (_, at) => ({
    table: tableAt(others + at),
    after,
    epoch: memory.timeline.epoch,
    history: 20,
    owed: false,
    announced: null,
  }));
  const { delivered, timeline } = memory;
  const wrong = Math.abs(serve(timeline, items, delivered) - topics);
  for (let at = 0; at < WARM_UP; at++) serve(timeline, items, delivered);
  return { cpuMs: cpuUs(times, () => serve(timeline, items, delivered)) / 1e3, wrong };
}

/** A page that shows `tables` tables is loaded, with a number of one of them since the load before. */
export function pageLoadMs(tables: number, times: number): Cost {
  const memory = filled(tables, 200);
  const items = Array.from({ length: tables }, (_, at) => ({
    table: tableAt(at),
    after: undefined,
    epoch: undefined,
    history: 20,
    owed: false,
    announced: null,
  }));
  const load = (at: number): number => {
    memory.insert(at % tables);
    return serve(memory.timeline, items, memory.delivered);
  };
  const wrong = Math.abs(load(0) - tables);
  for (let at = 0; at < WARM_UP; at++) load(at);
  return { cpuMs: cpuUs(times, load) / 1e3, wrong };
}
