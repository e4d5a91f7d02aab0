import type { EventMessage, Reset, Snapshot, Subscribed } from '../protocol/messages.ts';
import { later, ORIGIN, type Position } from '../protocol/position.ts';
import { ALL_TABLES, topicOf } from '../protocol/topic.ts';
import { applyEvent, emptyTable, type Table, tableOf } from './table.ts';

/** How many numbers a snapshot of all tables carries at most. */
export const MAX_STAR_HISTORY = 20;

/** Requests for what is missing before the topic goes on without it. */
const MAX_ATTEMPTS = 3;

/**
 * Where the client stands, per topic: the memory that makes delivery exactly-once across reconnects, instances and
 * transports. Knows no network and no time.
 *
 * INVARIANT exactly-once: an event is handed on when it lies above its topic's position and drop mark and follows what
 * the topic has (`prev`), and never otherwise.
 */
export interface Standing {
  readonly topic: string;
  table: Table | null;
  /** Everything of this topic at or below was received; ORIGIN is nothing. Resume from here. */
  position: Position;
  /** Position of the last snapshot: it contains what is at or below, though its request may not be complete yet. */
  mark: Position;
  epoch: string | null;
  /** A reset was not followed by its snapshot yet. */
  owed: boolean;
  /** How many numbers the last snapshot was asked for. */
  depth: number;
  /** What must be asked for to make the topic whole again. */
  need: 'nothing' | 'replay' | 'snapshot';
  /** The highest event held back behind a hole; ORIGIN without a hole. */
  withheld: Position;
  /** Replays that did not close the present hole. */
  attempts: number;
}

/** How the connection stands at the moment of a frame. */
export interface Moment {
  /** Topics whose subscribe was not answered yet; `roulette:*` makes every topic pending. */
  readonly pending: ReadonlySet<string>;
  /** The connection holds, or asks for, all tables. */
  readonly star: boolean;
  /** SSE and long-poll carry one position for all topics, so an event there speaks for all of them. */
  readonly single: boolean;
  /** How many numbers are wanted of this topic. */
  depthOf(topic: string): number;
}

/** One topic of a subscribe frame. */
export interface TopicItem {
  readonly topic: string;
  readonly history: number;
  readonly after?: Position;
  readonly epoch?: string;
  readonly owed?: true;
}

/** The end of a hole. Not healed: neither replays nor a snapshot brought what is missing. */
export interface Healing {
  readonly standing: Standing;
  readonly healed: boolean;
}

export type EventVerdict = 'applied' | 'duplicate' | 'hole' | 'withheld';

export interface Progress {
  readonly standings: ReadonlyMap<string, Standing>;
  event(event: EventMessage, moment: Moment): EventVerdict;
  /** False when the snapshot is older than what the topic has, and therefore not taken. */
  snapshot(snapshot: Snapshot, moment: Moment): boolean;
  /** The topics that are owed a snapshot now. */
  reset(reset: Reset): readonly Standing[];
  /** Takes an acknowledgement of `topics`; returned are the holes that it closed, or that nothing will close. */
  subscribed(ack: Subscribed, topics: readonly string[]): readonly Healing[];
  sync(position: Position, topics: Iterable<string>, moment: Moment): void;
  item(topic: string, history: number): TopicItem;
  /** The highest position ever received, with its epoch: an instance behind it must not show a new topic's past. */
  seen(): { readonly seen: Position; readonly epoch: string } | null;
  /** `epoch.position` for the transports with one position: the lowest of these topics, `~` when one is owed. */
  cursor(topics: readonly string[]): string | null;
  /** A snapshot of these items was asked for and acknowledged: asking again for the same would bring no more. */
  asked(items: readonly TopicItem[]): void;
  /** The source is live again: only what is owed a snapshot is still stale. */
  fresh(): void;
  /** Forgets the topics that are not wanted any more. */
  keep(wants: (topic: string) => boolean): void;
}

