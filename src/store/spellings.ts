import { Binary } from 'mongodb';
import { keyOf } from '../roulette/identity.ts';
import { isSevenDigits, type TableId, uuidOf } from '../roulette/table.ts';

/** The values under which documents name their table. */
export interface Spellings {
  /** Every value known to stand for the table; numbers match each numeric type. */
  of(table: TableId): readonly unknown[];
  /** Notes a value that was found in a document. */
  learn(table: TableId, spelling: unknown): void;
}

const UUID_SUBTYPE = 4;
/** Decimal text that an integer may have been. */
const INTEGER = /^(?:0|[1-9]\d{0,14})$/;

/** What is always looked for; what else a database has is learnt when it is read at start. */
const usual = (table: TableId): unknown[] => {
  const uuid = uuidOf(table);
  const bytes = new Binary(Buffer.from(uuid.replaceAll('-', ''), 'hex'), UUID_SUBTYPE);
  return [
    table,
    ...(INTEGER.test(table) ? [Number(table)] : []),
    ...(isSevenDigits(table) ? [`2_${table}`, `${table}_2`] : []),
    uuid,
    bytes,
  ];
};

/** The usual spellings, and those learnt. */
export function createSpellings(): Spellings {
  const learnt = new Map<TableId, Map<string, unknown>>();
  return {
    of(table) {
      const all = new Map(learnt.get(table));
      for (const value of usual(table)) all.set(keyOf(value), value);
      return [...all.values()];
    },
    learn(table, spelling) {
      const known = learnt.get(table) ?? new Map<string, unknown>();
      learnt.set(table, known.set(keyOf(spelling), spelling));
    },
  };
}
