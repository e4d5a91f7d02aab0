import {
  type ClientSession,
  type Collection,
  type Db,
  type Document,
  type Filter,
  Long,
  type MongoClient,
} from 'mongodb';
import { z } from 'zod';
import { decodeDocument, type RawDocument } from '../roulette/bson-value.ts';
import { fieldPaths, METADADOS, type Source, type Sources, tableFrom } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { isWorthReadingAgain } from './errors.ts';

/** Where the data is. Both databases may be the same. */
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
  readonly database: Db;
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
  return { ns: `${database.databaseName}.${name}`, database, collection: database.collection(name), source };
}

/** Every collection that matters and is there. Views are left out: what they show is stored elsewhere. */
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

/** Where the documents of the tables themselves are: the older name is kept where only that is there. */
export async function metadadosOf({ tables, sources }: Pick<Databases, 'tables' | 'sources'>): Promise<Collection> {
  const options = { nameOnly: true, authorizedCollections: true };
  const names = (await tables.listCollections({}, options).toArray())
    .map(({ name }) => name)
    .filter((name) => sources.of(name)?.kind === 'metadados');
  return tables.collection(names.includes(METADADOS) ? METADADOS : (names[0] ?? METADADOS));
}

/** What came of a document that cannot be read. */
export type Skipped = (reason: string, ns: string, id: unknown) => void;

/** Reads the first `limit` documents in the order of `sort`. */
export type ReadDocuments = (
  place: Place,
  filter: Filter<RawDocument>,
  sort: Readonly<Record<string, 1 | -1>>,
  limit: number,
) => Promise<readonly RawDocument[]>;

interface ReaderOptions {
  /** Milliseconds that the server may take for one query. */
  readonly maxTimeMs: number;
  readonly session?: ClientSession;
  /** Fields beside those that every reader needs. */
  readonly extra?: readonly string[];
  readonly skipped?: Skipped;
}

/** In a session, and in no transaction. */
export interface SessionReaderOptions extends ReaderOptions {
  readonly session: ClientSession;
}

/** For a command of the driver, whose client's own options do not reach raw commands: documents stay bytes. */
export const TOLERANT_REPLY = {
  bsonRegExp: true,
  enableUtf8Validation: false,
  fieldsAsRaw: { firstBatch: true, nextBatch: true },
} as const;

/** Documents of one reply at most; by default the first has 101. */
const ONE_REPLY = 1_000;

const MAJORITY = { readPreference: 'primary', readConcern: 'majority', raw: true } as const;

/** The fields of a source's documents that are read, as a projection: no other field ever arrives. */
const projectionOf = ({ source }: Place, extra: readonly string[] = []): Document =>
  Object.fromEntries([...fieldPaths(source), ...extra].map((field) => [field, 1]));

/** A query of a reader. */
interface Query {
  readonly filter: Filter<RawDocument>;
  readonly sort: Readonly<Record<string, 1 | -1>>;
  readonly limit: number;
  readonly projection: Document;
}

/** Finds the documents of a query, as bytes. */
type Find = (place: Place, query: Query) => Promise<readonly Uint8Array[]>;

/** One reply for what one reply can hold; with as many as `limit` the server would keep the cursor open. */
const batchSizeOf = ({ limit }: Query): { readonly batchSize?: number } =>
  limit > 0 && limit <= ONE_REPLY ? { batchSize: limit + 1 } : {};

const findByCursor =
  ({ maxTimeMs, session }: ReaderOptions): Find =>
  async ({ collection }, { filter, sort, limit, projection }) => {
    const query = { sort: { ...sort }, limit, projection, maxTimeMS: maxTimeMs };
    const bounds = batchSizeOf({ filter, sort, limit, projection });
    return await collection
      .find<Uint8Array>(filter, { ...MAJORITY, ...(session === undefined ? {} : { session }), ...query, ...bounds })
      .toArray();
  };

/** Looked at as a whole: a schema of its elements costs an object for each document of a start. */
const batch = z.custom<readonly Uint8Array[]>(
  (value) => Array.isArray(value) && value.every((bytes) => bytes instanceof Uint8Array),
);

const cursorReply = z.object({
  cursor: z.object({
    id: z.union([z.instanceof(Long), z.number()]),
    firstBatch: batch.optional(),
    nextBatch: batch.optional(),
  }),
});

