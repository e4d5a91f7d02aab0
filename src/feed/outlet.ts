import { type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { SetTimes } from './connection.ts';
import { createOutletLine, type OutletLine, type OutletLink } from './outlet-line.ts';
import { admit, type Served } from './request.ts';
import type { RingEntry } from './ring.ts';
import type { Step } from './step.ts';
import { VISIBLE } from './table-state.ts';
import type { Entry, EntryObserver, Timeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';
import {
  answerLine,
  COPIED_LINE,
  copyLine,
  deliveredLine,
  entryLine,
  headLine,
  META_LINE,
  type Notice,
  noticeLine,
  numbersLine,
  type ReplicaRequest,
  readRequest,
} from './wire.ts';

/** The outlet's side of one replica. */
export interface OutletReplica {
  /** The replica says something. What cannot be read ends the line. */
  said(message: string): void;
  /** The line has room again. */
  drained(): void;
  closed(): void;
}

/** Gives replicas all that is served, and everything that happens from then on. */
export interface Outlet {
  /** Whether anybody listens to any of them. */
  readonly isHeard: boolean;
  /** Resolves when they are to be told more: at once while anybody listens to one, else in a while, or when somebody does. */
  rest(): Promise<void>;
  readonly entries: EntryObserver;
  /** What was taken since the last message goes out; to be called before what is served is given up. */
  flush(): void;
  /** What happened to the feed, after it has done what it does about it. */
  step(step: Step): void;
  metaChanged(): void;
  asked(times: SetTimes | null, askedMs: number): void;
  open(link: OutletLink): OutletReplica;
  stop(): void;
}

interface OutletOptions {
  served(): Served | null;
  readonly nowMs: () => number;
  readonly timings: Pick<FeedTimings, 'catchUpMs'>;
  /** Whoever feeds it awaits `rest`: what replicas are told has waited then. */
  readonly rests: boolean;
}

/** A replica that nobody listens to is told so seldom: each message costs it more than what is in it. */
const UNHEARD_MS = 100;

/** A replica that waits to be given a copy, or follows. */
interface Replica {
  readonly link: OutletLine;
  readonly arrivedMs: number;
  /** Whether anybody listens to it. */
  heard: boolean;
  /** Its position; null until it said so. */
  at: { readonly epoch: string | null; readonly position: Position | null } | null;
}

/**
 * The lines of a copy of all that is served now: of the ring what lies above `from`, or all of it. They are made as they
 * are read, so that the ring is not in memory twice.
 */
function copyOf(
  { timeline, delivered }: Pick<Served, 'timeline' | 'delivered'>,
  from: Position | null,
): Generator<string, void> {
  const { state, ring, floor } = timeline;
  const tables = new Set([...state.known(), ...timeline.floored()]);
  const floors = [...tables].flatMap((table): [TableId, Position][] => {
    const own = timeline.floorOf(table);
    return own > floor ? [[table, own]] : [];
  });
  const births = [...tables].flatMap((table): [TableId, Position][] => {
    const at = timeline.bornAt(table);
    return at === null ? [] : [[table, at]];
  });
  const { epoch, vanished } = timeline;
  const partial = [...timeline.partial];
  const lines = [copyLine({ version: 2, epoch, delivered, from, floor, floors, births, vanished, partial })];
  for (const table of state.known()) {
    lines.push(headLine(headOf(timeline, table)), numbersLine(table, state.numbers(table, VISIBLE)));
  }
  return linesOf(lines, [...ring.above(from ?? floor, null)]);
}

function* linesOf(heads: readonly string[], events: readonly RingEntry[]): Generator<string, void> {
  yield* heads;
  for (const { table, position, frame } of events) {
    const place = { position, committedMs: timeOf(position).t * 1000 };
    yield entryLine({ kind: 'frame', table, newest: false, frame }, place);
  }
  yield COPIED_LINE;
}

const headOf = ({ state }: Timeline, table: TableId) => ({
  table,
  name: state.nameOf(table),
  names: [...state.directory.namesOf(table)],
  stored: state.has(table),
  doubleZero: state.isDoubleZero(table),
  strategy: state.strategyItem(table),
});

/** Collects what replicas are told of changes: events as they are, and what no event tells as the tables are then. */
function createPending() {
  let lines: string[] = [];
  /** The entries of the change under way, by table; null where it has several. */
  const own = new Map<TableId, Entry | null>();
  const heads = new Set<TableId>();
  const numbers = new Set<TableId>();
  /** What replicas know the tables to be called, and what their wheels are. */
  const names = new Map<TableId, string>();
  const namesOf = ({ state }: Timeline, table: TableId): string =>
    `${state.nameOf(table)}\n${state.directory.nameOf(table)}\n${state.isDoubleZero(table)}`;

  return {
    took(line: string, entry: Entry): void {
      lines.push(line);
      if (entry.kind === 'added' || entry.kind === 'named' || !('table' in entry)) return;
      own.set(entry.table, own.has(entry.table) ? null : entry);
    },
    changed(timeline: Timeline, tables: ReadonlyMap<TableId, boolean>): void {
      for (const [table, changesNumbers] of tables) {
        const sole = own.get(table) ?? null;
        const isNumber = sole?.kind === 'frame' && sole.newest;
        const isStrategy = sole?.kind === 'frame' && sole.frame.type === 'strategy_update';
        if (changesNumbers && !isNumber) numbers.add(table);
        if (!(isNumber || isStrategy) || names.get(table) !== namesOf(timeline, table)) heads.add(table);
      }
      own.clear();
    },
    /** Everything since the last time, as one message. */
    take({ timeline, delivered }: Pick<Served, 'timeline' | 'delivered'>): string {
      const { state } = timeline;
      for (const table of heads) {
        names.set(table, namesOf(timeline, table));
        lines.push(headLine(headOf(timeline, table)));
      }
      for (const table of numbers) lines.push(numbersLine(table, state.numbers(table, VISIBLE)));
      lines.push(deliveredLine(delivered));
      const message = lines.join('\n');
      lines = [];
      heads.clear();
      numbers.clear();
      return message;
    },
    /** Replicas know all of this now. */
    know(timeline: Timeline): void {
      for (const table of timeline.state.known()) names.set(table, namesOf(timeline, table));
    },
    clear(): void {
      lines = [];
      own.clear();
      heads.clear();
      numbers.clear();
      names.clear();
    },
  };
}

/** Tells replicas at once what happened, and those that nobody listens to seldom. */
function createTelling(following: ReadonlySet<Replica>, hasWaited: () => boolean) {
  let later: string[] = [];
  let timer: NodeJS.Timeout | null = null;
  const tellUnheard = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (later.length === 0) return;
    const message = later.join('\n');
    later = [];
    for (const { heard, link } of following) if (!heard) link.send(message);
  };
  return {
    /** Those that wait are told now. */
    tellUnheard,
    tell(message: string): void {
      if (following.size === 0) return;
      for (const { heard, link } of following) if (heard) link.send(message);
      later.push(message);
      if (hasWaited()) tellUnheard();
      else timer ??= setTimeout(tellUnheard, UNHEARD_MS);
    },
    stop(): void {
      if (timer !== null) clearTimeout(timer);
    },
  };
}

/** A pause that ends by itself, or sooner. */
function createResting() {
  let end = (): void => undefined;
  return {
    begin: (): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, UNHEARD_MS);
        end = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    end: (): void => end(),
  };
}

