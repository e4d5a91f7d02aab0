import type { Log } from '../log/log.ts';
import type { FeedStatus, LateTable, SkippedDocument, SkipReason } from '../protocol/delivery.ts';
import type { ResetReason } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';
import { createLateness } from './lateness.ts';

type Group = 'reopens' | 'resets' | 'skipped' | 'fresh' | 'published';

/** What happened so far, by name. */
export interface Tally {
  readonly groups: Pick<FeedStatus, Group>;
  /** The last document that was skipped for each reason. */
  lastSkipped(): SkippedDocument[];
  /** Tables whose numbers come live and are dated long before. */
  lateTables(): LateTable[];
  /** A number too old to be live came live. */
  late(table: TableId, ageMs: number): void;
  /** A number was live. */
  onTime(table: TableId): void;
  published(type: string): void;
  /** A document that says nothing, with its `_id` as text and its collection. */
  skipped(reason: SkipReason, id: string, ns: string): void;
  reset(reason: ResetReason): void;
  /** The whole state is read anew. */
  fresh(reason: ResetReason): void;
  reopened(name: string): void;
}

/** Documents that are skipped may come by the thousand; of each reason the log hears this often. */
const SKIP_LOG_MS = 5_000;

export function createTally(log: Pick<Log, 'warn'>, nowMs: () => number): Tally {
  const groups: Record<Group, Record<string, number>> = {
    reopens: {},
    resets: {},
    skipped: {},
    fresh: {},
    published: {},
  };
  const lateness = createLateness();
  const last = new Map<SkipReason, SkippedDocument>();
  const said = new Map<string, { readonly ms: number; readonly times: number }>();
  const count = (group: Group, name: string): number => {
    const times = (groups[group][name] ?? 0) + 1;
    groups[group][name] = times;
    return times;
  };
  return {
    groups,
    published: (type) => void count('published', type),
    skipped(reason, id, ns) {
      const times = count('skipped', reason);
      last.set(reason, { reason, id, ns, at: new Date().toISOString() });
      const before = said.get(reason);
      const now = nowMs();
      if (before !== undefined && now - before.ms < SKIP_LOG_MS) return;
      said.set(reason, { ms: now, times });
      log.warn('feed_document_skipped', { reason, ns, id, times: times - (before?.times ?? 0) });
    },
    reset: (reason) => void count('resets', reason),
    fresh: (reason) => void count('fresh', reason),
    late(table, ageMs) {
      if (lateness.late(table, ageMs)) log.warn('feed_table_late', { table, offset: inWords(ageMs) });
    },
    onTime: lateness.onTime,
    lastSkipped: () => [...last.values()],
    lateTables: () => lateness.offsets().map(([roleta_id, offset_ms]) => ({ roleta_id, offset_ms })),
    reopened: (name) => void count('reopens', name),
  };
}

const inWords = (ms: number): string => `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`;
