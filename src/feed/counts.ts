import type { FeedStatus } from '../protocol/delivery.ts';
import type { Tally } from './timeline.ts';

type Group = 'reopens' | 'resets' | 'skipped' | 'published';

/** What happened so far, by name. */
export interface Counts {
  readonly groups: Pick<FeedStatus, Group>;
  readonly tally: Tally;
  reopened(name: string): void;
}

export function createCounts(): Counts {
  const groups: Record<Group, Record<string, number>> = { reopens: {}, resets: {}, skipped: {}, published: {} };
  const count = (group: Group, name: string): void => {
    groups[group][name] = (groups[group][name] ?? 0) + 1;
  };
  return {
    groups,
    tally: {
      published: (type) => count('published', type),
      skipped: (why) => count('skipped', why),
      reset: (why) => count('resets', why),
    },
    reopened: (name) => count('reopens', name),
  };
}
