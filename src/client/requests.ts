import { ALL_TABLES } from '../protocol/topic.ts';
import type { Interest, Reference } from './interest.ts';
import { MAX_STAR_HISTORY, type Progress, type TopicItem } from './progress.ts';

/** The next thing to ask of the server. */
export type Wish =
  | { readonly kind: 'take'; readonly items: readonly TopicItem[]; readonly reference: Reference | null }
  | { readonly kind: 'leave'; readonly topics: readonly string[] };

/** What one connection holds at the server, and how much it may say in one frame. */
export interface Holding {
  readonly held: ReadonlySet<string>;
  /** Names that were asked for on this connection. */
  readonly checked: ReadonlySet<Reference>;
  readonly frameBytes: number;
  readonly mostTopics: number;
}

/** What a frame has beside its topics. */
const FRAME_OVERHEAD = 300;

/** As many items as one frame holds; always at least one. */
function fitting(items: readonly TopicItem[], { frameBytes, mostTopics }: Holding): readonly TopicItem[] {
  let room = frameBytes - FRAME_OVERHEAD;
  const count = items.findIndex((item) => {
    // Three bytes per character at most, which only names with other scripts have.
    room -= JSON.stringify(item).length + (item.topic.length > 30 ? 2 * item.topic.length : 0);
    return room < 0;
  });
  return items.slice(0, Math.max(1, Math.min(mostTopics, count === -1 ? items.length : count)));
}

/** An item that asks for a snapshot whatever the client has. */
const fresh = (topic: string, history: number): TopicItem => ({ topic, history });

/** Canonical topics that are wanted and not held, or `roulette:*`. */
export function missingTopics(interest: Interest, held: ReadonlySet<string>): readonly string[] {
  if (interest.wantsAll()) return held.has(ALL_TABLES) ? [] : [ALL_TABLES];
  return [...interest.wanted()].filter((topic) => !held.has(topic));
}

/** Names and UUIDs that the server has still to explain, or whose tables may have become more while nobody listened. */
export const openReferences = (interest: Interest, checked: ReadonlySet<Reference>): readonly Reference[] =>
  [...interest.references.values()].filter(
    (reference) => (reference.topics.size === 0 || reference.growing) && !checked.has(reference),
  );

/** Held topics whose content has to be asked for again: holes, thinned lists, longer histories. */
export function needyItems(interest: Interest, progress: Progress, held: ReadonlySet<string>): readonly TopicItem[] {
  const items: TopicItem[] = [];
  for (const standing of progress.standings.values()) {
    const { topic } = standing;
    if (!held.has(topic) && !held.has(ALL_TABLES)) continue;
    const depth = interest.depthOf(topic);
    if (standing.need === 'replay') items.push(progress.item(topic, depth));
    else if (standing.need === 'snapshot' || (standing.table && depth > standing.depth))
      items.push(fresh(topic, depth));
  }
  return items;
}

/** An item that takes up a name again: its tables' lowest position replays little, and new tables whole. */
function referenceItem(interest: Interest, progress: Progress, reference: Reference): TopicItem {
  const topics = [...reference.topics];
  const history = topics.reduce((most, topic) => Math.max(most, interest.depthOf(topic)), 0);
  const deepest = [...reference.followers].reduce((most, follower) => Math.max(most, follower.history), history);
  const items = topics.map((topic) => progress.item(topic, deepest));
  const [first] = items;
  const same = items.every((item) => item.after && !item.owed && item.epoch === first?.epoch);
  if (!first || !same) return fresh(reference.topic, deepest);
  const low = items.reduce((lowest, item) => ((item.after ?? '') < (lowest.after ?? '') ? item : lowest), first);
  return { ...low, topic: reference.topic };
}

/**
 * The one next request that brings the server's idea of this connection nearer to what is wanted; null when they agree.
 * Pure: asked again after every answer, so that nothing has to be remembered about requests that were overtaken.
 */
export function nextWish(interest: Interest, progress: Progress, holding: Holding): Wish | null {
  const { held } = holding;
  const all = interest.wantsAll();
  const wanted = interest.wanted();
  // Taking all tables replaces single ones; leaving all tables comes before taking single ones again.
  const extra = [...held].filter((topic) => (topic === ALL_TABLES ? !all : !all && !wanted.has(topic)));
  if (extra.length > 0) return { kind: 'leave', topics: extra.slice(0, holding.mostTopics) };
  const missing = missingTopics(interest, held).map((topic) => progress.item(topic, interest.depthOf(topic)));
  if (missing.length > 0) return { kind: 'take', items: fitting(missing, holding), reference: null };
  const [reference] = openReferences(interest, holding.checked);
  if (reference) return { kind: 'take', items: [referenceItem(interest, progress, reference)], reference };
  const needy = needyItems(interest, progress, held);
  if (needy.length > 0) {
    return { kind: 'take', items: fitting(needy, holding).slice(0, MAX_STAR_HISTORY), reference: null };
  }
  return null;
}
