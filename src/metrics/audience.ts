import { EVERYONE } from '../protocol/delivery.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import type { AudienceKind } from './labels.ts';

/** How many connections hold each topic, counted where they join and leave. */
export interface Audiences {
  join(topic: string): void;
  leave(topic: string): void;
  of(topic: string): number;
  /** Topics held by connections, of one kind. */
  total(kind: AudienceKind): number;
}

export const kindOf = (topic: string): AudienceKind =>
  topic === EVERYONE ? 'everyone' : topic === ALL_TABLES ? 'all' : 'table';

export function createAudiences(): Audiences {
  const holders = new Map<string, number>();
  const totals: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  return {
    join(topic) {
      holders.set(topic, (holders.get(topic) ?? 0) + 1);
      totals[kindOf(topic)] += 1;
    },
    leave(topic) {
      const held = holders.get(topic);
      if (held === undefined) return;
      if (held === 1) holders.delete(topic);
      else holders.set(topic, held - 1);
      totals[kindOf(topic)] -= 1;
    },
    of: (topic) => holders.get(topic) ?? 0,
    total: (kind) => totals[kind],
  };
}
