import type { EventMessage, Reset, Snapshot, Subscribed, Sync } from '../protocol/messages.ts';
import { later } from '../protocol/position.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import type { Interest } from './interest.ts';
import type { Healing, Moment, Progress } from './progress.ts';
import type { Gap, SubscriptionMessage } from './types.ts';

export interface Counters {
  received: number;
  events: number;
  duplicates: number;
  gaps: number;
  healed: number;
  snapshots: number;
  resets: number;
  malformed: number;
  reconnects: number;
}

export interface Delivery {
  event(event: EventMessage, moment: Moment): void;
  snapshot(snapshot: Snapshot, moment: Moment): void;
  reset(reset: Reset): void;
  subscribed(ack: Subscribed, topics: readonly string[]): void;
  sync(sync: Sync, topics: Iterable<string>, moment: Moment): void;
}

/** Takes messages into the progress, counts, and hands on what is new to whoever follows its topic. */
export function createDelivery(progress: Progress, interest: Interest, counters: Counters): Delivery {
  const hand = (message: SubscriptionMessage, topic: string): void => {
    const table = progress.standings.get(topic)?.table ?? null;
    for (const follower of interest.followersOf(topic)) follower.deliver(message, table);
  };

  const ended = ({ healed }: Healing): void => {
    if (healed) counters.healed += 1;
  };

  return {
    event(event, moment) {
      const standing = progress.standings.get(event.topic);
      const after = standing && later(standing.position, standing.mark);
      const verdict = progress.event(event, moment);
      if (verdict === 'applied') {
        counters.events += 1;
        hand(event, event.topic);
      } else if (verdict === 'duplicate') {
        counters.duplicates += 1;
      } else if (verdict === 'hole' && after !== undefined && event.prev !== null) {
        counters.gaps += 1;
        const gap: Gap = { type: 'gap', topic: event.topic, after, before: event.position };
        hand(gap, event.topic);
      }
    },
    snapshot(snapshot, moment) {
      const holed = progress.standings.get(snapshot.topic)?.attempts ?? 0;
      if (!progress.snapshot(snapshot, moment)) {
        counters.duplicates += 1;
        return;
      }
      if (holed > 0) counters.healed += 1;
      counters.snapshots += 1;
      hand(snapshot, snapshot.topic);
    },
    reset(reset) {
      counters.resets += 1;
      for (const { topic } of progress.reset(reset)) hand({ ...reset, topic }, topic);
    },
    subscribed(ack, topics) {
      for (const healing of progress.subscribed(ack, topics)) ended(healing);
      const all = topics.includes(ALL_TABLES);
      for (const reference of interest.references.values()) {
        const took = all || topics.some((topic) => reference.topics.has(topic));
        if (took && reference.topics.size > 0) for (const follower of reference.followers) follower.taken();
      }
    },
    sync(sync, topics, moment) {
      progress.sync(sync.position, topics, moment);
    },
  };
}
