import { ALL_TABLES, type EventMessage, type Reset, type Snapshot, type Subscribed } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { MAX_STAR_HISTORY, MAX_TRIES } from './limits.ts';
import { applyEvent, later, type MaybePosition, NOTHING, type Table, type TopicState, tableOf } from './table.ts';
import type { Resume, Seen, TopicItem } from './transport.ts';
import type { SnapshotReason, Stats, SubscriptionMessage } from './types.ts';

/** What the connection is doing at the moment of a frame. */
export interface Moment {
  /** How many numbers a snapshot of this topic may carry for the request that is under way; null when there is none. */
  requested(topic: string): number | null;
  /** How many numbers are wanted of this topic. */
  depthOf(topic: string): number;
  /** Whether tables may come that were never heard of: all are followed, or a name. */
  isOpen(): boolean;
  /** Whether an event, of whichever topic, tells that everything before it was sent of this one. */
  inOrder(topic: string): boolean;
}

export type Counters = { -readonly [K in Exclude<keyof Stats, 'position' | 'epoch'>]: Stats[K] };

export const noCounts = (): Counters => ({
  received: 0,
  events: 0,
  duplicates: 0,
  gaps: 0,
  healed: 0,
  snapshots: 0,
  resets: 0,
  malformed: 0,
  reconnects: 0,
  roundTripMs: null,
});

export interface TopicProgress {
  readonly states: ReadonlyMap<string, TopicState>;
  /** What the event left to be asked for: what fills a hole, now, or the end of a list, sometime. */
  event(event: EventMessage, moment: Moment): 'hole' | 'thin' | null;
  takeSnapshot(snapshot: Snapshot, moment: Moment): void;
  takeReset(reset: Reset): void;
  /** Takes the acknowledgement of `topics`, asked for with `items`. */
  takeAck(ack: Subscribed, topics: readonly string[], items: readonly TopicItem[]): void;
  /** The topic goes on with what it has, though it may be less than `history` numbers, and with a hole. */
  content(topic: string, history: number): void;
  /** Everything up to `position` was sent of the topics for which `isWhole` is true. */
  reach(position: Position, isWhole: (topic: string) => boolean): void;
  /** How to go on with these topics, taken together: the lowest of their positions. */
  resume(topics: readonly string[]): Resume;
  /** The highest position ever received, and its epoch: an instance behind it must not show a new topic's past. */
  seen(): Seen;
  /** What is known of a topic, as the snapshot that it amounts to; null when nothing is. */
  known(topic: string): Snapshot | null;
  /** Whether the connection and the server's source are live: only then a table is not stale, unless owed a snapshot. */
  markLive(isLive: boolean): void;
  /** Forgets the single topics that are not wanted any more. */
  keep(wants: (topic: string) => boolean): void;
  /** Forgets the position of all tables together, since not all are followed any more. */
  single(): void;
}

/**
 * How far the client is, per topic: the memory that makes delivery exactly-once across reconnects, instances and
 * transports. Knows no network and no time.
 *
 * INVARIANT exactly-once: an event is handed on when it lies above its topic's position and drop mark and follows what
 * the topic has (`prev`), and never otherwise.
 *
 * `deliver` gets what is new, once and in order, with the table as it is then.
 */
