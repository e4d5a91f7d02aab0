import { type Db, type MongoClient, MongoServerError } from 'mongodb';
import { NUMBERS, type Sources, STRATEGIES } from '../roulette/source.ts';
import { collectionsNamed } from '../store/places.ts';
import { type Finding, note, ok } from './findings.ts';

const BY_TABLE = ['roleta_id', 'timestamp'];
const BY_TIME = ['timestamp'];
const NAMESPACE_NOT_FOUND = 26;
const SHOWN = 5;

/** Which of the indexes that reads and ingest use are missing, in both layouts. Rejects with the driver's errors. */
export async function indexes(client: MongoClient, databases: readonly string[], sources: Sources): Promise<Finding> {
  const about = 'indexes';
  sources.adopt(await collectionsNamed(client, databases, sources));
  const missing = (await Promise.all(databases.map((name) => missingIn(client.db(name), sources)))).flat();
  if (missing.length === 0) return ok(about, 'those that are needed are there, or will be made with the collections');
  const rest = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  return note(
    about,
    `missing: ${missing.slice(0, SHOWN).join('; ')}${rest}`,
    'the service makes them at start, if its user may',
  );
}

async function missingIn(db: Db, sources: Sources): Promise<string[]> {
  const names = (await db.listCollections({}, { nameOnly: true, authorizedCollections: true }).toArray())
    .filter(({ name, type }) => type !== 'view' && wantedFor(name, sources).length > 0)
    .map(({ name }) => name)
    .sort();
  const missing: string[] = [];
  for (const name of names) {
    const present = await keysOf(db, name);
    for (const wanted of wantedFor(name, sources)) {
      const serves = present.some((fields) => wanted.every((field, at) => fields[at] === field));
      if (!serves) missing.push(`${db.databaseName}.${name} {${wanted.join(', ')}}`);
    }
  }
  return missing;
}

function wantedFor(name: string, sources: Sources): readonly (readonly string[])[] {
  if (name === NUMBERS) return [BY_TABLE, BY_TIME];
  if (name === STRATEGIES) return [BY_TABLE];
  return sources.of(name)?.kind === 'table-numbers' ? [BY_TIME] : [];
}

/** The fields of each index of a collection, in order. */
async function keysOf(db: Db, name: string): Promise<string[][]> {
  try {
    const found = await db.collection(name).listIndexes().toArray();
    return found.map(({ key }) => Object.keys(Object(key)));
  } catch (error) {
    // Dropped since it was listed: nothing is missing then.
    if (error instanceof MongoServerError && error.code === NAMESPACE_NOT_FOUND) return [BY_TABLE, BY_TIME];
    throw error;
  }
}
