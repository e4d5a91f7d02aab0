import { type TableId, uuidOf } from '../roulette/table.ts';

/** The values under which documents name their table. */
export interface Spellings {
  /** Every value known to stand for the table; numbers match each numeric type. */
  of(table: TableId): readonly (string | number)[];
  /** Notes a value that was found in a document. */
  learn(table: TableId, spelling: string | number): void;
}

/** What is always looked for; what else a database has is learnt when it is read at start. */
const usual = (table: TableId): (string | number)[] => [
  table,
  Number(table),
  `2_${table}`,
  `${table}_2`,
  uuidOf(table),
];

/** The usual spellings, and those learnt. */
export function createSpellings(): Spellings {
  const learnt = new Map<TableId, Set<string | number>>();
  return {
    of: (table) => [...new Set([...usual(table), ...(learnt.get(table) ?? [])])],
    learn(table, spelling) {
      const known = learnt.get(table) ?? new Set();
      learnt.set(table, known.add(spelling));
    },
  };
}
