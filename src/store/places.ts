import type { Collection, Db, MongoClient } from 'mongodb';
import { METADADOS, type Source, type Sources } from '../roulette/source.ts';

/** Where the data stands. Both databases may be the same. */
export interface Databases {
  readonly client: MongoClient;
  /** Numbers and strategies of the shared layout. */
  readonly shared: Db;
  /** One collection per table, and `metadados`. */
  readonly tables: Db;
  readonly sources: Sources;
}

/** A collection that matters, and what it holds. */
export interface Place {
  /** `database.collection`. */
  readonly ns: string;
  readonly collection: Collection;
  readonly source: Source;
}

/** The databases, each once. */
export const distinctDatabases = ({ shared, tables }: Databases): readonly Db[] =>
  shared.databaseName === tables.databaseName ? [shared] : [shared, tables];

/** A collection as a place; null when its name does not concern us. */
export function placeOf(database: Db, name: string, sources: Sources): Place | null {
  const source = sources.of(name);
  if (source === null) return null;
  return { ns: `${database.databaseName}.${name}`, collection: database.collection(name), source };
}

/** Every collection that matters and is there. Views are left out: what they show stands elsewhere. */
export async function presentPlaces(databases: Databases): Promise<Place[]> {
  const listed = await Promise.all(
    distinctDatabases(databases).map(async (database) => {
      const options = { nameOnly: true, authorizedCollections: true };
      const entries = await database.listCollections({}, options).toArray();
      return entries
        .filter(({ type }) => type !== 'view')
        .map(({ name }) => placeOf(database, name, databases.sources));
    }),
  );
  return listed.flat().filter((place) => place !== null);
}

/** Where the documents of the tables themselves stand: the older name is kept where only that is there. */
export async function metadadosOf({ tables, sources }: Pick<Databases, 'tables' | 'sources'>): Promise<Collection> {
  const options = { nameOnly: true, authorizedCollections: true };
  const names = (await tables.listCollections({}, options).toArray())
    .map(({ name }) => name)
    .filter((name) => sources.of(name)?.kind === 'metadados');
  return tables.collection(names.includes(METADADOS) ? METADADOS : (names[0] ?? METADADOS));
}
