import { setTimeout as sleep } from 'node:timers/promises';
import { later, ORIGIN, type Position, timeOf } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { SetTimes } from './connection.ts';
import { backoffMs } from './policy.ts';
import { createReplicaState, type ReplicaState } from './replica-state.ts';
import type { Follower, Step } from './step.ts';
import type { Entry, EntryObserver, EntryPlace, Timeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';
import { type CopyHead, type ReplicaRequest, readLine, type WireLine } from './wire.ts';

/** The line to a feed that has an outlet. */
export interface ReplicaLink {
  /** Ends when the line does; rejects where it can tell why. */
  readonly messages: AsyncIterable<string>;
  send(message: string): void;
  close(): void;
}

export interface ReplicaOptions {
  /** Opens a line to a feed, the same or another one each time. */
  connect(): Promise<ReplicaLink>;
  readonly timings: Pick<FeedTimings, 'lineAskMs' | 'watchdogMarginMs' | 'backoffBaseMs' | 'backoffCapMs'>;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Whether anybody listens to what is published. */
  isHeard(): boolean;
  times(times: SetTimes | null, askedMs: number): void;
  metaChanged(): void;
  /** Told which tables changed, and whether their numbers did, after what told of it was taken. */
  changed: EntryObserver['changed'];
  createTimeline(epoch: string, floor: Position, state: ReplicaState): Timeline;
}

/** What is served, and how far it was read. */
interface Copy {
  readonly timeline: Timeline;
  readonly state: ReplicaState;
  readonly progress: { delivered: Position };
}

/** A copy while it comes. */
interface Coming {
  readonly head: CopyHead;
  readonly state: ReplicaState;
  readonly entries: { readonly entry: Entry; readonly place: EntryPlace }[];
}

/** A tick so much too late means that our own event loop stood still, so that messages may be waiting unread. */
const BLOCKED_MS = 1_000;

const placeAt = (position: Position): EntryPlace => ({ position, committedMs: timeOf(position).t * 1000 });

const PREV = /"prev":(?:"([0-9a-f]{22})"|null)/;

/**
 * An entry with the event of its table that is before it here: its source may have begun above that, and not know it.
 * Instances tell the same, whomever they followed.
 */
function withPrev(entry: Entry, { ring }: Timeline): Entry {
  if (entry.kind !== 'frame') return entry;
  const { frame, table } = entry;
  const [known, prev = ORIGIN] = PREV.exec(frame.text) ?? [];
  const last = ring.lastOf(table) ?? ORIGIN;
  if (known === undefined || last <= prev) return entry;
  return { ...entry, frame: { ...frame, text: frame.text.replace(known, `"prev":"${last}"`) } };
}

/** A copy that nothing here goes on to: everything is served from it alone. */
function* begin({ head, state, entries }: Coming, before: Copy | null, options: ReplicaOptions): Generator<Step, Copy> {
  if (before !== null) {
    const reason = before.timeline.epoch === head.epoch ? 'history_lost' : 'restored';
    yield { kind: 'fresh', reason, words: 'the copy does not go on from what was served here' };
  }
  const timeline = options.createTimeline(head.epoch, head.floor, state);
  for (const [table, position] of head.births) {
    timeline.take({ kind: 'added', table, name: state.nameOf(table) }, placeAt(position), 'rewind');
  }
  for (const [table, position] of head.floors) {
    timeline.take({ kind: 'floor', table, reason: 'unknown' }, placeAt(position), 'rewind');
  }
  timeline.take({ kind: 'vanished' }, placeAt(head.vanished), 'rewind');
  timeline.take({ kind: 'partial', partial: head.partial, looked: [] }, placeAt(head.delivered), 'rewind');
  for (const { entry, place } of entries) timeline.take(entry, place, 'rewind');
  const copy = { timeline, state, progress: { delivered: head.delivered } };
  yield { kind: 'serving', timeline, progress: copy.progress };
  return copy;
}

/** A copy that goes on from what is served here: what happened meanwhile is told to subscribers now. */
function goOn({ head, state, entries }: Coming, copy: Copy, options: ReplicaOptions): void {
  const { timeline, state: own, progress } = copy;
  const from = progress.delivered;
  const births = new Map(head.births);
  for (const { table, name, isNew } of own.become(state)) {
    timeline.take({ kind: isNew ? 'added' : 'named', table, name }, placeAt(births.get(table) ?? from), 'live');
  }
  for (const [table, position] of head.floors) {
    if (position > from) timeline.take({ kind: 'floor', table, reason: 'unknown' }, placeAt(position), 'live');
  }
  if (head.vanished > from) timeline.take({ kind: 'vanished' }, placeAt(head.vanished), 'live');
  const looked: TableId[] = [...own.known()];
  timeline.take({ kind: 'partial', partial: head.partial, looked }, placeAt(head.delivered), 'live');
  for (const { entry, place } of entries) timeline.take(withPrev(entry, timeline), place, 'live');
  options.changed(new Map(looked.map((table) => [table, true])));
  progress.delivered = later(from, head.delivered);
  options.metaChanged();
}

/** Takes a line into the copy that is coming; false when it is not part of one. */
function collect(line: WireLine, into: Coming): boolean {
  if (line.kind === 'head') into.state.setHead(line.head);
  else if (line.kind === 'numbers') into.state.setNumbers(line.table, line.text);
  else if (line.kind === 'entry') into.entries.push(line);
  else return false;
  return true;
}

type Happening = Extract<WireLine, { kind: 'entry' | 'head' | 'numbers' | 'delivered' }>;

/** Takes what happened into the copy that is served. */
function follow(line: Happening, { timeline, state, progress }: Copy, changed: ReplicaOptions['changed']): void {
  switch (line.kind) {
    case 'head':
      state.setHead(line.head);
      changed(new Map([[line.head.table, false]]));
      return;
    case 'numbers':
      state.setNumbers(line.table, line.text);
      changed(new Map([[line.table, true]]));
      return;
    case 'entry':
      // Told twice, an event would be published and listed twice.
      if (line.entry.kind === 'frame' && line.place.position <= progress.delivered) return;
      state.apply(line.entry);
      timeline.take(withPrev(line.entry, timeline), line.place, 'live');
      if (line.entry.kind === 'frame') changed(new Map([[line.entry.table, line.entry.newest]]));
      return;
    case 'delivered':
      progress.delivered = later(progress.delivered, line.position);
      timeline.ring.evict(timeOf(progress.delivered).t);
      return;
    default:
      line satisfies never;
  }
}

/** Reads lines into what is served. */
function createIntake(options: ReplicaOptions) {
  let copy: Copy | null = null;
  let coming: Coming | null = null;

  function* copied(whole: Coming): Generator<Step> {
    const isNext = copy?.timeline.epoch === whole.head.epoch && copy.progress.delivered === whole.head.from;
    if (copy === null || !isNext) {
      copy = yield* begin(whole, copy, options);
      return;
    }
    goOn(whole, copy, options);
    yield { kind: 'advanced' };
  }

  return {
    /** What is served; null before the first copy, and after a fresh state began. */
    served: () => copy,
    /** The line was cut: what had begun to come is of no use. */
    cut(): void {
      coming = null;
    },
    *take(line: WireLine): Generator<Step> {
      if (coming !== null && collect(line, coming)) return;
      switch (line.kind) {
        case 'copy':
          coming = { head: line.head, state: createReplicaState(), entries: [] };
          return;
        case 'copied': {
          const whole = coming;
          coming = null;
          if (whole !== null) yield* copied(whole);
          return;
        }
        case 'notice':
          yield line.notice;
          if (line.notice.kind === 'fresh') copy = null;
          return;
        case 'meta':
          options.metaChanged();
          return;
        case 'answer': {
          const { times, askedMs, ageMs } = line.answer;
          options.times(times, askedMs - ageMs);
          return;
        }
        default:
          if (copy !== null) follow(line, copy, options.changed);
          if (line.kind === 'delivered') yield { kind: 'advanced' };
      }
    },
  };
}

/** Asks for the majority time every so often, says who listens, and calls `silent` when nothing comes. */
function watchLine(link: ReplicaLink, from: Copy | null, options: ReplicaOptions, silent: () => void) {
  const { timings, nowMs, isHeard } = options;
  const say = (request: ReplicaRequest): void => link.send(JSON.stringify(request));
  say({ type: 'follow', epoch: from?.timeline.epoch ?? null, position: from?.progress.delivered ?? null });
  let heardMs = nowMs();
  let tickMs = heardMs;
  let heard = true;
  const look = (): void => {
    if (heard === isHeard()) return;
    heard = !heard;
    say({ type: 'heard', heard });
  };
  const tick = (): void => {
    const now = nowMs();
    if (now - tickMs > timings.lineAskMs + BLOCKED_MS) heardMs = now;
    tickMs = now;
    look();
    if (now - heardMs > timings.lineAskMs + timings.watchdogMarginMs) silent();
    else say({ type: 'ask', askedMs: now });
  };
  tick();
  const timer = setInterval(tick, timings.lineAskMs);
  return {
    heard(): void {
      heardMs = nowMs();
      look();
    },
    stop: (): void => clearInterval(timer),
  };
}

/** Follows another feed over a line instead of a database: takes a copy of what it serves, and what happens from then on. */
export function createReplica(options: ReplicaOptions): Follower {
  const { nowMs, timings } = options;
  const stopped = new AbortController();
  const { signal } = stopped;
  const intake = createIntake(options);
  let link: ReplicaLink | null = null;
  let attempt = 0;
  /** Why this side gave the line up; null while it did not. */
  let kicked: string | null = null;

  const kick = (reason: string): void => {
    kicked = reason;
    link?.close();
  };

  /** One line from its opening to its end. */
  async function* session(): AsyncGenerator<Step, void> {
    const open = await options.connect();
    link = open;
    kicked = null;
    if (signal.aborted) open.close();
    const watch = watchLine(open, intake.served(), options, () => kick('nothing was heard in time'));
    try {
      for await (const message of open.messages) {
        watch.heard();
        attempt = 0;
        for (const line of message.split('\n')) yield* intake.take(readLine(line));
      }
    } finally {
      watch.stop();
      link = null;
      intake.cut();
      open.close();
      options.times(null, nowMs());
    }
  }

  async function* steps(): AsyncGenerator<Step, void> {
    yield { kind: 'phase', phase: 'connecting', reason: 'connecting to the feed that is followed' };
    while (!signal.aborted) {
      let words = 'the line ended';
      try {
        yield* session();
      } catch (error) {
        words = error instanceof Error ? error.message : String(error);
      }
      if (signal.aborted) break;
      words = kicked ?? words;
      yield { kind: 'reopened', name: 'replica', words };
      yield { kind: 'phase', phase: intake.served() === null ? 'connecting' : 'degraded', reason: words };
      const waitMs = backoffMs(attempt++, options.random(), timings.backoffBaseMs, timings.backoffCapMs);
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
    yield { kind: 'phase', phase: 'stopped', reason: null };
  }

  return {
    steps,
    kick,
    stop() {
      stopped.abort();
      link?.close();
    },
  };
}