export function createProgress(): Progress {
  const standings = new Map<string, Standing>();
  /** What `roulette:*` resumes from: it stands for tables that the client never heard of, too. */
  let star: { position: Position; epoch: string | null } = { position: ORIGIN, epoch: null };

  const standingOf = (topic: string): Standing => {
    const known = standings.get(topic);
    if (known) return known;
    const fresh: Standing = {
      topic,
      table: null,
      position: ORIGIN,
      mark: ORIGIN,
      epoch: null,
      owed: false,
      depth: 0,
      need: 'nothing',
      withheld: ORIGIN,
      attempts: 0,
    };
    standings.set(topic, fresh);
    return fresh;
  };

  const reached = (standing: Standing): Position => later(standing.position, standing.mark);
  const isPending = (moment: Moment, topic: string): boolean =>
    moment.pending.has(topic) || moment.pending.has(ALL_TABLES);
  const owesNothing = (): boolean => [...standings.values()].every((each) => !each.owed);
  const lowest = (): Position =>
    [...standings.values()].reduce<Position | null>(
      (low, each) => (low === null || each.position < low ? each.position : low),
      null,
    ) ?? ORIGIN;

  /** A hole keeps its topic where it is, whatever else says that everything was sent. */
  const raise = (standing: Standing, to: Position): void => {
    if (standing.withheld === ORIGIN && standing.table) standing.position = later(standing.position, to);
  };

  const filled = (standing: Standing): void => {
    standing.withheld = ORIGIN;
    standing.attempts = 0;
    standing.need = 'nothing';
  };

  return {
    standings,

    event(event, moment) {
      const standing = standingOf(event.topic);
      const { position, prev } = event;
      if (position <= reached(standing)) return 'duplicate';
      if (standing.table && !standing.owed && prev !== null && prev > reached(standing)) {
        const known = standing.withheld !== ORIGIN;
        standing.withheld = later(standing.withheld, position);
        if (standing.need === 'nothing' && !known) standing.need = 'replay';
        return known ? 'withheld' : 'hole';
      }
      const depth = moment.depthOf(event.topic);
      const applied = applyEvent(standing.table ?? emptyTable(event), event, depth);
      if (!standing.table) {
        // A table first met through an event has all that there is of it: nothing deeper can be asked for.
        standing.depth = depth;
        standing.epoch ??= star.epoch;
      }
      standing.table = applied.table;
      standing.position = position;
      if (applied.thin && standing.need === 'nothing') standing.need = 'snapshot';
      if (moment.pending.size === 0) {
        if (moment.star) star = { ...star, position: later(star.position, position) };
        if (moment.single && owesNothing()) for (const each of standings.values()) raise(each, position);
      }
      return 'applied';
    },

    snapshot(snapshot, moment) {
      const standing = standingOf(snapshot.topic);
      const asked = isPending(moment, snapshot.topic);
      const other = snapshot.epoch !== standing.epoch;
      const lower = snapshot.position < standing.position;
      if (lower && !other && !asked && !standing.owed) return false;
      const depth = moment.depthOf(snapshot.topic);
      standing.table = tableOf(snapshot, depth);
      standing.mark = snapshot.position;
      filled(standing);
      if (asked) {
        // The request is not complete: the position stays, so that a cut here starts over from it. A snapshot of
        // another epoch, or of a lower place, makes that old position worthless.
        if (other || lower) {
          standing.position = ORIGIN;
          star = { ...star, position: ORIGIN };
        }
      } else {
        standing.position = snapshot.position;
      }
      // Snapshots that nobody asked for, and those of all tables, carry at most 20 numbers; fewer means there are no more.
      const whole = moment.pending.has(snapshot.topic) || snapshot.numeros.length < Math.min(MAX_STAR_HISTORY, depth);
      standing.depth = whole ? depth : snapshot.numeros.length;
      standing.epoch = snapshot.epoch;
      standing.owed = false;
      if (!asked && moment.star && moment.pending.size === 0) {
        star = { position: owesNothing() ? lowest() : star.position, epoch: snapshot.epoch };
      }
      return true;
    },

    reset(reset) {
      const hit =
        reset.topic === ALL_TABLES ? [...standings.values()] : [standings.get(reset.topic)].filter((each) => !!each);
      for (const standing of hit) {
        standing.owed = true;
        if (standing.table) standing.table = { ...standing.table, stale: true };
      }
      return hit;
    },

    subscribed(ack, topics) {
      const healed: Healing[] = [];
      const all = topics.includes(ALL_TABLES);
      for (const standing of all ? [...standings.values()] : topics.map(standingOf)) {
        if (all && standing.epoch !== null && standing.epoch !== ack.epoch) {
          // All tables were sent and this was not among them: it does not exist in this epoch.
          standings.delete(standing.topic);
          continue;
        }
        const holed = standing.withheld !== ORIGIN;
        const missing = holed ? standing.withheld > reached(standing) : standing.table === null;
        if (missing && standing.attempts < MAX_ATTEMPTS) {
          standing.attempts += 1;
          standing.need = holed && standing.attempts === 1 ? 'replay' : 'snapshot';
          if (holed) continue;
        } else if (holed || missing) {
          if (holed) healed.push({ standing, healed: !missing });
          filled(standing);
        }
        standing.position = standing.epoch === ack.epoch ? later(standing.position, ack.position) : ack.position;
        standing.epoch = ack.epoch;
      }
      if (all) star = { position: ack.position, epoch: ack.epoch };
      return healed;
    },

    sync(position, topics, moment) {
      if (moment.star) {
        if (moment.pending.size > 0) return;
        for (const standing of standings.values()) raise(standing, position);
        star = { ...star, position: later(star.position, position) };
        return;
      }
      for (const topic of topics) {
        const standing = standings.get(topic);
        if (standing && !moment.pending.has(topic)) raise(standing, position);
      }
    },

    item(topic, history) {
      const all = topic === ALL_TABLES;
      const at = all ? star : standingOf(topic);
      const owed = all ? !owesNothing() : standingOf(topic).owed;
      const holed = all && [...standings.values()].some((each) => each.withheld !== ORIGIN);
      return {
        topic,
        history,
        ...(at.position === ORIGIN || at.epoch === null || holed ? {} : { after: at.position, epoch: at.epoch }),
        ...(owed ? { owed } : {}),
      };
    },

    seen() {
      let highest: Position = ORIGIN;
      let epoch: string | null = null;
      for (const standing of standings.values()) {
        if (reached(standing) > highest && standing.epoch !== null) {
          highest = reached(standing);
          epoch = standing.epoch;
        }
      }
      return epoch === null ? null : { seen: highest, epoch };
    },

    cursor(topics) {
      const all = topics.includes(ALL_TABLES);
      const at = all ? [star] : topics.map(standingOf);
      const [first] = at;
      const epoch = first?.epoch ?? null;
      if (!first || epoch === null || at.some((each) => each.position === ORIGIN || each.epoch !== epoch)) return null;
      if (all && [...standings.values()].some((each) => each.withheld !== ORIGIN)) return null;
      const low = at.map(({ position }) => position).sort()[0] ?? ORIGIN;
      const owed = (all ? [...standings.keys()] : topics).some((topic) => standings.get(topic)?.owed);
      return `${epoch}.${low}${owed ? '~' : ''}`;
    },

    asked(items) {
      for (const { topic, history, after } of items) {
        const standing = after === undefined ? standings.get(topic) : undefined;
        if (!standing) continue;
        standing.depth = Math.max(standing.depth, history);
        if (standing.withheld === ORIGIN) standing.need = 'nothing';
      }
    },

    fresh() {
      for (const standing of standings.values()) {
        if (standing.table?.stale && !standing.owed) standing.table = { ...standing.table, stale: false };
      }
    },

    keep(wants) {
      if (!wants(ALL_TABLES)) star = { position: ORIGIN, epoch: null };
      for (const topic of [...standings.keys()]) if (!wants(topic)) standings.delete(topic);
    },
  };
}

/** The topic of a reference that names one table by its id: `2010165`, `2_2010165` and `2010165_2` are the same. */
export function canonicalTopic(reference: string): string | null {
  if (reference === '*') return ALL_TABLES;
  const id = /^(?:\d{1,3}_)?(\d{7})(?:_\d{1,3})?$/.exec(reference)?.[1];
  return id === undefined ? null : topicOf(id);
}