const findByCommands =
  ({ maxTimeMs, session }: SessionReaderOptions): Find =>
  async ({ database, collection: { collectionName } }, query) => {
    const { filter, limit, projection } = query;
    const options = { session, readPreference: 'primary', ...TOLERANT_REPLY } as const;
    const run = async (command: Document) => cursorReply.parse(await database.command(command, options)).cursor;
    const find = {
      find: collectionName,
      filter,
      sort: { ...query.sort },
      projection,
      ...(limit > 0 ? { limit } : {}),
      ...batchSizeOf(query),
      maxTimeMS: maxTimeMs,
      readConcern: { level: 'majority' },
    };
    let reply = await run(find).catch((error: unknown) => {
      if (isWorthReadingAgain(error)) return run(find);
      throw error;
    });
    let found = reply.firstBatch ?? [];
    while (Number(reply.id) !== 0) {
      reply = await run({ getMore: reply.id, collection: collectionName });
      found = found.concat(reply.nextBatch ?? []);
    }
    return found;
  };

const reader =
  (find: Find, { extra, skipped }: Pick<ReaderOptions, 'extra' | 'skipped'>): ReadDocuments =>
  async (place, filter, sort, limit) => {
    const found = await find(place, { filter, sort, limit, projection: projectionOf(place, extra) });
    return decoded(found, (id) => skipped?.('unreadable', place.ns, id));
  };

/**
 * Reads at rest: from the primary, majority committed, and each document by itself, so that one which cannot be decoded
 * costs no other. Rejects with the driver's errors.
 */
export const createReader = (options: ReaderOptions): ReadDocuments => reader(findByCursor(options), options);

/**
 * The same for a start, which reads thousands of tables: by commands, without the driver's cursors. What those keep of each
 * reply until it was taken costs more than what is made of it. A query is sent once more, as the driver would
 * (https://github.com/mongodb/specifications/blob/master/source/retryable-reads/retryable-reads.md), so that one dropped
 * connection is not the end of them all.
 */
export const createBareReader = (options: SessionReaderOptions): ReadDocuments =>
  reader(findByCommands(options), options);

/** Every value that a field of a collection has, by an index on it. Values that cannot be decoded are left out. */
export async function valuesOf({ collection }: Place, field: string, options: ReaderOptions): Promise<unknown[]> {
  const { maxTimeMs, session } = options;
  // Stepped through by the index, one key per value, where that is not over arrays.
  const stages = [{ $sort: { [field]: 1 } }, { $group: { _id: `$${field}` } }];
  const found = await collection
    .aggregate<Uint8Array>(stages, {
      ...MAJORITY,
      ...(session === undefined ? {} : { session }),
      maxTimeMS: maxTimeMs,
      allowDiskUse: true,
    })
    .toArray();
  return decoded(found, () => undefined).map(({ _id }) => _id);
}

function decoded(found: readonly Uint8Array[], undecodable: (id: unknown) => void): RawDocument[] {
  const documents: RawDocument[] = [];
  for (const bytes of found) {
    const document = decodeDocument(bytes);
    if (document === null) undecodable(null);
    else documents.push(document);
  }
  return documents;
}

/** How long the server may take to find the collections that tables name, milliseconds. */
const NAMED_MS = 30_000;

/**
 * The collections that tables' own documents name, with the first table of each by `_id`. Rejects with the driver's
 * errors.
 */
export async function collectionsNamed(
  client: MongoClient,
  databases: readonly string[],
  sources: Sources,
): Promise<Map<string, TableId>> {
  const read = createReader({ maxTimeMs: NAMED_MS });
  const named = new Map<string, TableId>();
  for (const database of databases) {
    for (const name of sources.names) {
      const place = placeOf(client.db(database), name, sources);
      if (place?.source.kind !== 'metadados') continue;
      for (const document of await read(place, { colecao: { $type: 'string' } }, { _id: 1 }, 0)) {
        const parsed = tableFrom(document, place.source);
        const { table, collection } = parsed.ok ? parsed.value : { table: null, collection: null };
        if (table === null || collection === null || named.has(collection)) continue;
        const own = sources.of(collection);
        const isOwn = own?.kind === 'table-numbers' && own.table === table;
        if (isOwn || sources.isForeign(collection)) named.set(collection, table);
      }
    }
  }
  return named;
}