/** What replicas are told when they come: the server, and how the feed does. */
function createGreeting() {
  let connected: string | null = null;
  let phase = noticeLine({ kind: 'phase', phase: 'connecting', reason: null });
  return {
    note(notice: Notice): void {
      if (notice.kind === 'phase') phase = noticeLine(notice);
      if (notice.kind === 'connected') connected = noticeLine(notice);
    },
    greet({ link }: Replica): void {
      if (connected !== null) link.send(connected);
      link.send(phase);
    },
  };
}

/** The times of the set as last asked, for replicas that ask. */
function createTimes(nowMs: () => number) {
  let last: { readonly times: SetTimes; readonly askedMs: number } | null = null;
  return {
    asked(times: SetTimes | null, askedMs: number): void {
      last = times === null ? null : { times, askedMs };
    },
    answer: (askedMs: number): string =>
      answerLine({ askedMs, ageMs: last === null ? 0 : nowMs() - last.askedMs, times: last?.times ?? null }),
  };
}

/**
 * From where a replica goes on; null: from nowhere, so that it begins anew. One ahead of this feed is not taken back: it
 * waits, and after a while goes elsewhere.
 */
function startOf(
  { at, arrivedMs }: Replica,
  now: Served,
  { nowMs, timings }: Pick<OutletOptions, 'nowMs' | 'timings'>,
): { readonly from: Position | null } | 'wait' | 'elsewhere' {
  if (at === null) return 'wait';
  const { epoch, position } = at;
  const { timeline } = now;
  const decision = admit(
    { arrivedMs, items: [], seen: position ?? undefined, epoch: epoch ?? undefined },
    { ...now, epoch: timeline.epoch, nowMs: nowMs(), catchUpMs: timings.catchUpMs },
  );
  if (decision === 'wait') return 'wait';
  if (decision === 'behind') return 'elsewhere';
  const goesOn = decision === 'serve' && epoch === timeline.epoch && position !== null && position >= timeline.floor;
  return { from: goesOn ? position : null };
}

