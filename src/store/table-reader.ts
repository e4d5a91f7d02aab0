import type { Db, Filter } from 'mongodb';
import type { RawDocument } from '../roulette/bson-value.ts';
import { fieldPaths } from '../roulette/fields.ts';
import { numberFrom, type StoredNumber } from '../roulette/number.ts';
import { NUMBERS } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { TIMED } from './brackets.ts';
import { type Line, type Mark, type Newest, newest, type ReadDocuments } from './newest.ts';
import { type Databases, distinctDatabases, type Place, placeOf, presentPlaces } from './places.ts';
import type { Spellings } from './spellings.ts';

/** A selection of numbers: an equality on documents, over some collections. */
export interface Selection {
  readonly place: Place;
  readonly equals: Filter<RawDocument>;
}

/** Milliseconds that one query of a reader may take in the server. */
export const READ_MS = 5_000;

/** Where the numbers of a table stand: under each spelling of its id, and in a collection of its own. */
export function selectionsOf(databases: Databases, spellings: Spellings, table: TableId): Selection[] {
  return distinctDatabases(databases).flatMap((database: Db) => {
    const shared = placeOf(database, NUMBERS);
    const own = placeOf(database, table);
    return [
      ...(shared === null ? [] : spellings.of(table).map((value) => ({ place: shared, equals: { roleta_id: value } }))),
      ...(own === null ? [] : [{ place: own, equals: {} }]),
    ];
  });
}

/** The numbers of every table. */
export async function selectionsOfAll(databases: Databases): Promise<Selection[]> {
  return (await presentPlaces(databases))
    .filter(({ source }) => source.kind === 'numbers' || source.kind === 'table-numbers')
    .map((place) => ({ place, equals: {} }));
}

/** What is read of a number for those who also show when it was stored. */
const PROJECTION = Object.fromEntries([...fieldPaths({ kind: 'numbers' }), 'criado_em'].map((field) => [field, 1]));

const read: ReadDocuments = (place, filter, sort, limit) =>
  place.collection
    .find(filter, {
      sort: { ...sort },
      limit,
      projection: PROJECTION,
      readPreference: 'primary',
      readConcern: 'majority',
      maxTimeMS: READ_MS,
    })
    .toArray();

/** The newest numbers of some selections, merged over layouts and kinds of timestamp. Rejects with driver errors. */
export function newestNumbers(
  selections: readonly Selection[],
  count: number,
  resolve: (reference: string) => TableId | null,
  before?: Mark,
): Promise<Newest<StoredNumber>> {
  const lines = selections.flatMap((selection) => TIMED.map((bracket): Line => ({ ...selection, bracket })));
  return newest(lines, {
    count,
    ...(before === undefined ? {} : { before }),
    read,
    parse: (document, place) => {
      const parsed = numberFrom(document, place.source, resolve);
      return parsed.ok ? { ms: parsed.value.timestampMs, value: parsed.value } : null;
    },
  });
}
