import type { EventMessage, Reset, Snapshot, Subscribed } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import { later, NOTHING, type Place, type Standing } from './last-position.ts';
import { MAX_STAR_HISTORY, MAX_TRIES } from './limits.ts';
import { applyEvent, type Table, tableOf } from './table.ts';
import type { Resume, Seen, TopicItem } from './transport.ts';
import type { Stats, SubscriptionMessage } from './types.ts';

/** How the connection stands at the moment of a frame. */
export interface Moment {
  /** How many numbers a snapshot of this topic may carry for the request that is under way; null when there is none. */
  asked(topic: string): number | null;
  /** How many numbers are wanted of this topic. */
  depthOf(topic: string): number;
  /** Whether tables may come that were never heard of: all are followed, or a name. */
  isOpen(): boolean;
  /** Whether an event, of whichever topic, tells that everything before it was sent of this one. */
  inOrder(topic: string): boolean;
}

export type Counters = { -readonly [K in Exclude<keyof Stats, 'position' | 'epoch'>]: Stats[K] };

export interface Progress {
  readonly standings: ReadonlyMap<string, Standing>;
  /** What the event left to be asked for: what fills a hole, now, or the end of a list, sometime. */
  event(event: EventMessage, moment: Moment): 'hole' | 'thin' | null;
  snapshot(snapshot: Snapshot, moment: Moment): void;
  reset(reset: Reset): void;
  /** Takes the acknowledgement of `topics`, asked for with `items`. */
  subscribed(ack: Subscribed, topics: readonly string[], items: readonly TopicItem[]): void;
  /** The topic goes on with what it has, though it may be less than `history` numbers, and with a hole. */
  content(topic: string, history: number): void;
  /** Everything up to `position` was sent of the topics for which `holds` is true. */
  sync(position: Position, holds: (topic: string) => boolean): void;
  /** How to go on with these topics, taken together: the lowest of their positions. */
  resume(topics: readonly string[]): Resume;
  /** The highest position ever received, and its epoch: an instance behind it must not show a new topic's past. */
  seen(): Seen;
  /** What is known of a topic, as the snapshot that it amounts to; null when nothing is. */
  known(topic: string): Snapshot | null;
  /** The source is live again: only what is owed a snapshot is still stale. */
  fresh(): void;
  /** Forgets the topics that are not wanted any more. */
  keep(wants: (topic: string) => boolean): void;
}

/**
 * Where the client stands, per topic: the memory that makes delivery exactly-once across reconnects, instances and
 * transports. Knows no network and no time.
 *
 * INVARIANT exactly-once: an event is handed on when it lies above its topic's position and drop mark and follows what
 * the topic has (`prev`), and never otherwise.
 *
 * `deliver` gets what is new, once and in order, with the table as it is then.
 */
