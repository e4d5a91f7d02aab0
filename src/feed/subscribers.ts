import type { Delivery, DeliveryObserver, Publish } from '../protocol/delivery.ts';
import { ALL_TABLES, frameOf, type ResetReason, topicOf } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';
import { createAudience } from './audience.ts';
import { createAwaited } from './awaited.ts';
import type { Served } from './request.ts';
import { OpenConnection, type Shared } from './subscriber.ts';
import { reachOf } from './timeline.ts';
import { createPace, type FeedTimings } from './timings.ts';

export interface Subscribers extends Delivery {
  /** Something moved: D, a floor, the majority time, readiness. Serves whoever waits for it. */
  advance(): void;
  /** A fresh state begins: tells every subscribed topic once, but for tables that were told, and owes each a snapshot. */
  reset(reason: ResetReason, epoch: string, told: ReadonlyMap<TableId, unknown>): void;
  /**
   * A fresh state is complete: every connection is sent the snapshots that `reset` owes, as fast as it takes them, and
   * what it waited for begins where it is known now.
   */
  refresh(): void;
  /** A table appeared, and no event of it was published yet; or one is found by one more name. */
  learnt(table: TableId, name: string, isNew: boolean): void;
  readonly connections: number;
  /** Connections that wait for something. */
  readonly waiting: number;
}

const tellWaiting = ({ awaited }: Shared, table: TableId, name: string, isNew: boolean): void => {
  for (const wait of awaited.of(table, name, isNew)) {
    if (isNew) wait.owner.appear(wait, table);
    else wait.owner.meet(wait, table);
  }
};

/** Serves whoever waits, and others between them: what a fresh state owes all of them at once takes its time. */
async function pumpAll({ busy, nowMs }: Pick<Shared, 'busy' | 'nowMs'>): Promise<void> {
  const pace = createPace(nowMs);
  for (const connection of [...busy]) {
    connection.pump();
    if (pace.isDue) await pace.rest();
  }
}

/**
 * Serves subscribe, unsubscribe and recovery for every transport.
 * INVARIANT one-tick: the last chunk of a replay, the ack and the joining of the topic happen in one synchronous tick, so
 * that no event falls between them.
 */
export function createSubscribers(
  publish: Publish,
  served: () => Served | null,
  nowMs: () => number,
  timings: Pick<FeedTimings, 'catchUpMs' | 'behindRetryMs'>,
  observer: DeliveryObserver,
): Subscribers {
  const shared: Shared = {
    connections: new Set(),
    busy: new Set(),
    awaited: createAwaited(),
    timings,
    observer,
    waitingInAll: 0,
    served,
    nowMs,
  };
  const { connections, busy } = shared;
  const audience = createAudience();
  let isReset = false;
  /** The tables that were served when the former state ended. */
  let before: readonly TableId[] = [];

  return {
    get connections() {
      return connections.size;
    },
    get waiting() {
      return busy.size;
    },
    reached() {
      const now = served();
      if (now === null) return null;
      const { timeline, delivered } = now;
      return { epoch: timeline.epoch, position: delivered, recoverySeconds: reachOf(timeline, delivered) };
    },
    open(link, options) {
      const connection = new OpenConnection(shared, link, options, audience.member(link));
      connections.add(connection);
      return connection;
    },
    advance() {
      for (const connection of [...busy]) connection.pump();
    },
    reset(reason, epoch, told) {
      // Told once: until the fresh state is complete, another reset would say nothing new.
      if (isReset) return;
      isReset = true;
      const toldTopics = new Set([...told.keys()].map(topicOf));
      const tables = served()?.timeline.state.tables() ?? [];
      before = [...new Set([...tables, ...told.keys()])];
      if (tables.length > 0 && tables.every((table) => told.has(table))) toldTopics.add(ALL_TABLES);
      for (const topic of audience.topics()) {
        if (!toldTopics.has(topic)) publish(topic, frameOf({ type: 'reset', topic, reason, epoch }));
      }
    },
    refresh() {
      const now = served();
      if (now === null) return;
      const { state } = now.timeline;
      // Those that are no more get an empty one.
      const all = [...new Set([...before, ...state.tables()])];
      before = [];
      for (const connection of connections) {
        if (isReset) connection.owe(all);
        connection.look(state.directory);
      }
      isReset = false;
      void pumpAll(shared);
    },
    learnt: (table, name, isNew) => tellWaiting(shared, table, name, isNew),
    hearing: audience.hearing,
    subscriptions: audience.subscriptions,
  };
}
