import { type ClientSession, MongoWriteConcernError } from 'mongodb';
import { z } from 'zod';
import { ProtocolError } from '../protocol/errors.ts';
import { isDocument, parseTimestamp, type RawDocument } from '../roulette/bson-value.ts';
import type { InsertResult, NumberToStore, StrategyToStore } from '../roulette/ingest.ts';
import { numberFrom } from '../roulette/number.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, sameStrategy, strategyFrom } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import { labelOf } from '../roulette/wheel.ts';
import { CODES, documentRefused, isWorthRetrying, toProtocolError } from './errors.ts';
import { createReader, type Databases, type Place } from './places.ts';

/** A document to insert, and how to tell whether one with the same `_id` says the same. */
export interface Insertion {
  readonly document: { readonly _id: string } & RawDocument;
  readonly isSame: (stored: RawDocument) => boolean;
}

/** A caller that hears nothing for so long may repeat: milliseconds that a majority may take. */
export const MAJORITY_MS = 5_000;

/** What the server says of an unordered insert. Absent errors mean that everything was written. */
const insertReply = z.object({
  writeErrors: z.array(z.object({ index: z.number(), code: z.number(), errmsg: z.string().default('') })).default([]),
  writeConcernError: z.unknown().optional(),
});

interface Outcome {
  readonly errors: ReadonlyMap<number, { readonly code: number; readonly errmsg: string }>;
  /** The write concern was not met: whatever was written may be rolled back. */
  readonly unconfirmed: boolean;
  readonly retried: boolean;
}

/**
 * Inserts documents into one collection, unordered, acknowledged by a journaled majority; one result each, in order.
 * Nothing is "created" or "duplicate" that could still be rolled back. Rejects with ProtocolError when nothing is
 * known of any of them.
 */
export async function insertMany(
  databases: Databases,
  place: Place,
  insertions: readonly Insertion[],
): Promise<InsertResult[]> {
  const session = databases.client.startSession({ causalConsistency: true });
  try {
    const outcome = await attempt(place, insertions, session);
    const taken = insertions.filter((_, index) => outcome.errors.get(index)?.code === CODES.DuplicateKey);
    const stored = await storedOf(place, taken, session);
    return insertions.map((insertion, index): InsertResult => {
      const id = insertion.document._id;
      const error = outcome.errors.get(index);
      if (error === undefined) {
        if (!outcome.unconfirmed) return { status: 'created', id };
        return { status: 'error', error: new ProtocolError('write_unknown', { retryMs: MAJORITY_MS }) };
      }
      if (error.code !== CODES.DuplicateKey) {
        return { status: 'error', error: documentRefused(error) };
      }
      if (stored instanceof ProtocolError) return { status: 'error', error: stored };
      const existing = stored.get(id);
      // Absent: the key of another unique index is taken, one that an operator made.
      if (existing === undefined || !insertion.isSame(existing)) {
        return { status: 'error', error: new ProtocolError('conflict', { cause: new Error(error.errmsg) }) };
      }
      return { status: outcome.retried && isOwn(existing, insertion.document) ? 'created' : 'duplicate', id };
    });
  } finally {
    await session.endSession();
  }
}

/**
 * The insert as a plain command: the driver's bulk interface wraps every failure, also a lost connection, into an error
 * that looks like a write without problems. So the one retry that the driver makes for its own writes is made here.
 */
async function attempt(place: Place, insertions: readonly Insertion[], session: ClientSession): Promise<Outcome> {
  const { collection } = place;
  const command = {
    insert: collection.collectionName,
    documents: insertions.map(({ document }) => document),
    ordered: false,
    writeConcern: { w: 'majority', j: true, wtimeout: MAJORITY_MS },
  };
  const send = async (retried: boolean): Promise<Outcome> => {
    const reply = await collection.db.command(command, { session }).catch((cause: unknown) => {
      if (cause instanceof MongoWriteConcernError) return cause.result;
      throw cause;
    });
    const { writeErrors, writeConcernError } = insertReply.parse(reply);
    const errors = new Map(writeErrors.map((error) => [error.index, error]));
    return { errors, unconfirmed: writeConcernError !== undefined, retried };
  };
  try {
    return await send(false).catch((cause: unknown) => {
      if (isWorthRetrying(cause)) return send(true);
      throw cause;
    });
  } catch (cause) {
    throw toProtocolError(cause, 'write');
  }
}

