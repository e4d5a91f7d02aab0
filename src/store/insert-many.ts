import { type ClientSession, MongoWriteConcernError } from 'mongodb';
import { z } from 'zod';
import { ProtocolError } from '../protocol/errors.ts';
import type { RawDocument } from '../roulette/bson-value.ts';
import type { InsertResult } from '../roulette/ingest.ts';
import { parseTimestamp } from '../roulette/timestamp.ts';
import { documentRefused, isDuplicateKey, isWorthRetrying, toProtocolError } from './errors.ts';
import type { Databases, Place } from './places.ts';
import { createReader } from './read.ts';

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
    const taken = insertions.filter((_, index) => isDuplicateKey(outcome.errors.get(index)?.code));
    const stored = await storedOf(place, taken, session);
    return insertions.map((insertion, index): InsertResult => {
      const id = insertion.document._id;
      const error = outcome.errors.get(index);
      if (error === undefined) {
        if (!outcome.unconfirmed) return { status: 'created', id };
        return { status: 'error', error: new ProtocolError('write_unknown', { retryMs: MAJORITY_MS }) };
      }
      if (!isDuplicateKey(error.code)) {
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
