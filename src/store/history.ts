import { z } from 'zod';
import { ProtocolError } from '../protocol/errors.ts';
import type { NumberItem } from '../protocol/messages.ts';
import { colourOf, DOUBLE_ZERO, DOUBLE_ZERO_LABEL } from '../roulette/colour.ts';
import type { LegacyNumber, LegacyQuery, NumbersPage } from '../roulette/history.ts';
import { numberItem } from '../roulette/messages.ts';
import { isSuspect, type StoredNumber } from '../roulette/number.ts';
import { statsOf, type TableStats } from '../roulette/stats.ts';
import type { TableId } from '../roulette/table.ts';
import { isoOf, parseTimestamp } from '../roulette/timestamp.ts';
import { toProtocolError } from './errors.ts';
import type { Line, Mark, Row } from './newest.ts';
import type { Databases } from './places.ts';
import type { Spellings } from './spellings.ts';
import { linesOf, linesOfAll, newestNumbers, READ_MS } from './table-reader.ts';

/** Reads of what stands in MongoDB. All reject with ProtocolError. */
export interface History {
  /** At most `limit` numbers older than the cursor `before`. */
  numbersPage(table: TableId, limit: number, before: string | null): Promise<NumbersPage>;
  /** A summary of the last `last` numbers. */
  tableStats(table: TableId, last: number): Promise<TableStats>;
  legacyNumbers(query: LegacyQuery): Promise<{ readonly total: number; readonly data: readonly LegacyNumber[] }>;
}

export interface HistoryOptions {
  readonly minSpinIntervalMs: number;
  /** The one table that a UUID means; null when unknown. */
  readonly resolve: (reference: string) => TableId | null;
  /** The name of a table; null when none is known. */
  readonly nameOf: (table: TableId) => string | null;
}

const MAX_CURSOR = 2_000;
const cursorShape = z.tuple([z.number().int(), z.string(), z.string()]);

const cursorOf = ({ ms, key, ns }: Mark): string => Buffer.from(JSON.stringify([ms, key, ns])).toString('base64url');

/** Reads a cursor. Throws ProtocolError `invalid` for one that this service did not make. */
function markOf(cursor: string): Mark {
  const invalid = (cause?: unknown): ProtocolError =>
    new ProtocolError('invalid', {
      problems: [{ path: 'before', message: 'must be the `next` of an earlier page' }],
      cause,
    });
  if (cursor.length > MAX_CURSOR) throw invalid();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch (cause) {
    throw invalid(cause);
  }
  const parsed = cursorShape.safeParse(value);
  if (!parsed.success || parseTimestamp(parsed.data[0]) === null) throw invalid(parsed.error);
  const [ms, key, ns] = parsed.data;
  return { ms, key, ns };
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

/** Reads the history of tables from both layouts. */
export function createHistory(databases: Databases, spellings: Spellings, options: HistoryOptions): History {
  const { minSpinIntervalMs, resolve, nameOf } = options;

  const items = (rows: readonly Row<StoredNumber>[], last: Row<StoredNumber> | null): NumberItem[] =>
    rows.map(({ value }, index) => {
      const previous = rows[index + 1] ?? last;
      return numberItem(value, isSuspect(value, previous?.value ?? null, minSpinIntervalMs));
    });

  const legacyNumber = ({ value, document }: Row<StoredNumber>): LegacyNumber => {
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
  };

  const numbersPage = async (table: TableId, limit: number, before: string | null): Promise<NumbersPage> => {
    const mark = before === null ? undefined : markOf(before);
    // One more than asked for: the number before the last tells whether that is a suspect, and whether there is more.
    const { rows } = await newestNumbers(linesOf(databases, spellings, table), {
      count: limit + 1,
      resolve: () => table,
      ...(mark === undefined ? {} : { before: mark }),
    });
    const page = rows.slice(0, limit);
    const oldest = page.at(-1);
    const more = rows.length > limit && oldest !== undefined;
    return { numeros: items(page, rows[limit] ?? null), next: more ? cursorOf(oldest) : null };
  };

  const tableStats = async (table: TableId, last: number): Promise<TableStats> => {
    const { rows } = await newestNumbers(linesOf(databases, spellings, table), { count: last, resolve: () => table });
    const at = (row: Row<StoredNumber> | undefined): string | null => (row === undefined ? null : isoOf(row.ms));
    const numbers = rows.map(({ value }) => value.numero);
    return statsOf(numbers, at(rows[0]), at(rows.at(-1)));
  };

  const legacyNumbers = async (query: LegacyQuery): ReturnType<History['legacyNumbers']> => {
    const { tables, limit, skip } = query;
    const numeros = numerosOf(query);
    const base =
      tables === null ? await linesOfAll(databases) : tables.flatMap((table) => linesOf(databases, spellings, table));
    const lines = base.map(({ place, equals }) => ({
      place,
      equals: numeros === null ? equals : { ...equals, numero: { $in: numeros } },
    }));
    const counts = await Promise.all(lines.map(countIn));
    const { rows } = await newestNumbers(lines, { count: skip + limit, resolve });
    return { total: counts.reduce((sum, count) => sum + count, 0), data: rows.slice(skip).map(legacyNumber) };
  };

  const mapped = (cause: unknown): never => {
    throw toProtocolError(cause, 'read');
  };
  return {
    numbersPage: (table, limit, before) => numbersPage(table, limit, before).catch(mapped),
    tableStats: (table, last) => tableStats(table, last).catch(mapped),
    legacyNumbers: (query) => legacyNumbers(query).catch(mapped),
  };
}
