import type { Log } from '../log/log.ts';
import type { FeedStatus, LateTable, SkippedDocument, SkipReason } from '../protocol/delivery.ts';
import type { ResetReason } from '../protocol/messages.ts';
import { OFF_IN_A_ROW, offsetOf } from '../roulette/number.ts';
import type { TableId } from '../roulette/table.ts';

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

/**
 * Which tables get numbers as they are spun, and dated long before: their scraper, or one of several, writes local time
 * without a zone, or has a wrong clock. Each such number is backfill by rule, so that nobody would hear why it is not live.
 */
interface Lateness {
  /** A live insert too old to be published; `ageMs` is how long before its commit it is dated. True when this tells. */
  late(table: TableId, ageMs: number): boolean;
  /** A number that was published. */
  onTime(table: TableId): void;
  /** The tables whose last late numbers were so by about the same, with that offset in ms. */
  offsets(): [TableId, number][];
}

function createLateness(): Lateness {
  /** The ages of the last late numbers, and how many were on time since. */
  const tables = new Map<TableId, { readonly ages: readonly number[]; onTime: number }>();
  const offset = (table: TableId): number | null => offsetOf(tables.get(table)?.ages ?? []);
  return {
    late(table, ageMs) {
      const before = offset(table);
      const ages = [...(tables.get(table)?.ages ?? []), ageMs].slice(-OFF_IN_A_ROW);
      tables.set(table, { ages, onTime: 0 });
      return before === null && offset(table) !== null;
    },
    onTime(table) {
      const known = tables.get(table);
      if (known !== undefined && ++known.onTime >= OFF_IN_A_ROW) tables.delete(table);
    },
    offsets: () =>
      [...tables.keys()].flatMap((table) => {
        const ms = offset(table);
        return ms === null ? [] : [[table, ms]];
      }),
  };
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
