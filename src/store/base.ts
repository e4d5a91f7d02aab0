import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ClientSession, Timestamp } from 'mongodb';
import type { SkipReason } from '../protocol/delivery.ts';
import type { ClusterTime } from '../protocol/position.ts';
import { keyOf, type RawDocument } from '../roulette/bson-value.ts';
import { type NumberDocument, numberDocumentOf, numberFrom, type StoredNumber } from '../roulette/number.ts';
import { relevantFields, tableFrom } from '../roulette/source.ts';
import { strategyFrom } from '../roulette/strategy.ts';
import { createDirectory, type Directory, storedIdOf, storedUuidOf, type TableId } from '../roulette/table.ts';
import { Impatient, type Line, newest, type ReadRow } from './newest.ts';
import {
  createBareReader,
  type Databases,
  type Place,
  presentPlaces,
  type ReadDocuments,
  type SessionReaderOptions,
  type Skipped,
  valuesOf,
} from './places.ts';

/** Any other document as it is, cut down to the fields that matter. */
export interface BaseDocument {
  /** `database.collection`. */
  readonly ns: string;
  /** Identity of its `_id` (`keyOf`). */
  readonly key: string;
  readonly document: RawDocument;
}

/** A table in one collection. */
interface TablePlace {
  readonly ns: string;
  readonly table: TableId;
}

/** What is stored in the database, as far as a state needs it. */
export interface Base {
  readonly numbers: readonly NumberDocument[];
  /** Strategies and table documents. */
  readonly documents: readonly BaseDocument[];
  /**
   * Collections that hold older documents of a table than those read: what was read then has no holes down to its
   * oldest one of that table there. A table of which nothing was read is not listed.
   */
  readonly incomplete: readonly TablePlace[];
  /** Where the newest documents could not be found among so many malformed ones: what is there of them is shown. */
  readonly unfinished: readonly TablePlace[];
  /** Documents met that cannot be read, by reason. */
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
}

export interface BaseRequest {
  /** The read shows at least everything up to here; null where any committed state will do. */
  readonly afterClusterTime: ClusterTime | null;
  readonly numbersPerTable: number;
  /** Strategy rows per table; 50 by default. */
  readonly rowsPerTable?: number;
  /** Malformed documents in a row of one table, looked at in vain before it is served as far as it goes; 50,000 by default. */
  readonly patience?: number;
  /** The numbers and strategy rows of these tables only; of all where it is absent or null. */
  readonly tables?: ReadonlySet<TableId> | null;
  /** Whether a document of a collection, by `keyOf` its `_id`, is known already and not wanted. */
  known?(ns: string, key: string): boolean;
}

/** How far a base read is, for an operator. */
export interface BaseProgress {
  readonly tables: number;
  readonly tablesRead: number;
  readonly documents: number;
}

interface BaseParts {
  readonly databases: Databases;
  /** Told of each document that cannot be read. */
  readonly skipped?: Skipped;
  readonly progress?: (progress: BaseProgress) => void;
}

const ROWS_PER_TABLE = 50;
/** Reads at one time: enough to hide the network, few enough to leave the server to others. */
const PARALLEL = 8;
/** One query of a cold or large collection may take minutes; a server that is dead is noticed by its heartbeat. */
const BASE_QUERY_MS = 5 * 60_000;
const PATIENCE = 50_000;
/** Table ids learnt in one turn of the event loop: each costs a hash, and there may be 10,000 of them. */
const LEARNT_AT_ONCE = 1_000;
/** A reply is decoded and read in one turn of the event loop, in which nobody is served. */
const MOST_AT_ONCE = 2_000;

/**
 * Reads, from the primary or the one member of a direct connection, and with majority read concern, the last numbers and
 * strategy rows of every table of every collection that matters, by index, and all documents of the tables themselves.
 * May take minutes. Rejects with the driver's errors.
 */
export async function readBase(parts: BaseParts, request: BaseRequest): Promise<Base> {
  const session = parts.databases.client.startSession({ causalConsistency: true });
  try {
    const { afterClusterTime } = request;
    if (afterClusterTime !== null) session.advanceOperationTime(new Timestamp(afterClusterTime));
    return await readWith(parts, request, session);
  } finally {
    await session.endSession();
  }
}

async function readWith(parts: BaseParts, request: BaseRequest, session: ClientSession): Promise<Base> {
  const { databases, progress } = parts;
  const collected = collect(parts);
  const options: SessionReaderOptions = { maxTimeMs: BASE_QUERY_MS, session, skipped: collected.unreadable };
  const read = createBareReader(options);

  const places = await presentPlaces(databases);
  const directory = createDirectory();
  for (const place of places.filter(({ source }) => source.kind === 'roletas' || source.kind === 'metadados')) {
    for (const document of await read(place, {}, {}, 0)) {
      collected.keep(place, document);
      const parsed = tableFrom(document, place.source);
      if (parsed.ok && parsed.value.table !== null) directory.learn(parsed.value.table, null);
    }
  }
  for (const { source } of places) if (source.kind === 'table-numbers') directory.learn(source.table, null);

  const spelt: { readonly place: Place; readonly values: readonly unknown[] }[] = [];
  for (const place of places.filter(({ source }) => source.kind === 'numbers' || source.kind === 'strategies')) {
    const values = await valuesOf(place, 'roleta_id', options);
    spelt.push({ place, values });
    for (const [at, value] of values.entries()) {
      learnId(directory, value);
      if (at % LEARNT_AT_ONCE === 0) await nextTurn();
    }
  }

  const wanted: { readonly table: TableId; readonly lines: readonly Line[] }[] = [];
  for (const place of places) {
    if (place.source.kind === 'table-numbers') wanted.push({ table: place.source.table, lines: [lineOf(place, {})] });
  }
  for (const { place, values } of spelt) {
    for (const [table, own] of byTable(values, directory)) {
      wanted.push({ table, lines: own.map((value) => lineOf(place, { roleta_id: value })) });
    }
  }
  const asked = wanted.filter(({ table }) => request.tables?.has(table) ?? true);
  const { numbers, documents } = collected.base;
  let tablesRead = 0;
  await atOnce(PARALLEL, asked, async ({ table, lines }) => {
    await collected.readTable(table, lines, request, read);
    tablesRead++;
    progress?.({ tables: asked.length, tablesRead, documents: numbers.length + documents.length });
  });
  return collected.base;
}

