import type { TableId } from '../roulette/table.ts';

/** Numbers in a row from which it is told that a table's clock is off. */
const IN_A_ROW = 5;
/** How far apart their ages may be, ms: those of an import differ more. */
const MAX_SPREAD_MS = 30_000;

/**
 * Which tables get numbers as they are spun, and dated long before: their scraper writes local time without a zone, or
 * has a wrong clock. Each such number is backfill by rule, so that nobody would hear why nothing is live.
 */
export interface Lateness {
  /** A live insert too old to be published; `ageMs` is how long before its commit it is dated. True when this tells. */
  late(table: TableId, ageMs: number): boolean;
  /** A number that was published. */
  onTime(table: TableId): void;
  /** The tables whose last numbers were all late by about the same, with that offset in ms. */
  offsets(): [TableId, number][];
}

export function createLateness(): Lateness {
  const ages = new Map<TableId, number[]>();
  const offset = (table: TableId): number | null => {
    const last = ages.get(table) ?? [];
    if (last.length < IN_A_ROW || Math.max(...last) - Math.min(...last) > MAX_SPREAD_MS) return null;
    return Math.min(...last);
  };
  return {
    late(table, ageMs) {
      const before = offset(table);
      ages.set(table, [...(ages.get(table) ?? []), ageMs].slice(-IN_A_ROW));
      return before === null && offset(table) !== null;
    },
    onTime: (table) => void ages.delete(table),
    offsets: () =>
      [...ages.keys()].flatMap((table) => {
        const ms = offset(table);
        return ms === null ? [] : [[table, ms]];
      }),
  };
}
