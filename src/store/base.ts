import { type ClientSession, Timestamp } from 'mongodb';
import type { SkipReason } from '../protocol/delivery.ts';
import type { ClusterTime } from '../protocol/position.ts';
import { numberOf, type RawDocument } from '../roulette/bson-value.ts';
import { createDirectory, type Directory } from '../roulette/directory.ts';
import { fieldPaths, relevantFields } from '../roulette/fields.ts';
import { keyOf } from '../roulette/identity.ts';
import { numberFrom } from '../roulette/number.ts';
import { strategyFrom } from '../roulette/strategy.ts';
import { canonicalId, type TableId, uuidTextOf } from '../roulette/table.ts';
import { tableFrom } from '../roulette/table-document.ts';
import { type Bracket, TIMED, TIMED_OR_NOT } from './brackets.ts';
import { limited } from './limited.ts';
import { type Line, type Newest, type NewestOptions, newest, type ReadDocuments } from './newest.ts';
import { type Databases, type Place, presentPlaces } from './places.ts';
import type { Spellings } from './spellings.ts';

/** A document as it stands, cut down to the fields that matter. */
export interface BaseDocument {
  /** `database.collection`. */
  readonly ns: string;
  /** Identity of its `_id` (`keyOf`). */
  readonly key: string;
  readonly document: RawDocument;
}

/** What stands in the database, as far as a state needs it. */
export interface Base {
  readonly documents: readonly BaseDocument[];
  /**
   * Collections that hold older documents of a table than those read: `documents` then has no holes down to its oldest
   * one of that table there. A table of which nothing was read is not listed.
   */
  readonly incomplete: readonly { readonly ns: string; readonly table: TableId }[];
  /** Documents met that cannot be read, by reason. */
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
}

export interface BaseRequest {
  /** The read shows at least everything up to here; null where any committed state will do. */
  readonly afterClusterTime: ClusterTime | null;
  readonly numbersPerTable: number;
  /** Strategy rows per table; 50 by default. */
  readonly rowsPerTable?: number;
  /** What is known already of a table in a collection, and not wanted; `others` of it are read all the same. */
  inserted?(ns: string, table: TableId): Known;
}

/** Documents of a table in a collection: `_id`s by the class of their timestamps, and how many are not named. */
interface Known {
  idsIn(bracket: Bracket): readonly unknown[];
  readonly others: number;
}

const NOTHING: Known = { idsIn: () => [], others: 0 };

const ROWS_PER_TABLE = 50;
/** Reads at one time: enough to hide the network, few enough to leave the server to others. */
const PARALLEL = 8;
/** Different `roleta_id`s looked at in one collection; more are no tables. */
const MAX_SPELLINGS = 5_000;

const tableDocuments = (kind: Place['source']['kind']): boolean => kind === 'roletas' || kind === 'metadados';

/**
 * Reads, from the primary and with majority read concern, the last numbers and strategy rows of every table of every
 * collection that matters, by index, and all documents of the tables themselves. Rejects with the driver's errors.
 */
export async function readBase(databases: Databases, spellings: Spellings, request: BaseRequest): Promise<Base> {
  const session = databases.client.startSession({ causalConsistency: true });
  try {
    const { afterClusterTime } = request;
    if (afterClusterTime !== null) session.advanceOperationTime(new Timestamp(afterClusterTime));
    return await readWith(databases, spellings, request, session);
  } finally {
    await session.endSession();
  }
}

async function readWith(
  databases: Databases,
  spellings: Spellings,
  request: BaseRequest,
  session: ClientSession,
): Promise<Base> {
  const run = limited(PARALLEL);
  const read: ReadDocuments = (place, filter, sort, limit) =>
    run(() =>
      place.collection
        .find(filter, {
          session,
          sort: { ...sort },
          limit,
          projection: Object.fromEntries(fieldPaths(place.source).map((field) => [field, 1])),
          readPreference: 'primary',
          readConcern: 'majority',
        })
        .toArray(),
    );
  const places = await presentPlaces(databases);
  const documents: BaseDocument[] = [];
  const keep = (place: Place, document: RawDocument): void => {
    documents.push({ ns: place.ns, key: keyOf(document['_id']), document: relevantFields(document, place.source) });
  };
  const directory = createDirectory();

  await Promise.all(
    places
      .filter(({ source }) => tableDocuments(source.kind))
      .map(async (place) => {
        for (const document of await read(place, {}, {}, 0)) {
          keep(place, document);
          const parsed = tableFrom(document, place.source);
          if (parsed.ok && parsed.value.table !== null) directory.learn(parsed.value.table, null);
        }
      }),
  );

  const spelt = await Promise.all(
    places
      .filter(({ source }) => source.kind === 'numbers' || source.kind === 'strategies')
      .map(async (place) => ({ place, values: await spellingsIn(place, read) })),
  );
  for (const { values } of spelt) for (const value of values) learnId(directory, value);
  for (const { source } of places) if (source.kind === 'table-numbers') directory.learn(source.table, null);

  const skipped: Partial<Record<SkipReason, number>> = {};
  const incomplete: Base['incomplete'][number][] = [];
  const take = async (place: Place, table: TableId, values: readonly (string | number | null)[]): Promise<void> => {
    const { rows, exhausted } = await newestOf(place, table, values, request, read, skipped);
    for (const row of rows) keep(place, row.document);
    if (!exhausted && rows.length > 0) incomplete.push({ ns: place.ns, table });
  };
  const taken: Promise<void>[] = [];
  for (const place of places) {
    if (place.source.kind !== 'table-numbers') continue;
    taken.push(take(place, place.source.table, [null]));
  }
  for (const { place, values } of spelt) {
    for (const [table, ofTable] of byTable(values, directory)) {
      for (const value of ofTable) spellings.learn(table, value);
      taken.push(take(place, table, ofTable));
    }
  }
  await Promise.all(taken);
  return { documents, incomplete, skipped };
}

