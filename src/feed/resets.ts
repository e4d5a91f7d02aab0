import { type Frame, frameOf, type Publish } from '../protocol/delivery.ts';
import type { ResetReason } from '../protocol/messages.ts';
import type { ClusterTime, Position } from '../protocol/position.ts';
import { ALL_TABLES, tableReference, topicOf } from '../protocol/topic.ts';
import { isTableId, type TableId } from '../roulette/table.ts';
import type { Audience } from './audience.ts';
import { DEFAULT_HISTORY, type Timeline } from './timeline.ts';

/** What the subscribers are served from at this moment. */
export interface Standing {
  readonly timeline: Timeline;
  readonly delivered: Position;
  readonly stale: boolean;
  /** What everybody was told of the feed last, for those who come later; null while all is well. */
  readonly status: Frame | null;
  /** The majority time as last asked, and when the question was put (monotonic ms); null when Mongo cannot be asked. */
  readonly majority: { readonly time: ClusterTime; readonly askedMs: number } | null;
}

/** How subscribers cross from one state to the next. */
export interface Resets {
  /** A fresh state begins: tells every subscribed topic once, but for tables that were told, and owes each a snapshot. */
  reset(reason: ResetReason, epoch: string, told: ReadonlyMap<TableId, unknown>): void;
  /** The fresh state stands: publishes the snapshots that `reset` owes. */
  refresh(): void;
}

export function createResets(publish: Publish, standing: () => Standing | null, audience: Audience): Resets {
  let resetReason: ResetReason | null = null;
  /** The tables that were served when the former state ended. */
  let before: readonly TableId[] = [];

  return {
    reset(reason, epoch, told) {
      // Told once: until the fresh state stands, another reset would say nothing new.
      if (resetReason !== null) return;
      resetReason = reason;
      const toldTopics = new Set([...told.keys()].map(topicOf));
      const tables = standing()?.timeline.state.tables() ?? [];
      before = [...new Set([...tables, ...told.keys()])];
      if (tables.length > 0 && tables.every((table) => told.has(table))) toldTopics.add(ALL_TABLES);
      for (const topic of audience.topics()) {
        if (!toldTopics.has(topic)) publish(topic, frameOf({ type: 'reset', topic, reason, epoch }));
      }
    },
    refresh() {
      const now = standing();
      if (now === null || resetReason === null) return;
      resetReason = null;
      const { timeline, delivered, stale } = now;
      // Those that are no more get an empty one.
      const tables = new Set([...before, ...timeline.state.tables()]);
      before = [];
      for (const topic of audience.topics()) {
        const reference = tableReference(topic);
        if (reference !== null && isTableId(reference)) tables.add(reference);
      }
      for (const table of tables) {
        const topic = topicOf(table);
        if (!audience.has(topic) && !audience.has(ALL_TABLES)) continue;
        const frame = timeline.snapshot(table, delivered, DEFAULT_HISTORY, stale);
        publish(topic, frame);
        publish(ALL_TABLES, frame);
      }
    },
  };
}