/** Whether a stored document is the one of our first attempt, whose answer was lost. */
const isOwn = (stored: RawDocument, sent: RawDocument): boolean =>
  parseTimestamp(stored['criado_em']) === parseTimestamp(sent['criado_em']);

/**
 * The documents that hold the taken keys. The session makes the read wait until all that the insert met is majority
 * committed, so that a repetition is not confirmed on the strength of a first attempt that may be rolled back.
 */
async function storedOf(
  place: Place,
  taken: readonly Insertion[],
  session: ClientSession,
): Promise<ReadonlyMap<string, RawDocument> | ProtocolError> {
  if (taken.length === 0) return new Map();
  try {
    const read = createReader({ maxTimeMs: MAJORITY_MS, session, extra: ['criado_em'] });
    // Not typed as a key: the driver's types take `_id` for an ObjectId.
    const keys: Readonly<Record<string, unknown>> = { _id: { $in: taken.map(({ document }) => document._id) } };
    const documents = await read(place, keys, {}, 0);
    return new Map(documents.map((document) => [String(document['_id']), document]));
  } catch (cause) {
    return toProtocolError(cause, 'write');
  }
}

type Insert<T> = (items: readonly T[]) => Promise<InsertResult[]>;

interface Waiting<T> {
  readonly items: readonly T[];
  readonly resolve: (results: InsertResult[]) => void;
  readonly reject: (error: unknown) => void;
}

interface GroupLimits {
  /** Items of one group of small calls. */
  readonly maxGroup: number;
  /** Items of a small call. A larger one goes in parts of at most `part` items. */
  readonly small: number;
  readonly part: number;
  /** Items that wait or are under way; beyond it a call is refused with `overloaded`. */
  readonly maxWaiting: number;
}

const GROUP_LIMITS: GroupLimits = { maxGroup: 500, small: 50, part: 50, maxWaiting: 20_000 };

/** Parts of large calls under way at a time: two share a flush, and no small call waits for more. */
const LARGE_AT_ONCE = 2;

/** Half a flush or so: what a refused caller should wait. */
const RETRY_MS = 500;

/** Groups calls: while `atOnce` groups are under way the next ones gather. */
function createLane<T>(insert: Insert<T>, maxGroup: number, atOnce: number): (call: Waiting<T>) => void {
  const waiting: Waiting<T>[] = [];
  let flying = 0;

  const single = async (call: Waiting<T>): Promise<void> => {
    try {
      call.resolve(await insert(call.items));
    } catch (error) {
      call.reject(error);
    }
  };

  const fly = async (group: readonly Waiting<T>[]): Promise<void> => {
    const [only] = group;
    if (only !== undefined && group.length === 1) return await single(only);
    let results: InsertResult[];
    try {
      results = await insert(group.flatMap((call) => call.items));
    } catch (error) {
      // The database is away, or did not confirm: that is every caller's answer. Anything else may be one's own doing.
      if (isOfDatabase(error)) {
        for (const call of group) call.reject(error);
        return;
      }
      for (const call of group) await single(call);
      return;
    }
    let at = 0;
    for (const call of group) {
      call.resolve(results.slice(at, at + call.items.length));
      at += call.items.length;
    }
  };

  /** The calls that go next: as many as fit, at least one. */
  const gather = (): Waiting<T>[] => {
    let count = 0;
    let items = 0;
    for (const call of waiting) {
      if (count > 0 && items + call.items.length > maxGroup) break;
      items += call.items.length;
      count++;
    }
    return waiting.splice(0, count);
  };

  const run = async (): Promise<void> => {
    if (flying >= atOnce) return;
    flying += 1;
    while (waiting.length > 0) await fly(gather());
    flying -= 1;
  };

  return (call) => {
    waiting.push(call);
    void run();
  };
}

const isOfDatabase = (error: unknown): error is ProtocolError =>
  error instanceof ProtocolError && error.code !== 'internal';

/** Stores a large call part by part. Once a part is stored, what the database says of a later one is its items' result. */
async function inParts<T>(items: readonly T[], size: number, store: Insert<T>): Promise<InsertResult[]> {
  const results: InsertResult[] = [];
  while (results.length < items.length) {
    try {
      results.push(...(await store(items.slice(results.length, results.length + size))));
    } catch (error) {
      if (results.length === 0 || !isOfDatabase(error)) throw error;
      while (results.length < items.length) results.push({ status: 'error', error });
    }
  }
  return results;
}