export function createProgress(
  counters: Counters,
  deliver: (message: SubscriptionMessage, table: Table | null, reason?: SnapshotReason) => void,
  older: Table['older'],
): TopicProgress {
  const states = new Map<string, TopicState>();
  let epoch: string | undefined;
  let seen: MaybePosition = '';

  const stateOf = (topic: string): TopicState => {
    const state = states.get(topic) ?? { topic, ...NOTHING };
    states.set(topic, state);
    return state;
  };

  const move = (state: TopicState, to: Position): void => {
    state.position = later(state.position, to);
    seen = later(seen, to);
  };

  /** Positions of another epoch mean nothing. */
  const enter = (next: string): void => {
    if (next === epoch) return;
    epoch = next;
    seen = '';
    for (const state of states.values()) {
      const { table, sure } = state;
      const known = table !== null;
      Object.assign(state, NOTHING, { table, sure, owed: known ? 'restored' : null, doubtful: known });
    }
  };

  const fill = (state: TopicState): void => {
    state.withheld = '';
    state.tries = 0;
  };

  const heal = (state: TopicState): void => {
    if (state.withheld) counters.healed += 1;
    fill(state);
  };

  const progress: TopicProgress = {
    states,

    event(event, moment) {
      const { topic, position, prev } = event;
      const state = stateOf(topic);
      const at = later(state.position, state.mark);
      // A topic begins with its snapshot; what comes before that is inside it.
      if (!state.table && !moment.isOpen()) return null;
      if (position <= at) {
        counters.duplicates += 1;
        return null;
      }
      if (state.table && !state.owed && at && prev && prev > at) {
        const { withheld } = state;
        state.withheld = later(withheld, position);
        if (withheld) return null;
        counters.gaps += 1;
        deliver({ type: 'gap', topic, after: at, before: position }, state.table);
        return 'hole';
      }
      const depth = moment.depthOf(topic);
      // A table that appeared while all tables are watched: its events are all there is of it.
      if (!state.table) state.sure = depth;
      state.table ??= tableOf({ ...event, numeros: [], estrategia: null, stale: false }, 0, older);
      const { table, sure } = applyEvent(state.table, event, depth, Math.min(state.sure, depth));
      state.sure = sure;
      state.table = table;
      move(state, position);
      if (position >= state.withheld) heal(state);
      progress.reach(position, moment.inOrder);
      counters.events += 1;
      deliver(event, table);
      return sure < depth ? 'thin' : null;
    },

    takeSnapshot(snapshot, moment) {
      enter(snapshot.epoch);
      const { topic, position, numeros } = snapshot;
      const state = stateOf(topic);
      const asked = moment.requested(topic);
      // What a name means is wanted by nobody yet when it comes.
      const depth = Math.max(moment.depthOf(topic), asked ?? 0);
      const lower = position < state.position;
      if (lower && asked === null && !state.owed) {
        counters.duplicates += 1;
        return;
      }
      const reason = reasonOf(state, depth);
      heal(state);
      state.table = tableOf(snapshot, depth, older);
      // A shorter list than was asked for is all there is.
      state.sure = numeros.length < (asked ?? MAX_STAR_HISTORY) ? depth : Math.min(depth, numeros.length);
      state.mark = position;
      state.owed = null;
      state.doubtful = false;
      seen = lower ? position : later(seen, position);
      // While its request is not complete the position stays, so that a cut here starts over from it; a lower place
      // makes that old position worthless.
      if (asked === null) state.position = position;
      else if (lower) state.position = stateOf(ALL_TABLES).position = '';
      counters.snapshots += 1;
      deliver(snapshot, state.table, reason);
    },

    takeReset(reset) {
      const all = reset.topic === ALL_TABLES;
      counters.resets += 1;
      for (const state of states.values()) {
        const { topic, table } = state;
        if (!table || !(all || topic === reset.topic)) continue;
        state.owed = reset.reason;
        state.doubtful ||= all;
        state.table = { ...table, stale: true };
        deliver({ ...reset, topic }, state.table);
      }
    },

    takeAck(ack, topics, items) {
      enter(ack.epoch);
      const all = topics.includes(ALL_TABLES);
      // Only what was asked for with a position can be recovered or lost.
      if (items.some(({ after }) => after)) {
        for (const result of ack.topics) {
          const { topic } = result;
          if (result.recovered) deliver({ type: 'recovered', topic, replayed: result.replayed }, null);
          else if (result.reason !== 'new') deliver({ type: 'lost', topic, reason: result.reason }, null);
        }
      }
      const named = topics.map(stateOf);
      for (const state of all ? [...states.values()] : named) {
        const { topic, table } = state;
        if (all && state.doubtful) {
          // All tables were sent, and this was not among them.
          states.delete(topic);
          continue;
        }
        const missing = state.withheld || (!table && topic !== ALL_TABLES);
        if (missing && state.tries < MAX_TRIES) {
          state.tries += 1;
          continue;
        }
        // A snapshot was asked for and acknowledged: asking again for the same would bring no more.
        progress.content(topic, items.find((item) => item.topic === topic && !item.after)?.history ?? 0);
        move(state, ack.position);
      }
    },

    content(topic, history) {
      const state = stateOf(topic);
      fill(state);
      state.sure = Math.max(state.sure, history);
    },

    reach(position, isWhole) {
      const holed = [...states.values()].some(({ withheld }) => withheld);
      for (const state of states.values()) {
        // A hole keeps its topic where it is, whatever else says that everything was sent.
        const { topic, table, withheld } = state;
        const whole = table ? !withheld : topic === ALL_TABLES && !holed;
        if (whole && isWhole(topic)) move(state, position);
      }
    },

    resume(topics) {
      const all = topics.includes(ALL_TABLES);
      const [after] = topics.map((topic) => states.get(topic)?.position ?? '').sort();
      const owed = [...states.values()].some((each) => each.owed && (all || topics.includes(each.topic)));
      return { after: after || undefined, owed: owed || undefined };
    },

    seen: () => ({ seen: seen || undefined, epoch }),

    known(topic) {
      const { table, position, mark } = states.get(topic) ?? NOTHING;
      const at = later(position, mark);
      if (!table || epoch === undefined || !at) return null;
      const { id, nome, duploZero, older: _, ...rest } = table;
      const wheel = duploZero ? { duplo_zero: duploZero } : {};
      return { type: 'snapshot', epoch, position: at, roleta_id: id, roleta_nome: nome, ...wheel, ...rest };
    },

    markLive(isLive) {
      for (const state of states.values()) {
        const { topic, table, owed } = state;
        const stale = !isLive || owed !== null;
        if (!table || table.stale === stale) continue;
        state.table = { ...table, stale };
        deliver({ type: 'stale', topic, stale }, state.table);
      }
    },

    keep(wants) {
      for (const topic of [...states.keys()]) if (topic !== ALL_TABLES && !wants(topic)) states.delete(topic);
    },
    single() {
      states.delete(ALL_TABLES);
    },
  };
  return progress;
}

/** Why a snapshot of this topic comes now. */
function reasonOf({ table, owed, withheld, sure }: TopicState, depth: number): SnapshotReason {
  if (!table) return 'new';
  if (owed) return owed;
  if (withheld) return 'gap';
  return sure < depth ? 'history' : 'lost';
}