/** The replicas of a feed: those that wait to be given a copy, and those that follow. */
function createReplicas(options: OutletOptions) {
  const { served } = options;
  const waiting = new Set<Replica>();
  const following = new Set<Replica>();
  const all = (): Replica[] => [...waiting, ...following];
  const isHeard = (): boolean => all().some(({ heard }) => heard);
  const pending = createPending();
  const telling = createTelling(following, () => options.rests && !isHeard());
  const greeting = createGreeting();

  const flush = (): void => {
    const now = served();
    if (now === null || following.size === 0) pending.clear();
    else telling.tell(pending.take(now));
  };

  const admitOne = (replica: Replica, now: Served): void => {
    const start = startOf(replica, now, options);
    if (start === 'wait') return;
    waiting.delete(replica);
    if (start === 'elsewhere') {
      replica.link.close();
      return;
    }
    flush();
    // What others are still to be told is in the copy.
    telling.tellUnheard();
    replica.link.copy(copyOf(now, start.from));
    pending.know(now.timeline);
    following.add(replica);
    greeting.greet(replica);
  };

  return {
    pending,
    telling,
    flush,
    isFollowed: (): boolean => following.size > 0,
    all,
    isHeard,
    add(replica: Replica): void {
      waiting.add(replica);
      greeting.greet(replica);
    },
    remove(replica: Replica): void {
      waiting.delete(replica);
      following.delete(replica);
    },
    /** Gives a copy to whoever waits and need not wait any more. */
    admitAll(): void {
      const now = served();
      if (now !== null) for (const replica of waiting) admitOne(replica, now);
    },
    /** What replicas have is over: they are given a copy of what is served now, which is live. */
    beginAnew(): void {
      greeting.note({ kind: 'phase', phase: 'live', reason: null });
      pending.clear();
      telling.tellUnheard();
      for (const replica of following) {
        replica.at = { epoch: null, position: null };
        waiting.add(replica);
      }
      following.clear();
    },
    tellNotice(notice: Notice): void {
      greeting.note(notice);
      const line = noticeLine(notice);
      telling.tell(line);
      // Those that wait have a state of their own, or none.
      if (notice.kind !== 'fresh') for (const { link } of waiting) link.send(line);
    },
  };
}

/**
 * INVARIANT replica: a replica that has all messages up to a position serves the same frames and snapshots as the feed
 * that sent them.
 */
export function createOutlet(options: OutletOptions): Outlet {
  const replicas = createReplicas(options);
  const { pending, telling, flush, admitAll } = replicas;
  const times = createTimes(options.nowMs);
  const resting = createResting();

  const take = (replica: Replica, request: ReplicaRequest): void => {
    switch (request.type) {
      case 'ask':
        replica.link.send(times.answer(request.askedMs));
        return;
      case 'heard':
        telling.tellUnheard();
        replica.heard = request.heard;
        if (request.heard) resting.end();
        return;
      case 'follow':
        replica.at = { epoch: request.epoch, position: request.position };
        admitAll();
        return;
      default:
        request satisfies never;
    }
  };

  return {
    entries: {
      took(entry, place) {
        if (replicas.isFollowed()) pending.took(entryLine(entry, place), entry);
      },
      changed(tables) {
        const now = options.served();
        if (replicas.isFollowed() && now !== null) pending.changed(now.timeline, tables);
      },
    },
    flush,
    get isHeard() {
      return replicas.isHeard();
    },
    rest: async () => {
      if (!replicas.isHeard()) await resting.begin();
    },
    step(step) {
      if (step.kind === 'serving') replicas.beginAnew();
      else if (step.kind === 'advanced') flush();
      else replicas.tellNotice(step);
      admitAll();
    },
    metaChanged: () => telling.tell(META_LINE),
    asked: times.asked,
    open(link) {
      const line = createOutletLine(link);
      const replica: Replica = { link: line, arrivedMs: options.nowMs(), heard: true, at: null };
      replicas.add(replica);
      resting.end();
      return {
        said: (message) => take(replica, readRequest(message)),
        drained: line.drained,
        closed: () => replicas.remove(replica),
      };
    },
    stop() {
      telling.stop();
      resting.end();
      for (const { link } of replicas.all()) link.close();
    },
  };
}