/**
 * Groups concurrent inserts: while one is under way the next ones gather and go together, since the journal flush is
 * the cost (a real 4.4: 2,000/s singly, 87,000/s in one insert). A lone insert goes at once. Each caller gets its own
 * results; the inserts are unordered, so that a document that fails does not touch its neighbours. When nothing is
 * known of a group for a reason that one caller's documents may have caused, its calls are tried one by one.
 *
 * Large calls go in parts, two at a time, beside the small ones and in turns among themselves: who posts a number waits
 * for nobody who posts by the hundred, and nothing on the way to the subscribers waits for 500 documents at once.
 */
export function groupCommit<T>(insert: Insert<T>, limits: GroupLimits = GROUP_LIMITS): Insert<T> {
  const small = createLane(insert, limits.maxGroup, 1);
  const large = createLane(insert, limits.part, LARGE_AT_ONCE);
  let open = 0;

  const storeIn =
    (lane: (call: Waiting<T>) => void): Insert<T> =>
    (items) =>
      new Promise((resolve, reject) => lane({ items, resolve, reject }));

  return async (items) => {
    if (open > 0 && open + items.length > limits.maxWaiting)
      throw new ProtocolError('overloaded', { retryMs: RETRY_MS });
    open += items.length;
    try {
      if (items.length <= limits.small) return await storeIn(small)(items);
      return await inParts(items, limits.part, storeIn(large));
    } finally {
      open -= items.length;
    }
  };
}

/** A field that is left out where it has no value. */
const nameField = (name: string | null): { readonly roleta_nome?: string } =>
  name === null ? {} : { roleta_nome: name };

/** A number as both layouts store it. */
export const numberDocument = (item: NumberToStore, nowMs: number) => ({
  _id: item.id,
  roleta_id: item.table,
  ...nameField(item.name),
  numero: item.numero,
  ...labelOf(item.numero),
  cor: item.cor,
  timestamp: new Date(item.timestampMs),
  criado_em: new Date(nowMs),
  ...item.extra,
});

/** The fields of a strategy state, as rows and table documents store them. */
export const stateFields = (item: StrategyToStore) => ({
  estado: item.estado,
  numero_gatilho: item.numeroGatilho,
  terminais_gatilho: [...item.terminaisGatilho],
  vitorias: item.vitorias,
  derrotas: item.derrotas,
  sugestao_display: item.sugestaoDisplay,
  timestamp: new Date(item.timestampMs),
  ...item.extra,
});

/** A row of the strategy history. */
export const strategyDocument = (item: StrategyToStore, nowMs: number) => ({
  _id: item.id,
  roleta_id: item.table,
  ...nameField(item.name),
  ...stateFields(item),
  criado_em: new Date(nowMs),
});

type Given = Pick<NumberToStore, 'name' | 'timestampMs' | 'given'>;

const sameGiven = (
  item: Given,
  stored: { readonly name: string | null; readonly timestampMs: number | null },
): boolean =>
  (!item.given.name || item.name === stored.name) && (!item.given.timestamp || item.timestampMs === stored.timestampMs);

/** Whether a stored document says what the caller gave: then posting it again is a repetition, else a conflict. */
export function sameNumber(stored: RawDocument, source: Source, item: NumberToStore): boolean {
  const parsed = numberFrom(stored, source);
  if (!parsed.ok || parsed.value.numero !== item.numero) return false;
  // As it was given, also where that is too far ahead to be believed.
  return sameGiven(item, { name: parsed.value.name, timestampMs: parseTimestamp(stored['timestamp']) });
}

const asStored = (item: StrategyToStore): StoredStrategy => ({ ...item, key: '' });

/** The same for a strategy state. */
export function sameState(stored: RawDocument, source: Source, item: StrategyToStore, table: TableId): boolean {
  const parsed = strategyFrom(stored, source, () => table);
  if (!parsed.ok || !sameStrategy(parsed.value, asStored(item))) return false;
  const state = source.kind === 'metadados' ? stored['estrategia'] : stored;
  const given = parseTimestamp(isDocument(state) ? state['timestamp'] : null);
  return sameGiven(item, { name: parsed.value.name, timestampMs: given });
}