function learnId(directory: Directory, value: unknown): void {
  const id = canonicalId(value);
  if (id !== null) directory.learn(id, null);
}

/** The spellings found in a collection, by the table that each stands for. */
function byTable(values: readonly (string | number)[], directory: Directory): Map<TableId, (string | number)[]> {
  const found = new Map<TableId, (string | number)[]>();
  for (const value of values) {
    const table = canonicalId(value) ?? (uuidTextOf(value) === null ? null : directory.resolve(String(value))[0]);
    if (table === null || table === undefined) continue;
    found.set(table, [...(found.get(table) ?? []), value]);
  }
  return found;
}

/** The ranges of a table in a collection, less what is known. Not typed as a key: an `_id` may be of any type. */
function linesOf(place: Place, values: readonly (string | number | null)[], known: Known): Line[] {
  const brackets = place.source.kind === 'strategies' ? TIMED_OR_NOT : TIMED;
  return brackets.flatMap((bracket) => {
    const ids = known.idsIn(bracket);
    const others: Readonly<Record<string, unknown>> = ids.length === 0 ? {} : { _id: { $nin: ids } };
    return values.map((value) => ({
      place,
      equals: value === null ? others : { ...others, roleta_id: value },
      bracket,
    }));
  });
}

function newestOf(
  place: Place,
  table: TableId,
  values: readonly (string | number | null)[],
  request: BaseRequest,
  read: ReadDocuments,
  skipped: Partial<Record<SkipReason, number>>,
): Promise<Newest<null>> {
  const resolve = (): TableId => table;
  const seen = new Set<string>();
  const parse: NewestOptions<null>['parse'] = (document) => {
    const strategies = place.source.kind === 'strategies';
    const parsed = strategies
      ? strategyFrom(document, place.source, resolve)
      : numberFrom(document, place.source, resolve);
    if (parsed.ok) return { ms: parsed.value.timestampMs ?? -Infinity, value: null };
    const key = keyOf(document['_id']);
    // A range that is read again, deeper, shows the same documents again.
    if (!seen.has(key)) skipped[parsed.reason] = (skipped[parsed.reason] ?? 0) + 1;
    seen.add(key);
    return null;
  };
  const count = place.source.kind === 'strategies' ? (request.rowsPerTable ?? ROWS_PER_TABLE) : request.numbersPerTable;
  const known = request.inserted?.(place.ns, table) ?? NOTHING;
  return newest(linesOf(place, values, known), { count: count + known.others, read, parse });
}

/**
 * Every value of `roleta_id`, by stepping over the index from value to value: `distinct` would need the privilege for
 * one more command, and reads all keys on servers that do not skip.
 */
async function spellingsIn(place: Place, read: ReadDocuments): Promise<(string | number)[]> {
  const found: (string | number)[] = [];
  // An array would come back for each of its elements, and is no id.
  const text = { $gte: '', $not: { $type: 'array' } };
  const number = { $gte: 1_000_000, $lte: 9_999_999, $not: { $type: 'array' } };
  for (const range of [text, number]) {
    let condition: Readonly<Record<string, unknown>> = range;
    while (found.length < MAX_SPELLINGS) {
      const [document] = await read(place, { roleta_id: condition }, { roleta_id: 1 }, 1);
      const raw = document?.['roleta_id'];
      const value = typeof raw === 'string' ? raw : numberOf(raw);
      if (value === null) break;
      found.push(value);
      // The next possible value, rather than "greater than": its entries need not be stepped over one by one.
      condition = { ...range, $gte: typeof value === 'string' ? `${value}\u0000` : Math.floor(value) + 1 };
    }
  }
  return found;
}
