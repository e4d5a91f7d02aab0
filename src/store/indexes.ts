import { type Collection, MongoServerError } from 'mongodb';
import { isUnauthorized, toProtocolError } from './errors.ts';
import { type Databases, type Place, presentPlaces } from './places.ts';

type Keys = Readonly<Record<string, 1 | -1>>;

const BY_TABLE: Keys = { roleta_id: 1, timestamp: -1 };
const BY_TIME: Keys = { timestamp: -1 };

/** What became of the indexes that reading and ingest need. */
export interface IndexReport {
  /** Made now: `ns {keys}`. */
  readonly created: readonly string[];
  readonly present: readonly string[];
  /** Could not be made: what to do, in words. Everything works without, but reads whole collections. */
  readonly refused: readonly string[];
}

/** NamespaceNotFound of MongoDB's error_codes.yml. */
const NAMESPACE_NOT_FOUND = 26;

function keysFor({ source }: Place): readonly Keys[] {
  switch (source.kind) {
    case 'numbers':
      return [BY_TABLE, BY_TIME];
    case 'strategies':
      return [BY_TABLE];
    case 'table-numbers':
      return [BY_TIME];
    case 'roletas':
    case 'metadados':
      return [];
    default:
      return source satisfies never;
  }
}

/**
 * Ensures the indexes of every collection that matters and is there; nothing else is changed. Rejects with the driver's
 * errors, except for refusals, which are reported.
 */
export async function ensureIndexes(databases: Databases): Promise<IndexReport> {
  const report = { created: [], present: [], refused: [] };
  for (const place of await presentPlaces(databases)) await ensureIndexesOf(place, report);
  return report;
}

/**
 * Makes a collection with its indexes when it is not there. One that is there is left to `ensureIndexes`: a caller who
 * posts a number must not wait while an index over millions is built. Without the privilege it is made without.
 */
export async function createIndexed({ collection, ...place }: Place): Promise<void> {
  const options = { nameOnly: true, authorizedCollections: true };
  const named = collection.db.listCollections({ name: collection.collectionName }, options);
  if ((await named.toArray()).length > 0) return;
  await ensureIndexesOf({ collection, ...place }, { created: [], present: [], refused: [] });
}

async function ensureIndexesOf(
  place: Place,
  report: { created: string[]; present: string[]; refused: string[] },
): Promise<void> {
  const existing = await existingKeys(place.collection);
  for (const keys of keysFor(place)) {
    const text = `${place.ns} ${JSON.stringify(keys)}`;
    if (existing.some((present) => serves(present, keys))) {
      report.present.push(text);
      continue;
    }
    try {
      await place.collection.createIndex({ ...keys });
      report.created.push(text);
    } catch (cause) {
      // What trying again mends is tried again; anything else is said, and must not keep the service from starting.
      if (!(cause instanceof MongoServerError) || isWorthTrying(cause)) throw cause;
      const command = `db.getCollection(${JSON.stringify(place.collection.collectionName)}).createIndex(${JSON.stringify(keys)})`;
      const why = isUnauthorized(cause) ? 'this user may not create indexes' : cause.message;
      report.refused.push(`${text}: ${why}. Run in the shell, in ${place.collection.dbName}: ${command}`);
    }
  }
}

/** Whether what was refused may be taken at another time. */
const isWorthTrying = (cause: unknown): boolean =>
  !['internal', 'database_refused'].includes(toProtocolError(cause, 'read').code);

interface ExistingIndex {
  readonly keys: readonly (readonly [string, unknown])[];
  readonly whole: boolean;
}

async function existingKeys(collection: Collection): Promise<ExistingIndex[]> {
  try {
    return (await collection.listIndexes().toArray()).map((index) => ({
      keys: Object.entries(index['key'] ?? {}),
      whole: index['partialFilterExpression'] === undefined && index['sparse'] !== true && index['hidden'] !== true,
    }));
  } catch (cause) {
    // Without the collection, or the privilege to look, creating it is what tells.
    if (cause instanceof MongoServerError && (cause.code === NAMESPACE_NOT_FOUND || isUnauthorized(cause))) return [];
    throw cause;
  }
}

/** Whether an index answers the same questions: the same fields first, in either direction of the last. */
function serves({ keys, whole }: ExistingIndex, wanted: Keys): boolean {
  if (!whole) return false;
  return Object.keys(wanted).every((field, at) => keys[at]?.[0] === field && (keys[at][1] === 1 || keys[at][1] === -1));
}
