import type { NumberItem } from '../protocol/messages.ts';
import { isoOf, parseTimestamp, wireIdOf } from '../roulette/bson-value.ts';
import type {
  HistoryRange,
  LegacyNumber,
  LegacyQuery,
  StatsQuery,
  StrategyRow,
  TableHistory,
} from '../roulette/history.ts';
import { isSuspect, numberItem, type StoredNumber } from '../roulette/number.ts';
import { countStats, type TableStats } from '../roulette/stats.ts';
import { type StoredStrategy, strategyItem } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import { colourOf, DOUBLE_ZERO, DOUBLE_ZERO_LABEL } from '../roulette/wheel.ts';
import { toProtocolError } from './errors.ts';
import type { Line, Row } from './newest.ts';
import type { Databases } from './places.ts';
import { pageOf, type RowAndOlder, rowsOf } from './rows.ts';
import {
  currentStates,
  linesOf,
  linesOfAll,
  newestNumbers,
  READ_MS,
  readNumbers,
  readStrategies,
  strategyLinesOf,
} from './table-reader.ts';

/** Reads of what is stored in MongoDB. All reject with ProtocolError. */
export interface History {
  readonly numbers: TableHistory<NumberItem>;
  /** Rows of the strategy history, and the present state of the table's own documents where no row has its time. */
  readonly strategies: TableHistory<StrategyRow>;
  /** Read number by number, in a memory that does not grow with them. */
  tableStats(table: TableId, query: StatsQuery): Promise<TableStats>;
  legacyNumbers(query: LegacyQuery): Promise<{ readonly total: number; readonly data: readonly LegacyNumber[] }>;
}

interface HistoryOptions {
  readonly minSpinIntervalMs: number;
  /** The one table that a UUID means; null when unknown. */
  readonly resolve: (reference: string) => TableId | null;
  /** The name of a table; null when none is known. */
  readonly nameOf: (table: TableId) => string | null;
}

/** Numbers of the wheel that a legacy query may mean, as writers store them; null when it does not say. */
function numerosOf({ numero, cor }: LegacyQuery): (number | string)[] | null {
  if (numero === null && cor === null) return null;
  const wheel = Array.from({ length: 38 }, (_, index) => index);
  return wheel
    .filter((value) => (numero === null || value === numero) && (cor === null || colourOf(value) === cor))
    .flatMap((value) => (value === DOUBLE_ZERO ? [value, DOUBLE_ZERO_LABEL] : [value, String(value)]));
}

async function countIn({ place, equals }: Line): Promise<number> {
  if (Object.keys(equals).length === 0) return place.collection.estimatedDocumentCount({ maxTimeMS: READ_MS });
  return place.collection.countDocuments(equals, { maxTimeMS: READ_MS, readPreference: 'primary' });
}

function legacyNumber({ value, document }: Row<StoredNumber>, nameOf: HistoryOptions['nameOf']): LegacyNumber {
  const storedAt = parseTimestamp(document['criado_em']);
  return {
    _id: value.id,
    roleta_id: value.table,
    roleta_nome: value.name ?? nameOf(value.table) ?? value.table,
    numero: value.numero,
    cor: value.cor,
    timestamp: isoOf(value.timestampMs),
    criado_em: storedAt === null ? null : isoOf(storedAt),
  };
}

/** Reads the history of tables from both layouts, once `ready` resolves. */
export function createHistory(databases: Databases, options: HistoryOptions, ready: () => Promise<void>): History {
  const { minSpinIntervalMs, resolve, nameOf } = options;

  const numberRows = (table: TableId, range: HistoryRange, atFirst: number) =>
    rowsOf(
      linesOf(databases, table),
      readNumbers(() => table),
      range,
      atFirst,
    );
  const numbers = historyOf<StoredNumber, NumberItem>(ready, numberRows, ({ row: { value }, older }) =>
    numberItem(value, isSuspect(value, older?.value ?? null, minSpinIntervalMs)),
  );
  const strategies = historyOf<StoredStrategy, StrategyRow>(
    ready,
    async function* (table, range, atFirst) {
      const also = await currentStates(databases, table);
      const lines = strategyLinesOf(databases, table);
      yield* rowsOf(lines, { ...readStrategies(() => table), also }, range, atFirst);
    },
    ({ row: { document, value } }) => ({ id: wireIdOf(document['_id']), ...strategyItem(value) }),
  );

  const tableStats = async (table: TableId, { last, doubleZero, ...range }: StatsQuery): Promise<TableStats> => {
    await ready();
    const count = countStats();
    let [newestMs, oldestMs]: (number | null)[] = [null, null];
    for await (const rows of numberRows(table, range, last)) {
      for (const { row } of rows.slice(0, last - count.total)) {
        count.add(row.value.numero);
        newestMs ??= row.ms;
        oldestMs = row.ms;
      }
      if (count.total === last) break;
    }
    const at = (ms: number | null | undefined): string | null => (ms === null || ms === undefined ? null : isoOf(ms));
    return count.result(at(newestMs), at(oldestMs), doubleZero);
  };

  const legacyNumbers = async (query: LegacyQuery): ReturnType<History['legacyNumbers']> => {
    await ready();
    const { tables, limit, skip } = query;
    const numeros = numerosOf(query);
    const base = tables === null ? await linesOfAll(databases) : tables.flatMap((table) => linesOf(databases, table));
    const lines = base.map(({ place, equals }) => ({
      place,
      equals: numeros === null ? equals : { ...equals, numero: { $in: numeros } },
    }));
    const counts = await Promise.all(lines.map(countIn));
    const { rows } = await newestNumbers(lines, skip + limit, resolve);
    return {
      total: counts.reduce((sum, count) => sum + count, 0),
      data: rows.slice(skip).map((row) => legacyNumber(row, nameOf)),
    };
  };

  return {
    numbers,
    strategies,
    tableStats: (table, query) => tableStats(table, query).catch(mapped),
    legacyNumbers: (query) => legacyNumbers(query).catch(mapped),
  };
}

const mapped = (cause: unknown): never => {
  throw toProtocolError(cause, 'read');
};

/** A history of rows, each of which becomes an item. */
function historyOf<T, Item>(
  ready: () => Promise<void>,
  rows: (table: TableId, range: HistoryRange, atFirst: number) => AsyncIterable<readonly RowAndOlder<T>[]>,
  itemOf: (row: RowAndOlder<T>) => Item,
): TableHistory<Item> {
  return {
    page: (table, limit, range) =>
      ready()
        .then(() => pageOf(rows(table, range, limit), limit, itemOf))
        .catch(mapped),
    async *stream(table, range) {
      try {
        await ready();
        for await (const some of rows(table, range, Infinity)) yield some.map(itemOf);
      } catch (cause) {
        mapped(cause);
      }
    },
  };
}
