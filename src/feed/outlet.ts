import type { FeedStatus } from '../protocol/delivery.ts';
import { type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { SetTimes } from './connection.ts';
import type { Step } from './follow.ts';
import { admit } from './request.ts';
import type { Served } from './subscriber.ts';
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
  readRequest,
} from './wire.ts';

/** The line to a replica. Both calls are synchronous; neither may throw. */
export interface OutletLink {
  send(message: string): void;
  close(): void;
}

/** The outlet's side of one replica. */
export interface OutletReplica {
  /** The replica says something. What cannot be read ends the line. */
  said(message: string): void;
  closed(): void;
}

/** Gives replicas all that is served, and everything that happens from then on. */
export interface Outlet {
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

export interface OutletOptions {
  served(): Served | null;
  readonly nowMs: () => number;
  readonly timings: Pick<FeedTimings, 'holdMs'>;
}

/** Longest message of a copy, in characters. */
const MESSAGE_LENGTH = 256 * 1024;

/** A replica that nobody listens to is woken up so seldom: being woken costs it more than what it takes. */
const UNHEARD_MS = 100;

/** A replica that waits to be given a copy, or follows. */
interface Replica {
  readonly link: OutletLink;
  readonly arrivedMs: number;
  /** Whether anybody listens to it. */
  heard: boolean;
  /** Where it stands; null until it said so. */
  at: { readonly epoch: string | null; readonly position: Position | null } | null;
}

/** The lines of a copy of all that is served: of the ring what lies above `from`, or all of it. */
function copyOf({ timeline, delivered }: Pick<Served, 'timeline' | 'delivered'>, from: Position | null): string[] {
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
  const lines = [copyLine({ version: 1, epoch, delivered, from, floor, floors, births, vanished, partial })];
  const stored = new Set(state.tables());
  for (const table of state.known()) {
    lines.push(headLine(headOf(timeline, table, stored.has(table))), numbersLine(table, state.numbers(table, VISIBLE)));
  }
  for (const { table, position, frame } of ring.above(from ?? floor, null)) {
    const place = { position, committedMs: timeOf(position).t * 1000 };
    lines.push(entryLine({ kind: 'frame', table, newest: false, frame }, place));
  }
  lines.push(COPIED_LINE);
  return lines;
}

const headOf = ({ state }: Timeline, table: TableId, stored: boolean) => ({
  table,
  name: state.nameOf(table),
  names: [...state.directory.namesOf(table)],
  stored,
  doubleZero: state.isDoubleZero(table),
  strategy: state.strategyItem(table),
});

/** Joins lines into messages of about the same length. */
function* messagesOf(lines: readonly string[]): Generator<string> {
  let message: string[] = [];
  let length = 0;
  for (const line of lines) {
    message.push(line);
    length += line.length;
    if (length < MESSAGE_LENGTH) continue;
    yield message.join('\n');
    message = [];
    length = 0;
  }
  if (message.length > 0) yield message.join('\n');
}

/** Collects what replicas are told of changes: events as they are, and what no event tells as the tables stand then. */
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
        lines.push(headLine(headOf(timeline, table, state.tables().includes(table))));
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

/**
 * INVARIANT replica: a replica that has all messages up to a position serves the same frames and snapshots as the feed
 * that sent them.
 */
export function createOutlet({ served, nowMs, timings }: OutletOptions): Outlet {
  const waiting = new Set<Replica>();
  const following = new Set<Replica>();
  const pending = createPending();
  let asked: { readonly times: SetTimes; readonly askedMs: number } | null = null;
  let phase: FeedStatus['phase'] = 'connecting';
  let reason: string | null = null;
  let version: string | null = null;
  /** What those that nobody listens to are still to be told. */
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

  const tellFollowing = (message: string): void => {
    for (const { heard, link } of following) if (heard) link.send(message);
    if (following.size === 0) return;
    later.push(message);
    timer ??= setTimeout(tellUnheard, UNHEARD_MS);
  };

  const tell = (replicas: Iterable<Replica>, message: string): void => {
    for (const { link } of replicas) link.send(message);
  };

  const flush = (): void => {
    const now = served();
    if (now === null || following.size === 0) pending.clear();
    else tellFollowing(pending.take(now));
  };

  const greet = ({ link }: Replica): void => {
    if (version !== null) link.send(noticeLine({ kind: 'connected', version }));
    link.send(noticeLine({ kind: 'phase', phase, reason }));
  };

  /** Gives a copy to whoever waits and need not wait any more: one ahead of this feed is not taken back. */
  const admitAll = (): void => {
    const now = served();
    if (now === null) return;
    for (const replica of waiting) {
      if (replica.at === null) continue;
      const { epoch, position } = replica.at;
      const isSame = epoch === now.timeline.epoch;
      const decision = admit(
        { arrivedMs: replica.arrivedMs, items: [], seen: position ?? undefined, epoch: epoch ?? undefined },
        { ...now, epoch: now.timeline.epoch, nowMs: nowMs(), holdMs: timings.holdMs },
      );
      if (decision === 'wait') continue;
      waiting.delete(replica);
      if (decision === 'behind') {
        replica.link.close();
        continue;
      }
      flush();
      const goesOn = decision === 'serve' && isSame && position !== null && position >= now.timeline.floor;
      for (const message of messagesOf(copyOf(now, goesOn ? position : null))) replica.link.send(message);
      pending.know(now.timeline);
      following.add(replica);
      greet(replica);
    }
  };

  const tellNotice = (notice: Notice): void => {
    const line = noticeLine(notice);
    tellFollowing(line);
    // Those that wait have a state of their own, or none.
    if (notice.kind !== 'fresh') tell(waiting, line);
  };

  return {
    entries: {
      took(entry, place) {
        if (following.size > 0) pending.took(entryLine(entry, place), entry);
      },
      changed(tables) {
        const now = served();
        if (following.size > 0 && now !== null) pending.changed(now.timeline, tables);
      },
    },
    flush,
    step(step) {
      if (step.kind === 'phase') ({ phase, reason } = step);
      if (step.kind === 'connected') ({ version } = step);
      if (step.kind === 'serving') {
        pending.clear();
        tellUnheard();
        for (const replica of following) {
          replica.at = { epoch: null, position: null };
          waiting.add(replica);
        }
        following.clear();
      } else if (step.kind === 'advanced') {
        flush();
      } else tellNotice(step);
      admitAll();
    },
    metaChanged: () => tellFollowing(META_LINE),
    asked(times, askedMs) {
      asked = times === null ? null : { times, askedMs };
    },
    open(link) {
      const replica: Replica = { link, arrivedMs: nowMs(), heard: true, at: null };
      waiting.add(replica);
      greet(replica);
      return {
        said(message) {
          const request = readRequest(message);
          if (request.type === 'ask') {
            const ageMs = asked === null ? 0 : nowMs() - asked.askedMs;
            link.send(answerLine({ askedMs: request.askedMs, ageMs, times: asked?.times ?? null }));
            return;
          }
          if (request.type === 'heard') {
            tellUnheard();
            replica.heard = request.heard;
            return;
          }
          replica.at = { epoch: request.epoch, position: request.position };
          admitAll();
        },
        closed() {
          waiting.delete(replica);
          following.delete(replica);
        },
      };
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      for (const { link } of [...waiting, ...following]) link.close();
    },
  };
}