/** Leaves out numbers that are none: a superset of what can be read. */
const READABLE = { $or: [{ numero: { $gte: 0, $lte: 37 } }, { numero: { $type: 'string' } }] };

const lineOf = (place: Place, equals: Line['equals']): Line =>
  place.source.kind === 'strategies' ? { place, equals } : { place, equals, readable: READABLE };

/** What a base read has found so far. */
function collect({ skipped: said }: BaseParts) {
  const numbers: NumberDocument[] = [];
  const documents: BaseDocument[] = [];
  const incomplete: TablePlace[] = [];
  const unfinished: TablePlace[] = [];
  const skipped: Partial<Record<SkipReason, number>> = {};

  const skip = (reason: SkipReason, ns: string, id: unknown): void => {
    skipped[reason] = (skipped[reason] ?? 0) + 1;
    said?.(reason, ns, id);
  };
  const keep = ({ ns, source }: Place, document: RawDocument): void => {
    documents.push({ ns, key: keyOf(document['_id']), document: relevantFields(document, source) });
  };

  const readTable = async (
    table: TableId,
    lines: readonly Line[],
    request: BaseRequest,
    read: ReadDocuments,
  ): Promise<void> => {
    const place = lines[0]?.place;
    if (place === undefined) return;
    const isStrategies = place.source.kind === 'strategies';
    const resolve = (): TableId => table;
    let inVain = 0;
    const isKnown = (key: string): boolean => request.known?.(place.ns, key) === true;
    const parse = (document: RawDocument): ReadRow<StoredNumber | null> | null => {
      const parsed = isStrategies
        ? strategyFrom(document, place.source, resolve)
        : numberFrom(document, place.source, resolve);
      if (isKnown(parsed.ok ? parsed.value.key : keyOf(document['_id']))) return null;
      inVain = parsed.ok ? 0 : inVain + 1;
      if (inVain > (request.patience ?? PATIENCE))
        throw new Impatient(`${place.ns}: ${inVain} malformed documents of ${table}`);
      if (!parsed.ok) {
        skip(parsed.reason, place.ns, document['_id']);
        return null;
      }
      const { value } = parsed;
      return { ms: value.timestampMs ?? -Infinity, key: value.key, value: 'numero' in value ? value : null };
    };
    const count = isStrategies ? (request.rowsPerTable ?? ROWS_PER_TABLE) : request.numbersPerTable;
    const found = await newest(lines, { count, read, parse, untimed: isStrategies, maxDepth: MOST_AT_ONCE });
    for (const { ns, document, value } of found.rows) {
      if (value === null) keep(place, document);
      else numbers.push(numberDocumentOf(ns, place.source, document['_id'], value));
    }
    // Of an unfinished table there is no more to be had: it is not to be read again and again.
    if (!found.exhausted && !found.given && found.rows.length > 0) incomplete.push({ ns: place.ns, table });
    if (found.given) unfinished.push({ ns: place.ns, table });
  };

  const base: Base = { numbers, documents, incomplete, unfinished, skipped };
  return {
    base,
    keep,
    readTable,
    unreadable: (_reason: string, ns: string, id: unknown) => skip('unreadable', ns, id),
  };
}

function learnId(directory: Directory, value: unknown): void {
  const id = storedIdOf(value);
  if (id !== null) directory.learn(id, null);
}

/** The spellings found in a collection, by the table that each stands for. */
function byTable(values: readonly unknown[], directory: Directory): Map<TableId, unknown[]> {
  const found = new Map<TableId, unknown[]>();
  for (const value of values) {
    const uuid = storedUuidOf(value);
    const table = storedIdOf(value) ?? (uuid === null ? null : directory.resolve(uuid)[0]);
    if (table === null || table === undefined) continue;
    const own = found.get(table);
    if (own === undefined) found.set(table, [value]);
    else own.push(value);
  }
  return found;
}

/**
 * Does something with each item, with `parallel` of them at a time. None is begun before its turn: what waits grows old
 * in the heap, and whatever it then holds would outlive it until the next full collection.
 */
async function atOnce<T>(parallel: number, items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  // A generator: where one fails, the others find it ended.
  const rest = (function* () {
    yield* items;
  })();
  const one = async (): Promise<void> => {
    for (const item of rest) await use(item);
  };
  await Promise.all(Array.from({ length: parallel }, one));
}
