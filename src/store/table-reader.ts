import { setTimeout as pause } from 'node:timers/promises';
import type { Db } from 'mongodb';
import type { NumberToStore } from '../roulette/ingest.ts';
import { numberFrom, type StoredNumber } from '../roulette/number.ts';
import { NUMBERS, STRATEGIES } from '../roulette/source.ts';
import { type StoredStrategy, strategyFrom } from '../roulette/strategy.ts';
import { type ResolveTable, spellingsOf, type TableId } from '../roulette/table.ts';
import { toProtocolError } from './errors.ts';
import { type Line, type Newest, newest, type Row } from './newest.ts';
import { createReader, type Databases, distinctDatabases, placeOf, presentPlaces } from './places.ts';
import type { RowsOptions } from './rows.ts';

/** Milliseconds that one query of a reader may take in the server. */
export const READ_MS = 5_000;

/** Where the numbers of a table are: under each spelling of its id, and in a collection of its own. */
export function linesOf(databases: Databases, table: TableId): Line[] {
  return distinctDatabases(databases).flatMap((database: Db) => {
    const shared = placeOf(database, NUMBERS, databases.sources);
    const names = databases.sources.collectionsOf(table);
    const own = names.flatMap((name) => placeOf(database, name, databases.sources) ?? []);
    return [
      // Not one `$in` for all: not every server sorts that by an index.
      ...(shared === null ? [] : spellingsOf(table).map((value) => ({ place: shared, equals: { roleta_id: value } }))),
      ...own.map((place) => ({ place, equals: {} })),
    ];
  });
}

/** Where the strategy rows of a table are: under each spelling of its id. */
export function strategyLinesOf({ shared, sources }: Databases, table: TableId): Line[] {
  const place = placeOf(shared, STRATEGIES, sources);
  return place === null ? [] : spellingsOf(table).map((value) => ({ place, equals: { roleta_id: value } }));
}

/**
 * The states that the table's own documents say, which the per-table layout keeps in place: without one that has no time.
 * These collections hold a document per table.
 */
export async function currentStates(databases: Databases, table: TableId): Promise<Row<StoredStrategy>[]> {
  const { sources } = databases;
  const named = { $in: spellingsOf(table) };
  const { parse } = readStrategies(() => table);
  const places = distinctDatabases(databases).flatMap((database) =>
    sources.names.flatMap((name) => placeOf(database, name, sources) ?? []),
  );
  const found = await Promise.all(
    places.map(async (place) => {
      if (place.source.kind !== 'roletas' && place.source.kind !== 'metadados') return [];
      const fields = place.source.kind === 'roletas' ? ['_id', 'roleta_id'] : ['roleta_id'];
      const documents = await read(place, { $or: fields.map((field) => ({ [field]: named })) }, {}, 0);
      return documents.flatMap((document): Row<StoredStrategy>[] => {
        const parsed = parse(document, place);
        return parsed === null ? [] : [{ ...parsed, ns: place.ns, document }];
      });
    }),
  );
  return found.flat();
}

/** The numbers of every table. */
export async function linesOfAll(databases: Databases): Promise<Line[]> {
  return (await presentPlaces(databases))
    .filter(({ source }) => source.kind === 'numbers' || source.kind === 'table-numbers')
    .map((place) => ({ place, equals: {} }));
}

/** For those who also show when a number was stored. */
const read = createReader({ maxTimeMs: READ_MS, extra: ['criado_em'] });

/** How numbers are read. `resolve` is asked for the table that a UUID means. */
export const readNumbers = (resolve: ResolveTable): RowsOptions<StoredNumber> => ({
  read,
  parse(document, place) {
    const parsed = numberFrom(document, place.source, resolve);
    if (!parsed.ok) return null;
    const { value } = parsed;
    return { ms: value.timestampMs, key: value.key, value };
  },
});

/** How strategy rows are read; those without a time have no place in a history. */
export const readStrategies = (resolve: ResolveTable): RowsOptions<StoredStrategy> => ({
  read,
  parse(document, place) {
    const parsed = strategyFrom(document, place.source, resolve);
    if (!parsed.ok) return null;
    const { value } = parsed;
    return value.timestampMs === null ? null : { ms: value.timestampMs, key: value.key, value };
  },
});

/** The newest numbers of some lines, merged over layouts and kinds of timestamp. Rejects with driver errors. */
export const newestNumbers = (
  lines: readonly Line[],
  count: number,
  resolve: ResolveTable,
): Promise<Newest<StoredNumber>> => newest(lines, { count, ...readNumbers(resolve) });

/** A scraper that takes the time twice, for its insert and for its post, takes it within this. */
const CLOCK_MS = 5_000;
/** Numbers of a table looked through; the one sought is among the last few. */
const LOOKED_AT = 20;
const INTERVAL_MS = 100;

/**
 * Whether a majority read finds a posted number, however its writer stored it, within `waitMs`: the same number on the
 * same table, at the same time give or take 5 s. For scrapers that insert and post (EMIT_EVENT=confirm). Rejects with
 * ProtocolError.
 */
export async function confirmNumber(databases: Databases, item: NumberToStore, waitMs: number): Promise<boolean> {
  const lines = linesOf(databases, item.table);
  const deadline = performance.now() + waitMs;
  try {
    for (;;) {
      const { rows } = await newestNumbers(lines, LOOKED_AT, () => item.table);
      const found = rows.some(
        ({ value, ms }) => value.numero === item.numero && Math.abs(ms - item.timestampMs) <= CLOCK_MS,
      );
      if (found) return true;
      if (performance.now() + INTERVAL_MS > deadline) return false;
      await pause(INTERVAL_MS);
    }
  } catch (cause) {
    throw toProtocolError(cause, 'read');
  }
}