export function createProgress(
  counters: Counters,
  deliver: (message: SubscriptionMessage, table: Table | null) => void,
): Progress {
  const standings = new Map<string, Standing>();
  let epoch: string | undefined;
  let seen: Place = '';

  const standingOf = (topic: string): Standing => {
    const standing = standings.get(topic) ?? { topic, ...NOTHING };
    standings.set(topic, standing);
    return standing;
  };

  const move = (standing: Standing, to: Position): void => {
    standing.position = later(standing.position, to);
    seen = later(seen, to);
  };

  /** Positions of another epoch mean nothing. */
  const enter = (next: string): void => {
    if (next === epoch) return;
    epoch = next;
    seen = '';
    for (const standing of standings.values()) {
      const { table, sure } = standing;
      const known = table !== null;
      Object.assign(standing, NOTHING, { table, sure, owed: known, doubtful: known });
    }
  };

  const fill = (standing: Standing): void => {
    standing.withheld = '';
    standing.tries = 0;
  };

  const heal = (standing: Standing): void => {
    if (standing.withheld) counters.healed += 1;
    fill(standing);
  };

  const progress: Progress = {
    standings,

    event(event, moment) {
      const { topic, position, prev } = event;
      const standing = standingOf(topic);
      const at = later(standing.position, standing.mark);
      // A topic begins with its snapshot; what comes before that is inside it.
      if (!standing.table && !moment.isOpen()) return null;
      if (position <= at) {
        counters.duplicates += 1;
        return null;
      }
      if (standing.table && !standing.owed && at && prev && prev > at) {
        const { withheld } = standing;
        standing.withheld = later(withheld, position);
        if (withheld) return null;
        counters.gaps += 1;
        deliver({ type: 'gap', topic, after: at, before: position }, standing.table);
        return 'hole';
      }
      const depth = moment.depthOf(topic);
      const { table, sure } = applyEvent(
        standing.table,
        event,
        depth,
        Math.min(standing.table ? standing.sure : depth, depth),
      );
      standing.sure = sure;
      standing.table = table;
      move(standing, position);
      if (position >= standing.withheld) heal(standing);
      progress.sync(position, moment.inOrder);
      counters.events += 1;
      deliver(event, table);
      return sure < depth ? 'thin' : null;
    },

    snapshot(snapshot, moment) {
      enter(snapshot.epoch);
      const { topic, position, numeros } = snapshot;
      const standing = standingOf(topic);
      const asked = moment.asked(topic);
      const depth = moment.depthOf(topic);
      const lower = position < standing.position;
      if (lower && asked === null && !standing.owed) {
        counters.duplicates += 1;
        return;
      }
      heal(standing);
      standing.table = tableOf(snapshot, depth);
      // A shorter list than was asked for is all there is.
      standing.sure = numeros.length < (asked ?? MAX_STAR_HISTORY) ? depth : Math.min(depth, numeros.length);
      standing.mark = position;
      standing.owed = false;
      standing.doubtful = false;
      seen = lower ? position : later(seen, position);
      // While its request is not complete the position stays, so that a cut here starts over from it; a lower place
      // makes that old position worthless.
      if (asked === null) standing.position = position;
      else if (lower) standing.position = standingOf(ALL_TABLES).position = '';
      counters.snapshots += 1;
      deliver(snapshot, standing.table);
    },

    reset(reset) {
      const all = reset.topic === ALL_TABLES;
      counters.resets += 1;
      for (const standing of standings.values()) {
        const { topic, table } = standing;
        if (!table || !(all || topic === reset.topic)) continue;
        standing.owed = true;
        standing.doubtful ||= all;
        standing.table = { ...table, stale: true };
        deliver({ ...reset, topic }, standing.table);
      }
    },

    subscribed(ack, topics, items) {
      enter(ack.epoch);
      const all = topics.includes(ALL_TABLES);
      const named = topics.map(standingOf);
      for (const standing of all ? [...standings.values()] : named) {
        const { topic, table } = standing;
        if (all && standing.doubtful) {
          // All tables were sent, and this was not among them.
          standings.delete(topic);
          continue;
        }
        const missing = standing.withheld || (!table && topic !== ALL_TABLES);
        if (missing && standing.tries < MAX_TRIES) {
          standing.tries += 1;
          continue;
        }
        // A snapshot was asked for and acknowledged: asking again for the same would bring no more.
        progress.content(topic, items.find((item) => item.topic === topic && !item.after)?.history ?? 0);
        move(standing, ack.position);
      }
    },

    content(topic, history) {
      const standing = standingOf(topic);
      fill(standing);
      standing.sure = Math.max(standing.sure, history);
    },

    sync(position, holds) {
      const holed = [...standings.values()].some(({ withheld }) => withheld);
      for (const standing of standings.values()) {
        // A hole keeps its topic where it is, whatever else says that everything was sent.
        const { topic, table, withheld } = standing;
        const whole = table ? !withheld : topic === ALL_TABLES && !holed;
        if (whole && holds(topic)) move(standing, position);
      }
    },

    resume(topics) {
      const all = topics.includes(ALL_TABLES);
      const [after] = topics.map((topic) => standings.get(topic)?.position ?? '').sort();
      const owed = [...standings.values()].some((each) => each.owed && (all || topics.includes(each.topic)));
      return { after: after || undefined, owed: owed || undefined };
    },

    seen: () => ({ seen: seen || undefined, epoch }),

    known(topic) {
      const { table, position, mark } = standings.get(topic) ?? {};
      const at = later(position ?? '', mark ?? '');
      if (!table || epoch === undefined || !at) return null;
      const { id, nome, ...rest } = table;
      return { type: 'snapshot', epoch, position: at, roleta_id: id, roleta_nome: nome, ...rest };
    },

    fresh() {
      for (const standing of standings.values()) {
        if (standing.table?.stale && !standing.owed) standing.table = { ...standing.table, stale: false };
      }
    },

    keep(wants) {
      for (const topic of [...standings.keys()]) if (!wants(topic)) standings.delete(topic);
    },
  };
  return progress;
}
